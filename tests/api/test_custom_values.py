"""Structural schemas: pruning, defaults, validation in upstream's words; what is not structural."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.api.apiextensions import structural
from podling.api.custom import validate, values
from podling.api.custom.jsonpath import PathError, compile_path
from podling.api.custom.node import compile_root
from podling.api.field import at

Object = dict[str, Any]
OPEN = "x-kubernetes-preserve-unknown-fields"


def schema(**spec: Any) -> Object:
    return {"type": "object", "properties": {"spec": {"type": "object", "properties": spec}}}


def spec(**members: Any) -> Object:
    return {"apiVersion": "e.com/v1", "kind": "E", "metadata": {"name": "e"}, "spec": members}


@pytest.mark.parametrize(
    ("member", "given", "kept", "unknown"),
    [
        ({"type": "string"}, {"a": "x", "b": 1}, {"a": "x"}, ["spec.b"]),
        ({"type": "object", OPEN: True}, {"a": {"x": [1]}}, {"a": {"x": [1]}}, []),
        (
            {"type": "object", OPEN: True, "properties": {"in": {"type": "object"}}},
            {"a": {"in": {"x": 1}, "out": {"y": 1}}},
            {"a": {"in": {}, "out": {"y": 1}}},
            ["spec.a.in.x"],
        ),
        (
            {"type": "object", "additionalProperties": {"type": "object", "properties": {"k": {"type": "string"}}}},
            {"a": {"one": {"k": "v", "z": 1}}},
            {"a": {"one": {"k": "v"}}},
            ["spec.a.one.z"],
        ),
        ({"type": "object", "additionalProperties": True}, {"a": {"x": 1}}, {"a": {"x": 1}}, []),
        ({"type": "array", "items": {"type": "object"}}, {"a": [{"x": 1}]}, {"a": [{}]}, ["spec.a[0].x"]),
        (
            {"type": "object", "x-kubernetes-embedded-resource": True},
            {"a": {"apiVersion": "v1", "kind": "P", "metadata": {"name": "n", "nom": 1}, "spec": {}}},
            {"a": {"apiVersion": "v1", "kind": "P", "metadata": {"name": "n"}}},
            ["spec.a.metadata.nom", "spec.a.spec"],
        ),
        ({"type": "string", "default": "d"}, {"a": None}, {}, []),
        ({"type": "string", "nullable": True, "default": "d"}, {"a": None}, {"a": None}, []),
    ],
)
def test_pruning(member: Object, given: Object, kept: Object, unknown: list[str]) -> None:
    decoded = values.prune(spec(**given), compile_root(schema(a=member)))
    assert (decoded.obj, decoded.unknown) == (spec(**kept), unknown)


def test_metadata_is_pruned_by_its_own_schema() -> None:
    decoded = values.prune({"metadata": {"name": "e", "nom": "e"}}, compile_root({"type": "object", OPEN: True}))
    assert (decoded.obj, decoded.unknown) == ({"metadata": {"name": "e"}}, ["metadata.nom"])


@pytest.mark.parametrize(
    ("member", "given", "filled"),
    [
        ({"type": "integer", "default": 1}, {}, {"a": 1}),
        ({"type": "integer", "default": 1}, {"a": 2}, {"a": 2}),
        ({"type": "integer", "default": 1}, {"a": None}, {"a": 1}),
        ({"type": "integer", "default": 1, "nullable": True}, {"a": None}, {"a": None}),
        ({"type": "object", "properties": {"b": {"type": "string", "default": "x"}}}, {}, {}),
        ({"type": "object", "default": {}, "properties": {"b": {"type": "string", "default": "x"}}}, {}, {"a": {"b": "x"}}),
        (
            {"type": "array", "items": {"type": "object", "properties": {"b": {"type": "string", "default": "x"}}}},
            {"a": [{}, {"b": "y"}]},
            {"a": [{"b": "x"}, {"b": "y"}]},
        ),
        (
            {
                "type": "object",
                "additionalProperties": {"type": "object", "properties": {"b": {"type": "integer", "default": 0}}},
            },
            {"a": {"k": {}}},
            {"a": {"k": {"b": 0}}},
        ),
    ],
)
def test_defaults(member: Object, given: Object, filled: Object) -> None:
    obj = spec(**given)
    values.fill(obj, compile_root(schema(a=member)))
    assert obj == spec(**filled)


@pytest.mark.parametrize(
    ("member", "value", "message"),
    [
        ({"type": "string"}, 1, 'spec.a: Invalid value: "integer": spec.a in body must be of type string: "integer"'),
        ({"type": "integer"}, 1.5, 'spec.a: Invalid value: "number": spec.a in body must be of type integer: "number"'),
        ({"type": "integer"}, True, 'spec.a: Invalid value: "boolean": spec.a in body must be of type integer: "boolean"'),
        ({"type": "integer"}, 2.0, ""),
        ({"type": "string"}, None, 'spec.a: Invalid value: "null": spec.a in body must be of type string: "null"'),
        ({"type": "string", "nullable": True}, None, ""),
        ({"x-kubernetes-int-or-string": True}, "x", ""),
        ({"x-kubernetes-int-or-string": True}, 7, ""),
        (
            {"x-kubernetes-int-or-string": True},
            [],
            'spec.a: Invalid value: "array": spec.a in body must be of type integer,string: "array"',
        ),
        ({"type": "string", "enum": ["x", "y"]}, "z", 'spec.a: Unsupported value: "z": supported values: "x", "y"'),
        ({"type": "string", "maxLength": 2}, "abc", "spec.a: Too long: may not be more than 2 bytes"),
        ({"type": "string", "minLength": 2}, "a", 'spec.a: Invalid value: "a": spec.a in body should be at least 2 chars long'),
        ({"type": "string", "pattern": "^b$"}, "a", "spec.a: Invalid value: \"a\": spec.a in body should match '^b$'"),
        (
            {"type": "string", "format": "date-time"},
            "x",
            'spec.a: Invalid value: "x": spec.a in body must be of type date-time: "x"',
        ),
        ({"type": "string", "format": "ipv4"}, "1.2.3.4", ""),
        ({"type": "string", "format": "unknown"}, "x", ""),
        ({"type": "integer", "minimum": 1}, 0, "spec.a: Invalid value: 0: spec.a in body should be greater than or equal to 1"),
        (
            {"type": "integer", "maximum": 1, "exclusiveMaximum": True},
            1,
            "spec.a: Invalid value: 1: spec.a in body should be less than 1",
        ),
        ({"type": "number", "multipleOf": 0.1}, 0.3, ""),
        ({"type": "integer", "multipleOf": 5}, 7, "spec.a: Invalid value: 7: spec.a in body should be a multiple of 5"),
        (
            {"type": "array", "items": {"type": "string"}, "maxItems": 1},
            ["x", "y"],
            "spec.a: Too many: 2: must have at most 1 items",
        ),
        (
            {"type": "array", "items": {"type": "string"}, "minItems": 1},
            [],
            "spec.a: Invalid value: 0: spec.a in body should have at least 1 items",
        ),
        (
            {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
            ["x", "x"],
            'spec.a[1]: Duplicate value: "x"',
        ),
        (
            {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["k"],
                "items": {"type": "object", "properties": {"k": {"type": "string", "default": "d"}}},
            },
            [{}, {"k": "d"}],
            'spec.a[1]: Duplicate value: {"k":"d"}',
        ),
        (
            {"type": "array", "items": {"type": "string"}},
            [1],
            'spec.a[0]: Invalid value: "integer": spec.a[0] in body must be of type string: "integer"',
        ),
        ({"type": "object", "required": ["b"]}, {}, "spec.a.b: Required value"),
        (
            {"type": "object", "additionalProperties": {"type": "string"}},
            {"k": 1},
            'spec.a.k: Invalid value: "integer": spec.a.k in body must be of type string: "integer"',
        ),
        ({"type": "object", "maxProperties": 1, OPEN: True}, {"x": 1, "y": 1}, "spec.a: Too many: 2: must have at most 1 items"),
        (
            {"type": "string", "anyOf": [{"pattern": "x"}, {"pattern": "y"}]},
            "z",
            'spec.a: Invalid value: "": "spec.a" must validate at least one schema (anyOf)',
        ),
        (
            {"type": "string", "oneOf": [{"pattern": "x"}, {"pattern": "y"}]},
            "xy",
            'spec.a: Invalid value: "": "spec.a" must validate one and only one schema (oneOf). Found 2 valid alternatives',
        ),
        ({"type": "string", "allOf": [{"pattern": "x"}]}, "y", "spec.a: Invalid value: \"y\": spec.a in body should match 'x'"),
        (
            {"type": "string", "not": {"pattern": "x"}},
            "x",
            'spec.a: Invalid value: "": "spec.a" must not validate the schema (not)',
        ),
        (
            {"type": "object", "x-kubernetes-embedded-resource": True},
            {"kind": "P"},
            "spec.a.apiVersion: Required value: must not be empty",
        ),
    ],
)
def test_validation(member: Object, value: Any, message: str) -> None:
    found = [error.message for error in validate.errors(spec(a=value), None, compile_root(schema(a=member)))]
    assert found == ([message] if message else [])


def test_what_an_update_leaves_alone_is_not_held_against_it() -> None:
    root = compile_root(schema(a={"type": "string", "maxLength": 1}, b={"type": "string"}))
    old = spec(a="long", b="x")
    assert list(validate.errors(spec(a="long", b="y"), old, root)) == []
    assert len(list(validate.errors(spec(a="longer", b="x"), old, root))) == 1


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ({}, "p.properties[spec].properties[a].type: Required value: must not be empty for specified object fields"),
        ({"type": "thing"}, "p.properties[spec].properties[a].type: Unsupported value"),
        ({"type": "array"}, "p.properties[spec].properties[a].items: Required value: must be specified"),
        (
            {"type": "array", "items": {}},
            "p.properties[spec].properties[a].items.type: Required value: must not be empty for specified array items",
        ),
        ({"type": "array", "items": [{"type": "string"}]}, "must be a schema object and not an array"),
        ({"type": "array", "items": {"type": "object", "properties": 7}}, "json: cannot unmarshal number"),
        ({"type": "string", "x-kubernetes-int-or-string": True}, "must be empty if x-kubernetes-int-or-string is true"),
        ({"type": "object", OPEN: False}, "must be true or undefined"),
        ({"type": "string", "$ref": "#/x"}, "p.properties[spec].properties[a].$ref: Forbidden"),
        (
            {"type": "string", "anyOf": [{"type": "string"}]},
            "p.properties[spec].properties[a].anyOf[0].type: Forbidden: must be empty to be structural",
        ),
        ({"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}, ""),
        ({"type": "integer", "default": "x"}, 'p.properties[spec].properties[a].default: Invalid value: "string"'),
        ({"type": "string", "pattern": "("}, "must be a valid regular expression"),
        (
            {"type": "object", "properties": {"x": {"type": "string"}}, "additionalProperties": {"type": "string"}},
            "additionalProperties and properties are mutual exclusive",
        ),
        (
            {"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "map"},
            "must not be empty if x-kubernetes-list-type is map",
        ),
        (
            {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["k"],
                "items": {"type": "object", "properties": {"k": {"type": "string"}}},
            },
            "so it must have a default or be a required property",
        ),
    ],
)
def test_what_is_not_structural(member: Object, message: str) -> None:
    found = [error.message for error in structural.errors(at({"p": schema(a=member)}, "p"))]
    assert (len(found) == 1 and message in found[0]) if message else found == []


def test_an_object_at_the_root() -> None:
    assert [error.message for error in structural.errors(at({"p": {}}, "p"))] == [
        "p.type: Required value: must not be empty at the root"
    ]


OBJ = {"spec": {"a": 1, "b.c": 2, "l": [{"t": "x", "v": 1}, {"t": "y", "v": 2}]}}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".spec.a", [1]),
        (".spec.z", []),
        (r".spec.b\.c", [2]),
        (".spec['b.c']", [2]),
        (".spec.l[0].v", [1]),
        (".spec.l[-1].v", [2]),
        (".spec.l[5].v", []),
        (".spec.l[*].v", [1, 2]),
        ('.spec.l[?(@.t=="y")].v', [2]),
        (".spec.l[?(@.v != 2)].t", ["x"]),
    ],
)
def test_json_paths(path: str, found: list[Any]) -> None:
    assert compile_path(path)(OBJ) == found


@pytest.mark.parametrize("path", ["", "spec", ".spec[", ".spec..a", ".spec[?(@.a)]"])
def test_what_is_no_json_path(path: str) -> None:
    with pytest.raises(PathError):
        compile_path(path)


MEMBERS = st.recursive(
    st.sampled_from([{"type": "string"}, {"type": "integer", "default": 1}, {"type": "boolean", "nullable": True}]),
    lambda below: st.one_of(
        st.builds(lambda items: {"type": "array", "items": items}, below),
        st.builds(lambda members: {"type": "object", "properties": members}, st.dictionaries(st.sampled_from("abc"), below)),
        st.builds(lambda item: {"type": "object", "additionalProperties": item}, below),
    ),
    max_leaves=5,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["x", ""]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from("abcd"), below, max_size=3),
    max_leaves=10,
)


@given(MEMBERS, JSON)
def test_pruning_and_defaults_settle(member: Object, value: Any) -> None:
    root = compile_root(schema(a=member))
    once = values.prune(spec(a=value), root).obj
    values.fill(once, root)
    again = values.prune(once, root)
    assert again.unknown == []
    values.fill(again.obj, root)
    assert again.obj == once
    list(validate.errors(once, None, root))  # says what is wrong, and never fails itself
