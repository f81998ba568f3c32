"""Kinds with few rules of their own: what they default, refuse and show."""

import base64

import pytest

from podling.api.authentication.reviews import TOKEN_REQUEST
from podling.api.authorization.reviews import LOCAL_SUBJECT_ACCESS_REVIEW, SUBJECT_ACCESS_REVIEW
from podling.api.coordination.lease import LEASE
from podling.api.core.binding import BINDING
from podling.api.core.configmap import CONFIG_MAP
from podling.api.core.endpoints import ENDPOINTS
from podling.api.core.event import EVENT
from podling.api.core.namespace import NAMESPACE
from podling.api.core.node import NODE
from podling.api.core.secret import SECRET, decoded
from podling.api.core.serviceaccount import SERVICE_ACCOUNT
from podling.api.discovery.endpointslice import ENDPOINT_SLICE
from podling.api.events.event import EVENT as NEW_EVENT
from podling.api.objects import put
from podling.api.rbac.binding import CLUSTER_ROLE_BINDING, ROLE_BINDING
from podling.api.rbac.role import CLUSTER_ROLE, ROLE
from podling.api.scheduling.priorityclass import PRIORITY_CLASS
from podling.api.table import table
from podling.testing.samples import changed, created, refusals, stored

NOW = 1_767_225_600.0 + 30  # half a minute after `stored` says things were created
GROUP = "rbac.authorization.k8s.io"


def of(kind, name="x", **members):
    meta = {"name": name, "namespace": "default"} if kind.namespaced else {"name": name}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta, **members}


def cells(kind, obj):
    return table(kind, [obj], NOW)["rows"][0]["cells"]


def b64(text):
    return base64.b64encode(text.encode()).decode()


def test_a_namespace_is_born_active_labelled_and_with_its_finalizer():
    new = created(NAMESPACE, of(NAMESPACE, "team"))
    assert new["status"] == {"phase": "Active"}
    assert new["spec"] == {"finalizers": ["kubernetes"]}
    assert new["metadata"]["labels"] == {"kubernetes.io/metadata.name": "team"}
    assert cells(NAMESPACE, stored(NAMESPACE, of(NAMESPACE, "team"))) == ["team", "Active", "30s"]


def test_an_update_does_not_take_a_namespaces_finalizer():
    old = stored(NAMESPACE, of(NAMESPACE, "team"))
    new, wrong = changed(NAMESPACE, old, lambda obj: obj.update(spec={}))
    assert (new["spec"], wrong) == ({"finalizers": ["kubernetes"]}, [])


def test_a_namespaces_phase_follows_its_deletion():
    old = stored(NAMESPACE, of(NAMESPACE, "team"))
    assert [str(error) for error in NAMESPACE.status_errors(put(old, "status.phase", "Terminating"), old)] == [
        "status.phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty"
    ]


def test_a_secrets_plain_strings_are_encoded():
    new = created(SECRET, of(SECRET, stringData={"a": "plain"}, data={"b": b64("x")}))
    assert new["data"] == {"b": b64("x"), "a": b64("plain")}
    assert new["type"] == "Opaque"
    assert "stringData" not in new
    assert decoded(new) == {"a": b"plain", "b": b"x"}
    assert cells(SECRET, stored(SECRET, new)) == ["x", "Opaque", 2, "30s"]


