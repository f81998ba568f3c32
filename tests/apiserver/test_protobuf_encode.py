"""Protobuf answers: what is sent is read back as it was."""

import asyncio

import pytest

from podling.api.objects import thaw
from podling.api.registry import KINDS
from podling.apiserver.protobuf import decode
from podling.apiserver.protobuf_encode import encode
from podling.apiserver.wire import bytes_of, fields, text_of
from podling.testing.apiserver import CONFIG_MAPS, Api
from podling.testing.kinds import KEPT, sample
from podling.testing.samples import Object, stored

PROTOBUF = "application/vnd.kubernetes.protobuf"
every_kind = pytest.mark.parametrize("kind", KEPT, ids=lambda kind: f"{kind.api_version} {kind.kind}")


def plain(value: object) -> object:
    """`value` without what protobuf can't tell from nothing: empty and zero members."""
    if isinstance(value, dict):
        return {key: kept for key, item in value.items() if (kept := plain(item)) not in ({}, [], "", 0, False, None)}
    return [plain(item) for item in value] if isinstance(value, list) else value


@every_kind
def test_what_is_sent_comes_back(kind) -> None:
    obj = sample(kind)
    obj["metadata"]["uid"] = "u-1"
    obj = stored(kind, obj)
    data = encode(obj)
    assert data is not None
    assert plain(decode(data)) == plain(obj)


@every_kind
def test_lists_have_a_form_too(kind) -> None:
    items = [{name: value for name, value in sample(kind).items() if name not in ("apiVersion", "kind")}]
    whole = {"apiVersion": kind.api_version, "kind": kind.list_kind, "metadata": {"resourceVersion": "7"}, "items": items}
    data = encode(whole)
    assert data is not None
    assert plain(decode(data)) == plain(whole)


def test_schemas_in_definitions() -> None:
    (kind,) = (kind for kind in KINDS if kind.kind == "CustomResourceDefinition")
    schema: Object = {
        "type": "object",
        "required": ["spec"],
        "additionalProperties": False,
        "properties": {
            "spec": {"type": "array", "items": {"type": "string", "enum": ["a", 1, None]}},
            "status": {"type": "object", "additionalProperties": {"type": "number", "maximum": 1.5}},
            "more": {"type": "object", "additionalProperties": True, "default": {"a": [1]}},
        },
    }
    obj = sample(kind)
    version = obj["spec"]["versions"][0]
    version["schema"] = {"openAPIV3Schema": thaw(schema)}
    version["subresources"] = {"status": {}}
    data = encode(obj)
    assert data is not None
    back = decode(data)["spec"]["versions"][0]
    assert back["schema"]["openAPIV3Schema"] == schema
    assert back["subresources"] == {"status": {}}


def test_a_custom_resource_has_none() -> None:
    assert encode({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {}}) is None


async def test_answers(api: Api) -> None:
    await api.create(CONFIG_MAPS, {"metadata": {"name": "a"}, "data": {"x": "1"}})
    answer = await api("GET", f"{CONFIG_MAPS}/a", accept=PROTOBUF)
    assert answer.headers.get("content-type") == PROTOBUF
    assert decode(answer.body)["data"] == {"x": "1"}
    both = await api("GET", f"{CONFIG_MAPS}/a", accept=f"{PROTOBUF}, application/json")
    assert both.headers.get("content-type") == "application/json"
    listed = await api("GET", CONFIG_MAPS, accept=PROTOBUF)
    found = decode(listed.body)
    assert (found["kind"], "a" in [each["metadata"]["name"] for each in found["items"]]) == ("ConfigMapList", True)
    partial = await api("GET", f"{CONFIG_MAPS}/a", accept=f"{PROTOBUF};as=PartialObjectMetadata;g=meta.k8s.io;v=v1")
    assert b"PartialObjectMetadata" in partial.body
    assert b"ConfigMap" not in partial.body


async def test_a_watch(api: Api) -> None:
    made = await api.create(CONFIG_MAPS, {"metadata": {"name": "w"}, "data": {"x": "1"}})
    reply = await api.transport.request(
        "GET", CONFIG_MAPS, {"watch": "true", "fieldSelector": "metadata.name=w"}, [("accept", f"{PROTOBUF};stream=watch")]
    )
    assert reply.headers.get("content-type") == f"{PROTOBUF};stream=watch"
    await api("DELETE", f"{CONFIG_MAPS}/w")
    stream, data = reply.stream(), b""
    seen = []
    while len(seen) < 2:
        while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:4], "big"):
            async with asyncio.timeout(30):
                data += await anext(stream)
        size = int.from_bytes(data[:4], "big")
        event, data = dict(fields(data[4 : 4 + size])), data[4 + size :]
        raw = dict(fields(bytes_of(event[2])))[1]
        seen.append((text_of(event[1]), decode(bytes_of(raw))))
    assert [kind for kind, _ in seen] == ["ADDED", "DELETED"]
    assert seen[0][1]["data"] == {"x": "1"}
    assert seen[1][1]["metadata"]["uid"] == made["metadata"]["uid"]
    await stream.aclose()
