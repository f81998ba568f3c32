"""Objects as protobuf, for clients that take nothing else. What an object doesn't say is not sent, so that it stays unsaid.

Source: Kubernetes API concepts, "Kubernetes Protobuf encoding".
"""

import base64
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from podling.api.schema import Shape, schemas
from podling.api.timestamps import parse
from podling.apiserver.protobuf_fields import EMPTY, MAGIC, SCHEMA, STRING, UNIONS, numbers
from podling.apiserver.wire import block, fixed, integer, text

Object = dict[str, Any]

_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_OF_SERVER = {name: f"{_META}{name}" for name in ("Status", "PartialObjectMetadata", "PartialObjectMetadataList")}
_PARTIAL: dict[str, Mapping[str, Shape]] = {
    f"{_META}PartialObjectMetadata": {"metadata": Shape("type", type_name=f"{_META}ObjectMeta")},
    f"{_META}PartialObjectMetadataList": {
        "metadata": Shape("type", type_name=f"{_META}ListMeta"),
        "items": Shape("list", item=Shape("type", type_name=f"{_META}PartialObjectMetadata")),
    },
}


def encode(obj: Object) -> bytes | None:
    """The object in a runtime.Unknown envelope; None for kinds that have no protobuf form."""
    api_version, kind = obj.get("apiVersion", ""), obj.get("kind", "")
    found = schemas().of_kind(api_version, kind)
    type_name = found.name if found is not None else _OF_SERVER.get(kind, "")
    if not type_name:
        return None
    envelope = block(1, text(1, api_version) + text(2, kind)) + block(2, _message(type_name, obj))
    return MAGIC + envelope + text(3, "") + text(4, "")


def _shapes(type_name: str) -> Mapping[str, Shape]:
    return _PARTIAL.get(type_name) or schemas().type(type_name).fields


def _message(type_name: str, obj: Object, shapes: Mapping[str, Shape] | None = None) -> bytes:
    """`shapes` are those of the owner, where the message's fields stand in its place."""
    shapes = _shapes(type_name) if shapes is None else shapes
    out = bytearray()
    for number, field in numbers(type_name).items():
        if field.inline:
            if inner := _message(field.inline, obj, shapes):
                out += block(number, inner)
        elif (value := obj.get(field.name)) is not None and (shape := shapes.get(field.name)) is not None:
            for part in _parts(number, shape, value):
                out += part
    return bytes(out)


def _parts(number: int, shape: Shape, value: Any) -> Iterator[bytes]:
    if shape.form == "list":
        for item in value:
            yield _one(number, shape.item or STRING, item)
    elif shape.form == "map":
        for key, item in value.items():
            yield block(number, text(1, key) + _map_value(shape.item or STRING, item))
    else:
        yield _one(number, shape, value)


def _map_value(shape: Shape, value: Any) -> bytes:
    """A list there is a message with the one field `items`."""
    if shape.form == "list":
        return block(2, b"".join(_one(1, shape.item or STRING, item) for item in value))
    return _one(2, shape, value)


def _one(number: int, shape: Shape, value: Any) -> bytes:
    if shape.form == "scalar":
        return _scalar(number, shape.scalar, value)
    if shape.form != "type":
        return block(number, block(1, orjson.dumps(value)))
    if shape.type_name in UNIONS:
        return block(number, _either(shape.type_name, value))
    if shape.type_name in _PARTIAL or schemas().type(shape.type_name).shape is None:
        return block(number, _message(shape.type_name, value))
    return block(number, b"" if shape.type_name == EMPTY else block(1, orjson.dumps(value)))


def _either(type_name: str, value: Any) -> bytes:
    union = UNIONS[type_name]
    if isinstance(value, dict):
        # a schema is an allowance too
        allowed = integer(union.other, 1) if union.shape.form == "scalar" else b""
        return allowed + _one(union.schema, SCHEMA, value)
    return b"".join(_parts(union.other, union.shape, value))


def _scalar(number: int, scalar: str, value: Any) -> bytes:
    match scalar:
        case "string":
            return text(number, value)
        case "int32" | "int64":
            return integer(number, value)
        case "boolean":
            return integer(number, int(value))
        case "bytes":
            return block(number, base64.b64decode(value))
        case "quantity":
            return block(number, text(1, str(value)))
        case "int-or-string":
            return block(number, _int_or_string(value))
        case "time" | "micro-time":
            return block(number, _time(value))
        case _:
            return fixed(number, struct.pack("<d", value))


def _int_or_string(value: int | str) -> bytes:
    if isinstance(value, str):
        return integer(1, 1) + integer(2, 0) + text(3, value)
    return integer(1, 0) + integer(2, value) + text(3, "")


def _time(value: str) -> bytes:
    instant = parse(value)
    seconds = int(instant // 1)
    return integer(1, seconds) + integer(2, round((instant - seconds) * 1e6) * 1000)
