"""Paths and verbs."""

import pytest

from podling.apiserver.paths import Target, parse, verb_of


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/api/v1/pods", Target("", "v1", "pods")),
        ("/api/v1/namespaces", Target("", "v1", "namespaces")),
        ("/api/v1/namespaces/x", Target("", "v1", "namespaces", "x", "x")),
        ("/api/v1/namespaces/x/finalize", Target("", "v1", "namespaces", "x", "x", "finalize")),
        ("/api/v1/namespaces/x/pods", Target("", "v1", "pods", "x")),
        ("/api/v1/namespaces/x/pods/y/log", Target("", "v1", "pods", "x", "y", "log")),
        ("/apis/apps/v1/namespaces/x/deployments/y/", Target("apps", "v1", "deployments", "x", "y")),
        ("/api/v1/nodes/n/proxy/a/b", Target("", "v1", "nodes", "", "n", "proxy", "a/b")),
        ("/api/v1/watch/namespaces/x/pods", Target("", "v1", "pods", "x", watch=True)),
        (
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
            Target("rbac.authorization.k8s.io", "v1", "clusterroles", "", "system:node"),
        ),
    ],
)
def test_resource_paths(path: str, target: Target) -> None:
    assert parse(path) == target


@pytest.mark.parametrize("path", ["/", "/api", "/api/v1", "/apis", "/apis/apps", "/apis/apps/v1", "/version", "/api/v1/pods//x"])
def test_other_paths(path: str) -> None:
    assert parse(path) is None


def test_verbs() -> None:
    one, many = Target("", "v1", "pods", "x", "y"), Target("", "v1", "pods", "x")
    assert [verb_of(method, one, False) for method in ("GET", "PUT", "PATCH", "DELETE")] == ["get", "update", "patch", "delete"]
    assert [verb_of(method, many, False) for method in ("GET", "POST", "DELETE")] == ["list", "create", "deletecollection"]
    assert verb_of("GET", many, True) == verb_of("GET", one, True) == "watch"
