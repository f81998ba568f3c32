"""The types of the API, from the table that the build compiled: fields, list keys, merge rules. Loaded on first use."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Shape:
    """What may stand in one place.

    `form` is scalar, any, type, list or map. `scalar` is one of string, int32, int64, number, boolean, bytes, time, micro-time,
    quantity, int-or-string. `item` is the shape of a list's items or a map's values, `type_name` the type that stands here.
    `kind` is a list's or map's type (atomic, set, map, granular), `keys` a map-list's keys; `merge_key` and `strategies` are
    for strategic merge patches.
    """

    form: str
    scalar: str = ""
    type_name: str = ""
    item: "Shape | None" = None
    kind: str = ""
    keys: tuple[str, ...] = ()
    merge_key: str = ""
    strategies: tuple[str, ...] = ()


ANY = Shape("any")


@dataclass(slots=True)
class Type:
    """A named type. `gvks` are the (group, version, kind) that a top-level type is; `shape` is set where it has no fields."""

    name: str
    fields: dict[str, Shape] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    gvks: tuple[tuple[str, str, str], ...] = ()
    atomic: bool = False
    shape: Shape | None = None

    @property
    def go_name(self) -> str:
        """`v1.PodSpec`: how upstream's messages call it."""
        return ".".join(self.name.rsplit(".", 2)[-2:])


class Schemas:
    """The table. Types are built as they are asked for."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self._raw: dict[str, Any] = table["types"]
        self._types: dict[str, Type] = {}

    def extended(self, types: Mapping[str, Type]) -> "Schemas":
        """A table with `types` besides those of this one."""
        table = Schemas({"types": self._raw})
        table._types |= types
        return table

    def type(self, name: str) -> Type:
        """The type of that full name. Raises KeyError."""
        found = self._types.get(name)
        if found is None:
            found = self._types[name] = _build(name, self._raw[name])
        return found

    def at(self, shape: Shape) -> Type | None:
        """The type that stands at `shape`, if it is one."""
        return self.type(shape.type_name) if shape.form == "type" else None

    @cached_property
    def _by_kind(self) -> dict[tuple[str, str], str]:
        found = {}
        for name, raw in self._raw.items():
            gvks = raw.get("gvk", ())
            if len(gvks) == 1:
                group, version, kind = gvks[0]
                found[f"{group}/{version}" if group else version, kind] = name
        return found

    def of_kind(self, api_version: str, kind: str) -> Type | None:
        """The type of a kind's objects; None for custom resources."""
        name = self._by_kind.get((api_version, kind))
        return self.type(name) if name else None

    def kinds(self) -> Iterable[tuple[str, str]]:
        """(apiVersion, kind) of each top-level type, lists among them."""
        return self._by_kind.keys()

    def reachable(self, roots: list[str]) -> list[str]:
        """The names of `roots` and of all types below them, sorted."""
        seen: set[str] = set()
        todo = list(roots)
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo += _referred(self._raw[name])
        return sorted(seen)


def _referred(raw: Any) -> list[str]:
    if isinstance(raw, str):
        return [raw[1:]] if raw.startswith("#") else []
    if isinstance(raw, dict):
        return [name for value in raw.values() for name in _referred(value)]
    return []


def _build(name: str, raw: Mapping[str, Any]) -> Type:
    return Type(
        name,
        {field: _shape(shape) for field, shape in raw.get("fields", {}).items()},
        frozenset(raw.get("required", ())),
        tuple((group, version, kind) for group, version, kind in raw.get("gvk", ())),
        raw.get("type") == "atomic",
        _shape(raw["shape"]) if "shape" in raw else None,
    )


def _shape(raw: Any) -> Shape:
    if isinstance(raw, str):
        return _plain(raw)
    merging = {
        "kind": raw.get("type", ""),
        "keys": tuple(raw.get("keys", ())),
        "merge_key": raw.get("merge-key", ""),
        "strategies": tuple(raw["strategy"].split(",")) if "strategy" in raw else (),
    }
    if "list" in raw:
        return Shape("list", item=_shape(raw["list"]), **merging)
    if "map" in raw:
        return Shape("map", item=_shape(raw["map"]), **merging)
    plain = _plain(raw["ref"])
    return Shape(plain.form, plain.scalar, plain.type_name, **merging)


@cache
def _plain(raw: str) -> Shape:
    if raw == "any":
        return ANY
    return Shape("type", type_name=raw[1:]) if raw.startswith("#") else Shape("scalar", scalar=raw)


@cache
def schemas() -> Schemas:
    """The schemas of the built-in kinds."""
    return Schemas(_load("schema.json"))


def docs() -> dict[str, dict[str, str]]:
    """Descriptions: of each type by field, of the type itself under the empty name. Read anew each time: few ask, and seldom."""
    found: dict[str, dict[str, str]] = _load("schema-docs.json")
    return found


def _load(name: str) -> Any:
    return orjson.loads((files("podling.api") / name).read_bytes())
