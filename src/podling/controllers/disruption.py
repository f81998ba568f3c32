"""How many pods of a PodDisruptionBudget may be evicted now.

Source: Kubernetes documentation "Specifying a Disruption Budget"; k8s.io/kubernetes pkg/controller/disruption.
"""

from dataclasses import dataclass

from podling.api import selectors
from podling.api.intstr import scaled
from podling.api.objects import (
    Object,
    controller_of,
    get,
    group_of,
    is_deleting,
    key_of,
    labels_of,
    name_of,
    namespace_of,
    uid_of,
    with_condition,
)
from podling.api.timestamps import parse, rfc3339
from podling.client.resource import BUDGETS, DEPLOYMENTS, PODS, REPLICA_SETS, REPLICATION_CONTROLLERS, STATEFUL_SETS
from podling.controllers import pods as pod_facts
from podling.controllers.asks import Answers, Need, NoMatch, Refused, has_scale, resource_of, scale_of
from podling.controllers.controller import Controller, Watch
from podling.controllers.plan import Action, Event, Plan, sooner
from podling.controllers.view import Key, View

GONE_WITHIN = 120.0  # seconds in which an evicted pod should be on its way out
SCALED = {(one.group, one.kind): one for one in (REPLICA_SETS, DEPLOYMENTS, REPLICATION_CONTROLLERS, STATEFUL_SETS)}
UNMANAGED = (
    "Pods selected by this PodDisruptionBudget (selector: {selector}) were found to be unmanaged. As a result, the status of the "
    "PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods please set "
    '".spec.minAvailable" field of the PDB to an integer value.'
)


class CannotTell(Exception):
    """The number of pods that there should be isn't known."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """`expected` pods there should be, `healthy` of them at least; `unmanaged` are those that nobody counts."""

    expected: int
    healthy: int
    unmanaged: list[Object]


def reconcile(budget: Object, view: View, now: float) -> Plan:
    selector = selectors.of_object(budget["spec"].get("selector"))
    pods = view.selected(PODS, namespace_of(budget), selector)
    events: list[Action] = [] if pods else [Event(budget, "NoPods", "No matching pods found")]
    disrupted, late, recheck = _disrupted(budget, pods, now)
    events += late
    try:
        wanted = count(budget, pods, view)
    except Need as need:
        return Plan(fetch=need.paths)
    except CannotTell as error:
        text = f"Failed to calculate the number of expected pods: {error}"
        return Plan(
            [*events, Event(budget, "CalculateExpectedPodCountFailed", text, "Warning")], _unknown(budget, str(error), now)
        )
    if wanted.unmanaged:
        events.append(Event(budget, "UnmanagedPods", UNMANAGED.format(selector=selector), "Warning"))
    healthy = sum(pod_facts.is_ready(pod) and not is_deleting(pod) and name_of(pod) not in disrupted for pod in pods)
    return Plan(events, _status(budget, wanted, healthy, disrupted, now), recheck)


def _disrupted(budget: Object, pods: list[Object], now: float) -> tuple[Object, list[Event], float | None]:
    """The evictions that haven't shown yet; those that should have; and when to look again."""
    marked = get(budget, "status.disruptedPods", {})
    waiting, late, waits = {}, [], []
    for pod in pods:
        since = marked.get(name_of(pod))
        if since is None or is_deleting(pod):
            continue
        left = parse(since) + GONE_WITHIN - now
        if left > 0:
            waiting[name_of(pod)] = since
            waits.append(left)
        else:
            text = f"Pod was expected by PDB {key_of(budget)} to be deleted but it wasn't"
            late.append(Event(pod, "NotDeleted", text, "Warning"))
    return waiting, late, sooner(*waits)


def count(budget: Object, pods: list[Object], view: View) -> Wanted:
    """Raises CannotTell, Need."""
    spec = budget["spec"]
    if (most := spec.get("maxUnavailable")) is not None:
        expected, unmanaged = _expected(pods, view)
        return Wanted(expected, max(0, expected - scaled(most, expected, round_up=True)), unmanaged)
    least = spec.get("minAvailable")
    if isinstance(least, str):
        expected, unmanaged = _expected(pods, view)
        return Wanted(expected, scaled(least, expected, round_up=True), unmanaged)
    return Wanted(len(pods), 1 if least is None else least, [])


