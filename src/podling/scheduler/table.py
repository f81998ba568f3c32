"""Nodes as columns: resources as numpy arrays, and the values of one label over all rows."""

from typing import Any

from podling.scheduler.node_info import NodeInfo


def load_numpy() -> Any:
    """numpy, or None where it isn't installed."""
    try:
        import numpy
    except ImportError:
        return None
    return numpy


class Topology:
    """The values of one label over the rows: `ids[row]` is a value's number, -1 for none; `present[row]` whether there is one."""

    def __init__(self, numpy: Any, nodes: list[NodeInfo], key: str) -> None:
        numbers: dict[str, int] = {}
        ids = [numbers.setdefault(node.labels[key], len(numbers)) if key in node.labels else -1 for node in nodes]
        present = [number >= 0 for number in ids]
        self.key = key
        self.numbers = numbers
        self._numpy = numpy
        self.ids: Any = ids if numpy is None else numpy.array(ids, dtype="i8")
        self.present: Any = present if numpy is None else numpy.array(present)
        self._shifted: Any = None if numpy is None else numpy.array(ids, dtype="i8") + 1

    def __len__(self) -> int:
        return len(self.numbers)

    def number_of(self, node: NodeInfo) -> int:
        """The number of the node's value; -1 where it has none."""
        value = node.labels.get(self.key)
        return -1 if value is None else self.numbers.get(value, -1)

    def sums(self, counts: Any, eligible: Any = None) -> Any:
        """`counts` of the rows (those that are `eligible`) added up by the number of their value."""
        if self._numpy is not None:
            shifted = self._shifted if eligible is None else self._shifted * eligible  # 0 takes those that don't count
            return self._numpy.bincount(shifted, weights=counts, minlength=len(self) + 1)[1:]
        sums = [0] * len(self)
        for row, number in enumerate(self.ids):
            if number >= 0 and (eligible is None or eligible[row]):
                sums[number] += counts[row]
        return sums

    def spread(self, by_value: Any, absent: Any) -> Any:
        """An array over the rows of what `by_value` has for their value. Only where numpy is."""
        return self._numpy.append(by_value, absent)[self.ids]  # -1 takes the last


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

    def counted(self, resource: str) -> Any:
        """What is requested, with the defaults for pods that ask for no cpu or memory."""
        return {"cpu": self.counted_cpu, "memory": self.counted_memory}.get(resource, self.requested(resource))

    def renew(self, row: int, node: NodeInfo) -> None:
        self.pods[row] = len(node.pods)
        self.counted_cpu[row], self.counted_memory[row] = node.counted
        for resource, values in self._allocatable.items():
            values[row] = node.allocatable.get(resource, 0)
        for resource, values in self._requested.items():
            values[row] = node.requested.get(resource, 0)
