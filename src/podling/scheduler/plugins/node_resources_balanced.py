"""Nodes whose cpu and memory are used evenly are better."""

from typing import Any

from podling.scheduler.framework import MAX_SCORE, State
from podling.scheduler.node_info import NodeInfo
from podling.scheduler.pod_info import PodInfo
from podling.scheduler.snapshot import Snapshot


class NodeResourcesBalancedAllocation:
    name = "NodeResourcesBalancedAllocation"
    static = False
    wakes: frozenset[str] = frozenset()

    def pre_score(self, state: State, pod: PodInfo, snapshot: Snapshot, rows: Any) -> bool:
        return any(pod.requests.get(resource) for resource in ("cpu", "memory"))

    def score(self, state: State, pod: PodInfo, node: NodeInfo) -> float:
        cpu, memory = (_used(node, pod, resource) for resource in ("cpu", "memory"))
        return int((1 - abs(cpu - memory) / 2) * MAX_SCORE)

    def scores(self, state: State, pod: PodInfo, snapshot: Snapshot, rows: Any) -> Any:
        cpu, memory = (_all_used(snapshot, pod, resource, rows) for resource in ("cpu", "memory"))
        return ((1 - abs(cpu - memory) / 2) * MAX_SCORE).astype("i8")


def _used(node: NodeInfo, pod: PodInfo, resource: str) -> float:
    most = node.allocatable.get(resource, 0)
    taken = node.requested.get(resource, 0) + pod.requests.get(resource, 0)
    return min(1.0, taken / most) if most else 1.0


def _all_used(snapshot: Snapshot, pod: PodInfo, resource: str, rows: Any) -> Any:
    most = snapshot.table.allocatable(resource)[rows]
    taken = snapshot.table.requested(resource)[rows] + pod.requests.get(resource, 0)
    return snapshot.numpy.minimum(1.0, taken / snapshot.numpy.maximum(most, 1))
