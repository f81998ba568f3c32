"""Node selectors and node affinity, required and preferred. Source: v1 NodeSelector; "Assigning Pods to Nodes".

The argument `addedAffinity` is asked of every pod of the profile beside its own.
"""

from collections.abc import Iterable
from typing import Any

from podling.api.node_affinity import is_wanted, matches
from podling.api.objects import Object, get
from podling.scheduler.events import Action, EventWithHint, on
from podling.scheduler.framework import Rejection, State, scaled
from podling.scheduler.node_info import NodeInfo
from podling.scheduler.pod_info import PodInfo
from podling.scheduler.snapshot import Snapshot

REQUIRED, PREFERRED = "requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"


class NodeAffinity:
    name = "NodeAffinity"
    static = True
    REJECTION = Rejection(name, ("node(s) didn't match Pod's node affinity/selector",), resolvable=False)
    ENFORCED = Rejection(name, ("node(s) didn't match scheduler-enforced node affinity",), resolvable=False)

    def __init__(self, args: Object | None = None) -> None:
        added = (args or {}).get("addedAffinity") or {}
        self._required: list[Object] | None = get(added, f"{REQUIRED}.nodeSelectorTerms")
        self._preferred: list[Object] = added.get(PREFERRED) or []

    def events_to_register(self) -> Iterable[EventWithHint]:
        return (on("Node", Action.ADD | Action.UPDATE_NODE_LABEL, self._wanted),)

    def _wanted(self, pod: PodInfo, old: NodeInfo | None, new: NodeInfo) -> bool:
        state = State()
        return self.filter(state, pod, new) is None and (old is None or self.filter(state, pod, old) is not None)

    def pre_filter(self, state: State, pod: PodInfo, snapshot: Snapshot) -> bool | frozenset[str]:
        """The nodes, where each term names some."""
        spec = pod.pod["spec"]
        terms = get(spec, f"affinity.nodeAffinity.{REQUIRED}.nodeSelectorTerms")
        if not terms:
            return bool(self._required is not None or spec.get("nodeSelector") or terms is not None)
        named = [_names(term) for term in terms]
        return True if None in named else frozenset[str]().union(*(one for one in named if one is not None))

    def filter(self, state: State, pod: PodInfo, node: NodeInfo) -> Rejection | None:
        if self._required is not None and not any(matches(term, node.name, node.labels) for term in self._required):
            return self.ENFORCED
        return None if is_wanted(pod.pod["spec"], node.name, node.labels) else self.REJECTION

    def pre_score(self, state: State, pod: PodInfo, snapshot: Snapshot, rows: Any) -> bool:
        return bool(self._terms(pod))

    def score(self, state: State, pod: PodInfo, node: NodeInfo) -> float:
        return sum(int(one["weight"]) for one in self._terms(pod) if matches(one["preference"], node.name, node.labels))

    def normalize(self, scores: Any) -> Any:
        return scaled(scores)

    def _terms(self, pod: PodInfo) -> list[Object]:
        own: list[Object] = get(pod.pod["spec"], f"affinity.nodeAffinity.{PREFERRED}", [])
        return own + self._preferred if self._preferred else own


def _names(term: Object) -> frozenset[str] | None:
    """The nodes that a term names; None where it doesn't name any."""
    for field in term.get("matchFields") or ():
        if field["key"] == "metadata.name" and field["operator"] == "In":
            return frozenset(field["values"])
    return None
