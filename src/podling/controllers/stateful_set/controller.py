"""Keep the numbered pods of a StatefulSet: one of each name, in order or at once, moved to a new template from the last down."""

from dataclasses import dataclass

from podling.api import selectors
from podling.api.intstr import scaled
from podling.api.objects import Object, controller_of, get, is_deleting, key_of, labels_of, name_of, namespace_of
from podling.client.resource import CLAIMS, CONTROLLER_REVISIONS, PODS, STATEFUL_SETS
from podling.controllers import pods as pod_facts
from podling.controllers.claim import claim
from podling.controllers.controller import Controller, Watch, controlled_by
from podling.controllers.history import History, forget, settle, template_of
from podling.controllers.plan import Action, Create, Delete, Event, Patch, Plan, sooner
from podling.controllers.replica_set import selecting
from podling.controllers.stateful_set import claims, status
from podling.controllers.stateful_set.identity import first, missing_labels, new_pod, ordinal_of, ordinals, revision_of
from podling.controllers.view import Key, View

HASH = "controller.kubernetes.io/hash"


def reconcile(owner: Object, view: View, now: float) -> Plan:
    selector = selectors.of_object(owner["spec"].get("selector"))
    pods, adopted = claim(owner, PODS, selector, view, lambda pod: ordinal_of(owner, pod) is not None)
    revisions, kept = claim(owner, CONTROLLER_REVISIONS, selector, view)
    history = settle(owner, revisions, HASH, view)
    actions = [*adopted, *kept, *history.actions]
    if history.latest is None:  # nothing is made before its revision is there
        collisions = get(owner, "status.collisionCount", 0)
        return Plan(actions, {**(owner.get("status") or {}), "collisionCount": collisions + 1} if history.collided else None)
    current = history.named(get(owner, "status.currentRevision", "")) or history.latest
    counts = status.counted(owner, pods, name_of(current), name_of(history.latest), now)
    if not is_deleting(owner):
        actions += Round(owner, current, history.latest, counts, view, now).steps(pods)
        actions += forget(owner, history, _live(history, current, pods))
    return Plan(actions, counts, _wait(owner, pods, now))


def _live(history: History, current: Object, pods: list[Object]) -> set[str]:
    return {name_of(one) for one in (current, history.latest) if one} | {revision_of(pod) for pod in pods}


def _wait(owner: Object, pods: list[Object], now: float) -> float | None:
    min_ready = owner["spec"].get("minReadySeconds") or 0
    return sooner(*(wait for pod in pods if (wait := pod_facts.wait_until_available(pod, min_ready, now))))


