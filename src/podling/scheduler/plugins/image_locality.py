"""Nodes that have the pod's images already are better, the more so the more nodes have them: few nodes shall not draw all pods.

Source: k8s.io/kubernetes plugins/imagelocality, for the thresholds.
"""

from typing import Any

from podling.scheduler.framework import MAX_SCORE, State
from podling.scheduler.node_info import NodeInfo
from podling.scheduler.pod_info import PodInfo
from podling.scheduler.snapshot import Snapshot

LEAST, MOST = 23 << 20, 1000 << 20  # bytes; the upper one for each container


class ImageLocality:
    name = "ImageLocality"

    def events_to_register(self) -> tuple[()]:
        return ()

    def pre_score(self, state: State, pod: PodInfo, snapshot: Snapshot, rows: Any) -> bool:
        spreads = [spread_of(full_name(image), snapshot) for image in pod.images]
        state.kept[self.name] = [(spread.image, spread.part) for spread in spreads if spread.nodes]
        return bool(state.kept[self.name])

    def score(self, state: State, pod: PodInfo, node: NodeInfo) -> float:
        present = sum(int(node.images.get(image, 0) * part) for image, part in state.kept[self.name])
        most = MOST * len(pod.images)
        return (min(max(present, LEAST), most) - LEAST) * MAX_SCORE // (most - LEAST)

    def scores(self, state: State, pod: PodInfo, snapshot: Snapshot, rows: Any) -> Any:
        numpy = snapshot.numpy
        present = numpy.zeros(len(rows), dtype="i8")
        for image, _ in state.kept[self.name]:
            spread = spread_of(image, snapshot)
            present += (spread.sizes(numpy)[rows] * spread.part).astype("i8")
        most = MOST * len(pod.images)
        return (numpy.clip(present, LEAST, most) - LEAST) * MAX_SCORE // (most - LEAST)


def spread_of(image: str, snapshot: Snapshot) -> "ImageSpread":
    found: ImageSpread = snapshot.keep(("image", image), lambda: ImageSpread(image, snapshot))
    return found


class ImageSpread:
    """Which rows have an image. `nodes` have it, the `part` of all."""

    def __init__(self, image: str, snapshot: Snapshot) -> None:
        self.image = image
        self._by_row = [node.images.get(image, 0) for node in snapshot]
        self._array: Any = None
        self.nodes = sum(map(bool, self._by_row))

    @property
    def part(self) -> float:
        return self.nodes / len(self._by_row)

    def sizes(self, numpy: Any) -> Any:
        if self._array is None:
            self._array = numpy.array(self._by_row, dtype="i8")
        return self._array

    def renew(self, row: int, node: NodeInfo) -> None:
        self.nodes -= bool(self._by_row[row])
        self._by_row[row] = node.images.get(self.image, 0)
        self.nodes += bool(self._by_row[row])
        self._array = None


def full_name(image: str) -> str:
    """With the tag that an untagged name stands for."""
    return image if ":" in image.rpartition("/")[2] or "@" in image else f"{image}:latest"
