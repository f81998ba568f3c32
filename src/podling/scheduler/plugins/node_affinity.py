"""Node selectors and node affinity, required and preferred. Source: v1 NodeSelector; "Assigning Pods to Nodes"."""

from typing import Any

from podling.api.node_affinity import is_wanted, matches
from podling.api.objects import get
from podling.scheduler.framework import NODE_ADDED, NODE_CHANGED, Rejection, State, scaled
from podling.scheduler.node_info import NodeInfo
from podling.scheduler.pod_info import PodInfo


class NodeAffinity:
    name = "NodeAffinity"
    static = True
    wakes = frozenset({NODE_ADDED, NODE_CHANGED})
    REJECTION = Rejection(name, ("node(s) didn't match Pod's node affinity/selector",), resolvable=False)

    def filter(self, state: State, pod: PodInfo, node: NodeInfo) -> Rejection | None:
        return None if is_wanted(pod.pod["spec"], node.name, node.labels) else self.REJECTION

    def score(self, state: State, pod: PodInfo, node: NodeInfo) -> float:
        preferred = get(pod.pod["spec"], "affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution", ())
        return sum(int(one["weight"]) for one in preferred if matches(one["preference"], node.name, node.labels))

    def normalize(self, scores: Any) -> Any:
        return scaled(scores)
