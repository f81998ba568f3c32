"""Verdicts of the static plugins for all pods of one signature: made once, renewed for the rows that change."""

from collections.abc import Callable
from typing import Any

from podling.scheduler.framework import Diagnosis, NormalizeScore, State
from podling.scheduler.node_info import NodeInfo
from podling.scheduler.pod_info import PodInfo
from podling.scheduler.profile import Profile
from podling.scheduler.snapshot import Snapshot


def statics_of(profile: Profile, pod: PodInfo, snapshot: Snapshot) -> "Statics":
    found: Statics = snapshot.keep(("static", profile, pod.signature), lambda: Statics(profile, pod, snapshot))
    return found


class Statics:
    def __init__(self, profile: Profile, pod: PodInfo, snapshot: Snapshot) -> None:
        self._filters = profile.static_filters
        self._scores = profile.static_scores
        self._pod = pod
        self._numpy = snapshot.numpy
        self._state = State()
        self._verdicts = [[one.filter(self._state, pod, node) for node in snapshot] for one in self._filters]
        self._raw = [self._array([one.score(self._state, pod, node) for node in snapshot]) for one in self._scores]
        self._size = len(snapshot)
        self._passing: dict[str, Any] = {}
        self._diagnosis: Diagnosis | None = None
        self._differing: tuple[list[tuple[Any, Any]], list[tuple[Any, Any]]] | None = None
        self._derived: dict[Any, Any] = {}

    def _array(self, values: list[Any], kind: str = "i8") -> Any:
        return values if self._numpy is None else self._numpy.array(values, dtype=kind)

    def renew(self, row: int, node: NodeInfo) -> None:
        for one, verdicts in zip(self._filters, self._verdicts, strict=True):
            verdicts[row] = one.filter(self._state, self._pod, node)
        for plugin, raw in zip(self._scores, self._raw, strict=True):
            raw[row] = plugin.score(self._state, self._pod, node)
        self._passing.clear()
        self._diagnosis = None
        self._differing = None
        self._derived.clear()

    def derived(self, key: Any, make: Callable[[], Any]) -> Any:
        """What follows from the verdicts and the nodes' labels: made anew when they change."""
        if key not in self._derived:
            self._derived[key] = make()
        return self._derived[key]

    def passing(self, name: str = "") -> Any:
        """By row, whether the plugin `name` lets pass; without a name whether all do. A list, or an array."""
        if name not in self._passing:
            chosen = [verdicts for one, verdicts in zip(self._filters, self._verdicts, strict=True) if name in ("", one.name)]
            values = [all(verdict is None for verdict in row) for row in zip(*chosen, strict=True)] if chosen else None
            self._passing[name] = self.all() if values is None else self._array(values, "?")
        return self._passing[name]

    def all(self) -> Any:
        return self._array([True] * self._size, "?")

    def scores(self, *, normalized: bool) -> list[tuple[Any, Any]]:
        """The scorers that tell some rows apart, with their raw scores by row; those that normalise, or the others."""
        if self._differing is None:
            pairs = [(one, raw) for one, raw in zip(self._scores, self._raw, strict=True) if len(raw) and min(raw) != max(raw)]
            self._differing = (
                [pair for pair in pairs if not isinstance(pair[0], NormalizeScore)],
                [pair for pair in pairs if isinstance(pair[0], NormalizeScore)],
            )
        return self._differing[normalized]

    def diagnosis(self) -> Diagnosis:
        """Why the nodes that don't pass don't: each by the first plugin that rejects it."""
        if self._diagnosis is None:
            self._diagnosis = Diagnosis(self._size)
            for row, verdicts in enumerate(zip(*self._verdicts, strict=True)):
                rejection = next((verdict for verdict in verdicts if verdict is not None), None)
                if rejection is not None:
                    self._diagnosis.add(rejection, row)
        return self._diagnosis.copy()
