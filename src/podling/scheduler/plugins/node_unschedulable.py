"""Cordoned nodes take no new pods, except those that tolerate the taint."""

from podling.api.taints import UNSCHEDULABLE, tolerated
from podling.scheduler.framework import NODE_ADDED, NODE_CHANGED, Rejection, State
from podling.scheduler.node_info import NodeInfo
from podling.scheduler.pod_info import PodInfo

TAINT = {"key": UNSCHEDULABLE, "effect": "NoSchedule"}


class NodeUnschedulable:
    name = "NodeUnschedulable"
    static = True
    wakes = frozenset({NODE_ADDED, NODE_CHANGED})
    REJECTION = Rejection(name, ("node(s) were unschedulable",), resolvable=False)

    def filter(self, state: State, pod: PodInfo, node: NodeInfo) -> Rejection | None:
        return self.REJECTION if node.unschedulable and not tolerated(pod.pod, TAINT) else None
