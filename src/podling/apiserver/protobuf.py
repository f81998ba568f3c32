"""Objects in protobuf, as kubectl's generators and client-go's typed clients send them; `protobuf_encode` is the way back.

Source: Kubernetes API concepts, "Kubernetes Protobuf encoding"; protobuf.dev, "Encoding".
"""

import base64
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from podling.api.schema import Shape, schemas
from podling.api.timestamps import micro, rfc3339
from podling.apiserver.protobuf_fields import EMPTY, MAGIC, MEDIA_TYPE, SCHEMA, STRING, UNIONS, Field, Union, numbers
from podling.apiserver.wire import WireError, bytes_of, fields, number_of, signed, text_of, varint

__all__ = ["MEDIA_TYPE", "ProtobufError", "decode"]

Object = dict[str, Any]
ProtobufError = WireError
"""The bytes are no message of a type that we know."""

_DEPTH = 64
_DELETE_OPTIONS = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"


def decode(data: bytes) -> Object:
    """The object in a runtime.Unknown envelope. Raises ProtobufError."""
    if not data.startswith(MAGIC):
        raise ProtobufError("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    envelope = dict(fields(data[len(MAGIC) :]))
    named = dict(fields(bytes_of(envelope.get(1, b""))))
    api_version, kind = text_of(named.get(1, b"")), text_of(named.get(2, b""))
    found = schemas().of_kind(api_version, kind)
    type_name = found.name if found else _DELETE_OPTIONS if kind == "DeleteOptions" else ""
    if not type_name:
        raise ProtobufError(f'no kind "{kind}" is registered for version "{api_version}"')
    body = _message(type_name, schemas().type(type_name).fields, bytes_of(envelope.get(2, b"")), _DEPTH)
    return {"apiVersion": api_version, "kind": kind, **body}


def _message(type_name: str, shapes: Mapping[str, Shape], data: bytes, depth: int) -> Object:
    if depth == 0:
        raise ProtobufError("nested too deep")
    known = numbers(type_name)
    result: Object = {}
    for number, raw in fields(data):
        field = known.get(number)
        if field is None:
            continue
        if field.inline:
            result |= _message(field.inline, shapes, bytes_of(raw), depth - 1)
        elif (shape := shapes.get(field.name)) is not None:
            _put(result, field, shape, raw, depth)
    return result


def _put(result: Object, field: Field, shape: Shape, raw: int | bytes, depth: int) -> None:
    if shape.form == "list":
        assert shape.item is not None
        result.setdefault(field.name, []).extend(_items(shape.item, raw, depth))
    elif shape.form == "map":
        entry = dict(fields(bytes_of(raw)))
        assert shape.item is not None
        result.setdefault(field.name, {})[text_of(entry.get(1, b""))] = _map_value(shape.item, entry.get(2, b""), depth)
    else:
        value = _value(shape, raw, depth)
        if value or (field.keep and value is not None):
            result[field.name] = value


def _items(shape: Shape, raw: int | bytes, depth: int) -> Iterator[Any]:
    """One item of a repeated field, or several numbers packed."""
    if isinstance(raw, bytes) and shape.scalar in ("int32", "int64"):
        at = 0
        while at < len(raw):
            number, at = varint(raw, at)
            yield signed(number)
    else:
        yield _value(shape, raw, depth)


def _map_value(shape: Shape, raw: int | bytes, depth: int) -> Any:
    """A map's value; a list there is a message with the one field `items`."""
    if shape.form == "list":
        item = shape.item or STRING
        return [_value(item, each, depth) for number, each in fields(bytes_of(raw)) if number == 1]
    return _value(shape, raw, depth)


def _value(shape: Shape, raw: int | bytes, depth: int) -> Any:
    match shape.form:
        case "type":
            found = schemas().type(shape.type_name)
            if found.shape is not None:
                return _shapeless(shape.type_name, found.shape, raw, depth)
            return _message(shape.type_name, found.fields, bytes_of(raw), depth - 1)
        case "scalar":
            return _scalar(shape.scalar, raw)
        case _:
            return _raw_json(raw)


def _shapeless(type_name: str, shape: Shape, raw: int | bytes, depth: int) -> Any:
    if (union := UNIONS.get(type_name)) is not None:
        return _either(union, bytes_of(raw), depth - 1)
    return {} if type_name == EMPTY else _map_value(shape, raw, depth)


def _either(union: Union, data: bytes, depth: int) -> Any:
    parts = list(fields(data))
    for number, raw in parts:
        if number == union.schema:
            return _value(SCHEMA, raw, depth)
    others = [raw for number, raw in parts if number == union.other]
    if union.shape.form == "list":
        return [_value(union.shape.item or STRING, raw, depth) for raw in others]
    return bool(others and number_of(others[-1]))


def _raw_json(raw: int | bytes) -> Any:
    """RawExtension, FieldsV1, JSON: text in field 1."""
    text = bytes_of(dict(fields(bytes_of(raw))).get(1, b""))
    try:
        return orjson.loads(text) if text else None
    except ValueError as error:
        raise ProtobufError(str(error)) from None


def _scalar(scalar: str, raw: int | bytes) -> Any:
    match scalar:
        case "string":
            return text_of(raw)
        case "int32" | "int64":
            return signed(number_of(raw))
        case "boolean":
            return bool(number_of(raw))
        case "bytes":
            return base64.b64encode(bytes_of(raw)).decode()
        case "quantity":
            return text_of(dict(fields(bytes_of(raw))).get(1, b"")) or None
        case "int-or-string":
            return _int_or_string(dict(fields(bytes_of(raw))))
        case "time" | "micro-time":
            return _time(dict(fields(bytes_of(raw))), scalar)
        case _:
            return _double(bytes_of(raw))


def _double(data: bytes) -> float:
    if len(data) != 8:
        raise ProtobufError("wrong wireType for a double")
    (value,) = struct.unpack("<d", data)
    return float(value)


def _int_or_string(parts: dict[int, int | bytes]) -> int | str:
    return text_of(parts.get(3, b"")) if parts.get(1) else signed(number_of(parts.get(2, 0)))


def _time(parts: dict[int, int | bytes], scalar: str) -> str | None:
    if 1 not in parts:
        return None
    seconds = signed(number_of(parts[1]))
    try:
        return rfc3339(seconds) if scalar == "time" else micro(seconds + number_of(parts.get(2, 0)) / 1e9)
    except OverflowError:
        raise ProtobufError(f"{seconds} is no time") from None
