"""How good a node is by how full it becomes: LeastAllocated, MostAllocated, or a curve of one's own (RequestedToCapacityRatio).

Each resource gives 0 to 100; the weighted mean is the score. cpu and memory count with a default for containers that ask for
none; other resources count for pods that ask for them. Source: Kubernetes documentation "Resource Bin Packing".
"""

from dataclasses import dataclass
from typing import Any

from podling.api.objects import Object
from podling.scheduler.framework import MAX_SCORE
from podling.scheduler.node_info import NodeInfo
from podling.scheduler.pod_info import PodInfo
from podling.scheduler.snapshot import Snapshot

LEAST, MOST, RATIO = "LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"
CPU_AND_MEMORY: tuple[Object, ...] = ({"name": "cpu", "weight": 1}, {"name": "memory", "weight": 1})
MAX_POINT_SCORE = 10  # of a point of the curve
NATIVE = ("cpu", "memory", "ephemeral-storage")


@dataclass(frozen=True, slots=True)
class Strategy:
    """`resources` with their weights. `shape` are the curve's points: (per cent used, score from 0 to 100)."""

    kind: str
    resources: tuple[tuple[str, int], ...]
    shape: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, given: Object) -> "Strategy":
        points = (given.get("requestedToCapacityRatio") or {}).get("shape") or ()
        return cls(
            given.get("type") or LEAST,
            tuple((one["name"], one.get("weight") or 1) for one in given.get("resources") or CPU_AND_MEMORY),
            tuple((one["utilization"], one["score"] * MAX_SCORE // MAX_POINT_SCORE) for one in points),
        )

    def score(self, pod: PodInfo, node: NodeInfo) -> int:
        total = weights = 0
        for resource, weight in self.resources:
            most = node.allocatable.get(resource, 0)
            if not most or not _counts(resource, pod):
                continue
            one = self._of(most, _taken(resource, node) + _asked(resource, pod))
            if one or self.kind != RATIO:
                total += one * weight
                weights += weight
        if self.kind == RATIO:
            return round(total / weights) if weights else 0
        return total // weights if weights else 0

    def _of(self, most: int, taken: int) -> int:
        if self.kind == LEAST:
            return (most - taken) * MAX_SCORE // most if taken <= most else 0
        if self.kind == MOST:
            return min(taken, most) * MAX_SCORE // most
        return on_curve(self.shape, 100 if taken > most else taken * 100 // most)

    def scores(self, pod: PodInfo, snapshot: Snapshot, rows: Any) -> Any:
        """The same over many rows."""
        if self.kind == RATIO:
            return snapshot.numpy.array([self.score(pod, snapshot.nodes[row]) for row in rows], dtype="i8")
        numpy, table = snapshot.numpy, snapshot.table
        total, weights = numpy.zeros(len(rows), dtype="i8"), numpy.zeros(len(rows), dtype="i8")
        for resource, weight in self.resources:
            if not _counts(resource, pod):
                continue
            most = table.allocatable(resource)[rows]
            taken = table.counted(resource)[rows] + _asked(resource, pod)
            part = numpy.maximum(most - taken, 0) if self.kind == LEAST else numpy.minimum(taken, most)
            total += part * MAX_SCORE // numpy.maximum(most, 1) * weight
            weights += (most > 0) * weight
        return total // numpy.maximum(weights, 1)


def _counts(resource: str, pod: PodInfo) -> bool:
    return resource in NATIVE or bool(pod.requests.get(resource))


def _asked(resource: str, pod: PodInfo) -> int:
    return pod.counted[0] if resource == "cpu" else pod.counted[1] if resource == "memory" else pod.requests.get(resource, 0)


def _taken(resource: str, node: NodeInfo) -> int:
    return node.counted[0] if resource == "cpu" else node.counted[1] if resource == "memory" else node.requested.get(resource, 0)


def on_curve(shape: tuple[tuple[int, int], ...], used: int) -> int:
    """The score at `used` per cent: straight lines between the points, level outside of them."""
    before: tuple[int, int] | None = None
    for at, score in shape:
        if used <= at:
            if before is None:
                return score
            return before[1] + int((score - before[1]) * (used - before[0]) / (at - before[0]))
        before = (at, score)
    return shape[-1][1]
