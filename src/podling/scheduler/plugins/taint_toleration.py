"""Nodes with taints that the pod doesn't tolerate are out; fewer PreferNoSchedule taints are better."""

from collections.abc import Iterable
from typing import Any

from podling.api.taints import tolerated, untolerated
from podling.scheduler.events import Action, EventWithHint, on
from podling.scheduler.framework import Rejection, State, scaled
from podling.scheduler.node_info import NodeInfo
from podling.scheduler.pod_info import PodInfo


class TaintToleration:
    name = "TaintToleration"
    static = True

    def events_to_register(self) -> Iterable[EventWithHint]:
        return (on("Node", Action.ADD | Action.UPDATE_NODE_TAINT, self._opened),)

    def _opened(self, pod: PodInfo, old: NodeInfo | None, new: NodeInfo) -> bool:
        state = State()
        return self.filter(state, pod, new) is None and (old is None or self.filter(state, pod, old) is not None)

    def filter(self, state: State, pod: PodInfo, node: NodeInfo) -> Rejection | None:
        taint = untolerated(pod.pod, node.taints, ("NoSchedule", "NoExecute")) if node.taints else None
        if taint is None:
            return None
        text = f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
        return Rejection(self.name, (text,), resolvable=False)

    def score(self, state: State, pod: PodInfo, node: NodeInfo) -> float:
        return sum(bool(taint["effect"] == "PreferNoSchedule" and not tolerated(pod.pod, taint)) for taint in node.taints)

    def normalize(self, scores: Any) -> Any:
        return scaled(scores, reverse=True)
