"""One scheduling cycle: which node for a pod? Pure; what breaks ties is handed in.

Source: Kubernetes documentation "kube-scheduler": filtering, then scoring, the highest sum of weighted scores wins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from podling.scheduler.framework import (
    Choose,
    Diagnosis,
    Filter,
    NormalizeScore,
    PostFilter,
    Preemption,
    PreFilter,
    PreScore,
    Profile,
    Score,
    State,
    VectorFilter,
    VectorReasons,
    VectorScore,
)
from podling.scheduler.pod_info import PodInfo
from podling.scheduler.snapshot import Snapshot
from podling.scheduler.statics import Statics


@dataclass(frozen=True, slots=True)
class Placed:
    node: str
    feasible: int  # how many nodes would have done


@dataclass(frozen=True, slots=True)
class Unplaced:
    """`message` is that of the FailedScheduling event; `plugins` are those that rejected a node."""

    message: str
    plugins: frozenset[str]
    preemption: Preemption | None = None


def schedule(pod: PodInfo, snapshot: Snapshot, profile: Profile, choose: Choose) -> Placed | Unplaced:
    if not len(snapshot):
        return Unplaced("no nodes available to schedule pods", frozenset())
    cycle = Cycle(pod, snapshot, profile)
    rows = cycle.feasible()
    if len(rows) == 0:
        return cycle.explain()
    row = rows[0] if len(rows) == 1 else rows[best(cycle.totals(rows), choose)]
    return Placed(snapshot.nodes[row].name, len(rows))


class Cycle:
    """The steps of one cycle. Rows and scores are lists or, where the snapshot has numpy, arrays."""

    def __init__(self, pod: PodInfo, snapshot: Snapshot, profile: Profile) -> None:
        self._pod = pod
        self._snapshot = snapshot
        self._profile = profile
        self._numpy = snapshot.numpy
        self._statics: Statics = snapshot.static(pod.signature, lambda: Statics(profile, pod, snapshot))
        self._state = State({"static": self._statics})
        idle = {one.name for one in profile.of(PreFilter) if not one.pre_filter(self._state, pod, snapshot)}
        self._state.skipped = idle
        self._filters = [one for one in profile.filters(static=False) if one.name not in idle]

    # --- filtering

    def feasible(self) -> Any:
        """The rows that pass all filters."""
        if self._numpy is None:
            return self._passing_each(self._passing_static(), self._filters)
        passing = self._statics.passing().copy()
        fast = [one for one in self._profile.of(VectorFilter) if one in self._filters]
        for one in fast:
            passing &= one.mask(self._state, self._pod, self._snapshot)
        rows = passing.nonzero()[0]
        slow = [one for one in self._filters if one not in fast]
        return self._array(self._passing_each(rows.tolist(), slow)) if slow else rows

    def _passing_static(self) -> Any:
        passing = self._statics.passing()
        return [row for row, good in enumerate(passing) if good] if self._numpy is None else passing.nonzero()[0]

    def _passing_each(self, rows: list[int], filters: Sequence[Filter]) -> list[int]:
        nodes = self._snapshot.nodes
        for one in filters:
            rows = [row for row in rows if one.filter(self._state, self._pod, nodes[row]) is None]
        return rows

    def _array(self, values: list[Any]) -> Any:
        return values if self._numpy is None else self._numpy.array(values, dtype="i8")

    # --- scoring

    def totals(self, rows: Any) -> Any:
        """The weighted sum of all scores for each of `rows`."""
        total = self._array([0] * len(rows))
        for plugin, raw in zip(self._profile.scores(static=True), self._statics.raw, strict=True):
            total = self._with(total, plugin, [raw[row] for row in rows] if self._numpy is None else raw[rows])
        preparing = self._profile.of(PreScore)
        alike = {one.name for one in preparing if not one.pre_score(self._state, self._pod, self._snapshot, rows)}
        for plugin in self._profile.scores(static=False):
            if plugin.name not in alike:
                total = self._with(total, plugin, self._scores(plugin, rows))
        return total

    def _scores(self, plugin: Any, rows: Any) -> Any:
        if self._numpy is not None and plugin in self._profile.of(VectorScore):
            return plugin.scores(self._state, self._pod, self._snapshot, rows)
        nodes = self._snapshot.nodes
        return self._array([plugin.score(self._state, self._pod, nodes[row]) for row in rows])

    def _with(self, total: Any, plugin: Score, scores: Any) -> Any:
        normalizing: Any = plugin
        if plugin in self._profile.of(NormalizeScore):
            scores = normalizing.normalize(scores)
        weight = self._profile.weights[plugin.name]
        if self._numpy is None:
            return [one + other * weight for one, other in zip(total, scores, strict=True)]
        return total + scores * weight

    # --- when no node will do

    def explain(self) -> Unplaced:
        diagnosis = self._diagnosis()
        message = fit_error(diagnosis)
        preemption = None
        for plugin in self._profile.of(PostFilter):
            preemption = plugin.post_filter(self._state, self._pod, self._snapshot, diagnosis)
            message += f" preemption: {preemption.message}" if preemption.message else ""
        return Unplaced(message, frozenset(diagnosis.plugins), preemption)

    def _diagnosis(self) -> Diagnosis:
        """Each node counts for the first filter that rejects it."""
        diagnosis = self._statics.diagnosis()
        rows = self._passing_static()
        for one in self._filters:
            if len(rows):
                rows = self._rejecting(one, rows, diagnosis)
        return diagnosis

    def _rejecting(self, one: Any, rows: Any, diagnosis: Diagnosis) -> Any:
        """Note why `one` rejects which of `rows`; gives the others."""
        if self._numpy is not None and one in self._profile.of(VectorReasons):
            passing = one.mask(self._state, self._pod, self._snapshot)[rows]
            reasons, resolvable = one.reasons(self._state, self._pod, self._snapshot, rows[~passing])
            diagnosis.count(one.name, reasons, resolvable)
            return rows[passing]
        left = []
        for row in rows if self._numpy is None else rows.tolist():
            rejection = one.filter(self._state, self._pod, self._snapshot.nodes[row])
            if rejection is None:
                left.append(row)
            else:
                diagnosis.add(rejection, row)
        return self._array(left)


def best(totals: Any, choose: Choose) -> int:
    """The place of the highest total; `choose` picks among equals."""
    if isinstance(totals, list):
        most = max(totals)
        places: Sequence[int] = [place for place, total in enumerate(totals) if total == most]
    else:
        places = (totals == totals.max()).nonzero()[0]
    return int(places[choose(len(places))]) if len(places) > 1 else int(places[0])


def fit_error(diagnosis: Diagnosis) -> str:
    """`0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu.`"""
    parts = sorted(f"{count} {reason}" for reason, count in diagnosis.reasons.items())
    return f"0/{diagnosis.nodes} nodes are available: {', '.join(parts)}."