def _expected(pods: list[Object], view: View) -> tuple[int, list[Object]]:
    """The sizes that the pods' controllers aim at, and the pods that have none."""
    sizes: dict[str, int] = {}
    unmanaged = []
    for pod in pods:
        owner = controller_of(pod)
        if owner is None:
            unmanaged.append(pod)
        elif owner["uid"] not in sizes:
            found = _size(owner, namespace_of(pod), view)
            if found is None:
                raise CannotTell(f'found no controllers for pod "{name_of(pod)}"')
            uid, size = found
            sizes[owner["uid"]] = 0 if uid in sizes else size
            sizes.setdefault(uid, 0)
    return sum(sizes.values()), unmanaged


def _size(reference: Object, namespace: str, view: View) -> tuple[str, int] | None:
    """The uid and size of who decides on the number: a ReplicaSet's Deployment, where it has one. None where it has gone.

    Raises CannotTell, Need.
    """
    resource = SCALED.get((group_of(reference["apiVersion"]), reference["kind"]))
    if resource is None:
        return _asked(reference, namespace, Answers(view.fetched))
    owner = view.get(resource, reference["name"], namespace)
    if owner is None or uid_of(owner) != reference["uid"]:
        return None
    above = controller_of(owner)
    if above is not None and (group_of(above["apiVersion"]), above["kind"]) in SCALED:
        return _size(above, namespace, view)
    replicas = owner["spec"].get("replicas")
    return uid_of(owner), 1 if replicas is None else int(replicas)


def _asked(reference: Object, namespace: str, answers: Answers) -> tuple[str, int] | None:
    """Of an owner whose scale has to be asked for: a custom resource. Raises CannotTell, Need."""
    try:
        resource = resource_of(answers, reference["apiVersion"], reference["kind"])
        scale = scale_of(answers, resource, namespace, reference["name"])
    except NoMatch as error:
        raise CannotTell(str(error)) from None
    except Refused as error:
        if error.code != 404:
            raise CannotTell(str(error)) from None
        if not has_scale(answers, resource):
            raise CannotTell(f"{resource} does not implement the scale subresource") from None
        return None
    return (reference["uid"], get(scale, "spec.replicas", 0)) if uid_of(scale) == reference["uid"] else None


def _status(budget: Object, wanted: Wanted, healthy: int, disrupted: Object, now: float) -> Object:
    allowed = max(0, healthy - wanted.healthy) if wanted.expected else 0
    new: Object = {
        "currentHealthy": healthy,
        "desiredHealthy": wanted.healthy,
        "expectedPods": wanted.expected,
        "disruptionsAllowed": allowed,
        "observedGeneration": budget["metadata"].get("generation", 0),
        "conditions": _conditions(budget, bool(allowed), "SufficientPods" if allowed else "InsufficientPods", "", now),
    }
    return new | ({"disruptedPods": disrupted} if disrupted else {})


def _unknown(budget: Object, why: str, now: float) -> Object:
    """Nothing may be evicted while nobody can tell."""
    old = {"currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0, **(budget.get("status") or {})}
    seen = {"disruptionsAllowed": 0, "observedGeneration": budget["metadata"].get("generation", 0)}
    return {**old, **seen, "conditions": _conditions(budget, False, "SyncFailed", why, now)}


def _conditions(budget: Object, state: bool, reason: str, message: str, now: float) -> list[Object]:
    new = {"type": "DisruptionAllowed", "status": str(state), "reason": reason, "message": message}
    new["observedGeneration"] = budget["metadata"].get("generation", 0)
    return with_condition(get(budget, "status.conditions"), new, rfc3339(now))


def budgets_of_pod(pod: Object, view: View) -> list[Key]:
    return [
        (BUDGETS, key_of(budget))
        for budget in view.within(BUDGETS, namespace_of(pod))
        if selectors.of_object(budget["spec"].get("selector")).matches(labels_of(pod))
    ]


def budgets_beside(owner: Object, view: View) -> list[Key]:
    """Who is scaled may own pods of any budget of its namespace."""
    return [(BUDGETS, key_of(budget)) for budget in view.within(BUDGETS, namespace_of(owner))]


def resized(old: Object | None, new: Object | None) -> bool:
    return old is None or new is None or get(old, "spec.replicas") != get(new, "spec.replicas")


DISRUPTION = Controller(
    "disruption",
    primary=(Watch(BUDGETS, indexes=("namespace",)),),
    reconcile=reconcile,
    watches=(
        Watch(PODS, budgets_of_pod, ("namespace", "label")),
        *(Watch(resource, budgets_beside, matters=resized) for resource in SCALED.values()),
    ),
    source="controllermanager",
)
