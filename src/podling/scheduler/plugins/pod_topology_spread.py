"""Spread pods evenly over zones, nodes or whatever a label tells apart: hard constraints filter, soft ones score.

Source: Kubernetes documentation "Pod Topology Spread Constraints".
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import inf, log
from typing import Any

from podling.api.objects import Object, is_deleting
from podling.api.selectors import NOTHING
from podling.scheduler.events import Action, EventWithHint, on
from podling.scheduler.framework import MAX_SCORE, Rejection, State
from podling.scheduler.node_info import NodeInfo
from podling.scheduler.pod_info import PodInfo, Spread
from podling.scheduler.snapshot import Snapshot
from podling.scheduler.statics import Statics, statics_of
from podling.scheduler.table import Topology

WORDS = "node(s) didn't match pod topology spread constraints"
HOST, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
# Source: the same, "Internal default constraints".
SYSTEM_DEFAULTS = (Spread(3, HOST, False, NOTHING, system=True), Spread(5, ZONE, False, NOTHING, system=True))


@dataclass(slots=True)
class Counted:
    """A constraint with its matching pods: `sums` by the number of the label's value. `weight` is for scoring."""

    spread: Spread
    topology: Topology
    sums: Any
    present: Any = None
    own: int = 0  # 1 where the pod itself counts
    weight: float = 0.0

    @property
    def least(self) -> float:
        """The count of the emptiest domain; none are there, and there are 0, where there are fewer than there have to be."""
        if isinstance(self.sums, list):
            found = [count for count, there in zip(self.sums, self.present, strict=True) if there]
        else:
            found = self.sums[self.present > 0]
        return 0.0 if len(found) < self.spread.min_domains else float(min(found)) if len(found) else inf

    def on(self, node: NodeInfo) -> float | None:
        """Matching pods where `node` is; None where it has no such label."""
        number = self.topology.number_of(node)
        return None if number < 0 else float(self.sums[number])


class Constraints(list[Counted]):
    def clone(self) -> "Constraints":
        return Constraints(replace(one, sums=one.sums.copy()) for one in self)


