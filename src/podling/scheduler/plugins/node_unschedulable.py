"""Cordoned nodes take no new pods, except those that tolerate the taint."""

from collections.abc import Iterable

from podling.api.taints import UNSCHEDULABLE, tolerated
from podling.scheduler.events import Action, EventWithHint, on
from podling.scheduler.framework import Rejection, State
from podling.scheduler.node_info import NodeInfo
from podling.scheduler.pod_info import PodInfo

TAINT = {"key": UNSCHEDULABLE, "effect": "NoSchedule"}


class NodeUnschedulable:
    name = "NodeUnschedulable"
    static = True
    REJECTION = Rejection(name, ("node(s) were unschedulable",), resolvable=False)

    def events_to_register(self) -> Iterable[EventWithHint]:
        return (on("Node", Action.ADD | Action.UPDATE_NODE_TAINT, self._opened),)

    def _opened(self, pod: PodInfo, old: NodeInfo | None, new: NodeInfo) -> bool:
        state = State()
        return self.filter(state, pod, new) is None and (old is None or self.filter(state, pod, old) is not None)

    def filter(self, state: State, pod: PodInfo, node: NodeInfo) -> Rejection | None:
        return self.REJECTION if node.unschedulable and not tolerated(pod.pod, TAINT) else None