@pytest.mark.parametrize(
    ("kind", "members", "message"),
    [
        (CONFIG_MAP, {"data": {"a b": "x"}}, 'data[a b]: Invalid value: "a b": a valid config key must consist of'),
        (
            CONFIG_MAP,
            {"data": {"a": "x"}, "binaryData": {"a": "eA=="}},
            'data[a]: Invalid value: "a": duplicate of key present in binaryData',
        ),
        (CONFIG_MAP, {"data": {"a": "x" * 1048577}}, ": Too long: may not be more than 1048576 bytes"),
        (SECRET, {"data": {"a": b64("x" * 1048577)}}, "data: Too long: may not be more than 1048576 bytes"),
        (SECRET, {"type": "kubernetes.io/tls", "data": {"tls.crt": "eA=="}}, "data[tls.key]: Required value"),
        (SECRET, {"type": "kubernetes.io/dockerconfigjson"}, "data[.dockerconfigjson]: Required value"),
        (
            SECRET,
            {"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": b64("{")}},
            'data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": ',
        ),
        (
            SECRET,
            {"type": "kubernetes.io/service-account-token"},
            "metadata.annotations[kubernetes.io/service-account.name]: Required value",
        ),
        (LEASE, {"spec": {"leaseDurationSeconds": 0}}, "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"),
        (
            EVENT,
            {"involvedObject": {"namespace": "other"}},
            'involvedObject.namespace: Invalid value: "other": does not match event.namespace',
        ),
        (
            ENDPOINTS,
            {"subsets": [{"addresses": [{"ip": "1"}], "ports": [{"port": 1}]}]},
            'subsets[0].addresses[0].ip: Invalid value: "1": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
        ),
        (ENDPOINTS, {"subsets": [{}]}, "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"),
        (ENDPOINT_SLICE, {}, "addressType: Required value"),
        (
            ENDPOINT_SLICE,
            {"addressType": "IPv4", "endpoints": [{"addresses": ["::1"]}]},
            'endpoints[0].addresses[0]: Invalid value: "::1": must be an IPv4 address',
        ),
        (
            ENDPOINT_SLICE,
            {"addressType": "IPv4", "endpoints": [{"addresses": []}]},
            "endpoints[0].addresses: Required value: must contain at least 1 address",
        ),
        (
            ROLE,
            {"rules": [{"apiGroups": [""], "resources": ["pods"]}]},
            "rules[0].verbs: Required value: verbs must contain at least one value",
        ),
        (
            ROLE,
            {"rules": [{"verbs": ["get"], "resources": ["pods"]}]},
            "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
        ),
        (
            ROLE,
            {"rules": [{"verbs": ["get"], "nonResourceURLs": ["/x"]}]},
            'rules[0].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs',
        ),
        (
            ROLE_BINDING,
            {"roleRef": {"kind": "Nope", "name": "r"}},
            'roleRef.kind: Unsupported value: "Nope": supported values: "Role", "ClusterRole"',
        ),
        (
            CLUSTER_ROLE_BINDING,
            {"roleRef": {"kind": "ClusterRole", "name": "r"}, "subjects": [{"kind": "ServiceAccount", "name": "s"}]},
            "subjects[0].namespace: Required value",
        ),
        (
            PRIORITY_CLASS,
            {"value": 2_000_000_000},
            "value: Forbidden: maximum allowed value of a user defined priority is 1000000000",
        ),
        (BINDING, {"target": {"kind": "Node"}}, "target.name: Required value"),
        (
            SUBJECT_ACCESS_REVIEW,
            {"spec": {"user": "u"}},
            "spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be "
            "specified",
        ),
        (
            LOCAL_SUBJECT_ACCESS_REVIEW,
            {"spec": {"user": "u", "resourceAttributes": {"namespace": "other"}}},
            'spec.resourceAttributes.namespace: Invalid value: "other": must match metadata.namespace',
        ),
        (NODE, {"spec": {"taints": [{"key": "a"}]}}, "spec.taints[0].effect: Required value"),
    ],
)
def test_bad_objects_are_refused_in_upstreams_words(kind, members, message):
    found = refusals(kind, of(kind, **members))
    assert [text for text in found if text.startswith(message)], found


