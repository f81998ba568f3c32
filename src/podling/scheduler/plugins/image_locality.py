"""Nodes that have the pod's images already are better. Source: k8s.io/kubernetes plugins/imagelocality, for the thresholds."""

from podling.scheduler.framework import MAX_SCORE, State
from podling.scheduler.node_info import NodeInfo
from podling.scheduler.pod_info import PodInfo

LEAST, MOST = 23 << 20, 1000 << 20  # bytes; the upper one for each container


class ImageLocality:
    name = "ImageLocality"
    static = True
    wakes: frozenset[str] = frozenset()

    def score(self, state: State, pod: PodInfo, node: NodeInfo) -> float:
        if not node.images:
            return 0
        containers = pod.pod["spec"].get("containers") or ()
        present = sum(node.images.get(full_name(container.get("image") or ""), 0) for container in containers)
        most = MOST * len(containers)
        return (min(max(present, LEAST), most) - LEAST) * MAX_SCORE // (most - LEAST)


def full_name(image: str) -> str:
    """With the tag that an untagged name stands for."""
    return image if ":" in image.rpartition("/")[2] or "@" in image else f"{image}:latest"
