"""What the pod asks for must be free; nodes with the most left are better (LeastAllocated).

Source: Kubernetes documentation "Resource Management for Pods and Containers", how Pods with resource requests are scheduled.
"""

from typing import Any

from podling.scheduler.framework import MAX_SCORE, NODE_ADDED, NODE_CHANGED, POD_LEFT, Rejection, State
from podling.scheduler.node_info import NodeInfo
from podling.scheduler.pod_info import PodInfo
from podling.scheduler.snapshot import Snapshot


class NodeResourcesFit:
    name = "NodeResourcesFit"
    static = False
    wakes = frozenset({NODE_ADDED, NODE_CHANGED, POD_LEFT})

    def filter(self, state: State, pod: PodInfo, node: NodeInfo) -> Rejection | None:
        reasons = ["Too many pods"] if len(node.pods) + 1 > node.allocatable.get("pods", 0) else []
        resolvable = True
        for resource, asked in pod.requests.items():
            most = node.allocatable.get(resource, 0)
            if asked and asked > most - node.requested.get(resource, 0):
                reasons.append(f"Insufficient {resource}")
                resolvable = resolvable and asked <= most
        return Rejection(self.name, tuple(reasons), resolvable) if reasons else None

    def mask(self, state: State, pod: PodInfo, snapshot: Snapshot) -> Any:
        table = snapshot.table
        fits = table.pods < table.allocatable("pods")
        for resource, asked in pod.requests.items():
            if asked:
                fits &= table.allocatable(resource) - table.requested(resource) >= asked
        return fits

    def reasons(self, state: State, pod: PodInfo, snapshot: Snapshot, rows: Any) -> tuple[dict[str, int], list[int]]:
        table = snapshot.table
        found = {"Too many pods": int((table.pods[rows] >= table.allocatable("pods")[rows]).sum())}
        resolvable = snapshot.numpy.ones(len(rows), dtype=bool)
        for resource, asked in pod.requests.items():
            if asked:
                most = table.allocatable(resource)[rows]
                found[f"Insufficient {resource}"] = int((most - table.requested(resource)[rows] < asked).sum())
                resolvable &= asked <= most
        return {reason: count for reason, count in found.items() if count}, rows[resolvable].tolist()

    def score(self, state: State, pod: PodInfo, node: NodeInfo) -> float:
        left = [
            _left(node.allocatable.get(resource, 0), node.counted[place] + pod.counted[place])
            for place, resource in enumerate(("cpu", "memory"))
        ]
        return sum(left) // 2

    def scores(self, state: State, pod: PodInfo, snapshot: Snapshot, rows: Any) -> Any:
        table, numpy = snapshot.table, snapshot.numpy
        cpu, memory = table.allocatable("cpu")[rows], table.allocatable("memory")[rows]
        free_cpu = numpy.maximum(cpu - table.counted_cpu[rows] - pod.counted[0], 0)
        free_memory = numpy.maximum(memory - table.counted_memory[rows] - pod.counted[1], 0)
        return (free_cpu * MAX_SCORE // numpy.maximum(cpu, 1) + free_memory * MAX_SCORE // numpy.maximum(memory, 1)) // 2


def _left(most: int, taken: int) -> int:
    """The share of `most` that is left, of 100."""
    return (most - taken) * MAX_SCORE // most if most and taken <= most else 0
