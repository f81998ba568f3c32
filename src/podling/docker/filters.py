"""The `filters` of lists and event streams. Within one name any value may match, all names must. Pure."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TypeVar

from podling.base.errors import InvalidInput
from podling.docker import timestamps

Given = Mapping[str, list[str]]
T = TypeVar("T")
TRUE, _FALSE = frozenset({"1", "true", "True", "t"}), frozenset({"0", "false", "False", "f"})


def check(given: Given, known: Collection[str]) -> None:
    """Raises InvalidInput for a filter that this list has not."""
    for name in given:
        if name not in known:
            raise InvalidInput(f"invalid filter '{name}'")


def any_of(given: Given, name: str, test: Callable[[str], bool]) -> bool:
    """Whether the filter is not given, or one of its values passes."""
    values = given.get(name)
    return not values or any(test(value) for value in values)


def labels(given: Given, have: Mapping[str, str]) -> bool:
    """`label=name[=value]`, all of which must be there, and `label!=…`, none of which may."""
    wanted = all(_has_label(have, value) for value in given.get("label", ()))
    return wanted and not any(_has_label(have, value) for value in given.get("label!", ()))


def _has_label(have: Mapping[str, str], value: str) -> bool:
    name, equals, text = value.partition("=")
    return name in have and (not equals or have[name] == text)


def until(given: Given, now: float) -> float:
    """`until`: the earliest time (unix seconds) that it names, as a time or as a span before `now`. Raises InvalidInput."""
    return min((timestamps.parse_ago(value, now) for value in given.get("until", ())), default=float("inf"))


def name_matches(value: str, names: Iterable[str]) -> bool:
    """Whether a name contains the value, which may be a regular expression."""
    try:
        pattern = re.compile(value)
    except re.error:
        return any(value in name for name in names)
    return any(pattern.search(name) for name in names)


def flag(given: Given, name: str) -> bool | None:
    """A boolean filter; None when it isn't given. Raises InvalidInput."""
    values = given.get(name)
    if not values:
        return None
    if len(values) == 1 and values[0] in TRUE | _FALSE:
        return values[0] in TRUE
    raise InvalidInput(f"invalid filter '{name}={values}'")
