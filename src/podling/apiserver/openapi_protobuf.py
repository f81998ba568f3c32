"""An OpenAPI v2 document in protobuf, which is the only form that kubectl asks for. It has the definitions and no paths:
clients that read this form look nothing else up in it.

Source: gnostic's OpenAPIv2.proto (messages Document, Schema, Any); protobuf.dev, "Encoding".
"""

from collections.abc import Callable, Iterable
from typing import Any

import orjson

from podling.apiserver.wire import block, text

Object = dict[str, Any]

_STRINGS = {"$ref": 1, "format": 2, "description": 4}  # fields of Schema by name
_REQUIRED, _MORE_PROPERTIES, _TYPE, _ITEMS, _PROPERTIES, _EXTENSION = 19, 21, 22, 23, 25, 31


def document(doc: Object) -> bytes:
    """The message Document."""
    info = text(1, doc["info"]["title"]) + text(2, doc["info"]["version"])
    return text(1, doc["swagger"]) + block(2, info) + block(8, b"") + block(9, _named(doc["definitions"].items(), schema))


def schema(value: Object) -> bytes:
    """The message Schema."""
    return b"".join(_member(name, member) for name, member in value.items())


def _member(name: str, value: Any) -> bytes:
    match name:
        case "$ref" | "format" | "description":
            return text(_STRINGS[name], value)
        case "default":
            return block(5, _any(value))
        case "required":
            return b"".join(text(_REQUIRED, each) for each in value)
        case "type":
            return block(_TYPE, text(1, value))
        case "items":
            return block(_ITEMS, block(1, schema(value)))
        case "additionalProperties":
            return block(_MORE_PROPERTIES, block(1, schema(value)))
        case "properties":
            return block(_PROPERTIES, _named(value.items(), schema))
        case _ if name.startswith("x-"):
            return block(_EXTENSION, text(1, name) + block(2, _any(value)))
    return b""


def _named(entries: Iterable[tuple[str, Any]], encode: Callable[[Any], bytes]) -> bytes:
    """NamedSchema in field 1, again and again."""
    return b"".join(block(1, text(1, name) + block(2, encode(value))) for name, value in entries)


def _any(value: Any) -> bytes:
    """Any: YAML in field 2, and JSON is YAML."""
    return block(2, orjson.dumps(value))
