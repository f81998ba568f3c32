"""Keep as many pods as a ReplicaSet asks for. Source: Kubernetes documentation "ReplicaSet"; its controller's ranking."""

from math import floor, inf, log2

from podling.api import objects, selectors
from podling.api.objects import Object, annotations_of, controller_of, labels_of
from podling.api.timestamps import parse, rfc3339
from podling.client.resource import PODS, REPLICA_SETS, Resource
from podling.controllers import pods as pod_facts
from podling.controllers.claim import claim
from podling.controllers.controller import Controller, Watch, controlled_by
from podling.controllers.plan import Action, Create, Delete, Event, Plan, sooner
from podling.controllers.view import Key, View

BURST = 500  # pods made or deleted in one go
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"


def reconcile(rs: Object, view: View, now: float) -> Plan:
    return decide(REPLICA_SETS, rs, view, now)


def decide(resource: Resource, rs: Object, view: View, now: float) -> Plan:
    """For a ReplicaSet, and for what is like one and is served as `resource`."""
    selector = selectors.of_object(rs["spec"].get("selector"))
    mine, actions = claim(rs, PODS, selector, view)
    active = [pod for pod in mine if pod_facts.is_active(pod)]
    if not objects.is_deleting(rs):
        actions += scale(resource, rs, active, view, now)
    min_ready = rs["spec"].get("minReadySeconds") or 0
    waits = [wait for pod in active if (wait := pod_facts.wait_until_available(pod, min_ready, now))]
    return Plan(actions, status(resource, rs, active, mine, view, now), sooner(*waits))


def scale(resource: Resource, rs: Object, active: list[Object], view: View, now: float) -> list[Action]:
    short = wanted(rs) - len(active)
    if short > 0:
        return [_create(rs) for _ in range(min(short, BURST))]
    if short == 0:
        return []
    surplus = min(-short, BURST)
    return [_delete(rs, pod) for pod in cheapest_first(active, related(resource, rs, view), now)[:surplus]]


def wanted(rs: Object) -> int:
    replicas = rs["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def _create(rs: Object) -> Create:
    pod = pod_facts.from_template(rs["spec"]["template"], rs, objects.owner_reference(rs))
    done = Event(rs, "SuccessfulCreate", "Created pod: {name}")
    return Create(PODS, pod, done, Event(rs, "FailedCreate", "Error creating: {error}", "Warning"))


def _delete(rs: Object, pod: Object) -> Delete:
    done = Event(rs, "SuccessfulDelete", "Deleted pod: {name}")
    return Delete(PODS, pod, done=done, failed=Event(rs, "FailedDelete", "Error deleting: {error}", "Warning"))


def related(resource: Resource, rs: Object, view: View) -> list[Object]:
    """The active pods of all ReplicaSets of the same Deployment: they tell which nodes are crowded."""
    owner = controller_of(rs)
    siblings = [rs] if owner is None else view.dependents(resource, owner["uid"])
    return [pod for sibling in siblings for pod in view.owned(PODS, sibling) if pod_facts.is_active(pod)]


def cheapest_first(active: list[Object], neighbours: list[Object], now: float) -> list[Object]:
    """In the order of deletion: first those whose loss costs the least."""
    crowd: dict[str, int] = {}
    for pod in neighbours:
        crowd[pod_facts.node_of(pod)] = crowd.get(pod_facts.node_of(pod), 0) + 1
    return sorted(active, key=lambda pod: cost(pod, crowd.get(pod_facts.node_of(pod), 0), now))


def cost(pod: Object, crowd: int, now: float) -> tuple[object, ...]:
    """What sorts pods for deletion, ascending. Ages count by their logarithm, so that equals are chosen evenly by uid.

    Source: k8s.io/kubernetes pkg/controller ActivePodsWithRanks.
    """
    since = pod_facts.ready_since(pod)
    return (
        bool(pod_facts.node_of(pod)),
        {"Pending": 0, "Unknown": 1}.get(pod_facts.phase(pod), 2),
        pod_facts.is_ready(pod),
        _deletion_cost(pod),
        -crowd,
        _magnitude(now - since) if since is not None else -inf,
        -pod_facts.restarts(pod),
        _magnitude(now - parse(pod["metadata"]["creationTimestamp"])),
        pod["metadata"].get("uid", ""),
    )


def _deletion_cost(pod: Object) -> int:
    try:
        return int(annotations_of(pod).get(DELETION_COST, "0"))
    except ValueError:
        return 0


def _magnitude(seconds: float) -> float:
    return floor(log2(seconds)) if seconds > 0 else -inf


def status(resource: Resource, rs: Object, active: list[Object], mine: list[Object], view: View, now: float) -> Object:
    template_labels = selectors.of_labels((rs["spec"]["template"].get("metadata") or {}).get("labels"))
    min_ready = rs["spec"].get("minReadySeconds") or 0
    new: Object = {
        "replicas": len(active),
        "fullyLabeledReplicas": sum(template_labels.matches(labels_of(pod)) for pod in active),
        "readyReplicas": sum(pod_facts.is_ready(pod) for pod in active),
        "availableReplicas": sum(pod_facts.wait_until_available(pod, min_ready, now) == 0 for pod in active),
        "terminatingReplicas": sum(objects.is_deleting(pod) and not pod_facts.is_finished(pod) for pod in mine),
        "observedGeneration": rs["metadata"].get("generation", 0),
        "conditions": _conditions(resource, rs, len(active), view, now),
    }
    always = ("replicas", "observedGeneration", "terminatingReplicas")
    return {key: value for key, value in new.items() if value or key in always}


def _conditions(resource: Resource, rs: Object, count: int, view: View, now: float) -> list[Object]:
    old = (rs.get("status") or {}).get("conditions")
    failure = view.failure(resource, rs)
    if failure is None or count == wanted(rs):
        return objects.without_condition(old, "ReplicaFailure")
    reason = "FailedCreate" if count < wanted(rs) else "FailedDelete"
    failed = {"type": "ReplicaFailure", "status": "True", "reason": reason, "message": failure.message}
    return objects.with_condition(old, failed, rfc3339(now))


def owners_of_pod(pod: Object, view: View) -> list[Key]:
    """The ReplicaSet that controls the pod; for an orphan those that may want to adopt it."""
    if controller_of(pod) is not None:
        return list(controlled_by(REPLICA_SETS)(pod, view))
    return list(selecting(REPLICA_SETS, pod, view))


def selecting(resource: Resource, obj: Object, view: View) -> list[Key]:
    """Those of `resource` in the same namespace whose label selector matches `obj`."""
    namespace = objects.namespace_of(obj)
    return [
        (resource, objects.key_of(candidate))
        for candidate in view.within(resource, namespace)
        if selectors.of_object(candidate["spec"].get("selector")).matches(labels_of(obj))
    ]


REPLICA_SET = Controller(
    "replicaset",
    primary=(Watch(REPLICA_SETS, indexes=("namespace", "owner")),),
    reconcile=reconcile,
    watches=(Watch(PODS, owners_of_pod, ("namespace", "owner", "label")),),
)
