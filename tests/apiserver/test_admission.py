"""The smaller admission plugins: storage and ingress defaults, finalizers, runtime classes, what nodes may do."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from podling.aio.http import Request
from podling.apiserver.identity import User
from podling.testing.apiserver import PODS, Api
from podling.testing.kinds import signing_request

Object = dict[str, Any]
STORAGE = "/apis/storage.k8s.io/v1/storageclasses"
CLAIMS = "/api/v1/namespaces/default/persistentvolumeclaims"
RUNTIMES = "/apis/node.k8s.io/v1/runtimeclasses"
TOKENS = "/api/v1/namespaces/default/serviceaccounts/default/token"
NODES = "/api/v1/nodes"


def claim(name: str, **spec: Any) -> Object:
    whole = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
    return {"metadata": {"name": name}, "spec": whole}


async def test_claims_get_the_newest_default_class_and_a_finalizer(api: Api) -> None:
    assert "storageClassName" not in (await api.create(CLAIMS, claim("early")))["spec"]
    mark = {"storageclass.kubernetes.io/is-default-class": "true"}
    for name, annotations in (("old", mark), ("new", mark), ("other", {})):
        await api.clock.advance(1)
        await api.create(STORAGE, {"metadata": {"name": name, "annotations": annotations}, "provisioner": "x/y"})
    made = await api.create(CLAIMS, claim("a"))
    assert made["spec"]["storageClassName"] == "new"
    assert made["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    assert (await api.create(CLAIMS, claim("b", storageClassName="")))["spec"]["storageClassName"] == ""


async def test_ingresses_get_the_default_class(api: Api) -> None:
    annotations = {"ingressclass.kubernetes.io/is-default-class": "true"}
    main = {"metadata": {"name": "main", "annotations": annotations}, "spec": {"controller": "x.io/y"}}
    await api.create("/apis/networking.k8s.io/v1/ingressclasses", main)
    backend = {"service": {"name": "s", "port": {"number": 80}}}
    ingress = {"metadata": {"name": "i"}, "spec": {"defaultBackend": backend}}
    made = await api.create("/apis/networking.k8s.io/v1/namespaces/default/ingresses", ingress)
    assert made["spec"]["ingressClassName"] == "main"


async def test_a_runtime_class_adds_its_overhead_and_its_nodes(api: Api, pod: Object) -> None:
    pod["spec"]["runtimeClassName"] = "vm"
    refused = await api("POST", PODS, pod)
    assert refused.message == 'pods "p" is forbidden: pod rejected: RuntimeClass "vm" not found'
    scheduling = {"nodeSelector": {"vm": "yes"}, "tolerations": [{"key": "vm", "operator": "Exists"}]}
    overhead = {"podFixed": {"cpu": "250m"}}
    await api.create(RUNTIMES, {"metadata": {"name": "vm"}, "handler": "vm", "overhead": overhead, "scheduling": scheduling})
    spec = (await api.create(PODS, pod))["spec"]
    assert spec["overhead"] == {"cpu": "250m"}
    assert spec["nodeSelector"] == {"vm": "yes"}
    assert {"key": "vm", "operator": "Exists"} in spec["tolerations"]
    pod |= {"metadata": {"name": "q"}}
    pod["spec"]["nodeSelector"] = {"vm": "no"}
    refused = await api("POST", PODS, pod)
    assert refused.message == (
        'pods "q" is forbidden: conflict: runtimeClass.scheduling.nodeSelector[vm] = yes; pod.spec.nodeSelector[vm] = no'
    )


async def test_an_overhead_without_a_class(api: Api, pod: Object) -> None:
    pod["spec"]["overhead"] = {"cpu": "1"}
    refused = await api("POST", PODS, pod)
    assert refused.message.endswith("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead")


@dataclass
class Acting:
    """Whoever `user` is just now."""

    user: User = field(default_factory=lambda: User("admin", ("system:masters",)))

    async def authenticate(self, request: Request) -> User | None:
        return self.user


@pytest.fixture
def acting(api: Api, monkeypatch: pytest.MonkeyPatch) -> Acting:
    """The clients of `api`."""
    (only,) = api.server.backend.authenticators
    acting = Acting()
    monkeypatch.setattr(type(only), "authenticate", lambda _, request: acting.authenticate(request))
    return acting


NODE = User("system:node:n1", ("system:nodes", "system:authenticated"))


async def test_what_a_node_may_do(api: Api, acting: Acting, pod: Object) -> None:
    for name, node in (("mine", "n1"), ("other", "n2")):
        await api.create(PODS, {**pod, "metadata": {"name": name}, "spec": {**pod["spec"], "nodeName": node}})
    await api.create(NODES, {"metadata": {"name": "n2"}})
    acting.user = NODE
    own = {"metadata": {"name": "n1", "labels": {"kubernetes.io/os": "linux", "topology.kubernetes.io/zone": "z", "x": "y"}}}
    await api.create(NODES, own)
    label = {"metadata": {"labels": {"node-restriction.kubernetes.io/safe": "yes"}}}
    merge = "application/merge-patch+json"
    ready = {"status": {"phase": "Running"}}
    cases = [
        (await api("PATCH", f"{NODES}/n2", label, type=merge), 'node "n1" is not allowed to modify node "n2"'),
        (
            await api("PATCH", f"{NODES}/n1", label, type=merge),
            'node "n1" is not allowed to modify labels: node-restriction.kubernetes.io/safe',
        ),
        (
            await api("PATCH", f"{NODES}/n1", {"spec": {"taints": []}}, type=merge),
            'node "n1" is not allowed to modify taints',
        ),
        (
            await api("PATCH", f"{PODS}/other/status", ready, type=merge),
            'node "n1" can only update pod status for pods with spec.nodeName set to itself',
        ),
        (await api("DELETE", f"{PODS}/other"), 'node "n1" can only delete pods with spec.nodeName set to itself'),
        (
            await api("POST", PODS, pod),
            'pod does not have "kubernetes.io/config.mirror" annotation, node "n1" can only create mirror pods',
        ),
    ]
    for answer, words in cases:
        assert answer.status == 403
        assert answer.message.endswith(words)
    assert (await api("PATCH", f"{PODS}/mine/status", ready, type=merge)).status == 200
    assert (await api("DELETE", f"{PODS}/mine", gracePeriodSeconds="0")).status == 200


async def test_a_request_for_a_certificate_says_who_made_it(api: Api, acting: Acting) -> None:
    acting.user = User("ann", ("dev",), "u7", {"k": ["v"]})
    claimed = {"username": "admin", "groups": ["system:masters"], "uid": "x", "extra": {}}
    spec = {"request": signing_request(), "signerName": "example.com/x", "usages": ["client auth"], **claimed}
    made = await api.create("/apis/certificates.k8s.io/v1/certificatesigningrequests", {"metadata": {"name": "r"}, "spec": spec})
    assert {name: made["spec"][name] for name in claimed} == {
        "username": "ann",
        "groups": ["dev"],
        "uid": "u7",
        "extra": {"k": ["v"]},
    }
