"""Nodes with taints that the pod doesn't tolerate are out; fewer PreferNoSchedule taints are better."""

from typing import Any

from podling.api.taints import tolerated, untolerated
from podling.scheduler.framework import NODE_ADDED, NODE_CHANGED, Rejection, State, scaled
from podling.scheduler.node_info import NodeInfo
from podling.scheduler.pod_info import PodInfo


class TaintToleration:
    name = "TaintToleration"
    static = True
    wakes = frozenset({NODE_ADDED, NODE_CHANGED})

    def filter(self, state: State, pod: PodInfo, node: NodeInfo) -> Rejection | None:
        taint = untolerated(pod.pod, node.taints, ("NoSchedule", "NoExecute"))
        if taint is None:
            return None
        text = f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
        return Rejection(self.name, (text,), resolvable=False)

    def score(self, state: State, pod: PodInfo, node: NodeInfo) -> float:
        return sum(bool(taint["effect"] == "PreferNoSchedule" and not tolerated(pod.pod, taint)) for taint in node.taints)

    def normalize(self, scores: Any) -> Any:
        return scaled(scores, reverse=True)
