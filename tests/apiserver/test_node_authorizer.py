"""What an agent may read: what its own pods refer to."""

from typing import Any

import pytest

from podling.apiserver import node_graph, rbac_bootstrap
from podling.apiserver.approval import may_request
from podling.apiserver.authorizers import Union
from podling.apiserver.cache import ResourceCache
from podling.apiserver.encoding import encode
from podling.apiserver.identity import Attributes, Decision, User
from podling.apiserver.node_authorizer import NodeAuthorizer, PodsOfNodes, references
from podling.apiserver.rbac import RbacAuthorizer

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
        self.found: dict[tuple[tuple[str, str], str], dict[str, Any]] = {}
        self.authorizer = NodeAuthorizer(
            lambda: self.pods, rbac_bootstrap.node_rules(), lambda resource, key: self.found.get((resource, key))
        )
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


def test_a_volume_is_read_by_the_node_that_has_its_claim() -> None:
    cluster = Cluster()
    volume = {"spec": {"claimRef": {"namespace": "team", "name": "data"}, "csi": {"nodePublishSecretRef": {"name": "open"}}}}
    cluster.found = {
        (node_graph.VOLUMES, "v"): volume,
        (node_graph.CLAIMS, "team/data"): {"spec": {"volumeName": "v"}},
        (node_graph.VOLUMES, "other"): {"spec": {"claimRef": {"namespace": "else", "name": "data"}}},
    }
    assert not cluster.allows("get", "persistentvolumes", "v", namespace="")
    assert not cluster.allows("get", "secrets", "open")
    cluster.put("p")
    assert cluster.allows("get", "persistentvolumes", "v", namespace="")
    assert cluster.allows("get", "secrets", "open")
    assert not cluster.allows("get", "secrets", "open", namespace="else")
    assert not cluster.allows("get", "persistentvolumes", "other", namespace="")
    assert not cluster.allows("get", "persistentvolumes", "none", namespace="")
    assert not cluster.allows("list", "persistentvolumes", namespace="")
    assert not cluster.allows("delete", "persistentvolumes", "v", namespace="")
    other = User("system:node:n2", ("system:nodes",))
    assert not cluster.allows("get", "persistentvolumes", "v", other, namespace="")


def test_an_attachment_is_read_by_the_node_that_it_is_to() -> None:
    cluster = Cluster()
    cluster.found = {
        (node_graph.ATTACHMENTS, "a"): {"spec": {"nodeName": "n1"}},
        (node_graph.ATTACHMENTS, "b"): {"spec": {"nodeName": "n2"}},
    }
    where = {"group": "storage.k8s.io", "namespace": ""}
    assert cluster.allows("get", "volumeattachments", "a", **where)
    assert not cluster.allows("get", "volumeattachments", "b", **where)
    assert not cluster.allows("get", "volumeattachments", "c", **where)
    assert cluster.allows("get", "csinodes", "n1", **where)
    assert cluster.allows("create", "csinodes", **where)
    assert not cluster.allows("update", "csinodes", "n2", **where)


def test_devices_are_read_by_the_node_whose_pod_has_them() -> None:
    claims = [{"name": "g", "resourceClaimName": "gpu"}]
    made = {"resourceClaimStatuses": [{"name": "t", "resourceClaimName": "made-for-it"}]}
    has = {**pod(), "spec": {**SPEC, "nodeName": "n1", "resourceClaims": claims}, "status": made}
    cluster = Cluster()
    cluster.cache.apply("team/p", encode(has), 1)
    where = {"group": "resource.k8s.io"}
    assert cluster.allows("get", "resourceclaims", "gpu", **where)
    assert cluster.allows("get", "resourceclaims", "made-for-it", **where)
    assert not cluster.allows("get", "resourceclaims", "another", **where)
    assert not cluster.allows("get", "resourceclaims", "gpu", namespace="else", **where)
    assert cluster.allows("list", "resourceslices", namespace="", fields="spec.nodeName=n1", **where)
    assert not cluster.allows("list", "resourceslices", namespace="", **where)


def test_who_may_have_a_nodes_certificate() -> None:
    bindings = [each for each in rbac_bootstrap.objects() if each["kind"] == "ClusterRoleBinding"]
    roles = [each for each in rbac_bootstrap.objects() if each["kind"] == "ClusterRole"]
    rbac = RbacAuthorizer(lambda plural: {"clusterroles": roles, "clusterrolebindings": bindings}.get(plural, ()), lambda: 1)
    joining = {"username": "system:bootstrap:abc", "groups": ["system:bootstrappers"]}
    node = {"username": "system:node:n1", "groups": ["system:nodes"]}
    assert may_request(rbac, joining, "nodeclient")
    assert not may_request(rbac, joining, "selfnodeclient")
    assert may_request(rbac, node, "selfnodeclient")
    assert not may_request(rbac, node, "nodeclient")
    assert not may_request(rbac, {"username": "ann"}, "nodeclient")
