"""OpenAPI v2: one document for all groups, made from that of version 3. For clients that look up a List or an older schema.

Source: OpenAPI Specification 2.0; Kubernetes documentation "The Kubernetes API: OpenAPI V2".
"""

from collections.abc import Iterator
from typing import Any

from podling.api.objects import Object

_V3, _V2 = "#/components/schemas/", "#/definitions/"
_JSON = "application/json"
_UNKNOWN = ("allOf", "anyOf", "oneOf", "not", "nullable")


def convert(document: Object) -> Object:
    """A v3 document's meaning in v2's words."""
    return {
        "swagger": "2.0",
        "info": document["info"],
        "paths": {path: _path(item) for path, item in document["paths"].items()},
        "definitions": {name: _schema(schema) for name, schema in document["components"]["schemas"].items()},
    }


def _schema(schema: Object) -> Object:
    """References may stand beside a description; there are no alternatives, so what can be a string is one."""
    result = {name: _member(name, value) for name, value in schema.items() if name not in _UNKNOWN}
    if not isinstance(result.get("additionalProperties", {}), dict):
        del result["additionalProperties"]
    for single in schema.get("allOf", ()):
        result |= _schema(single)
    if "oneOf" in schema and "type" not in schema:
        result["type"] = "string"
    return result


def _member(name: str, value: Any) -> Any:
    match name:
        case "$ref":
            return value.replace(_V3, _V2)
        case "items" | "additionalProperties" if isinstance(value, dict):
            return _schema(value)
        case "properties":
            return {each: _schema(schema) for each, schema in value.items()}
    return value


def _path(item: Object) -> Object:
    return {name: _parameters(value) if name == "parameters" else _operation(value) for name, value in item.items()}


def _operation(operation: Object) -> Object:
    result = {name: value for name, value in operation.items() if name not in ("requestBody", "parameters", "responses")}
    parameters = [*_parameters(operation.get("parameters", [])), *_body(operation)]
    if parameters:
        result["parameters"] = parameters
    if "requestBody" in operation:
        result["consumes"] = list(operation["requestBody"]["content"])
    answers = operation["responses"].items()
    return {**result, "produces": [_JSON], "responses": {code: _response(answer) for code, answer in answers}}


def _response(answer: Object) -> Object:
    return {"description": answer["description"], "schema": _schema(answer["content"][_JSON]["schema"])}


def _parameters(parameters: list[Object]) -> list[Object]:
    return [{**parameter.pop("schema"), **parameter} for parameter in map(dict, parameters)]


def _body(operation: Object) -> Iterator[Object]:
    for content in operation.get("requestBody", {}).get("content", {}).values():
        yield {"name": "body", "in": "body", "required": True, "schema": _schema(content["schema"])}
        return
