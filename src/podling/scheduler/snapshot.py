"""The cluster as one scheduling cycle sees it. It changes between cycles, one row at a time, and never during one.

Rows are nodes. Beside the rows stand what would be costly to find anew for every pod: verdicts of static plugins by the pods'
signature, counts of pods by selector, nodes by topology value, and over many nodes the resources as numpy arrays.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from podling.api.objects import Object, is_deleting
from podling.api.selectors import Selector
from podling.scheduler.node_info import NodeInfo
from podling.scheduler.pod_info import PodInfo

VECTOR_FROM = 300  # nodes from which numpy pays for its import
REMEMBERED = 256  # signatures, selectors

Namespaces = frozenset[str] | None


def load_numpy() -> Any:
    """numpy, or None where it isn't installed."""
    try:
        import numpy
    except ImportError:
        return None
    return numpy


class Remembered(OrderedDict[Any, Any]):
    """The values used last."""

    def of(self, key: Any, make: Callable[[], Any]) -> Any:
        if key in self:
            self.move_to_end(key)
        else:
            self[key] = make()
            if len(self) > REMEMBERED:
                self.popitem(last=False)
        return self[key]


class Snapshot:
    def __init__(self, *, vector_from: int = VECTOR_FROM) -> None:
        self.nodes: list[NodeInfo] = []
        self.rows: dict[str, int] = {}
        self.with_affinity: set[int] = set()  # rows of pods with pod affinity or anti-affinity of any kind
        self._vector_from = vector_from
        self._numpy: Any = None
        self._table: Table | None = None
        self._statics = Remembered()
        self._tallies = Remembered()
        self._topologies: dict[str, Topology] = {}

    def __len__(self) -> int:
        return len(self.nodes)

    def __iter__(self) -> Iterator[NodeInfo]:
        return iter(self.nodes)

    @property
    def numpy(self) -> Any:
        """numpy where there are so many nodes that it pays, else None."""
        if len(self.nodes) <= self._vector_from:
            return None
        if self._numpy is None:
            self._numpy = load_numpy()
        return self._numpy

    @property
    def table(self) -> "Table":
        """Only where `numpy` is."""
        if self._table is None:
            self._table = Table(self.numpy, self.nodes)
        return self._table

    # --- changes, between cycles

    def put_node(self, node: Object) -> None:
        name = node["metadata"]["name"]
        row = self.rows.get(name)
        if row is None:
            self.rows[name] = len(self.nodes)
            self.nodes.append(NodeInfo.of(node))
            self._forget_all()
            return
        old = self.nodes[row]
        self.nodes[row] = new = NodeInfo.of(node, old)
        if old.labels != new.labels:
            self._topologies.clear()
        if old.judged_by() != new.judged_by():
            for static in self._statics.values():
                static.renew(row, new)
        if self._table is not None:
            self._table.renew(row, new)

    def remove_node(self, name: str) -> None:
        """The last row takes the place of the one that goes."""
        row = self.rows.pop(name)
        last = self.nodes.pop()
        if last.name != name:
            self.nodes[row] = last
            self.rows[last.name] = row
        self.with_affinity = {place for place, node in enumerate(self.nodes) if any(map(has_affinity, node.pods.values()))}
        self._forget_all()

    def add_pod(self, pod: PodInfo, node: str) -> None:
        row = self.rows[node]
        self._replace(row, self.nodes[row].with_pod(pod))
        self._count(pod, row, 1)
        if has_affinity(pod):
            self.with_affinity.add(row)

    def remove_pod(self, uid: str, node: str) -> None:
        row = self.rows[node]
        pod = self.nodes[row].pods[uid]
        self._replace(row, self.nodes[row].without_pod(uid))
        self._count(pod, row, -1)
        if has_affinity(pod) and not any(map(has_affinity, self.nodes[row].pods.values())):
            self.with_affinity.discard(row)

    def _replace(self, row: int, node: NodeInfo) -> None:
        self.nodes[row] = node
        if self._table is not None:
            self._table.renew(row, node)

    def _count(self, pod: PodInfo, row: int, step: int) -> None:
        for (namespaces, selector), counts in self._tallies.items():
            if counts_for(pod, namespaces, selector):
                counts[row] += step

    def _forget_all(self) -> None:
        self._table = None
        self._statics.clear()
        self._tallies.clear()
        self._topologies.clear()

    # --- what is kept from pod to pod

    def static(self, signature: bytes, make: Callable[[], Any]) -> Any:
        """Verdicts of static plugins for a signature: made once, then renewed row by row (their `renew`)."""
        return self._statics.of(signature, make)

    def tally(self, namespaces: Namespaces, selector: Selector) -> Any:
        """How many pods each row has that `selector` matches: a list, or an array where numpy is. Not to be changed."""
        return self._tallies.of((namespaces, selector), lambda: self._tallied(namespaces, selector))

    def _tallied(self, namespaces: Namespaces, selector: Selector) -> Any:
        counts = [sum(counts_for(pod, namespaces, selector) for pod in node.pods.values()) for node in self.nodes]
        return counts if self.numpy is None else self.numpy.array(counts, dtype="i8")

    def topology(self, key: str) -> "Topology":
        if key not in self._topologies:
            self._topologies[key] = Topology(self.numpy, self.nodes, key)
        return self._topologies[key]


