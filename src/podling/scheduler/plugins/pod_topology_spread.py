"""Spread pods evenly over zones, nodes or whatever a label tells apart: hard constraints filter, soft ones score.

Source: Kubernetes documentation "Pod Topology Spread Constraints".
"""

from dataclasses import dataclass
from math import inf, log
from typing import Any

from podling.scheduler.framework import MAX_SCORE, NODE_ADDED, NODE_CHANGED, POD_CAME, POD_LEFT, Rejection, State
from podling.scheduler.node_info import NodeInfo
from podling.scheduler.pod_info import PodInfo, Spread
from podling.scheduler.snapshot import Snapshot, Topology

WORDS = "node(s) didn't match pod topology spread constraints"


@dataclass(slots=True)
class _Counted:
    """A constraint with its matching pods: `sums` by the number of the label's value. `weight` is for scoring."""

    spread: Spread
    topology: Topology
    sums: Any
    least: float = 0.0
    own: int = 0  # 1 where the pod itself counts
    weight: float = 0.0

    def on(self, node: NodeInfo) -> float | None:
        """Matching pods where `node` is; None where it has no such label."""
        number = self.topology.numbers.get(node.labels.get(self.spread.topology_key, ""))
        return None if number is None else float(self.sums[number])


class PodTopologySpread:
    name = "PodTopologySpread"
    static = False
    wakes = frozenset({NODE_ADDED, NODE_CHANGED, POD_LEFT, POD_CAME})
    MISSING = Rejection(name, (f"{WORDS} (missing required label)",), resolvable=False)
    SKEWED = Rejection(name, (WORDS,))

    # --- hard constraints

    def pre_filter(self, state: State, pod: PodInfo, snapshot: Snapshot) -> bool:
        hard = [spread for spread in pod.spreads if spread.hard]
        if hard:
            state.kept[self.name] = [self._hard(spread, hard, state, pod, snapshot) for spread in hard]
        return bool(hard)

    def _hard(self, spread: Spread, hard: list[Spread], state: State, pod: PodInfo, snapshot: Snapshot) -> _Counted:
        topology = snapshot.topology(spread.topology_key)
        sums, present = counts(spread, hard, state, pod, snapshot)
        if snapshot.numpy is None:
            found = [count for count, there in zip(sums, present, strict=True) if there]
        else:
            found = sums[present > 0]
        least = float(min(found)) if len(found) else inf
        if len(found) < spread.min_domains:
            least = 0.0
        return _Counted(spread, topology, sums, least, int(spread.selector.matches(pod.labels)))

    def filter(self, state: State, pod: PodInfo, node: NodeInfo) -> Rejection | None:
        for one in state.kept[self.name]:
            count = one.on(node)
            if count is None:
                return self.MISSING
            if count + one.own - one.least > one.spread.max_skew:
                return self.SKEWED
        return None

    def mask(self, state: State, pod: PodInfo, snapshot: Snapshot) -> Any:
        numpy = snapshot.numpy
        passing = numpy.ones(len(snapshot), dtype=bool)
        for one in state.kept[self.name]:
            good = one.sums + one.own - one.least <= one.spread.max_skew
            passing &= numpy.append(good, False)[one.topology.ids]  # -1, no label, takes the last
        return passing

    # --- soft constraints

    def pre_score(self, state: State, pod: PodInfo, snapshot: Snapshot, rows: Any) -> bool:
        soft = [spread for spread in pod.spreads if not spread.hard]
        if soft:
            state.kept[self.name + ".score"] = [self._soft(spread, soft, state, pod, snapshot, rows) for spread in soft]
        return bool(soft)

    def _soft(self, spread: Spread, soft: list[Spread], state: State, pod: PodInfo, snapshot: Snapshot, rows: Any) -> _Counted:
        topology = snapshot.topology(spread.topology_key)
        size = len(rows) if spread.topology_key == "kubernetes.io/hostname" else len(topology)
        sums, _ = counts(spread, soft, state, pod, snapshot)
        return _Counted(spread, topology, sums, weight=log(size + 2))

    def score(self, state: State, pod: PodInfo, node: NodeInfo) -> float:
        total = 0.0
        for one in state.kept[self.name + ".score"]:
            count = one.on(node)
            if count is None and not one.spread.system:
                return -1.0  # ignored: last of all after normalising
            if count is not None:
                total += count * one.weight + (one.spread.max_skew - 1)
        return round(total)

    def scores(self, state: State, pod: PodInfo, snapshot: Snapshot, rows: Any) -> Any:
        numpy = snapshot.numpy
        total = numpy.zeros(len(rows))
        ignored = numpy.zeros(len(rows), dtype=bool)
        for one in state.kept[self.name + ".score"]:
            ids = one.topology.ids[rows]
            total += numpy.append(one.sums * one.weight + (one.spread.max_skew - 1), 0)[ids]
            if not one.spread.system:
                ignored |= ids < 0
        return numpy.where(ignored, -1, numpy.rint(total)).astype("i8")

    def normalize(self, scores: Any) -> Any:
        """Fewer pods are better."""
        if isinstance(scores, list):
            counted = [score for score in scores if score >= 0]
            high, low = max(counted, default=0), min(counted, default=0)
            return [0 if score < 0 else MAX_SCORE * (high + low - score) // high if high else MAX_SCORE for score in scores]
        counted = scores[scores >= 0]
        high, low = (counted.max(), counted.min()) if len(counted) else (0, 0)
        better = MAX_SCORE * (high + low - scores) // high if high else scores * 0 + MAX_SCORE
        better[scores < 0] = 0
        return better


def counts(spread: Spread, together: list[Spread], state: State, pod: PodInfo, snapshot: Snapshot) -> tuple[Any, Any]:
    """Matching pods, and eligible nodes, by the number of the label's value. Eligible: it has all keys, the pod wants it."""
    tally = snapshot.tally(frozenset((pod.namespace,)), spread.selector)
    topology = snapshot.topology(spread.topology_key)
    eligible = _eligible(spread, together, state, snapshot)
    numpy = snapshot.numpy
    if numpy is not None:
        ids = numpy.where(eligible, topology.ids, -1) + 1  # 0 takes those that don't count
        size = len(topology) + 1
        return numpy.bincount(ids, weights=tally, minlength=size)[1:], numpy.bincount(ids, minlength=size)[1:]
    sums, present = [0] * len(topology), [0] * len(topology)
    for number, good, count in zip(topology.ids, eligible, tally, strict=True):
        if good and number >= 0:
            sums[number] += count
            present[number] += 1
    return sums, present


def _eligible(spread: Spread, together: list[Spread], state: State, snapshot: Snapshot) -> Any:
    """By row. `state` has the static verdicts of this cycle."""
    verdicts = state.kept["static"]
    conditions = [verdicts.passing("NodeAffinity")] if spread.honor_affinity else [verdicts.all()]
    if spread.honor_taints:
        conditions.append(verdicts.passing("TaintToleration"))
    conditions += [snapshot.topology(other.topology_key).present for other in together if not other.system]
    if snapshot.numpy is not None:
        return snapshot.numpy.logical_and.reduce(conditions)
    return conditions[0] if len(conditions) == 1 else [all(row) for row in zip(*conditions, strict=True)]
