"""One scheduler's plugins at their extension points, in order, with the weights of their scores."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from podling.scheduler.events import EVERYTHING, ClusterEvent, EventWithHint
from podling.scheduler.framework import (
    EnqueueExtensions,
    NormalizeScore,
    Plugin,
    PreFilterExtensions,
    VectorFilter,
    VectorReasons,
    VectorScore,
)


@dataclass(frozen=True, eq=False)
class Profile:
    """`points` has the plugins by extension point (`preFilter`, `filter` ...). `percentage` of nodes to score; 0 for all."""

    name: str
    points: Mapping[str, tuple[Any, ...]]
    weights: Mapping[str, int]
    percentage: int = 0

    def at(self, point: str) -> tuple[Any, ...]:
        return self.points.get(point, ())

    @cached_property
    def static_filters(self) -> tuple[Any, ...]:
        return tuple(one for one in self.at("filter") if is_static(one))

    @cached_property
    def local_filters(self) -> tuple[Any, ...]:
        return tuple(one for one in self.at("filter") if is_local(one))

    @cached_property
    def other_filters(self) -> tuple[Any, ...]:
        return tuple(one for one in self.at("filter") if not is_static(one) and not is_local(one))

    @cached_property
    def static_scores(self) -> tuple[Any, ...]:
        return tuple(one for one in self._scores if is_static(one))

    @cached_property
    def local_scores(self) -> tuple[Any, ...]:
        return tuple(one for one in self._scores if is_local(one))

    @cached_property
    def other_scores(self) -> tuple[Any, ...]:
        return tuple(one for one in self._scores if not is_static(one) and not is_local(one))

    @cached_property
    def _scores(self) -> tuple[Any, ...]:
        return tuple(one for one in self.at("score") if self.weights.get(one.name))

    @cached_property
    def pre_filters(self) -> tuple[Any, ...]:
        """Those that are asked in each cycle: local ones are with each template."""
        return tuple(one for one in self.at("preFilter") if not is_local(one))

    @cached_property
    def pre_scores(self) -> tuple[Any, ...]:
        """Those of plugins that are asked in each cycle, and of those that score nothing themselves."""
        kept = (*self.static_scores, *self.local_scores)
        return tuple(one for one in self.at("preScore") if one not in kept)

    @cached_property
    def vector_filters(self) -> frozenset[str]:
        return self._names("filter", VectorFilter)

    @cached_property
    def vector_reasons(self) -> frozenset[str]:
        return self._names("filter", VectorReasons)

    @cached_property
    def vector_scores(self) -> frozenset[str]:
        return self._names("score", VectorScore)

    @cached_property
    def normalizing(self) -> frozenset[str]:
        return self._names("score", NormalizeScore)

    def _names(self, point: str, protocol: Any) -> frozenset[str]:
        """Of the plugins that also are of `protocol`; asked once, since that is slow."""
        return frozenset(one.name for one in self.at(point) if isinstance(one, protocol))

    @cached_property
    def extensions(self) -> tuple[Any, ...]:
        return tuple(one for one in self.at("preFilter") if isinstance(one, PreFilterExtensions))

    @cached_property
    def registered(self) -> Mapping[str, tuple[EventWithHint, ...]]:
        """What each plugin wants to hear of, by its name."""
        plugins = {one.name: one for place in self.points.values() for one in place}
        return {name: _events(plugin) for name, plugin in plugins.items()}

    def listening(self, event: ClusterEvent) -> Mapping[str, tuple[EventWithHint, ...]]:
        """The plugins that `event` concerns, with their hints."""
        found = {name: tuple(one for one in all_ if one.event.covers(event)) for name, all_ in self.registered.items()}
        return {name: hints for name, hints in found.items() if hints}


def _events(plugin: Plugin) -> tuple[EventWithHint, ...]:
    return tuple(plugin.events_to_register()) if isinstance(plugin, EnqueueExtensions) else (EventWithHint(EVERYTHING),)


def is_static(plugin: Any) -> bool:
    return bool(getattr(plugin, "static", False))


def is_local(plugin: Any) -> bool:
    return bool(getattr(plugin, "local", False)) and not isinstance(plugin, NormalizeScore)
