"""From a client's bytes to a clean object: types checked, unknown and repeated fields found, quantities in canonical form.

The words are those of Go's decoder, which clients and their users know. Source: sigs.k8s.io/json; k8s.io/apiserver
endpoints/handlers "transformDecodeError"; API reference "Field validation".
"""

import base64
import binascii
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import orjson

from podling.api import status, timestamps
from podling.api.objects import Object, version_of
from podling.api.reader import Readers
from podling.api.schema import Schemas, Shape, Type, schemas
from podling.base import quantity

_INT_LIMITS = {"int32": 2**31, "int64": 2**63}
# what Go makes of a null in a list or map; a null time stays one
_ZEROES = {"string": "", "bytes": "", "int32": 0, "int64": 0, "number": 0, "boolean": False, "quantity": "0", "int-or-string": 0}
_GO = {"bytes": "[]uint8", "number": "float64", "boolean": "bool", "time": "string", "micro-time": "string"}


class DecodeError(ValueError):
    """The value does not fit its type."""


@dataclass(slots=True)
class Decoded:
    """A fresh object with only known fields, and the paths of those dropped (`spec.foo`, `spec.containers[0].bar`)."""

    obj: Object
    unknown: list[str] = field(default_factory=list)


Decoder = Callable[[Object], Decoded]
"""For kinds that stand in no table. Raises DecodeError."""


def decode(obj: Object, kind: Type, table: Schemas | None = None) -> Decoded:
    """A clean copy of `obj`. Nulls are dropped, as absent fields. Raises DecodeError."""
    if table is None:
        try:
            return Decoded(_readers().type(kind)(obj))
        except (ValueError, KeyError):
            pass  # it is not as plain as that: walk it, to say where
    walk = _Walk(table or schemas())
    return Decoded(walk.type(obj, kind, ""), walk.unknown)


def parse(body: bytes) -> Object:
    """The JSON object in `body`. Raises ApiError."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise status.bad_request(f"couldn't get version/kind; json parse error: {error}") from None
    if not isinstance(value, dict):
        raise status.bad_request(
            f"couldn't get version/kind; json parse error: json: cannot unmarshal {_json_name(value)} into Go value of type "
            "struct { APIVersion string; Kind string }"
        )
    return value


def decoded_as(obj: Object, api_version: str, kind: str, decoder: Decoder | None = None) -> Decoded:
    """`obj` as a clean object of its kind, by `decoder` where the kind stands in no table. Kinds without either stay as they are.

    Raises ApiError.
    """
    found = schemas().of_kind(api_version, kind)
    if found is None and decoder is None:
        return Decoded(obj)
    try:
        return decode(obj, found) if found is not None else decoder(obj)  # type: ignore[misc]
    except DecodeError as error:
        raise cannot_handle(api_version, kind, str(error)) from None
    except RecursionError:
        raise cannot_handle(api_version, kind, "exceeded max depth") from None


def strictly(
    body: bytes, obj: Object, api_version: str, kind: str, validation: str = "Strict", decoder: Decoder | None = None
) -> tuple[Object, list[str]]:
    """`obj` as a clean object of its kind, and warnings. `body` is the JSON that it was parsed from; b"" where none can repeat.

    `validation` is Strict (unknown and repeated fields are errors), Warn or Ignore. Raises ApiError.
    """
    decoded = decoded_as(obj, api_version, kind, decoder)
    if validation == "Ignore":
        return decoded.obj, []
    complaints = [f'unknown field "{path}"' for path in decoded.unknown]
    if body:
        complaints += [f'duplicate field "{path}"' for path in duplicates(body)]
    if complaints and validation == "Strict":
        raise cannot_handle(api_version, kind, f"strict decoding error: {', '.join(complaints)}")
    return decoded.obj, complaints


def cannot_handle(api_version: str, kind: str, cause: str) -> status.ApiError:
    """400: the body is no such object."""
    return status.bad_request(f'{kind} in version "{version_of(api_version)}" cannot be handled as a {kind}: {cause}')


@cache
def _readers() -> Readers:
    return Readers(schemas())


class _Walk:
    """One decoding."""

    __slots__ = ("_table", "unknown")

    def __init__(self, table: Schemas) -> None:
        self._table = table
        self.unknown: list[str] = []

    def type(self, value: Any, kind: Type, path: str) -> Any:
        if kind.shape is not None:
            return value
        result = {}
        fields = kind.fields
        for name, item in value.items():
            shape = fields.get(name)
            if shape is None:
                self.unknown.append(f"{path}.{name}" if path else name)
            elif item is not None:
                form = shape.form
                if form == "scalar":
                    scalar = shape.scalar
                    if scalar == "string" and type(item) is str:
                        result[name] = item
                    else:
                        result[name] = _scalar(item, scalar, kind, f"{path}.{name}")
                else:
                    result[name] = self.value(item, shape, kind, f"{path}.{name}" if path else name)
        return result

    def value(self, value: Any, shape: Shape, owner: Type, path: str) -> Any:
        match shape.form:
            case "type":
                kind = self._table.type(shape.type_name)
                if type(value) is not dict and kind.shape is None:
                    raise _mismatch(value, owner, path, kind.go_name)
                return self.type(value, kind, path)
            case "list":
                return self._list(value, shape, owner, path)
            case "map":
                return self._map(value, shape, owner, path)
            case "scalar":
                return _scalar(value, shape.scalar, owner, path)
            case _:
                return value

    def _list(self, value: Any, shape: Shape, owner: Type, path: str) -> list[Any]:
        if type(value) is not list:
            raise _mismatch(value, owner, path, self._go_type(shape))
        item = shape.item
        assert item is not None
        if item.form == "scalar" and item.scalar == "string" and all(type(each) is str for each in value):
            return list(value)
        return [self._item(each, item, owner, f"{path}[{index}]") for index, each in enumerate(value)]

    def _map(self, value: Any, shape: Shape, owner: Type, path: str) -> Object:
        if type(value) is not dict:
            raise _mismatch(value, owner, path, self._go_type(shape))
        item = shape.item
        assert item is not None
        return {name: self._item(each, item, owner, f"{path}.{name}") for name, each in value.items()}

    def _item(self, value: Any, shape: Shape, owner: Type, path: str) -> Any:
        return _zero(shape) if value is None else self.value(value, shape, owner, path)

    def _go_type(self, shape: Shape) -> str:
        match shape.form:
            case "list":
                return f"[]{self._go_type(shape.item or shape)}"
            case "map":
                return f"map[string]{self._go_type(shape.item or shape)}"
            case "type":
                return self._table.type(shape.type_name).go_name
            case _:
                return _GO.get(shape.scalar, shape.scalar)


def _zero(shape: Shape) -> Any:
    """What a null stands for in a list or map."""
    match shape.form:
        case "type" | "map":
            return {}
        case "list":
            return []
    return _ZEROES.get(shape.scalar)


def _scalar(value: Any, scalar: str, owner: Type, path: str) -> Any:
    kind = type(value)
    match scalar:
        case "string":
            good = kind is str
        case "int32" | "int64":
            if kind is float and value.is_integer():
                value = int(value)
                kind = int
            good = kind is int and -_INT_LIMITS[scalar] <= value < _INT_LIMITS[scalar]
        case "boolean":
            good = kind is bool
        case "number":
            good = kind in (int, float)
        case "int-or-string":
            good = kind in (int, str)
        case "quantity":
            return _quantity(value, owner, path)
        case "bytes":
            good = kind is str
            _check_base64(value if good else "")
        case _:
            good = kind is str
            value = _time(value, micro=scalar == "micro-time") if good else value
    if not good:
        raise _mismatch(value, owner, path, _GO.get(scalar, scalar))
    return value


def _quantity(value: Any, owner: Type, path: str) -> str:
    if type(value) not in (str, int, float):
        raise _mismatch(value, owner, path, "resource.Quantity")
    try:
        return quantity.canonical(value)
    except quantity.QuantityError as error:
        raise DecodeError(str(error)) from None


def _check_base64(text: str) -> None:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        good = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        first_bad = next((index for index, char in enumerate(text) if char not in good), len(text) - len(text) % 4)
        raise DecodeError(f"illegal base64 data at input byte {first_bad}") from None


def _time(text: str, *, micro: bool) -> str:
    try:
        instant = timestamps.parse(text)
    except ValueError:
        form = "2006-01-02T15:04:05.000000Z07:00" if micro else "2006-01-02T15:04:05Z07:00"
        raise DecodeError(f'parsing time "{text}" as "{form}": cannot parse "{text}" as "2006"') from None
    return timestamps.micro(instant) if micro else timestamps.rfc3339(instant)


def _mismatch(value: Any, owner: Type, path: str, wanted: str) -> DecodeError:
    """Go's words; its paths have no indexes."""
    plain = "".join(part.partition("]")[2] if index else part for index, part in enumerate(path.split("["))).lstrip(".")
    name = owner.name.rpartition(".")[2]
    return DecodeError(f"json: cannot unmarshal {_json_name(value)} into Go struct field {name}.{plain} of type {wanted}")


