"""Notice nodes that have fallen silent: their Ready turns Unknown, taints keep pods away, their pods stop being ready.

Source: Kubernetes documentation "Nodes", node status and heartbeats (a Lease in kube-node-lease, or the status itself).
"""

from functools import partial

from podling.api import taints
from podling.api.objects import Object, condition, is_deleting, name_of, with_condition
from podling.api.timestamps import parse, rfc3339
from podling.client.resource import LEASES, NODES, PODS
from podling.controllers import pods as pod_facts
from podling.controllers.controller import Controller, Watch
from podling.controllers.plan import Action, Event, Patch, Plan
from podling.controllers.view import Key, View

GRACE = 40.0  # kube-controller-manager's --node-monitor-grace-period
LEASE_NAMESPACE = "kube-node-lease"
HEARTBEATS = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
# condition, its status -> the taint that keeps new pods away
_NO_SCHEDULE = {
    ("Ready", "False"): taints.NOT_READY,
    ("Ready", "Unknown"): taints.UNREACHABLE,
    ("MemoryPressure", "True"): "node.kubernetes.io/memory-pressure",
    ("DiskPressure", "True"): "node.kubernetes.io/disk-pressure",
    ("PIDPressure", "True"): "node.kubernetes.io/pid-pressure",
    ("NetworkUnavailable", "True"): "node.kubernetes.io/network-unavailable",
}
_NO_EXECUTE = {"False": taints.NOT_READY, "Unknown": taints.UNREACHABLE}
_OURS = {(key, "NoSchedule") for key in _NO_SCHEDULE.values()} | {(key, "NoExecute") for key in _NO_EXECUTE.values()}
_OURS.add((taints.UNSCHEDULABLE, "NoSchedule"))


def reconcile(node: Object, view: View, now: float, grace: float = GRACE) -> Plan:
    """`grace` is how many seconds without a heartbeat a node is believed to live."""
    if is_deleting(node):
        return Plan()
    left = heard(node, view) + grace - now
    status = None if left > 0 else unknown(node, now)
    current = node if status is None else {**node, "status": status}
    actions: list[Action] = []
    wanted = wanted_taints(current, now)
    if wanted != taints.of(node):
        actions.append(Patch(NODES, node, {"spec": {"taints": wanted or None}}, unchanged=True, done=_comeback(current)))
    if not is_ready(current):
        actions += _unready_pods(node, view, now)
        if is_ready(node):
            actions.append(Event(node, "NodeNotReady", f"Node {name_of(node)} status is now: NodeNotReady"))
    return Plan(actions, status, left if left > 0 else None)


def _comeback(node: Object) -> Event | None:
    """A ready node that still has the taint of one that isn't has just become so."""
    doubted = any(taint["key"] in _NO_EXECUTE.values() for taint in taints.of(node))
    return Event(node, "NodeReady", f"Node {name_of(node)} status is now: NodeReady") if doubted and is_ready(node) else None


def heard(node: Object, view: View) -> float:
    """When the node last gave a sign of life: by our own clock where it has a lease, so that its clock may be wrong."""
    name = name_of(node)
    if view.get(LEASES, name, LEASE_NAMESPACE) is not None:
        return max(view.quiet_since(LEASES, f"{LEASE_NAMESPACE}/{name}"), _created(node))
    beat = (condition(node, "Ready") or {}).get("lastHeartbeatTime")
    return max(parse(beat) if beat else 0.0, _created(node))


def _created(node: Object) -> float:
    return parse(node["metadata"]["creationTimestamp"])


def is_ready(node: Object) -> bool:
    ready = condition(node, "Ready")
    return ready is not None and ready["status"] == "True"


def unknown(node: Object, now: float) -> Object | None:
    """The status with what the node used to tell turned to Unknown; None where it is so already."""
    status = node.get("status") or {}
    conditions = status.get("conditions") or []
    for kind in HEARTBEATS:
        old = condition(node, kind)
        if old is None or old["status"] != "Unknown":
            conditions = with_condition(conditions, _silent(kind, old, node), rfc3339(now))
    return None if conditions == status.get("conditions") else {**status, "conditions": conditions}


