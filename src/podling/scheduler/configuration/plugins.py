"""Which plugins stand at which extension point: the defaults, merged with what a profile enables and disables.

Source: Kubernetes documentation "Scheduler Configuration", multiPoint and the precedence of its settings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from podling.api.objects import Object
from podling.base.errors import InvalidInput
from podling.scheduler.framework import POINTS, Handle, Plugin
from podling.scheduler.profile import Profile
from podling.scheduler.registry import DEFAULT_PLUGINS, find_factory

Enabled = list[tuple[str, int]]  # names with weights, 0 for none given


@dataclass(frozen=True, slots=True)
class ProfileSpec:
    """One scheduler as configured: `plugins` and `args` as in the file (v1 Plugins; by name)."""

    name: str = "default-scheduler"
    plugins: Mapping[str, Object] | None = None
    args: Mapping[str, Object] | None = None
    percentage: int = 0

    def build(self, handle: Handle | None = None) -> Profile:
        """The profile with its plugins made. Raises InvalidInput when they don't go together."""
        given, args, handle = self.plugins or {}, self.args or {}, handle or Handle()
        everywhere = merged(DEFAULT_PLUGINS, given.get("multiPoint") or {})
        made: dict[str, Plugin] = {}

        def make(name: str) -> Plugin:
            if name not in made:
                made[name] = find_factory(name)(dict(args.get(name) or {}), handle)
            return made[name]

        points: dict[str, tuple[Plugin, ...]] = {}
        weights: dict[str, int] = {}
        for point in POINTS:
            chosen = _at(point, given.get(point) or {}, everywhere, make)
            points[point] = tuple(make(name) for name, _ in chosen)
            if point == "score":
                weights = {name: weight or 1 for name, weight in chosen}
        _check(self.name, points)
        return Profile(self.name, points, weights, self.percentage)


def merged(defaults: Sequence[tuple[str, int]], given: Object) -> Enabled:
    """The default set with what is disabled and enabled; what is configured anew keeps its place."""
    disabled = {one["name"] for one in given.get("disabled") or ()}
    custom = {one["name"]: one.get("weight") or 0 for one in given.get("enabled") or ()}
    kept = [] if "*" in disabled else [(name, weight) for name, weight in defaults if name not in disabled]
    result = [(name, custom.pop(name) if name in custom else weight) for name, weight in kept]
    return result + list(custom.items())


def _at(point: str, given: Object, everywhere: Enabled, make: Any) -> Enabled:
    """At one point: what is set for it and everywhere, then what is enabled everywhere, then what is set for it alone."""
    special = [(one["name"], one.get("weight") or 0) for one in given.get("enabled") or ()]
    disabled = {one["name"] for one in given.get("disabled") or ()}
    for name, _ in special:
        if not isinstance(make(name), POINTS[point]):
            raise InvalidInput(f'plugin "{name}" does not extend {point[0].upper()}{point[1:]} plugin')
    _refuse_twice([name for name, _ in special], point)
    if "*" in disabled:
        return special
    common = {name for name, _ in everywhere}
    set_here = {name for name, _ in special}
    general = [
        (name, weight)
        for name, weight in everywhere
        if name not in disabled and name not in set_here and isinstance(make(name), POINTS[point])
    ]
    return [*(one for one in special if one[0] in common), *general, *(one for one in special if one[0] not in common)]


def _refuse_twice(names: list[str], point: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise InvalidInput(f'plugin "{name}" already registered as "{point[0].upper()}{point[1:]}"')


def _check(name: str, points: Mapping[str, Sequence[Plugin]]) -> None:
    sorters = len(points["queueSort"])
    if sorters == 0:
        raise InvalidInput(f'at least one queue sort plugin is needed for profile with scheduler name "{name}"')
    if sorters > 1:
        raise InvalidInput(f'only one queue sort plugin required for profile with scheduler name "{name}", but got {sorters}')
    if not points["bind"]:
        raise InvalidInput(f'at least one bind plugin is needed for profile with scheduler name "{name}"')
