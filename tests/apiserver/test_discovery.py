"""Discovery, version, health, OpenAPI."""

from collections.abc import Iterator
from typing import Any

import orjson

from podling.api.registry import BUILTIN
from podling.apiserver.discovery import AGGREGATED
from podling.apiserver.openapi import PROTOBUF
from podling.testing.apiserver import Api


async def test_groups_and_resources(api: Api) -> None:
    assert (await api("GET", "/api")).body["versions"] == ["v1"]
    groups = {group["name"]: group for group in (await api("GET", "/apis")).body["groups"]}
    assert groups["apps"]["preferredVersion"] == {"groupVersion": "apps/v1", "version": "v1"}
    assert (await api("GET", "/apis/apps")).body["kind"] == "APIGroup"
    resources = {entry["name"]: entry for entry in (await api("GET", "/apis/apps/v1")).body["resources"]}
    assert resources["deployments"]["shortNames"] == ["deploy"]
    assert resources["deployments/scale"]["kind"] == "Scale"
    assert (await api("GET", "/apis/nothing.example/v1")).status == 404
    assert (await api("POST", "/apis", {})).status == 405
    assert (await api("POST", "/nowhere", {})).status == 404
    assert "/apis/apps/v1" in (await api("GET", "/")).body["paths"]


async def test_aggregated_discovery(api: Api) -> None:
    accept = f"{AGGREGATED},application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
    answer = await api("GET", "/apis", accept=accept)
    assert answer.headers.get("content-type") == AGGREGATED
    found = {
        (group["metadata"]["name"], resource["resource"])
        for group in answer.body["items"]
        for version in group["versions"]
        for resource in version["resources"]
    }
    assert found == {(kind.group, kind.plural) for kind in BUILTIN if kind.group}
    core = (await api("GET", "/api", accept=accept)).body["items"][0]["versions"][0]["resources"]
    pods = next(resource for resource in core if resource["resource"] == "pods")
    assert pods["scope"] == "Namespaced"
    assert "binding" in {sub["subresource"] for sub in pods["subresources"]}
    reply = await api.transport.request("GET", "/apis", {}, [("accept", accept), ("if-none-match", answer.headers.get("etag"))])
    assert reply.status == 304


async def test_openapi(api: Api) -> None:
    paths = (await api("GET", "/openapi/v3")).body["paths"]
    assert set(paths) >= {"api/v1", "apis/apps/v1"}
    path, _, digest = paths["apis/apps/v1"]["serverRelativeURL"].partition("?hash=")
    answer = await api("GET", path, hash=digest)
    assert "immutable" in answer.headers.get("cache-control")
    assert "io.k8s.api.apps.v1.Deployment" in answer.body["components"]["schemas"]
    parameters = answer.body["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]["parameters"]
    assert "fieldValidation" in {parameter["name"] for parameter in parameters}
    assert (await api("GET", "/openapi/v3/apis/nothing/v1")).status == 404


async def test_openapi_v2(api: Api) -> None:
    answer = await api("GET", "/openapi/v2")
    assert answer.body["swagger"] == "2.0"
    known = {f"#/definitions/{name}" for name in answer.body["definitions"]}
    assert set(references(answer.body)) <= known
    spec = answer.body["definitions"]["io.k8s.api.apps.v1.Deployment"]["properties"]["spec"]
    assert spec["$ref"] == "#/definitions/io.k8s.api.apps.v1.DeploymentSpec"
    patch = answer.body["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert {"in": "query", "name": "dryRun", "type": "string", "uniqueItems": True} in patch["parameters"]
    assert "body" in {parameter["in"] for parameter in patch["parameters"]}
    packed = await api("GET", "/openapi/v2", accept=f"{PROTOBUF},application/json")
    assert packed.headers.get("content-type") == PROTOBUF
    assert packed.body.startswith(b"\n\x032.0")
    assert (await api("GET", "/openapi/v2", accept="text/html")).status == 406
    reply = await api.transport.request("GET", "/openapi/v2", {}, [("if-none-match", answer.headers.get("etag"))])
    assert reply.status == 304


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


async def test_version_and_health(api: Api) -> None:
    assert (await api("GET", "/version")).body["gitVersion"].startswith("v1.")
    for path in ("/healthz", "/livez", "/readyz"):
        assert (await api("GET", path)).body == b"ok"
    assert b"readyz check passed" in (await api("GET", "/readyz", verbose="")).body
    await api.server.close()
    assert (await api("GET", "/readyz")).status == 500
    assert (await api("GET", "/livez")).status == 200
    for check in ("ping", "store", "poststarthook/bootstrap"):
        assert (await api("GET", f"/livez/{check}")).body == b"ok"
    assert (await api("GET", "/readyz/poststarthook/bootstrap")).status == 500
    assert (await api("GET", "/readyz/ping")).status == 200
    told = (await api("GET", "/readyz", verbose="", exclude="poststarthook/bootstrap")).body
    assert told == b"[+]ping ok\n[+]store ok\n[+]poststarthook/bootstrap excluded: ok\nreadyz check passed\n"
    assert (await api("GET", "/readyz/none")).status == 404


async def test_representations(api: Api) -> None:
    table = (await api("GET", "/api/v1/namespaces", accept="application/json;as=Table;v=v1;g=meta.k8s.io,application/json")).body
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Status", "Age"]
    assert table["rows"][0]["cells"] == ["default", "Active", "0s"]
    partial = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    listed = (await api("GET", "/api/v1/namespaces", accept=partial)).body
    assert listed["kind"] == "PartialObjectMetadataList"
    assert set(listed["items"][0]) == {"kind", "apiVersion", "metadata"}
    protobuf = "application/vnd.kubernetes.protobuf"
    assert (await api("GET", "/api/v1/namespaces", accept=f"{protobuf},application/json")).body["kind"] == "NamespaceList"
    refused = await api("GET", "/api/v1/namespaces", accept=f"{protobuf};as=Table;v=v1;g=meta.k8s.io")
    assert (refused.status, refused.body["reason"]) == (406, "NotAcceptable")
    preferred = await api("GET", "/api/v1/namespaces/default", accept="application/json;q=0.5,application/yaml")
    assert preferred.headers.get("content-type") == "application/yaml"


async def test_large_answers_are_compressed_for_who_takes_it(api: Api) -> None:
    import gzip

    for number in range(3):
        data = {"a": "x" * 60_000}
        await api.create("/api/v1/namespaces/default/configmaps", {"metadata": {"name": f"c{number}"}, "data": data})
    path = "/api/v1/namespaces/default/configmaps"
    packed = await api.transport.request("GET", path, {}, [("accept-encoding", "gzip")])
    assert packed.headers.get("content-encoding") == "gzip"
    plain = await api.transport.request("GET", path, {}, [])
    assert "content-encoding" not in plain.headers
    assert orjson.loads(gzip.decompress(await packed.read())) == orjson.loads(await plain.read())
