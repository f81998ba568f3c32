"""Pods that want to be near others, or away from them; and others that want to be away from this one.

Source: Kubernetes documentation "Inter-pod affinity and anti-affinity".
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from podling.scheduler.framework import MAX_SCORE, NODE_ADDED, NODE_CHANGED, POD_CAME, POD_LEFT, Rejection, State
from podling.scheduler.node_info import NodeInfo
from podling.scheduler.pod_info import PodInfo, Term
from podling.scheduler.snapshot import Snapshot

Place = tuple[str, str]  # label, value


@dataclass(slots=True)
class _Places:
    """`wanted` has for each affinity term where its pods are; `kept_from` where anti-affinity forbids, by whose it is."""

    wanted: list[tuple[str, set[str]]] = field(default_factory=list)
    first: bool = False  # nobody anywhere is wanted by the terms but the pod itself
    own: set[Place] = field(default_factory=set)
    others: set[Place] = field(default_factory=set)


class InterPodAffinity:
    name = "InterPodAffinity"
    static = False
    wakes = frozenset({NODE_ADDED, NODE_CHANGED, POD_LEFT, POD_CAME})
    AFFINITY = Rejection(name, ("node(s) didn't match pod affinity rules",), resolvable=False)
    ANTI = Rejection(name, ("node(s) didn't match pod anti-affinity rules",))
    EXISTING = Rejection(name, ("node(s) didn't satisfy existing pods anti-affinity rules",))

    def pre_filter(self, state: State, pod: PodInfo, snapshot: Snapshot) -> bool:
        places = _Places(
            wanted=[(term.topology_key, _values(term, snapshot)) for term in pod.affinity],
            own={(term.topology_key, value) for term in pod.anti_affinity for value in _values(term, snapshot)},
            others=set(_kept_from(pod, snapshot)),
        )
        nobody = not any(values for _, values in places.wanted)
        places.first = bool(pod.affinity) and nobody and all(term.matches(pod) for term in pod.affinity)
        state.kept[self.name] = places
        return bool(places.wanted or places.own or places.others)

    def filter(self, state: State, pod: PodInfo, node: NodeInfo) -> Rejection | None:
        places: _Places = state.kept[self.name]
        if not self._is_near(places, node):
            return self.AFFINITY
        if any(node.labels.get(key) == value for key, value in places.own):
            return self.ANTI
        if any(node.labels.get(key) == value for key, value in places.others):
            return self.EXISTING
        return None

    def _is_near(self, places: _Places, node: NodeInfo) -> bool:
        for key, values in places.wanted:
            value = node.labels.get(key)
            if value is None or (value not in values and not places.first):
                return False
        return True

    def mask(self, state: State, pod: PodInfo, snapshot: Snapshot) -> Any:
        places: _Places = state.kept[self.name]
        passing = snapshot.numpy.ones(len(snapshot), dtype=bool)
        for key, values in places.wanted:
            topology = snapshot.topology(key)
            good = [places.first or value in values for value in topology.numbers]
            passing &= snapshot.numpy.array([*good, False])[topology.ids]
        for key, values in _by_key(places.own | places.others).items():
            topology = snapshot.topology(key)
            good = [value not in values for value in topology.numbers]
            passing &= snapshot.numpy.array([*good, True])[topology.ids]
        return passing

    # --- preferences

    def pre_score(self, state: State, pod: PodInfo, snapshot: Snapshot, rows: Any) -> bool:
        weights: dict[Place, int] = {}
        for term in pod.preferred:
            tally = snapshot.tally(term.namespaces, term.selector)
            for node in _rows_with(tally, snapshot):
                _weigh(weights, term, node, int(tally[snapshot.rows[node.name]]))
        for row in snapshot.with_affinity:
            node = snapshot.nodes[row]
            for other in node.pods.values():
                for term in other.preferred:
                    if term.matches(pod):
                        _weigh(weights, term, node, 1)
                for term in other.affinity:  # who needs to be near this one shall find it near: upstream's hard weight of 1
                    if term.matches(pod):
                        _weigh(weights, Term(term.selector, term.namespaces, term.topology_key, 1), node, 1)
        state.kept[self.name + ".score"] = weights
        return bool(weights)

    def score(self, state: State, pod: PodInfo, node: NodeInfo) -> float:
        weights: dict[Place, int] = state.kept[self.name + ".score"]
        return sum(weight for (key, value), weight in weights.items() if node.labels.get(key) == value)

    def scores(self, state: State, pod: PodInfo, snapshot: Snapshot, rows: Any) -> Any:
        weights: dict[Place, int] = state.kept[self.name + ".score"]
        total = snapshot.numpy.zeros(len(rows), dtype="i8")
        for key in {key for key, _ in weights}:
            topology = snapshot.topology(key)
            by_value = [weights.get((key, value), 0) for value in topology.numbers]
            total += snapshot.numpy.array([*by_value, 0])[topology.ids[rows]]
        return total

    def normalize(self, scores: Any) -> Any:
        if isinstance(scores, list):
            high, low = max(scores), min(scores)
            return [(score - low) * MAX_SCORE // (high - low) if high > low else 0 for score in scores]
        high, low = scores.max(), scores.min()
        return (scores - low) * MAX_SCORE // (high - low) if high > low else scores * 0


def _values(term: Term, snapshot: Snapshot) -> set[str]:
    """Where the pods of a term are."""
    nodes = _rows_with(snapshot.tally(term.namespaces, term.selector), snapshot)
    return {node.labels[term.topology_key] for node in nodes if term.topology_key in node.labels}


def _rows_with(tally: Any, snapshot: Snapshot) -> list[NodeInfo]:
    rows = [row for row, count in enumerate(tally) if count] if isinstance(tally, list) else tally.nonzero()[0].tolist()
    return [snapshot.nodes[row] for row in rows]


def _kept_from(pod: PodInfo, snapshot: Snapshot) -> Iterable[Place]:
    """Where pods are that don't want this one near."""
    for row in snapshot.with_affinity:
        node = snapshot.nodes[row]
        for other in node.pods.values():
            for term in other.anti_affinity:
                if term.topology_key in node.labels and term.matches(pod):
                    yield term.topology_key, node.labels[term.topology_key]


def _by_key(places: set[Place]) -> dict[str, set[str]]:
    grouped: dict[str, set[str]] = {}
    for key, value in places:
        grouped.setdefault(key, set()).add(value)
    return grouped


def _weigh(weights: dict[Place, int], term: Term, node: NodeInfo, count: int) -> None:
    value = node.labels.get(term.topology_key)
    if value is not None:
        weights[term.topology_key, value] = weights.get((term.topology_key, value), 0) + term.weight * count