def _json_name(value: Any) -> str:
    match value:
        case bool():
            return "bool"
        case str():
            return "string"
        case float():
            return f"number {value}"
        case int():
            return f"number {value}" if abs(value) >= 2**31 else "number"
        case list():
            return "array"
        case None:
            return "null"
        case _:
            return "object"


class _Repeating(dict[str, Any]):
    """A JSON object in which names came more than once."""

    repeated: tuple[str, ...] = ()


_SPACE = b" \t\r\n"
_escapes = re.compile(rb"\\u00(22|20|3[aA])").search  # a quotation mark, a blank, a colon


def may_repeat(body: bytes, value: Any) -> bool:
    """Whether fields may come more than once in `body`, the JSON that `value` was read from; False is certain.

    Each field has a colon behind its name's quotation mark. Strings may hold both too, as often here as in `value` written anew.
    """
    if b"\\u" in body and _escapes(body):
        return True
    return _colons(body) != _colons(orjson.dumps(value))


def _colons(text: bytes) -> int:
    return text.translate(None, _SPACE).count(b'":')


def duplicates(body: bytes) -> list[str]:
    """The paths of fields that `body`, which is JSON, gives more than once."""
    repeating = False

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal repeating
        plain = dict(items)
        if len(plain) == len(items):
            return plain
        repeating = True
        result = _Repeating(plain)
        counts = Counter(name for name, _ in items)
        result.repeated = tuple(name for name, count in counts.items() if count > 1)
        return result

    root = json.loads(body, object_pairs_hook=pairs)
    found: list[str] = []
    if repeating:  # hardly ever, and only then the tree is walked
        _collect(root, "", found)
    return found


def _collect(value: Any, path: str, found: list[str]) -> None:
    if isinstance(value, dict):
        found += [f"{path}.{name}" if path else name for name in getattr(value, "repeated", ())]
        for name, item in value.items():
            if isinstance(item, (dict, list)):
                _collect(item, f"{path}.{name}" if path else name, found)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _collect(item, f"{path}[{index}]", found)
