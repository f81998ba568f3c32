"""Bodies: what is read, in which formats, and what is refused. Nothing that a client sends is an internal error."""

import random
from typing import Any

import orjson
import pytest

from podling.api.registry import BUILTIN
from podling.api.schema import Shape, Type, schemas
from podling.testing.apiserver import CONFIG_MAPS, Api

Object = dict[str, Any]


async def test_yaml(api: Api) -> None:
    text = b"metadata: {name: c}\ndata:\n  date: '2024-01-01'\n  plain: text\n"
    answer = await api("POST", CONFIG_MAPS, text, type="application/yaml")
    assert answer.body["data"] == {"date": "2024-01-01", "plain": "text"}
    shown = await api("GET", f"{CONFIG_MAPS}/c", accept="application/yaml")
    assert shown.headers.get("content-type") == "application/yaml"
    assert b"plain: text" in shown.body


@pytest.mark.parametrize(
    ("body", "media", "code", "words"),
    [
        (b"{not json", "application/json", 400, "(must be of type ConfigMap): couldn't get version/kind; json parse error: "),
        (b"[]", "application/json", 400, "cannot unmarshal array"),
        (b"", "application/json", 400, "json parse error"),
        (b"a: b: c", "application/yaml", 400, "couldn't get version/kind"),
        (b"a: &x [1]\nb: *x", "application/yaml", 400, "aliases are not accepted"),
        (b"a: 1\na: 2", "application/yaml", 400, 'key "a" already set in map'),
        (b"{}", "text/html", 415, "accepted media types include: application/json, application/yaml"),
        (b"k8s\0\xff\xff", "application/vnd.kubernetes.protobuf", 400, "unexpected EOF"),
        (b'{"data":' * 300 + b"1" + b"}" * 300, "application/json", 400, "max depth"),
        (b"[" * 100_000, "application/json", 400, "json parse error"),
        (b"[" * 10_000, "application/yaml", 400, "parse error"),
        (
            b'{"metadata":{"name":"c","name":"d"}}',
            "application/json",
            400,
            'strict decoding error: duplicate field "metadata.name"',
        ),
        (b'{"metadata":[]}', "application/json", 400, "cannot unmarshal array into Go struct field ConfigMap.metadata"),
    ],
)
async def test_refused_bodies(api: Api, body: bytes, media: str, code: int, words: str) -> None:
    answer = await api("POST", CONFIG_MAPS, body or b" ", type=media, fieldValidation="Strict")
    assert answer.status == code, answer.body
    assert words in answer.message


async def test_a_body_has_a_limit(api: Api) -> None:
    answer = await api("POST", CONFIG_MAPS, b" " * (3 << 20) + b"{}")
    assert (answer.status, answer.body["reason"]) == (413, "RequestEntityTooLarge")


def junk(source: random.Random, shape: Shape, depth: int) -> Any:
    """A value that has the type that the schema wants, or nearly."""
    if source.random() < 0.05:
        return source.choice([None, [], {}, "", 0])
    match shape.form:
        case "scalar":
            return source.choice(SCALARS[shape.scalar])
        case "list" if depth:
            return [junk(source, shape.item or shape, depth - 1) for _ in range(source.choice([0, 1, 2]))]
        case "map" if depth:
            return {key: junk(source, shape.item or shape, depth - 1) for key in source.sample(["a", "x/y", "bad key"], 2)}
        case "type" if depth and not schemas().type(shape.type_name).shape:
            return fields(source, schemas().type(shape.type_name), depth - 1)
        case _:
            return {} if shape.form != "list" else []


def fields(source: random.Random, kind: Type, depth: int) -> Object:
    chosen = (name for name in kind.fields if source.random() < (0.9 if name in kind.required else 0.35))
    return {name: junk(source, kind.fields[name], depth) for name in chosen}


SCALARS: dict[str, list[Any]] = {
    "string": ["", "a", "x y", "TCP", "None", "Always", "ClusterIP", "http"],
    "int32": [0, -1, 80, 70000],
    "int64": [0, -1, 5],
    "number": [1.5],
    "boolean": [True, False],
    "bytes": ["YQ=="],
    "time": ["2024-01-01T00:00:00Z"],
    "micro-time": ["2024-01-01T00:00:00.000000Z"],
    "quantity": ["1", "100m", "-1"],
    "int-or-string": [0, 80, "25%", "http", -1],
}


@pytest.mark.parametrize("kind", [kind for kind in BUILTIN if not kind.create_only], ids=lambda kind: kind.resource)
async def test_no_body_is_an_internal_error(api: Api, kind: Any) -> None:
    root = f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.version}"
    path = f"{root}/namespaces/default/{kind.plural}" if kind.namespaced else f"{root}/{kind.plural}"
    schema = schemas().of_kind(kind.api_version, kind.kind)
    assert schema is not None
    for seed in range(30):
        source = random.Random(seed)
        for method, where in (("POST", path), ("PUT", f"{path}/n{seed}"), ("PUT", f"{path}/n{seed}/status")):
            body = {**fields(source, schema, source.choice([1, 2, 4, 7])), "apiVersion": kind.api_version, "kind": kind.kind}
            body["metadata"] = {"name": f"n{seed}"}
            answer = await api(method, where, orjson.dumps(body), fieldValidation="Ignore")
            assert answer.status < 500, answer.body
    assert (await api("GET", path, accept="application/json;as=Table;v=v1;g=meta.k8s.io")).status == 200