@dataclass(frozen=True, slots=True)
class Round:
    """One look at all pods. Who goes in order takes a step only where all before it stand firm."""

    owner: Object
    current: Object
    latest: Object
    counts: Object
    view: View
    now: float

    @property
    def ordered(self) -> bool:
        return bool(self.owner["spec"].get("podManagementPolicy", "OrderedReady") == "OrderedReady")

    def steps(self, pods: list[Object]) -> list[Action]:
        wanted = ordinals(self.owner)
        by_ordinal = {ordinal_of(self.owner, pod) or 0: pod for pod in pods}
        replicas = {ordinal: by_ordinal.get(ordinal) for ordinal in wanted}
        condemned = [by_ordinal[ordinal] for ordinal in sorted(by_ordinal, reverse=True) if ordinal not in wanted]
        actions, settled = self._fill(replicas)
        if not settled:
            return actions
        fewer, settled = self._scale_down(condemned, [pod for pod in replicas.values() if pod])
        actions += fewer
        return actions if not settled else actions + self._update({key: pod for key, pod in replicas.items() if pod})

    # --- those there should be

    def _fill(self, replicas: dict[int, Object | None]) -> tuple[list[Action], bool]:
        """The steps, and whether what comes after may go on."""
        actions: list[Action] = []
        settled = True
        for ordinal, pod in replicas.items():
            steps, firm = self._stand(ordinal, pod)
            actions += steps
            settled = settled and (firm or not self.ordered) and not (pod is not None and pod_facts.is_finished(pod))
            if self.ordered and not firm:
                break
        return actions, settled

    def _stand(self, ordinal: int, pod: Object | None) -> tuple[list[Action], bool]:
        if pod is None:
            return self._create(ordinal), False
        if pod_facts.is_finished(pod):
            return ([] if is_deleting(pod) else [self._delete(pod), self._recreating(pod)]), False
        actions = self._keep(ordinal, pod)
        return actions, status.is_healthy(self.owner, pod, self.now)

    def _keep(self, ordinal: int, pod: Object) -> list[Action]:
        if is_deleting(pod):
            return []
        actions = claims.owned(self.owner, pod, ordinal, self.view, condemned=False)
        if pod_facts.phase(pod) == "Pending":
            actions += claims.missing(self.owner, ordinal, self.view)
        if labels := missing_labels(self.owner, pod, ordinal):
            actions.append(Patch(PODS, pod, {"metadata": {"labels": labels}}))
        return actions

    def _create(self, ordinal: int) -> list[Action]:
        """First its claims; the pod when they are there, and none of them belongs to one that was."""
        if claims.are_leaving(self.owner, ordinal, self.view):
            return []
        if first_claims := claims.missing(self.owner, ordinal, self.view):
            return first_claims
        revision = self.current if self._is_held_back(ordinal) else self.latest
        pod = new_pod(self.owner, ordinal, template_of(revision), name_of(revision))
        return [Create(PODS, pod, *self._told("create", "SuccessfulCreate", "FailedCreate", name_of(pod)))]

    def _is_held_back(self, ordinal: int) -> bool:
        """Whether a new pod of this number still gets the former template."""
        strategy = self.owner["spec"].get("updateStrategy") or {}
        if strategy.get("type", "RollingUpdate") != "RollingUpdate":
            return False
        rolling = strategy.get("rollingUpdate")
        kept = self.counts.get("currentReplicas", 0) if rolling is None else rolling.get("partition") or 0
        return ordinal < first(self.owner) + kept

    def _recreating(self, pod: Object) -> Event:
        text = f"StatefulSet {key_of(self.owner)} is recreating {pod_facts.phase(pod).lower()} Pod {name_of(pod)}"
        reason = "RecreatingFailedPod" if pod_facts.phase(pod) == "Failed" else "RecreatingTerminatedPod"
        return Event(self.owner, reason, text, "Warning" if pod_facts.phase(pod) == "Failed" else "Normal")

    def _delete(self, pod: Object) -> Delete:
        done, failed = self._told("delete", "SuccessfulDelete", "FailedDelete", name_of(pod))
        return Delete(PODS, pod, done=done, failed=failed)

    def _told(self, verb: str, done: str, failed: str, pod: str) -> tuple[Event, Event]:
        text = f"{verb} Pod {pod} in StatefulSet {name_of(self.owner)}"
        good = Event(self.owner, done, f"{text} successful")
        return good, Event(self.owner, failed, f"{text} failed error: {{error}}", "Warning")

    # --- those there should not be

    def _scale_down(self, condemned: list[Object], replicas: list[Object]) -> tuple[list[Action], bool]:
        """From the highest number down. In order, an unhealthy pod elsewhere holds it up, unless it is the first of them."""
        actions: list[Action] = []
        for pod in condemned:
            ordinal = ordinal_of(self.owner, pod) or 0
            owners = [] if is_deleting(pod) else claims.owned(self.owner, pod, ordinal, self.view, condemned=True)
            if owners:
                actions += owners  # before the pod goes, its claims have to know
            elif not is_deleting(pod):
                if self.ordered and not self._may_go(pod, [*replicas, *reversed(condemned)]):
                    return actions, False
                actions.append(self._delete(pod))
            if self.ordered:
                return actions, False
        return actions, True

    def _may_go(self, pod: Object, everybody: list[Object]) -> bool:
        unhealthy = (other for other in everybody if not status.is_healthy(self.owner, other, self.now))
        first_unhealthy = next(unhealthy, pod)
        return status.is_available(self.owner, pod, self.now) or pod is first_unhealthy

    # --- those of a former template

    def _update(self, replicas: dict[int, Object]) -> list[Action]:
        """Delete pods of former revisions from the last number down to the partition, as many as may be unavailable."""
        strategy = self.owner["spec"].get("updateStrategy") or {}
        if strategy.get("type", "RollingUpdate") != "RollingUpdate":
            return []
        rolling = strategy.get("rollingUpdate") or {}
        lowest = first(self.owner) + (rolling.get("partition") or 0)
        outdated = [pod for ordinal, pod in replicas.items() if ordinal >= lowest and self._is_outdated(pod)]
        firm = [pod for pod in replicas.values() if pod in outdated or status.is_healthy(self.owner, pod, self.now)]
        lost = len(ordinals(self.owner)) - len(firm)
        most = max(1, scaled(rolling.get("maxUnavailable") or 1, len(ordinals(self.owner)), round_up=False))
        return [self._delete(pod) for pod in list(reversed(outdated))[: max(0, most - lost)]]

    def _is_outdated(self, pod: Object) -> bool:
        return revision_of(pod) != name_of(self.latest) and not is_deleting(pod)


def owners_of_pod(pod: Object, view: View) -> list[Key]:
    if controller_of(pod) is not None:
        return list(controlled_by(STATEFUL_SETS)(pod, view))
    return selecting(STATEFUL_SETS, pod, view)


def owners_of_claim(obj: Object, view: View) -> list[Key]:
    """The sets whose selector the labels of a claim match: claims need no owner."""
    return [
        (STATEFUL_SETS, key_of(owner))
        for owner in view.within(STATEFUL_SETS, namespace_of(obj))
        if owner["spec"].get("volumeClaimTemplates")
        and selectors.of_labels(get(owner, "spec.selector.matchLabels")).matches(labels_of(obj))
    ]


STATEFUL_SET = Controller(
    "statefulset",
    primary=(Watch(STATEFUL_SETS, indexes=("namespace",)),),
    reconcile=reconcile,
    watches=(
        Watch(PODS, owners_of_pod, ("namespace", "owner", "label")),
        Watch(CLAIMS, owners_of_claim, metadata_only=True),
        Watch(CONTROLLER_REVISIONS, controlled_by(STATEFUL_SETS), ("namespace", "owner", "label")),
    ),
)
