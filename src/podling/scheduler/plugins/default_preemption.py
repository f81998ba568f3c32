"""Make room for a pod by taking away pods of lower priority: as few and as unimportant ones as possible, on one node.

Source: Kubernetes documentation "Pod Priority and Preemption". Disruption budgets and the pods that were promised the room before
are not looked at.
"""

from podling.scheduler.framework import Diagnosis, Filter, Preemption, State
from podling.scheduler.node_info import NodeInfo
from podling.scheduler.pod_info import PodInfo
from podling.scheduler.snapshot import Snapshot

EXAMINED = 100  # nodes at most


class DefaultPreemption:
    name = "DefaultPreemption"
    wakes: frozenset[str] = frozenset()

    def __init__(self, *filters: Filter) -> None:
        """`filters` are those whose verdict changes as pods leave, judged on one node by itself."""
        self._filters = filters

    def post_filter(self, state: State, pod: PodInfo, snapshot: Snapshot, rejections: Diagnosis) -> Preemption:
        if pod.pod["spec"].get("preemptionPolicy") == "Never":
            return Preemption("not eligible due to preemptionPolicy=Never.")
        candidates = [snapshot.nodes[row] for row in rejections.resolvable[:EXAMINED]]
        found = [(node, victims) for node in candidates if (victims := self._victims(state, pod, node))]
        if not found:
            return Preemption(_unhelpful(rejections, len(rejections.resolvable)))
        node, victims = min(found, key=lambda one: cost(one[1]))
        return Preemption("", node.name, victims)

    def _victims(self, state: State, pod: PodInfo, node: NodeInfo) -> tuple[PodInfo, ...]:
        """The pods to take away; none where it doesn't help."""
        lower = sorted((other for other in node.pods.values() if other.priority < pod.priority), key=importance)
        bare = node
        for other in lower:
            bare = bare.without_pod(other.uid)
        if not lower or not self._fits(state, pod, bare):
            return ()
        victims = []
        for other in reversed(lower):  # the most important ones may stay where there is room for them
            spared = bare.with_pod(other)
            if self._fits(state, pod, spared):
                bare = spared
            else:
                victims.append(other)
        return tuple(victims)

    def _fits(self, state: State, pod: PodInfo, node: NodeInfo) -> bool:
        filters = [one for one in self._filters if one.name not in state.skipped]
        return all(one.filter(state, pod, node) is None for one in filters)


def importance(pod: PodInfo) -> tuple[int, str]:
    """Ascending: by priority, then those that have run longer."""
    started = (pod.pod.get("status") or {}).get("startTime") or "9"
    return pod.priority, "".join(chr(255 - ord(char)) for char in started)


def cost(victims: tuple[PodInfo, ...]) -> tuple[int, int, int]:
    """The highest priority lost, then their sum, then their number."""
    return max(pod.priority for pod in victims), sum(pod.priority for pod in victims), len(victims)


def _unhelpful(rejections: Diagnosis, candidates: int) -> str:
    counts = {
        "No preemption victims found for incoming pod": candidates,
        "Preemption is not helpful for scheduling": rejections.nodes - candidates,
    }
    parts = sorted(f"{count} {reason}" for reason, count in counts.items() if count)
    return f"0/{rejections.nodes} nodes are available: {', '.join(parts)}."
