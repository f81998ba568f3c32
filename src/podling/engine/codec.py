"""Frozen dataclasses as JSON, by their type hints: what a record on disk holds. Defaults are left out, unknown keys ignored."""

import dataclasses
import types
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def encode(value: Any) -> Any:
    """Dataclasses to dicts without the fields that have their default, tuples to lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: encode(current)
            for field in dataclasses.fields(value)
            if (current := getattr(value, field.name)) != _default(field)
        }
    if isinstance(value, Mapping):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    return value


def _default(field: "dataclasses.Field[Any]") -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def decode(kind: type[T], data: Any) -> T:
    """The reverse of `encode`."""
    result: T = _decode(kind, data)
    return result


def _decode(hint: Any, data: Any) -> Any:
    origin = get_origin(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        hints = _hints(hint)
        return hint(**{name: _decode(hints[name], item) for name, item in data.items() if name in hints})
    if origin in (Union, types.UnionType):
        return _decode_union(get_args(hint), data)
    if origin is tuple:
        return tuple(_decode(get_args(hint)[0], item) for item in data)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {key: _decode(get_args(hint)[1], item) for key, item in data.items()}
    return data


def _decode_union(choices: tuple[Any, ...], data: Any) -> Any:
    """Only `X | None`, and mappings beside words, occur."""
    if data is None or isinstance(data, str):
        return data
    for choice in choices:
        if choice is not types.NoneType and get_origin(choice) is not Literal:
            return _decode(choice, data)
    return data


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
