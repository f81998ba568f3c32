"""A host port serves one pod a node."""

from collections.abc import Iterable

from podling.scheduler.events import Action, EventWithHint, on
from podling.scheduler.framework import Rejection, State
from podling.scheduler.node_info import NodeInfo
from podling.scheduler.pod_info import PodInfo, Port
from podling.scheduler.snapshot import Snapshot


class NodePorts:
    name = "NodePorts"
    local = True
    REJECTION = Rejection(name, ("node(s) didn't have free ports for the requested pod ports",))

    def events_to_register(self) -> Iterable[EventWithHint]:
        return on("Pod", Action.DELETE, self._freed), on("Node", Action.ADD)

    def _freed(self, pod: PodInfo, old: PodInfo, new: None) -> bool:
        return any(conflict(one, other) for one in pod.ports for other in old.ports)

    def pre_filter(self, state: State, pod: PodInfo, snapshot: Snapshot) -> bool:
        return bool(pod.ports)

    def filter(self, state: State, pod: PodInfo, node: NodeInfo) -> Rejection | None:
        taken = [port for other in node.pods.values() for port in other.ports]
        return self.REJECTION if any(conflict(one, other) for one in pod.ports for other in taken) else None


def conflict(one: Port, other: Port) -> bool:
    """The same port and protocol, on the same address or on all of them."""
    return one[1:] == other[1:] and (one[0] == other[0] or "" in (one[0], other[0]))
