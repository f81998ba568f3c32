"""What an agent may read: what its own pods refer to."""

import pytest

from podling.apiserver import rbac_bootstrap
from podling.apiserver.authorizers import Union
from podling.apiserver.cache import ResourceCache
from podling.apiserver.encoding import encode
from podling.apiserver.identity import Attributes, Decision, User
from podling.apiserver.node_authorizer import NodeAuthorizer, PodsOfNodes, references

NODE = User("system:node:n1", ("system:nodes", "system:authenticated"))
SPEC = {
    "imagePullSecrets": [{"name": "pull"}],
    "serviceAccountName": "robot",
    "containers": [
        {
            "name": "a",
            "env": [{"name": "x", "valueFrom": {"secretKeyRef": {"name": "key", "key": "k"}}}],
            "envFrom": [{"configMapRef": {"name": "all"}}],
        }
    ],
    "volumes": [
        {"name": "v", "secret": {"secretName": "mounted"}},
        {"name": "p", "projected": {"sources": [{"configMap": {"name": "part"}}]}},
        {"name": "c", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "e", "ephemeral": {}},
    ],
}


def pod(name: str = "p", node: str = "n1") -> dict[str, object]:
    metadata = {"name": name, "namespace": "team"}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": {**SPEC, **({"nodeName": node} if node else {})}}


class Cluster:
    def __init__(self) -> None:
        self.cache = ResourceCache(0)
        self.pods = PodsOfNodes(self.cache)
        self.authorizer = NodeAuthorizer(lambda: self.pods, rbac_bootstrap.node_rules())
        self.revision = 0

    def put(self, name: str, node: str | None = "n1") -> None:
        self.revision += 1
        self.cache.apply(f"team/{name}", None if node is None else encode(pod(name, node)), self.revision)

    def allows(self, verb: str, resource: str, name: str = "", user: User = NODE, **more: str) -> bool:
        return self.authorizer.authorize(
            Attributes(user, verb, "", resource=resource, name=name, **{"namespace": "team"} | more)
        ).allowed


def test_what_a_pod_refers_to() -> None:
    assert {(plural, name) for plural, name in references(pod()) if name} == {
        ("serviceaccounts", "robot"),
        ("secrets", "pull"),
        ("secrets", "key"),
        ("secrets", "mounted"),
        ("configmaps", "all"),
        ("configmaps", "part"),
        ("persistentvolumeclaims", "data"),
        ("persistentvolumeclaims", "p-e"),
    }


def test_a_secret_is_read_while_a_pod_of_the_node_has_it() -> None:
    cluster = Cluster()
    cluster.put("p", "")
    assert not cluster.allows("get", "secrets", "key")
    cluster.put("p", "n1")
    assert cluster.allows("get", "secrets", "key")
    assert cluster.allows("watch", "secrets", "key")
    assert not cluster.allows("get", "secrets", "key", namespace="other")
    assert not cluster.allows("get", "secrets", "another")
    assert not cluster.allows("list", "secrets")
    cluster.put("p", None)
    assert not cluster.allows("get", "secrets", "key")


@pytest.mark.parametrize(
    ("verb", "resource", "name", "more", "allowed"),
    [
        ("list", "pods", "", {"fields": "spec.nodeName=n1"}, True),
        ("list", "pods", "", {"fields": "spec.nodeName=n2"}, False),
        ("watch", "pods", "", {}, False),
        ("get", "pods", "p", {}, True),
        ("get", "pods", "foreign", {}, False),
        ("get", "nodes", "n1", {"namespace": ""}, True),
        ("get", "nodes", "n2", {"namespace": ""}, False),
        ("patch", "pods", "p", {"subresource": "status"}, True),
        ("create", "serviceaccounts", "robot", {"subresource": "token"}, True),
        ("create", "serviceaccounts", "default", {"subresource": "token"}, False),
        ("get", "configmaps", "all", {}, True),
        ("delete", "secrets", "key", {}, False),
        ("create", "deployments", "", {"group": "apps"}, False),
        ("list", "services", "", {}, True),
    ],
)
def test_verbs(verb: str, resource: str, name: str, more: dict[str, str], allowed: bool) -> None:
    cluster = Cluster()
    cluster.put("p")
    cluster.put("foreign", "n2")
    assert cluster.allows(verb, resource, name, **more) is allowed


def test_it_has_no_word_about_others() -> None:
    cluster = Cluster()
    cluster.put("p")
    assert not cluster.allows("get", "secrets", "key", User("ann", ("dev",)))


def test_the_first_that_allows_decides() -> None:
    class Fixed:
        def __init__(self, *decision: object) -> None:
            self.decision = Decision(*decision)

        def authorize(self, attributes: Attributes) -> Decision:
            return self.decision

        def rules(self, user: User, namespace: str) -> list[dict[str, object]]:
            return [{}]

    asked = Attributes(NODE, "get", "/")
    both = Union(Fixed(False, "a"), Fixed(False, "b"))
    assert both.authorize(asked) == Decision(False, "a, b")
    assert Union(Fixed(False, "a"), Fixed(True)).authorize(asked).allowed
    assert len(both.rules(NODE, "")) == 2
