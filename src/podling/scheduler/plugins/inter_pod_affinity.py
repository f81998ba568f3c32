"""Pods that want to be near others, or away from them; and others that want to be away from this one.

Source: Kubernetes documentation "Inter-pod affinity and anti-affinity".
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from podling.api.objects import Object
from podling.api.selectors import Selector
from podling.scheduler.events import Action, EventWithHint, on
from podling.scheduler.framework import MAX_SCORE, Rejection, State
from podling.scheduler.node_info import NodeInfo
from podling.scheduler.pod_info import PodInfo, Term
from podling.scheduler.snapshot import Namespaces, Snapshot
from podling.scheduler.table import Topology


@dataclass(slots=True)
class Counted:
    """Pods that a term is about, by the number of their node's topology value."""

    term: Term
    topology: Topology
    sums: Any

    def on(self, node: NodeInfo) -> int:
        """How many there are where `node` is; -1 where it has no such label."""
        number = self.topology.number_of(node)
        return -1 if number < 0 else int(self.sums[number])

    def step(self, node: NodeInfo, step: int) -> None:
        number = self.topology.number_of(node)
        if number >= 0:
            self.sums[number] += step

    def clone(self) -> "Counted":
        return Counted(self.term, self.topology, self.sums.copy())


@dataclass(slots=True)
class Places:
    """`near` counts for each affinity term the pods that match all of them; the rest those that anti-affinity is about."""

    near: list[Counted] = field(default_factory=list)
    own: list[Counted] = field(default_factory=list)
    others: list[Counted] = field(default_factory=list)

    def first(self, pod: PodInfo) -> bool:
        """Nobody anywhere is wanted by the terms but the pod itself."""
        return all(term.matches(pod) for term in pod.affinity) and not any(sum(one.sums) for one in self.near)

    def clone(self) -> "Places":
        return Places(*([one.clone() for one in part] for part in (self.near, self.own, self.others)))


