"""A pod that names its node goes there or nowhere."""

from podling.scheduler.framework import NODE_ADDED, Rejection, State
from podling.scheduler.node_info import NodeInfo
from podling.scheduler.pod_info import PodInfo


class NodeName:
    name = "NodeName"
    static = True
    wakes = frozenset({NODE_ADDED})
    REJECTION = Rejection(name, ("node(s) didn't match the requested node name",), resolvable=False)

    def filter(self, state: State, pod: PodInfo, node: NodeInfo) -> Rejection | None:
        wanted = pod.pod["spec"].get("nodeName")
        return self.REJECTION if wanted and wanted != node.name else None
