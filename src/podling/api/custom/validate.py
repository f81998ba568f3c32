"""Values against their schema, in upstream's words. What an update doesn't change is not held against it.

Source: OpenAPI 3.0 schema object; k8s.io/kube-openapi validation/errors; Kubernetes documentation "Validation ratcheting".
"""

import ipaddress
import math
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import orjson

from podling.api import timestamps
from podling.api.custom.node import ABSENT, Node
from podling.api.field import FieldError, quote

Object = dict[str, Any]


def errors(new: Object, old: Object | None, root: Node) -> Iterator[FieldError]:
    """All that is wrong with `new`. Metadata is checked elsewhere."""
    return _check(new, ABSENT if old is None else old, root, "")


def _check(value: Any, old: Any, node: Node, path: str) -> Iterator[FieldError]:
    if old is not ABSENT and old == value:
        return
    if value is None:
        if not node.nullable and (node.type or node.int_or_string):
            yield _wrong_type(value, node, path)
        return
    if not _has_type(value, node):
        yield _wrong_type(value, node, path)
        return
    yield from _rules(value, node.schema, path)
    if node.chooses:
        yield from _logic(value, node, path)
    if type(value) is dict:
        yield from _members(value, old, node, path)
    elif type(value) is list:
        yield from _items(value, old, node, path)


def _members(value: Object, old: Any, node: Node, path: str) -> Iterator[FieldError]:
    before = old if type(old) is dict else {}
    for name in node.schema.get("required") or ():
        if name not in value:
            yield FieldError("FieldValueRequired", _below(path, name))
    for name, item in value.items():
        below = node.properties.get(name, node.additional)
        if below is not None:
            yield from _check(item, before.get(name, ABSENT), below, _below(path, name))
    if node.embedded:
        for name in ("apiVersion", "kind"):
            if not value.get(name):
                yield FieldError("FieldValueRequired", _below(path, name), None, "must not be empty")


def _items(value: list[Any], old: Any, node: Node, path: str) -> Iterator[FieldError]:
    identities = [_identity(each, node) for each in value] if node.list_type in ("set", "map") else []
    for index, identity in enumerate(identities):
        if identity in identities[:index]:
            yield FieldError("FieldValueDuplicate", f"{path}[{index}]", identity)
    if node.items is None:
        return
    before = [(_identity(each, node), each) for each in old] if type(old) is list and node.list_type == "map" else []
    for index, each in enumerate(value):
        known = next((item for identity, item in before if identity == identities[index]), ABSENT) if before else ABSENT
        yield from _check(each, known, node.items, f"{path}[{index}]")


def _identity(item: Any, node: Node) -> Any:
    if node.list_type != "map" or type(item) is not dict:
        return item
    defaults = node.items.properties if node.items is not None else {}
    found = {}
    for key in node.keys:
        default = defaults[key].default if key in defaults else ABSENT
        if key in item or default is not ABSENT:
            found[key] = item.get(key, default)
    return found


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


# types

_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: type(value) is dict,
    "array": lambda value: type(value) is list,
    "string": lambda value: type(value) is str,
    "boolean": lambda value: type(value) is bool,
    "integer": lambda value: type(value) is int or (type(value) is float and value.is_integer()),
    "number": lambda value: type(value) in (int, float),
}


def _has_type(value: Any, node: Node) -> bool:
    if node.int_or_string:
        return type(value) in (int, str)
    return node.type not in _TYPES or _TYPES[node.type](value)


def type_of(value: Any) -> str:
    """A JSON value's type in the schema's words."""
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
    return names.get(type(value), "null")


def _wrong_type(value: Any, node: Node, path: str) -> FieldError:
    found = type_of(value)
    wanted = "integer,string" if node.int_or_string else node.type
    return FieldError("FieldValueTypeInvalid", path, found, f"{path} in body must be of type {wanted}: {quote(found)}")


# rules of one value


def _rules(value: Any, schema: Object, path: str) -> Iterator[FieldError]:
    if schema.get("enum") and value not in schema["enum"]:
        supported = ", ".join(_json(each) for each in schema["enum"])
        yield FieldError("FieldValueNotSupported", path, value, f"supported values: {supported}")
    kind = type(value)
    if kind is str:
        yield from _of_string(value, schema, path)
    elif kind is int or kind is float:
        yield from _of_number(value, schema, path)
    elif kind is list:
        yield from _of_list(value, schema, path)
    elif kind is dict:
        yield from _of_object(value, schema, path)


def _invalid(path: str, value: Any, rule: str) -> FieldError:
    return FieldError("FieldValueInvalid", path, value, f"{path} in body {rule}")