class InterPodAffinity:
    name = "InterPodAffinity"
    AFFINITY = Rejection(name, ("node(s) didn't match pod affinity rules",), resolvable=False)
    ANTI = Rejection(name, ("node(s) didn't match pod anti-affinity rules",))
    EXISTING = Rejection(name, ("node(s) didn't satisfy existing pods anti-affinity rules",))

    def __init__(self, args: Object | None = None) -> None:
        given = args or {}
        self._hard_weight = given.get("hardPodAffinityWeight", 1)
        self._ignore_existing = bool(given.get("ignorePreferredTermsOfExistingPods"))

    def events_to_register(self) -> Iterable[EventWithHint]:
        return (
            on("Pod", Action.ADD | Action.UPDATE_POD_LABEL, self._came),
            on("Pod", Action.DELETE, self._left),
            on("Node", Action.ADD | Action.UPDATE_NODE_LABEL, self._has_topology),
        )

    def _came(self, pod: PodInfo, old: PodInfo | None, new: PodInfo) -> bool:
        """Somebody to be near to; or somebody has changed its labels and is in the way no more."""
        if pod.affinity and all(term.matches(new) for term in pod.affinity):
            return True
        return old is not None and self._left(pod, old, None)

    def _left(self, pod: PodInfo, old: PodInfo, new: None) -> bool:
        return any(term.matches(old) for term in pod.anti_affinity) or any(term.matches(pod) for term in old.anti_affinity)

    def _has_topology(self, pod: PodInfo, old: NodeInfo | None, new: NodeInfo) -> bool:
        terms = (*pod.affinity, *pod.anti_affinity)
        return not terms or any(term.topology_key in new.labels for term in terms)

    # --- what is needed

    def pre_filter(self, state: State, pod: PodInfo, snapshot: Snapshot) -> bool:
        places = Places(
            near=_near(pod, snapshot),
            own=[_counted(term, term.namespaces, term.selector, snapshot) for term in pod.anti_affinity],
            others=[
                Counted(term, topology, topology.sums(rows))
                for term, rows in snapshot.terms("anti-affinity")
                if term.matches(pod) and (topology := snapshot.topology(term.topology_key)) is not None
            ],
        )
        state.kept[self.name] = places
        return bool(places.near or places.own or places.others)

    def add_pod(self, state: State, pod: PodInfo, other: PodInfo, node: NodeInfo) -> None:
        self._step(state, pod, other, node, 1)

    def remove_pod(self, state: State, pod: PodInfo, other: PodInfo, node: NodeInfo) -> None:
        self._step(state, pod, other, node, -1)

    def _step(self, state: State, pod: PodInfo, other: PodInfo, node: NodeInfo, step: int) -> None:
        places: Places = state.kept[self.name]
        if all(term.matches(other) for term in pod.affinity):
            for one in places.near:
                one.step(node, step)
        for one in places.own:
            if one.term.matches(other):
                one.step(node, step)
        for one in places.others:
            if one.term in other.anti_affinity:
                one.step(node, step)

    def filter(self, state: State, pod: PodInfo, node: NodeInfo) -> Rejection | None:
        places: Places = state.kept[self.name]
        if places.near and not self._is_near(places, pod, node):
            return self.AFFINITY
        if any(one.on(node) > 0 for one in places.own):
            return self.ANTI
        if any(one.on(node) > 0 for one in places.others):
            return self.EXISTING
        return None

    def _is_near(self, places: Places, pod: PodInfo, node: NodeInfo) -> bool:
        counts = [one.on(node) for one in places.near]
        return all(count > 0 for count in counts) or (min(counts) >= 0 and places.first(pod))

    def mask(self, state: State, pod: PodInfo, snapshot: Snapshot) -> Any:
        places: Places = state.kept[self.name]
        passing = snapshot.numpy.ones(len(snapshot), dtype=bool)
        first = bool(places.near) and places.first(pod)
        for one in places.near:
            passing &= one.topology.present if first else one.topology.spread(one.sums > 0, False)
        for one in (*places.own, *places.others):
            passing &= one.topology.spread(one.sums <= 0, True)
        return passing

    # --- preferences

    def pre_score(self, state: State, pod: PodInfo, snapshot: Snapshot, rows: Any) -> bool:
        weights: dict[str, Any] = {}

        def weigh(key: str, counts: Any, weight: int) -> None:
            sums = snapshot.topology(key).sums(counts)
            parts = [count * weight for count in sums] if isinstance(sums, list) else sums * weight
            weights[key] = _added(weights[key], parts) if key in weights else parts

        for term in pod.preferred:
            weigh(term.topology_key, snapshot.tally(term.namespaces, term.selector), term.weight)
        if pod.has_affinity or not self._ignore_existing:
            for term, counts in snapshot.terms("preferred"):
                if term.matches(pod):
                    weigh(term.topology_key, counts, term.weight)
            for term, counts in snapshot.terms("affinity") if self._hard_weight else ():
                if term.matches(pod):  # who needs to be near this one shall find it near
                    weigh(term.topology_key, counts, self._hard_weight)
        found = [(snapshot.topology(key), sums) for key, sums in weights.items() if any(sums)]
        state.kept[self.name + ".score"] = found
        return bool(found)

    def score(self, state: State, pod: PodInfo, node: NodeInfo) -> float:
        numbers = [(topology.number_of(node), sums) for topology, sums in state.kept[self.name + ".score"]]
        return sum(int(sums[number]) for number, sums in numbers if number >= 0)

    def scores(self, state: State, pod: PodInfo, snapshot: Snapshot, rows: Any) -> Any:
        total = snapshot.numpy.zeros(len(rows), dtype="i8")
        for topology, sums in state.kept[self.name + ".score"]:
            total += topology.spread(sums, 0)[rows].astype("i8")
        return total

    def normalize(self, scores: Any) -> Any:
        if isinstance(scores, list):
            high, low = max(scores), min(scores)
            return [(score - low) * MAX_SCORE // (high - low) if high > low else 0 for score in scores]
        high, low = scores.max(), scores.min()
        return (scores - low) * MAX_SCORE // (high - low) if high > low else scores * 0


def _near(pod: PodInfo, snapshot: Snapshot) -> list[Counted]:
    """For each affinity term the pods that match all terms."""
    if not pod.affinity:
        return []
    namespaces: Namespaces = None
    requirements: list[Any] = []
    for term in pod.affinity:
        namespaces = term.namespaces if namespaces is None else namespaces & (term.namespaces or namespaces)
        requirements += term.selector.requirements
    nothing = any(term.selector.nothing for term in pod.affinity)
    selector = Selector(tuple(dict.fromkeys(requirements)), nothing)
    return [_counted(term, namespaces, selector, snapshot) for term in pod.affinity]


def _counted(term: Term, namespaces: Namespaces, selector: Selector, snapshot: Snapshot) -> Counted:
    topology = snapshot.topology(term.topology_key)
    return Counted(term, topology, topology.sums(snapshot.tally(namespaces, selector)))


def _added(one: Any, other: Any) -> Any:
    return [left + right for left, right in zip(one, other, strict=True)] if isinstance(one, list) else one + other
