"""Who may do what: rules as a table, and the roles that a cluster starts with."""

import pytest

from podling.apiserver import rbac_bootstrap
from podling.apiserver.identity import Attributes, User
from podling.apiserver.rbac import RbacAuthorizer, rule_allows

ANN = User("ann", ("dev", "system:authenticated"))


def asks(verb="get", resource="pods", **rest):
    return Attributes(rest.pop("user", ANN), verb, rest.pop("path", ""), resource=resource, **rest)


@pytest.mark.parametrize(
    ("rule", "attributes", "allowed"),
    [
        ({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}, asks(), True),
        ({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}, asks("list"), False),
        ({"apiGroups": ["apps"], "resources": ["pods"], "verbs": ["get"]}, asks(), False),
        ({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, asks(group="apps"), True),
        ({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}, asks(subresource="log"), False),
        ({"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]}, asks(subresource="log"), True),
        ({"apiGroups": [""], "resources": ["*/log"], "verbs": ["get"]}, asks(subresource="log"), True),
        ({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], "resourceNames": ["a"]}, asks(name="a"), True),
        ({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], "resourceNames": ["a"]}, asks(name="b"), False),
        ({"apiGroups": [""], "resources": ["pods"], "verbs": ["list"], "resourceNames": ["a"]}, asks("list"), False),
        ({"nonResourceURLs": ["/healthz"], "verbs": ["get"]}, asks(resource="", path="/healthz"), True),
        ({"nonResourceURLs": ["/apis/*"], "verbs": ["get"]}, asks(resource="", path="/apis/apps/v1"), True),
        ({"nonResourceURLs": ["/apis/*"], "verbs": ["get"]}, asks(resource="", path="/metrics"), False),
    ],
)
def test_a_rule(rule, attributes, allowed):
    assert rule_allows(rule, attributes) is allowed


class Cluster:
    """RBAC objects that can change."""

    def __init__(self, *objects):
        self.objects = [*rbac_bootstrap.objects(), *objects]
        self.changes = 0

    def add(self, obj):
        self.objects.append(obj)
        self.changes += 1

    def authorizer(self):
        def of(plural):
            return [obj for obj in self.objects if obj["kind"].lower() + "s" == plural]

        return RbacAuthorizer(of, lambda: self.changes)


def binding(kind, role, subject, namespace=""):
    metadata = {"name": f"{role}-to-{subject['name']}"} | ({"namespace": namespace} if namespace else {})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}
    return {"kind": kind, "metadata": metadata, "roleRef": reference, "subjects": [subject]}


def test_a_role_binding_holds_in_its_namespace_only():
    cluster = Cluster(binding("RoleBinding", "view", {"kind": "Group", "name": "dev"}, "team"))
    authorizer = cluster.authorizer()
    assert authorizer.authorize(asks(namespace="team")).allowed
    assert not authorizer.authorize(asks(namespace="other")).allowed
    assert not authorizer.authorize(asks("create", namespace="team")).allowed


def test_a_new_binding_counts_at_once():
    cluster = Cluster()
    authorizer = cluster.authorizer()
    assert not authorizer.authorize(asks("create", namespace="x")).allowed
    cluster.add(binding("ClusterRoleBinding", "edit", {"kind": "User", "name": "ann"}))
    assert authorizer.authorize(asks("create", namespace="x")).allowed


def test_a_service_account_is_a_subject():
    subject = {"kind": "ServiceAccount", "name": "robot", "namespace": "team"}
    authorizer = Cluster(binding("ClusterRoleBinding", "view", subject)).authorizer()
    robot = User("system:serviceaccount:team:robot", ("system:serviceaccounts",))
    assert authorizer.authorize(asks(user=robot, namespace="any")).allowed


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        (asks(namespace="x"), 'User "ann" cannot get resource "pods" in API group "" in the namespace "x"'),
        (asks("list", "nodes"), 'User "ann" cannot list resource "nodes" in API group "" at the cluster scope'),
        (
            asks("create", "deployments", group="apps", namespace="x", subresource="scale"),
            'User "ann" cannot create resource "deployments/scale" in API group "apps" in the namespace "x"',
        ),
        (asks("get", "", path="/metrics"), 'User "ann" cannot get path "/metrics"'),
    ],
)
def test_the_reason_of_a_refusal_is_upstreams(attributes, reason):
    decision = Cluster().authorizer().authorize(attributes)
    assert not decision.allowed
    assert decision.reason == reason


def test_who_may_what_from_the_first():
    authorizer = Cluster().authorizer()
    admin = User("kubernetes-admin", ("system:masters",))
    nobody = User("system:anonymous", ("system:unauthenticated",))
    assert authorizer.authorize(asks("delete", "nodes", user=admin)).allowed
    assert authorizer.authorize(asks("get", "", path="/version", user=nobody)).allowed
    assert not authorizer.authorize(asks("get", "", path="/api", user=nobody)).allowed
    assert not authorizer.authorize(asks(user=nobody)).allowed
