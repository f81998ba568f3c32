"""One pod of a DaemonSet on each node that it belongs to."""

from dataclasses import dataclass

from podling.api import selectors, taints
from podling.api.objects import Object, controller_of, get, is_deleting, key_of, labels_of, name_of
from podling.api.timestamps import parse
from podling.client.resource import CONTROLLER_REVISIONS, DAEMON_SETS, NODES, PODS
from podling.controllers import pods as pod_facts
from podling.controllers.claim import claim
from podling.controllers.controller import Controller, Watch, controlled_by
from podling.controllers.daemon_set import placement
from podling.controllers.daemon_set.rollout import Rollout, is_new, surges
from podling.controllers.history import POD_LABEL, History, forget, settle
from podling.controllers.plan import Action, Create, Delete, Event, Plan, sooner
from podling.controllers.replica_set import selecting
from podling.controllers.view import Key, View

FAILED_FOR = 10.0  # seconds between two tries on one node
BURST = 250


def reconcile(owner: Object, view: View, now: float) -> Plan:
    selector = selectors.of_object(owner["spec"].get("selector"))
    if selector.everything:
        text = "This daemon set is selecting all pods. A non-empty selector is required."
        return Plan([Event(owner, "SelectingAll", text, "Warning")])
    pods, adopted = claim(owner, PODS, selector, view)
    revisions, kept = claim(owner, CONTROLLER_REVISIONS, selector, view)
    history = settle(owner, revisions, POD_LABEL, view)
    actions = [*adopted, *kept, *history.actions]
    if is_deleting(owner):
        return Plan(actions)
    if history.latest is None:  # nothing is made before its revision is there
        collisions = get(owner, "status.collisionCount", 0)
        return Plan(actions, {**(owner.get("status") or {}), "collisionCount": collisions + 1} if history.collided else None)
    revision = labels_of(history.latest).get(POD_LABEL, "")
    plan = Round(owner, revision, view, now).plan(pods)
    return Plan([*actions, *plan.actions, *forget(owner, history, _live(history, pods))], plan.status, plan.requeue_after)


def _live(history: History, pods: list[Object]) -> set[str]:
    used = {labels_of(pod).get(POD_LABEL) for pod in pods}
    return {name_of(one) for one in history.known if one is history.latest or labels_of(one).get(POD_LABEL) in used}


def oldest_first(pods: list[Object]) -> list[Object]:
    """Pods with a node before those without, then by age."""
    return sorted(pods, key=lambda pod: (not pod_facts.node_of(pod), pod["metadata"]["creationTimestamp"], name_of(pod)))