@pytest.mark.parametrize(
    ("kind", "members"),
    [
        (CONFIG_MAP, {"data": {"ca.crt": "x"}}),
        (CLUSTER_ROLE, {"rules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]}),
        (CLUSTER_ROLE, {"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}}),
        (ROLE_BINDING, {"roleRef": {"kind": "ClusterRole", "name": "system:x"}, "subjects": [{"kind": "User", "name": "u"}]}),
        (NODE, {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}}),
        (LEASE, {}),
        (SERVICE_ACCOUNT, {}),
        (PRIORITY_CLASS, {"value": 5}),
    ],
)
def test_good_objects_are_accepted(kind, members):
    assert refusals(kind, of(kind, **members)) == []


def test_rbac_names_may_hold_colons_but_no_slash():
    assert refusals(CLUSTER_ROLE, of(CLUSTER_ROLE, "system:node")) == []
    assert refusals(CLUSTER_ROLE, of(CLUSTER_ROLE, "a/b")) == ["metadata.name: Invalid value: \"a/b\": may not contain '/'"]


def test_the_role_of_a_binding_never_changes():
    old = stored(ROLE_BINDING, of(ROLE_BINDING, roleRef={"kind": "Role", "name": "r"}))
    assert old["roleRef"]["apiGroup"] == GROUP
    _, wrong = changed(ROLE_BINDING, old, lambda obj: obj["roleRef"].update(name="s"))
    assert wrong == [f'roleRef: Invalid value: {{"kind":"Role","name":"s","apiGroup":"{GROUP}"}}: cannot change roleRef']


@pytest.mark.parametrize("kind", [CONFIG_MAP, SECRET])
def test_what_is_immutable_stays(kind):
    old = stored(kind, of(kind, data={"a": "eA=="}, immutable=True))
    assert changed(kind, old, lambda obj: obj["metadata"].update(labels={"a": "b"}))[1] == []
    _, wrong = changed(kind, old, lambda obj: obj.update(data={}, immutable=False))
    assert wrong == [
        "immutable: Forbidden: field is immutable when `immutable` is set",
        "data: Forbidden: field is immutable when `immutable` is set",
    ]


def test_a_node_brings_its_status_and_shows_it():
    status = {
        "capacity": {"cpu": "2"},
        "conditions": [{"type": "Ready", "status": "True"}],
        "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}],
        "nodeInfo": {"kubeletVersion": "v1.36.0", "osImage": "Debian", "kernelVersion": "6", "containerRuntimeVersion": "c://1"},
    }
    node = stored(NODE, of(NODE, "n1", status=status))
    assert node["status"]["allocatable"] == {"cpu": "2"}
    node = put(node, "metadata.labels", {"node-role.kubernetes.io/control-plane": ""})
    assert cells(NODE, node) == ["n1", "Ready", "control-plane", "30s", "v1.36.0", "10.0.0.1", "<none>", "Debian", "6", "c://1"]
    assert cells(NODE, put(node, "spec.unschedulable", True))[1] == "Ready,SchedulingDisabled"
    assert NODE.field_values(node) == {"metadata.name": "n1", "spec.unschedulable": "false"}


def test_both_events_are_one_thing():
    new = of(NEW_EVENT, regarding={"kind": "Pod", "name": "p"}, note="hello", reportingController="c", deprecatedCount=3)
    core = NEW_EVENT.to_stored(new)
    assert core["apiVersion"] == "v1"
    assert (core["involvedObject"], core["message"], core["count"]) == ({"kind": "Pod", "name": "p"}, "hello", 3)
    assert NEW_EVENT.from_stored(core) == new
    assert NEW_EVENT.storage == EVENT.storage == ("", "events")


def test_an_event_is_shown_with_its_age_and_object():
    event = of(
        EVENT,
        involvedObject={"kind": "Pod", "name": "web"},
        type="Warning",
        reason="Failed",
        message="no\n",
        lastTimestamp="2026-01-01T00:00:20Z",
    )
    assert cells(EVENT, event)[:4] == ["10s", "Warning", "Failed", "pod/web"]
    assert EVENT.field_values(event)["involvedObject.name"] == "web"


def test_endpoints_and_slices_show_a_few_addresses():
    addresses = [{"ip": f"10.0.0.{n}"} for n in range(5)]
    endpoints = stored(ENDPOINTS, of(ENDPOINTS, subsets=[{"addresses": addresses, "ports": [{"port": 80}]}]))
    assert cells(ENDPOINTS, endpoints)[1] == "10.0.0.0:80,10.0.0.1:80,10.0.0.2:80 + 2 more..."
    assert cells(ENDPOINTS, stored(ENDPOINTS, of(ENDPOINTS)))[1] == "<none>"
    parts = {"addressType": "IPv4", "endpoints": [{"addresses": [each["ip"]]} for each in addresses], "ports": [{"port": 80}]}
    shown = cells(ENDPOINT_SLICE, stored(ENDPOINT_SLICE, of(ENDPOINT_SLICE, **parts)))
    assert shown[1:4] == ["IPv4", "80", "10.0.0.0,10.0.0.1,10.0.0.2 + 2 more..."]


def test_bindings_show_role_and_subjects():
    subjects = [{"kind": "ServiceAccount", "name": "s", "namespace": "n"}, {"kind": "User", "name": "u"}]
    binding = stored(ROLE_BINDING, of(ROLE_BINDING, roleRef={"kind": "Role", "name": "r"}, subjects=subjects))
    assert cells(ROLE_BINDING, binding) == ["x", "Role/r", "30s", "u", "", "n/s"]


def test_a_token_lives_an_hour_unless_told_and_ten_minutes_at_least():
    assert created(TOKEN_REQUEST, of(TOKEN_REQUEST))["spec"] == {"expirationSeconds": 3600}
    assert refusals(TOKEN_REQUEST, of(TOKEN_REQUEST, spec={"expirationSeconds": 599})) == [
        "spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes"
    ]
