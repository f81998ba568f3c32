"""A pod that names its node goes there or nowhere."""

from collections.abc import Iterable

from podling.scheduler.events import Action, EventWithHint, on
from podling.scheduler.framework import Rejection, State
from podling.scheduler.node_info import NodeInfo
from podling.scheduler.pod_info import PodInfo


class NodeName:
    name = "NodeName"
    static = True
    REJECTION = Rejection(name, ("node(s) didn't match the requested node name",), resolvable=False)

    def events_to_register(self) -> Iterable[EventWithHint]:
        return (on("Node", Action.ADD, self._is_it),)

    def _is_it(self, pod: PodInfo, old: NodeInfo | None, new: NodeInfo) -> bool:
        return self.filter(State(), pod, new) is None

    def filter(self, state: State, pod: PodInfo, node: NodeInfo) -> Rejection | None:
        wanted = pod.pod["spec"].get("nodeName")
        return self.REJECTION if wanted and wanted != node.name else None