def _silent(kind: str, old: Object | None, node: Object) -> Object:
    reason, message = (
        ("NodeStatusUnknown", "Kubelet stopped posting node status.")
        if old is not None
        else ("NodeStatusNeverUpdated", "Kubelet never posted node status.")
    )
    beat = (old or {}).get("lastHeartbeatTime") or node["metadata"]["creationTimestamp"]
    return {"type": kind, "status": "Unknown", "reason": reason, "message": message, "lastHeartbeatTime": beat}


def wanted_taints(node: Object, now: float) -> list[Object]:
    """The node's taints with ours as its conditions ask; one that stays keeps the time it was added."""
    present = {(taint["key"], taint["effect"]): _stamped(taint, now) for taint in taints.of(node)}
    wanted = {pair: taint for pair, taint in present.items() if pair not in _OURS}
    for entry in (node.get("status") or {}).get("conditions") or ():
        key = _NO_SCHEDULE.get((entry["type"], entry["status"]))
        if key is not None:
            wanted[key, "NoSchedule"] = {"key": key, "effect": "NoSchedule"}
    if (node.get("spec") or {}).get("unschedulable"):
        wanted[taints.UNSCHEDULABLE, "NoSchedule"] = {"key": taints.UNSCHEDULABLE, "effect": "NoSchedule"}
    ready = condition(node, "Ready")
    if ready is None and (taints.NOT_READY, "NoSchedule") in present:  # it has said nothing yet
        wanted[taints.NOT_READY, "NoSchedule"] = present[taints.NOT_READY, "NoSchedule"]
    if ready is not None and (key := _NO_EXECUTE.get(ready["status"])):
        wanted[key, "NoExecute"] = {"key": key, "effect": "NoExecute", "timeAdded": rfc3339(now)}
    kept = {pair: present.get(pair, taint) for pair, taint in wanted.items()}
    return [*(kept[pair] for pair in present if pair in kept), *(taint for pair, taint in kept.items() if pair not in present)]


def _stamped(taint: Object, now: float) -> Object:
    """Tolerations for a while count from somewhere: a taint that a person put there says nothing of when."""
    return taint if taint["effect"] != "NoExecute" or taint.get("timeAdded") else {**taint, "timeAdded": rfc3339(now)}


def _unready_pods(node: Object, view: View, now: float) -> list[Action]:
    """Services must not send to pods that nobody hears of. Source: k8s.io/kubernetes MarkPodsNotReady."""
    return [
        Patch(PODS, pod, {"status": {"conditions": [_unready(pod, now)]}}, type="strategic", subresource="status")
        for pod in view.on_node(PODS, name_of(node))
        if pod_facts.is_ready(pod)
    ]


def _unready(pod: Object, now: float) -> Object:
    return {
        **(condition(pod, "Ready") or {}),
        "type": "Ready",
        "status": "False",
        "reason": "NodeNotReady",
        "lastTransitionTime": rfc3339(now),
    }


def matters(old: Object | None, new: Object | None) -> bool:
    """Heartbeats alone don't."""
    return old is None or new is None or _decided_by(old) != _decided_by(new)


def _decided_by(node: Object) -> tuple[object, ...]:
    states = [(entry["type"], entry["status"]) for entry in (node.get("status") or {}).get("conditions") or ()]
    return (node["metadata"]["uid"], (node.get("spec") or {}), states)


def node_of(pod: Object, view: View) -> list[Key]:
    """A ready pod on a node that isn't must be told otherwise."""
    name = pod_facts.node_of(pod)
    node = view.get(NODES, name) if name and pod_facts.is_ready(pod) else None
    return [(NODES, name)] if node is not None and not is_ready(node) else []


def node_lifecycle(grace: float = GRACE) -> Controller:
    return Controller(
        "node",
        primary=(Watch(NODES, matters=matters),),
        reconcile=partial(reconcile, grace=grace),
        watches=(Watch(PODS, node_of, ("node",)), Watch(LEASES)),
        timed=(LEASES, NODES),
    )