class Topology:
    """The values of one label over the rows: `ids[row]` is a value's number, -1 for none; `present[row]` whether there is one."""

    def __init__(self, numpy: Any, nodes: list[NodeInfo], key: str) -> None:
        numbers: dict[str, int] = {}
        ids = [numbers.setdefault(node.labels[key], len(numbers)) if key in node.labels else -1 for node in nodes]
        present = [number >= 0 for number in ids]
        self.numbers = numbers
        self.ids: Any = ids if numpy is None else numpy.array(ids, dtype="i8")
        self.present: Any = present if numpy is None else numpy.array(present)

    def __len__(self) -> int:
        return len(self.numbers)


class Table:
    """Resources of all nodes as arrays: cpu, memory, storage, pods, and whatever else is asked for."""

    def __init__(self, numpy: Any, nodes: list[NodeInfo]) -> None:
        self._numpy = numpy
        self._nodes = nodes
        self.pods = numpy.array([len(node.pods) for node in nodes], dtype="i8")
        self.counted_cpu = numpy.array([node.counted[0] for node in nodes], dtype="i8")
        self.counted_memory = numpy.array([node.counted[1] for node in nodes], dtype="i8")
        self._allocatable: dict[str, Any] = {}
        self._requested: dict[str, Any] = {}

    def allocatable(self, resource: str) -> Any:
        if resource not in self._allocatable:
            values = [node.allocatable.get(resource, 0) for node in self._nodes]
            self._allocatable[resource] = self._numpy.array(values, dtype="i8")
        return self._allocatable[resource]

    def requested(self, resource: str) -> Any:
        if resource not in self._requested:
            values = [node.requested.get(resource, 0) for node in self._nodes]
            self._requested[resource] = self._numpy.array(values, dtype="i8")
        return self._requested[resource]

    def renew(self, row: int, node: NodeInfo) -> None:
        self.pods[row] = len(node.pods)
        self.counted_cpu[row], self.counted_memory[row] = node.counted
        for resource, values in self._allocatable.items():
            values[row] = node.allocatable.get(resource, 0)
        for resource, values in self._requested.items():
            values[row] = node.requested.get(resource, 0)


def has_affinity(pod: PodInfo) -> bool:
    return bool(pod.affinity or pod.anti_affinity or pod.preferred)


def counts_for(pod: PodInfo, namespaces: Namespaces, selector: Selector) -> bool:
    """A pod that is being deleted makes room soon: it counts for nobody."""
    return (namespaces is None or pod.namespace in namespaces) and selector.matches(pod.labels) and not is_deleting(pod.pod)