class PodTopologySpread:
    name = "PodTopologySpread"
    MISSING = Rejection(name, (f"{WORDS} (missing required label)",), resolvable=False)
    SKEWED = Rejection(name, (WORDS,))

    def __init__(self, args: Object | None = None) -> None:
        given = args or {}
        self._defaults: tuple[Spread, ...] = SYSTEM_DEFAULTS
        if given.get("defaultingType") == "List":
            self._defaults = tuple(
                Spread(one["maxSkew"], one["topologyKey"], one["whenUnsatisfiable"] == "DoNotSchedule", NOTHING)
                for one in given.get("defaultConstraints") or ()
            )

    def events_to_register(self) -> Iterable[EventWithHint]:
        return (
            on("Pod", Action.ADD | Action.DELETE | Action.UPDATE_POD_LABEL | Action.UPDATE_OTHER, self._counts_changed),
            on("Node", Action.ADD | Action.DELETE | Action.UPDATE_NODE_LABEL | Action.UPDATE_NODE_TAINT, self._domains_changed),
        )

    def _counts_changed(self, pod: PodInfo, old: PodInfo | None, new: PodInfo | None) -> bool:
        """A pod that is counted comes, goes, or counts no more."""
        hard = [spread for spread in self._spreads(pod) if spread.hard]
        return any(_counts(spread, pod, old) != _counts(spread, pod, new) for spread in hard)

    def _domains_changed(self, pod: PodInfo, old: NodeInfo | None, new: NodeInfo | None) -> bool:
        node = new or old
        labels = node.labels if node else {}
        return all(spread.topology_key in labels for spread in self._spreads(pod) if spread.hard)

    def _spreads(self, pod: PodInfo) -> tuple[Spread, ...]:
        """The pod's own, or those of the profile for the pods that belong together."""
        if pod.spreads or pod.belongs_with is None or pod.belongs_with.everything:
            return pod.spreads
        return tuple(replace(one, selector=pod.belongs_with) for one in self._defaults)

    # --- hard constraints

    def pre_filter(self, state: State, pod: PodInfo, snapshot: Snapshot) -> bool:
        hard = [spread for spread in self._spreads(pod) if spread.hard]
        if hard:
            state.kept[self.name] = Constraints(self._hard(spread, hard, state, pod, snapshot) for spread in hard)
        return bool(hard)

    def _hard(self, spread: Spread, hard: list[Spread], state: State, pod: PodInfo, snapshot: Snapshot) -> Counted:
        sums, present = counts(spread, hard, state, pod, snapshot)
        own = int(spread.selector.matches(pod.labels))
        return Counted(spread, snapshot.topology(spread.topology_key), sums, present, own)

    def add_pod(self, state: State, pod: PodInfo, other: PodInfo, node: NodeInfo) -> None:
        self._step(state, pod, other, node, 1)

    def remove_pod(self, state: State, pod: PodInfo, other: PodInfo, node: NodeInfo) -> None:
        self._step(state, pod, other, node, -1)

    def _step(self, state: State, pod: PodInfo, other: PodInfo, node: NodeInfo, step: int) -> None:
        for one in state.kept[self.name]:
            number = one.topology.number_of(node)
            if number >= 0 and _counts(one.spread, pod, other):
                one.sums[number] += step

    def filter(self, state: State, pod: PodInfo, node: NodeInfo) -> Rejection | None:
        for one in state.kept[self.name]:
            count = one.on(node)
            if count is None:
                return self.MISSING
            if count + one.own - one.least > one.spread.max_skew:
                return self.SKEWED
        return None

    def mask(self, state: State, pod: PodInfo, snapshot: Snapshot) -> Any:
        passing = None
        for one in state.kept[self.name]:
            good = one.topology.spread(one.sums + one.own - one.least <= one.spread.max_skew, False)
            passing = good if passing is None else passing & good
        return passing

    # --- soft constraints

    def pre_score(self, state: State, pod: PodInfo, snapshot: Snapshot, rows: Any) -> bool:
        soft = [spread for spread in self._spreads(pod) if not spread.hard]
        if soft:
            state.kept[self.name + ".score"] = [self._soft(spread, soft, state, pod, snapshot, rows) for spread in soft]
        return bool(soft)

    def _soft(self, spread: Spread, soft: list[Spread], state: State, pod: PodInfo, snapshot: Snapshot, rows: Any) -> Counted:
        topology = snapshot.topology(spread.topology_key)
        size = len(rows) if spread.topology_key == HOST else len(topology)
        sums, _ = counts(spread, soft, state, pod, snapshot)
        return Counted(spread, topology, sums, weight=log(size + 2))

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


def _counts(spread: Spread, pod: PodInfo, other: PodInfo | None) -> bool:
    """Whether `other` is one of those that are spread; a pod on its way out isn't."""
    return (
        other is not None
        and other.namespace == pod.namespace
        and not is_deleting(other.pod)
        and spread.selector.matches(other.labels)
    )


def counts(spread: Spread, together: list[Spread], state: State, pod: PodInfo, snapshot: Snapshot) -> tuple[Any, Any]:
    """Matching pods, and eligible nodes, by the number of the label's value. Eligible: it has all keys, the pod wants it."""
    statics = statics_of(state.kept["profile"], pod, snapshot)
    tally = snapshot.tally(frozenset((pod.namespace,)), spread.selector, leaving=False)
    keys = tuple(other.topology_key for other in together if not other.system)
    eligible, present = statics.derived(
        ("spread", spread.topology_key, spread.honor_affinity, spread.honor_taints, keys),
        lambda: _eligible(spread, keys, statics, snapshot),
    )
    return snapshot.topology(spread.topology_key).sums(tally, eligible), present


def _eligible(spread: Spread, keys: tuple[str, ...], statics: Statics, snapshot: Snapshot) -> tuple[Any, Any]:
    """By row, and how many by the number of the label's value."""
    conditions = [statics.passing("NodeAffinity")] if spread.honor_affinity else [statics.all()]
    if spread.honor_taints:
        conditions.append(statics.passing("TaintToleration"))
    conditions += [snapshot.topology(key).present for key in keys]
    if snapshot.numpy is not None:
        eligible = snapshot.numpy.logical_and.reduce(conditions)
    else:
        eligible = [all(row) for row in zip(*conditions, strict=True)]
    return eligible, snapshot.topology(spread.topology_key).sums([1] * len(snapshot), eligible)
