"""Patches of each type, and what they may not do."""

from typing import Any

import pytest

from podling.testing.apiserver import CONFIG_MAPS, PODS, Api

Object = dict[str, Any]
JSON, MERGE, STRATEGIC = (f"application/{name}-patch+json" for name in ("json", "merge", "strategic-merge"))


async def test_each_type(api: Api, pod: Object) -> None:
    await api.create(PODS, pod)
    merged = await api("PATCH", f"{PODS}/p", {"metadata": {"labels": {"a": "b"}}}, type=MERGE)
    assert merged.body["metadata"]["labels"] == {"a": "b"}
    strategic = {"spec": {"containers": [{"name": "main", "image": "busybox:2"}]}}
    patched = await api("PATCH", f"{PODS}/p", strategic, type=STRATEGIC)
    assert [(c["name"], c["image"]) for c in patched.body["spec"]["containers"]] == [("main", "busybox:2")]
    operations = [{"op": "test", "path": "/metadata/labels/a", "value": "b"}, {"op": "remove", "path": "/metadata/labels/a"}]
    emptied = await api("PATCH", f"{PODS}/p", operations, type=JSON)
    assert "labels" not in emptied.body["metadata"]
    status = await api("PATCH", f"{PODS}/p/status", {"status": {"phase": "Failed"}, "spec": {"nodeName": "x"}}, type=MERGE)
    assert (status.body["status"]["phase"], status.body["spec"].get("nodeName")) == ("Failed", None)


@pytest.mark.parametrize(
    ("media", "body", "code"),
    [
        ("application/apply-patch+yaml", b"{}", 422),
        ("application/json", b"{}", 415),
        (MERGE, b"[", 400),
        (MERGE, b"[]", 400),
        (JSON, b"{}", 400),
        (JSON, b'[{"op":"remove","path":"/nothing"}]', 422),
        (JSON, b'[{"op":"test","path":"/data/a","value":"x"}]', 422),
        (MERGE, b'{"kind":"Pod"}', 400),
        (MERGE, b'{"metadata":{"name":"d"}}', 400),
        (MERGE, b'{"metadata":{"namespace":"d"}}', 400),
        (MERGE, b'{"metadata":null}', 400),
        (MERGE, b'{"metadata":{"uid":"x"}}', 409),
        (MERGE, b'{"metadata":{"resourceVersion":"1"}}', 409),
        (MERGE, b'{"data":{"a":7}}', 400),
        (STRATEGIC, b'{"data":{"$patch":"sideways"}}', 400),
    ],
)
async def test_refused_patches(api: Api, media: str, body: bytes, code: int) -> None:
    await api.create(CONFIG_MAPS, {"metadata": {"name": "c"}, "data": {"a": "1"}})
    answer = await api("PATCH", f"{CONFIG_MAPS}/c", body, type=media)
    assert (answer.status, answer.body["kind"]) == (code, "Status"), answer.body
    assert (await api("GET", f"{CONFIG_MAPS}/c")).body["data"] == {"a": "1"}


async def test_strict_patches(api: Api) -> None:
    await api.create(CONFIG_MAPS, {"metadata": {"name": "c"}})
    answer = await api("PATCH", f"{CONFIG_MAPS}/c", {"dota": {}}, type=MERGE, fieldValidation="Strict")
    assert answer.message.endswith('strict decoding error: unknown field "dota"')
    missing = await api("PATCH", f"{CONFIG_MAPS}/d", {}, type=MERGE)
    assert (missing.status, missing.message) == (404, 'configmaps "d" not found')
