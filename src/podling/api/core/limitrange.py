"""v1 LimitRange. Source: Kubernetes API reference, "LimitRange"; pkg/apis/core/validation."""

from collections.abc import Iterator

from podling.api import names
from podling.api.columns import CREATED, NAME
from podling.api.core.amounts import validate_container_name, validate_name
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import Kind, Object
from podling.base import quantity

TYPES = ("Pod", "Container", "PersistentVolumeClaim")
_BOUNDS = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")
# (member that must not be more, the one that it is compared with, which of them the error is about, words)
_ORDER = (
    ("min", "max", "min", "min value {0} is greater than max value {1}"),
    ("min", "defaultRequest", "defaultRequest", "min value {0} is greater than default request value {1}"),
    ("defaultRequest", "max", "defaultRequest", "default request value {0} is greater than max value {1}"),
    ("defaultRequest", "default", "defaultRequest", "default request value {0} is greater than default limit value {1}"),
    ("min", "default", "default", "min value {0} is greater than default value {1}"),
    ("default", "max", "default", "default value {0} is greater than max value {1}"),
)


def default(obj: Object) -> None:
    for limit in (obj.get("spec") or {}).get("limits") or ():
        if limit.get("type") == "Container":
            limit["default"] = {**(limit.get("max") or {}), **(limit.get("default") or {})}
            limit["defaultRequest"] = {
                **(limit.get("min") or {}),
                **limit["default"],
                **(limit.get("defaultRequest") or {}),
            }
            for name in ("default", "defaultRequest"):
                if not limit[name]:
                    del limit[name]


def validate(new: Object, _old: Object | None) -> Iterator[FieldError]:
    seen = set()
    for limit in at(new, "spec", "limits"):
        kind = limit / "type"
        yield from _type(kind)
        if kind.value in seen:
            yield kind.duplicate()
        seen.add(kind.value)
        yield from _limit(limit)


def _type(kind: Cursor) -> Iterator[FieldError]:
    complaints = names.qualified(kind.value or "")
    for complaint in complaints:
        yield kind.invalid(complaint, kind.value or "")
    if not complaints and "/" not in kind.value and kind.value not in TYPES:
        yield kind.invalid("must be a standard limit type or fully qualified")


def _limit(limit: Cursor) -> Iterator[FieldError]:
    kind = limit.get("type", "")
    check = validate_container_name if kind in ("Pod", "Container") else validate_name
    for bound in _BOUNDS:
        if kind == "Pod" and bound.startswith("default"):
            if limit.get(bound):
                yield (limit / bound).forbidden("may not be specified when `type` is 'Pod'")
            continue
        for name, amount in (limit / bound).entries():
            yield from check(amount, name)
    if kind == "PersistentVolumeClaim" and not any("storage" in limit.get(bound, {}) for bound in ("min", "max")):
        yield (limit / "limits").required("either minimum or maximum storage value is required, but neither was provided")
    for name in dict.fromkeys(name for bound in _BOUNDS for name in limit.get(bound, {})):
        yield from _amounts(limit, name)


def _amounts(limit: Cursor, name: str) -> Iterator[FieldError]:
    """How the bounds of one resource fit each other."""
    given = {bound: limit.get(bound, {}).get(name) for bound in _BOUNDS}
    value = {bound: quantity.parse(text).nanos for bound, text in given.items() if text is not None}

    def entry(bound: str) -> Cursor:
        return Cursor(given[bound], limit / bound, f"[{name}]")

    for low, high, about, words in _ORDER:
        if low in value and high in value and value[low] > value[high]:
            yield entry(about).invalid(words.format(given[low], given[high]), given[low if about == "min" else about])
    ratio = value.get("maxLimitRequestRatio")
    if ratio is None:
        return
    if ratio < quantity.NANO:
        yield entry("maxLimitRequestRatio").invalid(f"ratio {given['maxLimitRequestRatio']} is less than 1")
    if value.get("min") and "max" in value and ratio / quantity.NANO > value["max"] / value["min"]:
        limit_of = value["max"] / value["min"]
        words = f"ratio {given['maxLimitRequestRatio']} is greater than max/min = {limit_of:f}"
        yield entry("maxLimitRequestRatio").invalid(words)


LIMIT_RANGE = Kind(
    api_version="v1",
    kind="LimitRange",
    plural="limitranges",
    short=("limits",),
    default=default,
    create_on_update=True,
    validate=validate,
    columns=(NAME, CREATED),
)
