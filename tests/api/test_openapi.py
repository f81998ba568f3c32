import json

import pytest

from podling.api.openapi import document
from podling.api.registry import BUILTIN

CORE = document(BUILTIN.of_group("", "v1"))
APPS = document(BUILTIN.of_group("apps", "v1"))


def references(value):
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


@pytest.mark.parametrize("api_version", sorted({kind.api_version for kind in BUILTIN}))
def test_every_reference_leads_somewhere(api_version):
    group, _, version = api_version.rpartition("/")
    found = document(BUILTIN.of_group(group, version))
    known = {f"#/components/schemas/{name}" for name in found["components"]["schemas"]}
    assert set(references(found)) <= known
    operations = [op["operationId"] for path in found["paths"].values() for op in path.values() if isinstance(op, dict)]
    assert len(operations) == len(set(operations))
    json.dumps(found)


def test_a_type_is_described_for_explain():
    pod = CORE["components"]["schemas"]["io.k8s.api.core.v1.Pod"]
    assert pod["x-kubernetes-group-version-kind"] == [{"group": "", "version": "v1", "kind": "Pod"}]
    assert "collection of containers" in pod["description"]
    spec = CORE["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"]
    assert spec["required"] == ["containers"]
    containers = spec["properties"]["containers"]
    assert containers["x-kubernetes-patch-merge-key"] == "name"
    assert containers["x-kubernetes-list-map-keys"] == ["name"]
    ports = CORE["components"]["schemas"]["io.k8s.api.core.v1.ContainerPort"]["properties"]
    assert ports["protocol"]["default"] == "TCP"


def test_a_patch_says_how_and_how_strictly():
    patch = APPS["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert "application/strategic-merge-patch+json" in patch["requestBody"]["content"]
    assert {"dryRun", "fieldManager", "fieldValidation"} <= {entry["name"] for entry in patch["parameters"]}
    assert patch["x-kubernetes-group-version-kind"] == {"group": "apps", "version": "v1", "kind": "Deployment"}


def test_paths_follow_scope_and_verbs():
    paths = CORE["paths"]
    assert set(paths["/api/v1/nodes"]) == {"get", "post", "delete", "parameters"}
    assert "/api/v1/namespaces/{namespace}/pods/{name}/exec" in paths
    assert set(paths["/api/v1/pods"]) == {"get", "parameters"}
    assert "delete" not in paths["/api/v1/namespaces"]
    assert set(paths["/api/v1/namespaces/{namespace}/bindings"]) == {"post", "parameters"}
