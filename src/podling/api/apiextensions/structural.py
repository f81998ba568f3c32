"""Whether a JSON schema is structural: each place has one type, and choices only constrain what has been specified.

Source: Kubernetes documentation "Specifying a structural schema"; k8s.io/apiextensions-apiserver apiserver/schema/validation.go.
"""

import re
from collections.abc import Iterator
from typing import Any

from podling.api.custom import validate
from podling.api.custom.node import compile_node
from podling.api.decode import DecodeError, decode
from podling.api.field import Cursor, FieldError
from podling.api.schema import schemas

_PROPS = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"
_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_CHOICES = ("allOf", "anyOf", "oneOf")
# what a schema inside a choice may not say again
_STRUCTURE = (
    "type",
    "additionalProperties",
    "default",
    "description",
    "nullable",
    "title",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
)
_FORBIDDEN = ("definitions", "dependencies", "$ref", "id", "patternProperties", "additionalItems", "$schema")


def errors(schema: Cursor) -> Iterator[FieldError]:
    """All that keeps the schema of a whole object from being structural."""
    if not schema.get("type"):
        yield (schema / "type").required("must not be empty at the root")
    elif schema.get("type") != "object":
        yield (schema / "type").invalid("must be object at the root")
    if schema.get("nullable"):
        yield (schema / "nullable").forbidden("nullable cannot be true at the root")
    yield from _errors(schema, "at the root")


def _errors(schema: Cursor, where: str) -> Iterator[FieldError]:
    if not isinstance(schema.value, dict):
        return
    yield from _own_errors(schema, where)
    for _, below in (schema / "properties").entries():
        yield from _errors(below, "for specified object fields")
    yield from _untyped_errors(schema / "additionalProperties", "for specified object fields")
    yield from _untyped_errors(schema / "items", "for specified array items")
    for choice in _nested(schema):
        yield from _choice_errors(choice, bool(schema.get("x-kubernetes-int-or-string")))


def _untyped_errors(schema: Cursor, where: str) -> Iterator[FieldError]:
    """A schema in a place where the API's own schema allows anything."""
    if schema.value is None or isinstance(schema.value, bool):
        return
    if not isinstance(schema.value, dict):
        yield schema.forbidden("must be a schema object and not an array")
        return
    try:
        decode(schema.value, schemas().type(_PROPS))
    except DecodeError as error:
        yield schema.invalid(str(error))
    else:
        yield from _errors(schema, where)


def _own_errors(schema: Cursor, where: str) -> Iterator[FieldError]:
    kind = schema.get("type")
    free = schema.get("x-kubernetes-int-or-string") or schema.get("x-kubernetes-preserve-unknown-fields")
    if not kind and not free and where != "at the root":
        yield (schema / "type").required(f"must not be empty {where}")
    if kind and kind not in _TYPES:
        yield (schema / "type").unsupported(_TYPES)
    if kind and schema.get("x-kubernetes-int-or-string"):
        yield (schema / "type").invalid("must be empty if x-kubernetes-int-or-string is true")
    if kind == "array" and schema.get("items") is None:
        yield (schema / "items").required("must be specified")
    if schema.get("x-kubernetes-embedded-resource") and kind != "object":
        yield (schema / "type").invalid("must be object if x-kubernetes-embedded-resource is true")
    if schema.get("properties") and schema.get("additionalProperties") is not None:
        yield (schema / "additionalProperties").forbidden("additionalProperties and properties are mutual exclusive")
    if schema.get("uniqueItems"):
        yield (schema / "uniqueItems").forbidden(
            "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        )
    for name in _FORBIDDEN:
        if name in schema:
            yield (schema / name).forbidden(f"{name} is not supported")
    if schema.get("x-kubernetes-preserve-unknown-fields") is False:
        yield (schema / "x-kubernetes-preserve-unknown-fields").invalid("must be true or undefined")
    if pattern := schema.get("pattern"):
        yield from _pattern_errors(schema / "pattern", pattern)
    yield from _list_errors(schema, kind)
    if schema.get("default") is not None:
        yield from _default_errors(schema)


def _pattern_errors(at: Cursor, pattern: str) -> Iterator[FieldError]:
    try:
        re.compile(pattern)
    except re.error as error:
        yield at.invalid(f"must be a valid regular expression, but isn't: {error}")


def _list_errors(schema: Cursor, kind: Any) -> Iterator[FieldError]:
    list_type, keys = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-list-map-keys", [])
    if list_type is None:
        return
    at = schema / "x-kubernetes-list-type"
    if list_type not in ("atomic", "set", "map"):
        yield at.unsupported(("atomic", "set", "map"))
    if kind != "array":
        yield (schema / "type").invalid("must be array if x-kubernetes-list-type is specified")
    properties = (schema.get("items") or {}).get("properties") or {}
    if list_type == "map" and not keys:
        yield (schema / "x-kubernetes-list-map-keys").required("must not be empty if x-kubernetes-list-type is map")
    for name in keys:
        if name not in properties:
            detail = "entries must all be names of item properties"
            yield (schema / "x-kubernetes-list-map-keys").invalid(detail, name)
        elif "default" not in properties[name] and name not in ((schema.get("items") or {}).get("required") or ()):
            yield (schema / "items" / "properties").required(
                f"this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property: {name}"
            )


def _default_errors(schema: Cursor) -> Iterator[FieldError]:
    """A default must be what the schema itself allows."""
    node = compile_node({name: value for name, value in schema.value.items() if name != "default"})
    default = schema / "default"
    for error in validate.errors(default.value, None, node):
        path = f"{default.path}.{error.path}" if error.path else default.path
        yield FieldError(error.reason, path, error.value, error.detail)


def _nested(schema: Cursor) -> Iterator[Cursor]:
    for name in _CHOICES:
        yield from schema / name
    if schema.get("not"):
        yield schema / "not"


def _choice_errors(choice: Cursor, int_or_string: bool = False) -> Iterator[FieldError]:
    """`int_or_string`: the two types of such a value may be spelled out, as generators do."""
    if int_or_string and choice.value in ({"type": "integer"}, {"type": "string"}):
        return
    for name in _STRUCTURE:
        if choice.get(name):
            yield (choice / name).forbidden("must be empty to be structural")
    for _, below in (choice / "properties").entries():
        yield from _choice_errors(below)
    if isinstance(choice.get("items"), dict):
        yield from _choice_errors(choice / "items")
    for nested in _nested(choice):
        yield from _choice_errors(nested, int_or_string)
