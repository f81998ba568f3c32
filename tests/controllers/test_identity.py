"""Aggregated roles and certificate signing requests, in a whole control plane."""

import base64
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from podling.api.objects import Object, condition, get
from podling.apiserver.pki import Authority, new_key
from podling.apiserver.signing import ClusterSigner, subject_of
from podling.controllers.certificates import KUBELET_CLIENT, certificates
from podling.controllers.cluster_role_aggregation import CLUSTER_ROLES
from podling.controllers.plan import Delete, Patch, Plan
from podling.controllers.view import View
from podling.testing.clock import ManualClock
from podling.testing.simulation import Simulation

NOW = 1_700_000_000.0


def role(name: str, *rules: Object, aggregates: str = "", **labels: str) -> Object:
    rule = {"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {aggregates: "true"}}]}} if aggregates else {}
    return {"metadata": {"name": name, "labels": labels}, "rules": list(rules)} | rule


def rule(resource: str) -> Object:
    return {"apiGroups": [""], "resources": [resource], "verbs": ["get"]}


async def test_a_role_gathers_rules(cluster: Simulation) -> None:
    client = cluster.client

    async def gathered() -> list[str]:
        await cluster.advance(1)
        return [each["resources"][0] for each in (await client.get(CLUSTER_ROLES, "all")).get("rules") or ()]

    await client.create(CLUSTER_ROLES, role("b", rule("secrets"), part="true"))
    await client.create(CLUSTER_ROLES, role("all", aggregates="part"))
    assert await gathered() == ["secrets"]
    await client.create(CLUSTER_ROLES, role("a", rule("pods"), rule("secrets"), part="true"))
    assert await gathered() == ["pods", "secrets"]
    await client.patch(CLUSTER_ROLES, "b", {"metadata": {"labels": {"part": None}}})
    await client.delete(CLUSTER_ROLES, "a")
    assert await gathered() == []


CLOCK = ManualClock(NOW)


def may(spec: Object, way: str) -> bool:
    """As the roles of a new cluster are bound."""
    return {"nodeclient": "system:bootstrappers", "selfnodeclient": "system:nodes"}[way] in spec["groups"]


CONTROLLER = certificates(ClusterSigner(Authority.create("ca", NOW), CLOCK), subject_of, may)


def request(signer: str, *conditions: str, user: str = "ann", groups: tuple[str, ...] = (), **status: Any) -> Object:
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
            x509.NameAttribute(NameOID.COMMON_NAME, "system:node:n1"),
        ]
    )
    pem = x509.CertificateSigningRequestBuilder().subject_name(name).sign(new_key(), hashes.SHA256())
    encoded = base64.b64encode(pem.public_bytes(serialization.Encoding.PEM)).decode()
    spec = {"signerName": signer, "request": encoded, "username": user, "groups": list(groups)}
    return {
        "metadata": {"name": "r", "creationTimestamp": "2023-11-14T22:13:20Z"},
        "spec": {**spec, "usages": ["digital signature", "client auth"]},
        "status": {"conditions": [{"type": kind, "status": "True"} for kind in conditions], **status},
    }


def decide(obj: Object, now: float = NOW) -> Plan:
    return CONTROLLER.reconcile(obj, View({}), now)


def approval(obj: Object) -> str:
    (action,) = decide(obj).actions or (None,)
    found = condition(action.patch, "Approved") if isinstance(action, Patch) else None
    return found["message"] if found else ""


def test_nodes_are_approved() -> None:
    assert "self kubelet client" in approval(request(KUBELET_CLIENT, user="system:node:n1", groups=("system:nodes",)))
    assert "kubelet client" in approval(request(KUBELET_CLIENT, user="system:bootstrap:x", groups=("system:bootstrappers",)))
    assert approval(request(KUBELET_CLIENT, user="system:node:n2", groups=("system:nodes",))) == ""
    assert approval(request(KUBELET_CLIENT)) == ""
    assert approval(request("kubernetes.io/kube-apiserver-client", groups=("system:bootstrappers",))) == ""


def test_what_is_approved_is_signed_once() -> None:
    status = decide(request("kubernetes.io/kube-apiserver-client", "Approved")).status
    pem = base64.b64decode(get(status, "certificate"))
    assert x509.load_pem_x509_certificate(pem).subject.rfc4514_string() == "CN=system:node:n1,O=system:nodes"
    assert decide(request("kubernetes.io/kube-apiserver-client", "Approved", certificate="x")).status is None
    assert decide(request("example.com/mine", "Approved")).status is None


def test_what_may_not_be_signed_fails() -> None:
    status = decide(request("kubernetes.io/kubelet-serving", "Approved")).status
    failed = condition({"status": status}, "Failed")
    assert failed is not None
    assert failed["reason"] == "SignerValidationFailure"


def test_old_requests_go() -> None:
    assert not decide(request("example.com/x"), NOW + 3600).actions
    for old, seconds in ((request("example.com/x"), 86400), (request("example.com/x", "Denied"), 3600)):
        (action,) = decide(old, NOW + seconds).actions
        assert isinstance(action, Delete)