@dataclass(frozen=True, slots=True)
class Round:
    """One look at all nodes; `revision` is the hash of the present template."""

    owner: Object
    revision: str
    view: View
    now: float

    def plan(self, pods: list[Object]) -> Plan:
        by_node: dict[str, list[Object]] = {}
        for pod in pods:
            by_node.setdefault(placement.node_of(pod), []).append(pod)
        belongs = {name_of(node): placement.belongs(self.owner, node) for node in self.view.all(NODES)}
        wanted = {node: by_node.get(node, []) for node, (comes, _) in belongs.items() if comes}
        actions, wait = self._manage(wanted, by_node, belongs)
        return Plan(actions or self._renew(wanted), self._status(wanted, by_node, belongs), sooner(wait, self._ready_in(pods)))

    # --- as many as there should be

    def _manage(
        self, wanted: dict[str, list[Object]], by_node: dict[str, list[Object]], belongs: dict[str, tuple[bool, bool]]
    ) -> tuple[list[Action], float | None]:
        """Fill the nodes that lack a pod, clear those that have too many; and when to look at failed ones again."""
        empty = [node for node, pods in wanted.items() if not pods]
        actions: list[Action] = [self._create(node) for node in empty[:BURST]]
        waits: list[float] = []
        for node, pods in by_node.items():
            present = [pod for pod in pods if not is_deleting(pod)]
            _, stays = belongs.get(node, (False, node == ""))
            if not stays:
                actions += [self._delete(pod) for pod in present]
                continue
            for pod in filter(pod_facts.is_finished, present):
                wait = parse(pod["metadata"]["creationTimestamp"]) + FAILED_FOR - self.now
                actions += [self._finished(pod, node), self._delete(pod)] if wait <= 0 else []
                waits += [wait] if wait > 0 else []
            actions += [self._delete(pod) for pod in self._surplus([pod for pod in present if pod_facts.is_active(pod)])]
        return actions, sooner(*waits)

    def _surplus(self, running: list[Object]) -> list[Object]:
        ordered = oldest_first(running)
        if not surges(self.owner):
            return ordered[1:]
        new = [pod for pod in ordered if is_new(pod, self.revision)]
        old = [pod for pod in ordered if not is_new(pod, self.revision)]
        return new[1:] + old[1:]

    def _finished(self, pod: Object, node: str) -> Event:
        state = pod_facts.phase(pod)
        reason = "FailedDaemonPod" if state == "Failed" else "SucceededDaemonPod"
        what, will = (("failed", "kill"), ("succeeded", "delete"))[state == "Succeeded"]
        text = f"Found {what} daemon pod {key_of(pod)} on node {node}, will try to {will} it"
        return Event(self.owner, reason, text, "Warning" if state == "Failed" else "Normal")

    def _create(self, node: str) -> Create:
        done = Event(self.owner, "SuccessfulCreate", "Created pod: {name}")
        failed = Event(self.owner, "FailedCreate", "Error creating: {error}", "Warning")
        return Create(PODS, placement.new_pod(self.owner, node, self.revision), done, failed)

    def _delete(self, pod: Object) -> Delete:
        done = Event(self.owner, "SuccessfulDelete", "Deleted pod: {name}")
        return Delete(PODS, pod, done=done, failed=Event(self.owner, "FailedDelete", "Error deleting: {error}", "Warning"))

    def _renew(self, wanted: dict[str, list[Object]]) -> list[Action]:
        if get(self.owner, "spec.updateStrategy.type", "RollingUpdate") != "RollingUpdate":
            return []
        step = Rollout(self.owner, self.revision, self.now).step(wanted)
        return [*(self._delete(pod) for pod in step.going), *(self._create(node) for node in step.coming)]

    # --- status

    def _ready_in(self, pods: list[Object]) -> float | None:
        min_ready = self.owner["spec"].get("minReadySeconds") or 0
        return sooner(*(wait for pod in pods if (wait := pod_facts.wait_until_available(pod, min_ready, self.now))))

    def _status(
        self, wanted: dict[str, list[Object]], by_node: dict[str, list[Object]], belongs: dict[str, tuple[bool, bool]]
    ) -> Object:
        firsts = [oldest_first(pods)[0] for pods in wanted.values() if pods]
        min_ready = self.owner["spec"].get("minReadySeconds") or 0
        available = sum(pod_facts.wait_until_available(pod, min_ready, self.now) == 0 for pod in firsts)
        new: Object = {
            "currentNumberScheduled": len(firsts),
            "numberMisscheduled": sum(node in belongs and node not in wanted for node in by_node),
            "desiredNumberScheduled": len(wanted),
            "numberReady": sum(pod_facts.is_ready(pod) for pod in firsts),
            "observedGeneration": self.owner["metadata"].get("generation", 0),
            "updatedNumberScheduled": sum(is_new(pod, self.revision) for pod in firsts),
            "numberAvailable": available,
            "numberUnavailable": len(wanted) - available,
            "collisionCount": get(self.owner, "status.collisionCount"),
        }
        always = ("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady")
        return {key: value for key, value in new.items() if value or key in always}


def owners_of_pod(pod: Object, view: View) -> list[Key]:
    if controller_of(pod) is not None:
        return list(controlled_by(DAEMON_SETS)(pod, view))
    return selecting(DAEMON_SETS, pod, view)


def everyone(node: Object, view: View) -> list[Key]:
    return [(DAEMON_SETS, key_of(owner)) for owner in view.all(DAEMON_SETS)]


def may_move(old: Object | None, new: Object | None) -> bool:
    """Whether a node may get or lose daemons."""
    if old is None or new is None:
        return True
    return labels_of(old) != labels_of(new) or taints.of(old) != taints.of(new)


DAEMON_SET = Controller(
    "daemonset",
    primary=(Watch(DAEMON_SETS, indexes=("namespace",)),),
    reconcile=reconcile,
    watches=(
        Watch(PODS, owners_of_pod, ("namespace", "owner", "label")),
        Watch(NODES, everyone, matters=may_move),
        Watch(CONTROLLER_REVISIONS, controlled_by(DAEMON_SETS), ("namespace", "owner", "label")),
    ),
)
