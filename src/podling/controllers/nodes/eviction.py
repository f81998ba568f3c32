"""Delete pods from nodes whose NoExecute taints they don't tolerate, or only for a while.

Source: Kubernetes documentation "Taint based Evictions"; v1 Toleration tolerationSeconds.
"""

from math import inf

from podling.api import taints
from podling.api.objects import Object, is_deleting, key_of, name_of
from podling.api.timestamps import parse, rfc3339
from podling.client.resource import NODES, PODS
from podling.controllers import pods as pod_facts
from podling.controllers.controller import Controller, Watch
from podling.controllers.plan import NOTHING, Delete, Event, Patch, Plan
from podling.controllers.view import Key, View


def reconcile(pod: Object, view: View, now: float) -> Plan:
    name = pod_facts.node_of(pod)
    node = view.get(NODES, name) if name else None
    if node is None or not pod_facts.is_active(pod):
        return NOTHING
    due = evicted_at(pod, node, now)
    if due == inf:
        return NOTHING
    return Plan(requeue_after=due - now) if due > now else _evict(pod, now)


def evicted_at(pod: Object, node: Object, now: float) -> float:
    """The instant at which the first NoExecute taint drives the pod away; infinity for never."""
    return min((_tolerated_until(pod, taint, now) for taint in _driving(node)), default=inf)


def _driving(node: Object) -> list[Object]:
    return [taint for taint in taints.of(node) if taint["effect"] == "NoExecute"]


def _tolerated_until(pod: Object, taint: Object, now: float) -> float:
    tolerations = taints.tolerations_for(pod, taint)
    if not tolerations:
        return now
    seconds = [one["tolerationSeconds"] for one in tolerations if one.get("tolerationSeconds") is not None]
    since = parse(taint["timeAdded"]) if taint.get("timeAdded") else now
    return since + max(0, min(seconds)) if seconds else inf


def _evict(pod: Object, now: float) -> Plan:
    why = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "DeletionByTaintManager",
        "message": "Taint manager: deleting due to NoExecute taint",
        "lastTransitionTime": rfc3339(now),
    }
    told = Patch(PODS, pod, {"status": {"conditions": [why]}}, type="strategic", subresource="status")
    event = Event(pod, "TaintManagerEviction", f"Marking for deletion Pod {key_of(pod)}")
    return Plan([told, Delete(PODS, pod, done=event)])


def pods_on(node: Object, view: View) -> list[Key]:
    return [(PODS, key_of(pod)) for pod in view.on_node(PODS, name_of(node)) if not is_deleting(pod)]


def taints_changed(old: Object | None, new: Object | None) -> bool:
    return _driving(old or {}) != _driving(new or {})


def moved(old: Object | None, new: Object | None) -> bool:
    """A pod is asked about when it comes to a node, and when it tolerates otherwise."""
    if old is None or new is None:
        return new is not None
    spec, before = new["spec"], old["spec"]
    return any(spec.get(key) != before.get(key) for key in ("nodeName", "tolerations"))


TAINT_EVICTION = Controller(
    "taint-eviction",
    primary=(Watch(PODS, indexes=("node",), matters=moved),),
    reconcile=reconcile,
    watches=(Watch(NODES, pods_on, matters=taints_changed),),
)
