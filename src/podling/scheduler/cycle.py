"""One scheduling cycle: which node for a pod? Pure; what breaks ties is handed in.

Source: Kubernetes documentation "kube-scheduler": filtering, then scoring, the highest sum of weighted scores wins.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from podling.scheduler.framework import (
    Choose,
    Diagnosis,
    PostFilterResult,
    Rejection,
    State,
)
from podling.scheduler.nominations import filter_with_nominated, promised
from podling.scheduler.pod_info import PodInfo
from podling.scheduler.profile import Profile
from podling.scheduler.snapshot import Snapshot
from podling.scheduler.standing import UNFIT, Standing, standing_of


@dataclass(frozen=True, slots=True)
class Placed:
    node: str
    state: State = field(default_factory=State, compare=False)


@dataclass(frozen=True, slots=True)
class Unplaced:
    """`message` is that of the FailedScheduling event; `plugins` are those that rejected a node."""

    message: str
    plugins: frozenset[str]
    preemption: PostFilterResult | None = None


def schedule(pod: PodInfo, snapshot: Snapshot, profile: Profile, choose: Choose) -> Placed | Unplaced:
    if not len(snapshot):
        return Unplaced("no nodes available to schedule pods", frozenset())
    cycle = Cycle(pod, snapshot, profile)
    if cycle.only is not None:
        return cycle.among(cycle.only, choose)
    if (row := cycle.nominated()) is not None:
        return Placed(snapshot.nodes[row].name, cycle.state)
    if (place := cycle.at_once(choose)) is not None:
        return place
    rows = cycle.feasible()
    if len(rows) == 0:
        return cycle.explain()
    if 0 < profile.percentage < 100:
        rows = sample(rows, len(snapshot) * profile.percentage // 100, choose)
    row = rows[0] if len(rows) == 1 else rows[best(cycle.totals(rows), choose)]
    return Placed(snapshot.nodes[row].name, cycle.state)


class Cycle:
    """The steps of one cycle. Rows and scores are lists or, where the snapshot has numpy, arrays.

    `only` are the rows of the nodes that PreFilter plugins named, if they named any; `refused` is their word about all nodes.
    """

    def __init__(self, pod: PodInfo, snapshot: Snapshot, profile: Profile) -> None:
        self._pod = pod
        self._snapshot = snapshot
        self._profile = profile
        self._numpy = snapshot.numpy
        self.state = State({"profile": profile})
        self.refused: Rejection | None = None
        self._named: dict[str, frozenset[str]] = {}
        self._prepare()
        self.only = self._only()
        self._filters = [one for one in profile.other_filters if one.name not in self.state.skipped]
        self._standing: Standing = standing_of(profile, pod, snapshot) if self.only is None else None  # type: ignore[assignment]
        if self._standing is not None:
            self.state.skipped |= self._standing.idle

    def _prepare(self) -> None:
        """PreFilter. Local plugins are prepared with the template."""
        for one in self._profile.pre_filters:
            found = one.pre_filter(self.state, self._pod, self._snapshot)
            if found is False:
                self.state.skipped.add(one.name)
            elif isinstance(found, Rejection):
                self.refused = found
                return
            elif isinstance(found, frozenset):
                self._named[one.name] = found

    def _only(self) -> list[int] | None:
        if self.refused is not None:
            return []
        if not self._named:
            return None
        names = frozenset.intersection(*self._named.values())
        if not names:
            text = f"node(s) didn't satisfy plugin(s) [{' '.join(sorted(self._named))}]"
            both = " simultaneously" if len(self._named) > 1 else ""
            self.refused = Rejection(next(iter(self._named)), (text + both,), resolvable=False)
        return sorted(self._snapshot.rows[name] for name in names if name in self._snapshot.rows)

    def at_once(self, choose: Choose) -> Placed | None:
        """The place where what stands for the template decides alone; None where more is to be asked, or nothing fits."""
        snapshot, profile, standing = self._snapshot, self._profile, self._standing
        if self._pod.has_affinity or self._pod.spreads or self._filters or self._numpy is None:
            return None
        if snapshot.nominated or 0 < profile.percentage < 100:
            return None
        if standing.statics().scores(normalized=True) or not self._alike():
            return None
        row = best(standing.rank, choose)
        if standing.rank[row] == UNFIT:
            return None
        return Placed(snapshot.nodes[row].name, self.state)

    def _alike(self) -> bool:
        """Whether all other scorers have nothing to tell, whichever rows there are."""
        preparing = self._profile.pre_scores
        if any(one not in preparing for one in self._profile.other_scores):
            return False
        rows: Any = range(len(self._snapshot))
        return not any(one.pre_score(self.state, self._pod, self._snapshot, rows) for one in preparing)

    # --- filtering

    def nominated(self) -> int | None:
        """The row of the node that was cleared for this pod, if it passes all filters."""
        row = self._snapshot.rows.get(self._pod.nominated)
        if row is None or filter_with_nominated(self.state, self._pod, self._snapshot, row, self._profile) is not None:
            return None
        return row

    def feasible(self) -> Any:
        """The rows that pass all filters."""
        if self._numpy is None:
            rows = [row for row, good in enumerate(self._standing.fits) if good]
            return self._without_promised(self._passing_each(rows, self._filters))
        passing = self._standing.fits
        vectors = self._profile.vector_filters
        for one in self._filters:
            if one.name in vectors:
                passing = passing & one.mask(self.state, self._pod, self._snapshot)
        rows = passing.nonzero()[0]
        slow = [one for one in self._filters if one.name not in vectors]
        rows = self._array(self._passing_each(rows.tolist(), slow)) if slow else rows
        return self._without_promised(rows)

    def _passing_each(self, rows: list[int], filters: Sequence[Any]) -> list[int]:
        nodes = self._snapshot.nodes
        for one in filters:
            rows = [row for row in rows if one.filter(self.state, self._pod, nodes[row]) is None]
        return rows

    def _without_promised(self, rows: Any) -> Any:
        """`rows` without those that are full when the pods come for which they are being cleared."""
        taken = {row for row in promised(self._pod, self._snapshot) if self._filter(row) is not None}
        if not taken:
            return rows
        return self._array([row for row in (rows if self._numpy is None else rows.tolist()) if row not in taken])

    def _filter(self, row: int) -> Rejection | None:
        return filter_with_nominated(self.state, self._pod, self._snapshot, row, self._profile)

    def _array(self, values: list[Any]) -> Any:
        return values if self._numpy is None else self._numpy.array(values, dtype="i8")

    # --- scoring

    def totals(self, rows: Any) -> Any:
        """The weighted sum of all scores for each of `rows`, but for what is the same on all of them."""
        standing = self._standing
        total = [standing.total[row] for row in rows] if self._numpy is None else standing.total[rows]
        for plugin, raw in standing.statics().scores(normalized=True):
            total = self._with(total, plugin, [raw[row] for row in rows] if self._numpy is None else raw[rows])
        state, pod, snapshot = self.state, self._pod, self._snapshot
        alike = {one.name for one in self._profile.pre_scores if not one.pre_score(state, pod, snapshot, rows)}
        for plugin in self._profile.other_scores:
            if plugin.name not in alike:
                total = self._with(total, plugin, self._scores(plugin, rows))
        return total

    def _scores(self, plugin: Any, rows: Any) -> Any:
        if self._numpy is not None and plugin.name in self._profile.vector_scores:
            return plugin.scores(self.state, self._pod, self._snapshot, rows)
        nodes = self._snapshot.nodes
        return self._array([plugin.score(self.state, self._pod, nodes[row]) for row in rows])

    def _with(self, total: Any, plugin: Any, scores: Any) -> Any:
        if plugin.name in self._profile.normalizing:
            scores = plugin.normalize(scores)
        weight = self._profile.weights[plugin.name]
        if self._numpy is None:
            return [one + other * weight for one, other in zip(total, scores, strict=True)]
        return total + scores * weight

    # --- when PreFilter plugins have named the nodes

    def among(self, rows: Sequence[int], choose: Choose) -> Placed | Unplaced:
        nodes = self._snapshot.nodes
        verdicts = [(row, self._filter(row)) for row in rows]
        fitting = [row for row, rejection in verdicts if rejection is None]
        if not fitting:
            return self._explained(self._diagnosis_among(verdicts))
        if len(fitting) == 1:
            return Placed(nodes[fitting[0]].name, self.state)
        total = [0.0] * len(fitting)
        scorers = [one for one in self._profile.at("score") if self._profile.weights.get(one.name)]
        preparing = set(self._profile.at("preScore"))
        for one in scorers:
            if one in preparing and not one.pre_score(self.state, self._pod, self._snapshot, fitting):
                continue
            scores: Any = [one.score(self.state, self._pod, nodes[row]) for row in fitting]
            scores = one.normalize(scores) if one.name in self._profile.normalizing else scores
            total = [old + new * self._profile.weights[one.name] for old, new in zip(total, scores, strict=True)]
        return Placed(nodes[fitting[best(total, choose)]].name, self.state)

    def _diagnosis_among(self, verdicts: list[tuple[int, Rejection | None]]) -> Diagnosis:
        diagnosis = Diagnosis(len(self._snapshot))
        if self.refused is not None:
            diagnosis.pre_filter = self.refused.message
            diagnosis.plugins |= {self.refused.plugin, *self._named}
            return diagnosis
        for row, rejection in verdicts:
            if rejection is not None:
                diagnosis.add(rejection, row)
        if absent := len(self._snapshot) - len(verdicts):
            names = sorted(self._named)
            diagnosis.plugins |= set(names)
            diagnosis.reasons[f"node(s) didn't satisfy plugin(s) [{' '.join(names)}]"] = absent
        return diagnosis

    # --- when no node will do

    def explain(self) -> Unplaced:
        return self._explained(self._diagnosis())

    def _explained(self, diagnosis: Diagnosis) -> Unplaced:
        message = diagnosis.message
        result = None
        for plugin in self._profile.at("postFilter"):
            result = plugin.post_filter(self.state, self._pod, self._snapshot, diagnosis)
            message += f" preemption: {result.message}" if result.message else ""
            if result.victims:
                break
        return Unplaced(message, frozenset(diagnosis.plugins), result)

    def _diagnosis(self) -> Diagnosis:
        """Each node counts for the first filter that rejects it."""
        statics = self._standing.statics()
        diagnosis = statics.diagnosis()
        passing = statics.passing()
        rows: Any = [row for row, good in enumerate(passing) if good] if self._numpy is None else passing.nonzero()[0]
        for one in (*self._standing.filters, *self._filters):
            if len(rows):
                rows = self._rejecting(one, rows, diagnosis)
        for row in rows if self._numpy is None else rows.tolist():  # promised to others
            if (rejection := self._filter(row)) is not None:
                diagnosis.add(rejection, row)
        return diagnosis

    def _rejecting(self, one: Any, rows: Any, diagnosis: Diagnosis) -> Any:
        """Note why `one` rejects which of `rows`; gives the others."""
        if self._numpy is not None and one.name in self._profile.vector_reasons:
            passing = one.mask(self.state, self._pod, self._snapshot)[rows]
            reasons, resolvable = one.reasons(self.state, self._pod, self._snapshot, rows[~passing])
            diagnosis.count(one.name, reasons, resolvable)
            return rows[passing]
        left = []
        for row in rows if self._numpy is None else rows.tolist():
            rejection = one.filter(self.state, self._pod, self._snapshot.nodes[row])
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


FEWEST = 100  # nodes that are scored in any case


def sample(rows: Any, wanted: int, choose: Choose) -> Any:
    """So many of the rows, from a chosen one on around. Source: KubeSchedulerConfiguration, percentageOfNodesToScore."""
    wanted = max(wanted, FEWEST)
    if len(rows) <= wanted:
        return rows
    first = choose(len(rows))
    places = [(first + step) % len(rows) for step in range(wanted)]
    return [rows[place] for place in places] if isinstance(rows, list) else rows[places]