def _of_string(value: str, schema: Object, path: str) -> Iterator[FieldError]:
    if (longest := schema.get("maxLength")) is not None and len(value) > longest:
        yield FieldError("FieldValueTooLong", path, None, f"may not be more than {longest} bytes")
    if (shortest := schema.get("minLength")) is not None and len(value) < shortest:
        yield _invalid(path, value, f"should be at least {shortest} chars long")
    if (pattern := schema.get("pattern")) and (matches := _pattern(pattern)) is not None and not matches.search(value):
        yield _invalid(path, value, f"should match '{pattern}'")
    if (form := _FORMATS.get(schema.get("format") or "")) is not None and not _is(form, value):
        yield _invalid(path, value, f"must be of type {schema['format']}: {quote(value)}")


def _of_number(value: float, schema: Object, path: str) -> Iterator[FieldError]:
    if (most := schema.get("maximum")) is not None:
        if schema.get("exclusiveMaximum") and value >= most:
            yield _invalid(path, value, f"should be less than {_number(most)}")
        elif value > most:
            yield _invalid(path, value, f"should be less than or equal to {_number(most)}")
    if (least := schema.get("minimum")) is not None:
        if schema.get("exclusiveMinimum") and value <= least:
            yield _invalid(path, value, f"should be greater than {_number(least)}")
        elif value < least:
            yield _invalid(path, value, f"should be greater than or equal to {_number(least)}")
    if (factor := schema.get("multipleOf")) and not math.isclose(value / factor, round(value / factor), abs_tol=1e-9):
        yield _invalid(path, value, f"should be a multiple of {_number(factor)}")
    bits = {"int32": 31, "int64": 63}.get(schema.get("format") or "")
    if bits and not -(1 << bits) <= value < 1 << bits:
        yield _invalid(path, value, f"must be of type {schema['format']}: {quote(_number(value))}")


def _of_list(value: list[Any], schema: Object, path: str) -> Iterator[FieldError]:
    if (most := schema.get("maxItems")) is not None and len(value) > most:
        yield FieldError("FieldValueTooMany", path, len(value), f"must have at most {most} items")
    if (least := schema.get("minItems")) is not None and len(value) < least:
        yield _invalid(path, len(value), f"should have at least {least} items")
    if schema.get("uniqueItems") and any(each in value[:index] for index, each in enumerate(value)):
        yield _invalid(path, "", "shouldn't contain duplicates")


def _of_object(value: Object, schema: Object, path: str) -> Iterator[FieldError]:
    if (most := schema.get("maxProperties")) is not None and len(value) > most:
        yield FieldError("FieldValueTooMany", path, len(value), f"must have at most {most} items")
    if (least := schema.get("minProperties")) is not None and len(value) < least:
        yield _invalid(path, len(value), f"should have at least {least} properties")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else str(value)


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


@lru_cache(maxsize=4096)
def _pattern(pattern: str) -> re.Pattern[str] | None:
    """None for what only Go's regular expressions know."""
    try:
        return re.compile(pattern)
    except re.error:
        return None


# formats that are checked; others say what a value means, and no more
_FORMATS: dict[str, Callable[[str], object]] = {
    "date-time": timestamps.parse,
    "date": lambda text: timestamps.parse(f"{text}T00:00:00Z"),
    "ipv4": ipaddress.IPv4Address,
    "ipv6": ipaddress.IPv6Address,
    "cidr": lambda text: ipaddress.ip_network(text, strict=False),
    "uuid": re.compile("(?i)[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}").fullmatch,
    "email": re.compile(r"[^@\s]+@[^@\s]+").fullmatch,
    "hostname": re.compile(r"[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?)*").fullmatch,
    "mac": re.compile("([0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}").fullmatch,
}


def _is(form: Callable[[str], object], value: str) -> bool:
    try:
        return form(value) is not None
    except ValueError:
        return False


# allOf, anyOf, oneOf, not


def _logic(value: Any, node: Node, path: str) -> Iterator[FieldError]:
    for each in node.all_of:
        yield from _check(value, ABSENT, each, path)
    if node.any_of and not any(_fits(value, each) for each in node.any_of):
        yield _composite(path, "must validate at least one schema (anyOf)")
    if node.one_of:
        fitting = sum(_fits(value, each) for each in node.one_of)
        if fitting != 1:
            found = "Found none valid" if not fitting else f"Found {fitting} valid alternatives"
            yield _composite(path, f"must validate one and only one schema (oneOf). {found}")
    if node.negated is not None and _fits(value, node.negated):
        yield _composite(path, "must not validate the schema (not)")


def _composite(path: str, rule: str) -> FieldError:
    return FieldError("FieldValueInvalid", path, "", f"{quote(path)} {rule}")


def _fits(value: Any, node: Node) -> bool:
    return next(_check(value, ABSENT, node, ""), None) is None
