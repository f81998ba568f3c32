"""Nodes whose resources are used evenly are better: the less their used parts deviate from each other."""

from math import sqrt
from typing import Any

from podling.api.objects import Object
from podling.scheduler.framework import MAX_SCORE, State
from podling.scheduler.node_info import NodeInfo
from podling.scheduler.plugins.allocation import CPU_AND_MEMORY
from podling.scheduler.pod_info import PodInfo
from podling.scheduler.snapshot import Snapshot


class NodeResourcesBalancedAllocation:
    name = "NodeResourcesBalancedAllocation"
    local = True

    def __init__(self, args: Object | None = None) -> None:
        self._resources = tuple(one["name"] for one in (args or {}).get("resources") or CPU_AND_MEMORY)

    def events_to_register(self) -> tuple[()]:
        return ()

    def pre_score(self, state: State, pod: PodInfo, snapshot: Snapshot, rows: Any) -> bool:
        return any(pod.requests.get(resource) for resource in self._resources)

    def score(self, state: State, pod: PodInfo, node: NodeInfo) -> float:
        parts = [
            min(1.0, (node.requested.get(resource, 0) + pod.requests.get(resource, 0)) / most)
            for resource in self._resources
            if (most := node.allocatable.get(resource, 0))
        ]
        if len(parts) == 2:
            return int((1 - abs(parts[0] - parts[1]) / 2) * MAX_SCORE)
        mean = sum(parts) / len(parts) if parts else 0.0
        return int((1 - sqrt(sum((part - mean) ** 2 for part in parts) / len(parts))) * MAX_SCORE) if parts else MAX_SCORE

    def scores(self, state: State, pod: PodInfo, snapshot: Snapshot, rows: Any) -> Any:
        numpy = snapshot.numpy
        most = [snapshot.table.allocatable(resource)[rows] for resource in self._resources]
        if len(most) != 2 or not all(column.all() for column in most):
            return numpy.array([self.score(state, pod, snapshot.nodes[row]) for row in rows], dtype="i8")
        one, other = (
            numpy.minimum(1.0, (snapshot.table.requested(resource)[rows] + pod.requests.get(resource, 0)) / column)
            for resource, column in zip(self._resources, most, strict=True)
        )
        return ((1 - abs(one - other) / 2) * MAX_SCORE).astype("i8")
