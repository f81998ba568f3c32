"""What stands from pod to pod of one template: which rows pass the static and local filters, and the sum of their scores.

Asked anew only for the rows that changed since the last cycle, so that a cycle over many nodes costs what its changes cost.
"""

from typing import Any

from podling.scheduler.framework import PreFilter, PreScore, State
from podling.scheduler.node_info import NodeInfo
from podling.scheduler.pod_info import PodInfo
from podling.scheduler.profile import Profile
from podling.scheduler.snapshot import Snapshot
from podling.scheduler.statics import Statics, statics_of

UNFIT = -(1 << 40)
REBUILT_FROM = 8  # the part of all rows that must have changed for arrays to be made anew as a whole


def standing_of(profile: Profile, pod: PodInfo, snapshot: Snapshot) -> "Standing":
    """The standing verdicts, up to date."""
    found: Standing = snapshot.keep(("standing", profile, pod.template), lambda: Standing(profile, pod, snapshot))
    found.catch_up()
    return found


class Standing:
    """`fits` and `total` by row: lists or arrays; `rank` is the total where the row fits, else UNFIT.

    `idle` names the local filters that have nothing to filter.
    """

    def __init__(self, profile: Profile, pod: PodInfo, snapshot: Snapshot) -> None:
        self._profile = profile
        self._pod = pod
        self._snapshot = snapshot
        self._state = State()
        self.idle = {one.name for one in profile.local_filters if not self._filters_something(one)}
        self.filters = tuple(one for one in profile.local_filters if one.name not in self.idle)
        self._scores = tuple((one, profile.weights[one.name]) for one in profile.local_scores if self._scores_something(one))
        self.fits: Any = None
        self.total: Any = None
        self.rank: Any = None
        self._passing: Any = None
        self._age = self._seen = -1

    def _filters_something(self, plugin: Any) -> bool:
        return not isinstance(plugin, PreFilter) or plugin.pre_filter(self._state, self._pod, self._snapshot) is not False

    def _scores_something(self, plugin: Any) -> bool:
        return not isinstance(plugin, PreScore) or plugin.pre_score(self._state, self._pod, self._snapshot, ())

    def statics(self) -> Statics:
        return statics_of(self._profile, self._pod, self._snapshot)

    def renew(self, row: int, node: NodeInfo) -> None:
        """The snapshot's log tells of it too."""

    def catch_up(self) -> None:
        snapshot, statics = self._snapshot, self.statics()
        passing = statics.passing()
        changed = set(snapshot.changed[self._seen :]) if self._age == snapshot.age and passing is self._passing else None
        if changed is None or len(changed) * REBUILT_FROM > len(snapshot):
            self._rebuild(passing)
        else:
            for row in changed:
                self._judge(row, snapshot.nodes[row])
        self._age, self._seen = snapshot.age, len(snapshot.changed)

    def _judge(self, row: int, node: NodeInfo) -> None:
        state, pod = self._state, self._pod
        fits = bool(self._passing[row])
        for one in self.filters:
            fits = fits and one.filter(state, pod, node) is None
        total = self._static_part(row)
        for one, weight in self._scores:
            total += one.score(state, pod, node) * weight
        self.fits[row], self.total[row], self.rank[row] = fits, total, total if fits else UNFIT

    def _static_part(self, row: int) -> Any:
        found = self.statics().scores(normalized=False)
        return sum(raw[row] * self._profile.weights[plugin.name] for plugin, raw in found) if found else 0

    def _rebuild(self, passing: Any) -> None:
        self._passing = passing
        numpy, nodes = self._snapshot.numpy, self._snapshot.nodes
        if numpy is None:
            self.fits, self.total, self.rank = [False] * len(nodes), [0] * len(nodes), [UNFIT] * len(nodes)
            for row, node in enumerate(nodes):
                self._judge(row, node)
            return
        self.fits, self.total = passing.copy(), numpy.zeros(len(nodes), dtype="i8")
        rows = numpy.arange(len(nodes))
        for one in self.filters:
            self.fits &= self._mask(one, numpy)
        for one, weight in self._scores:
            self.total += self._scored(one, rows) * weight
        for plugin, raw in self.statics().scores(normalized=False):
            self.total += raw * self._profile.weights[plugin.name]
        self.rank = numpy.where(self.fits, self.total, UNFIT)

    def _mask(self, plugin: Any, numpy: Any) -> Any:
        if plugin.name in self._profile.vector_filters:
            return plugin.mask(self._state, self._pod, self._snapshot)
        return numpy.array([plugin.filter(self._state, self._pod, node) is None for node in self._snapshot], dtype="?")

    def _scored(self, plugin: Any, rows: Any) -> Any:
        if plugin.name in self._profile.vector_scores:
            return plugin.scores(self._state, self._pod, self._snapshot, rows)
        numpy = self._snapshot.numpy
        return numpy.array([plugin.score(self._state, self._pod, node) for node in self._snapshot], dtype="i8")
