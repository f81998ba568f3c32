"""Delete pods that nobody else will: on nodes that are gone, terminating without ever having had a node, long finished.

Source: Kubernetes documentation "Garbage collection of Pods".
"""

from podling.api.objects import Object, is_deleting, key_of, name_of, namespace_of, uid_of
from podling.api.timestamps import parse
from podling.client.resource import NODES, PODS
from podling.controllers import pods as pod_facts
from podling.controllers.controller import Controller, Watch
from podling.controllers.plan import NOTHING, Absent, Action, Delete, Guarded, Patch, Plan
from podling.controllers.view import Key, View

QUARANTINE = 40.0  # seconds that a missing node may come back in
KEPT = 12_500  # finished pods


def reconcile(pod: Object, view: View, now: float) -> Plan:
    node = pod_facts.node_of(pod)
    if not node:
        return Plan(_ended(pod)) if is_deleting(pod) else NOTHING
    if view.get(NODES, node) is None:
        return _without_node(pod, node, view, now)
    if pod_facts.is_finished(pod) and not is_deleting(pod):
        return Plan([Delete(PODS, old, grace=0) for old in surplus(view)])
    return NOTHING


def _ended(pod: Object) -> list[Action]:
    """Delete a pod that never ran, failed if somebody still waits for how it ended."""
    delete = Delete(PODS, pod, grace=0)
    if pod_facts.is_finished(pod) or not pod["metadata"].get("finalizers"):
        return [delete]
    return [Patch(PODS, pod, {"status": {"phase": "Failed"}}, subresource="status"), delete]


def _without_node(pod: Object, node: str, view: View, now: float) -> Plan:
    left = view.quiet_since(NODES, node) + QUARANTINE - now
    if left > 0:
        return Plan(requeue_after=left)
    gone = [Absent(NODES, "", node, "")]
    actions = [Guarded(gone, Delete(PODS, pod, grace=0))]
    if not pod_facts.is_finished(pod):
        actions.insert(0, Guarded(gone, Patch(PODS, pod, {"status": {"phase": "Failed"}}, subresource="status")))
    return Plan(actions)


def surplus(view: View) -> list[Object]:
    """The oldest finished pods beyond those kept."""
    if len(view.caches[PODS]) <= KEPT:
        return []
    finished = [pod for pod in view.all(PODS) if pod_facts.is_finished(pod) and not is_deleting(pod)]
    ordered = sorted(finished, key=lambda pod: (parse(pod["metadata"]["creationTimestamp"]), namespace_of(pod), uid_of(pod)))
    return ordered[: max(0, len(ordered) - KEPT)]


def pods_on(node: Object, view: View) -> list[Key]:
    return [(PODS, key_of(pod)) for pod in view.on_node(PODS, name_of(node))]


def gone(old: Object | None, new: Object | None) -> bool:
    return new is None


def may_be_left(old: Object | None, new: Object | None) -> bool:
    """Pods come to be nobody's by going, by finishing, or by arriving on a node that isn't there."""
    if old is None or new is None:
        return new is not None
    return is_deleting(old) != is_deleting(new) or pod_facts.phase(old) != pod_facts.phase(new) or old["spec"] != new["spec"]


POD_GARBAGE = Controller(
    "pod-garbage-collector",
    primary=(Watch(PODS, indexes=("node",), matters=may_be_left),),
    reconcile=reconcile,
    watches=(Watch(NODES, pods_on, matters=gone),),
    timed=(NODES,),
)
