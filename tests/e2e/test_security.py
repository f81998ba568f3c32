"""Who may do what in a running podling, and what it tells of it: certificates, tokens, nodes, audit, secrets on disk."""

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from podling.testing.podling import Podling, running_podling
from podling.testing.workloads import eventually, pod

pytestmark = [pytest.mark.root, pytest.mark.timeout(180)]

WORD = "correct-horse-battery-staple"
POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "rules": [
        {"level": "None", "userGroups": ["system:nodes", "system:masters"], "resources": [{"group": "coordination.k8s.io"}]},
        {"level": "RequestResponse"},
    ],
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podling]:
    """A podling that audits everything and logs in JSON."""
    policy = tmp_path_factory.mktemp("policy") / "policy.yaml"
    policy.write_text(json.dumps(POLICY))
    with running_podling("--audit-policy", str(policy), "--log-format", "json", "--log-level", "debug") as made:
        yield made


def new_key(folder: Path, subject: str) -> tuple[Path, str]:
    """A key, and the request for its certificate in base64."""
    key, request = folder / "key.pem", folder / "request.pem"
    command = ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    subprocess.run([*command, "-keyout", key, "-out", request, "-subj", subject], check=True, capture_output=True)
    return key, base64.b64encode(request.read_bytes()).decode()


def ask(cluster: Podling, signer: str, request: str, usages: list[str], name: str, *flags: str) -> None:
    spec = {"signerName": f"kubernetes.io/{signer}", "request": request, "usages": usages, "expirationSeconds": 3600}
    obj = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": name}, "spec": spec}
    cluster.kubectl("create", "-f", "-", *flags, input=json.dumps(obj))


def certificate(cluster: Podling, name: str) -> bytes:
    found = eventually(lambda: cluster.get("csr", name).get("status", {}).get("certificate"))
    return base64.b64decode(found)


def user(cluster: Podling, folder: Path, name: str, *flags: str) -> Any:
    """`kubectl` with other credentials than the administrator's."""
    admin = json.loads(cluster.kubectl("config", "view", "--raw", "-o", "json").stdout)
    (here,) = [each["cluster"] for each in admin["clusters"]]
    target = folder / f"{name}.kubeconfig"
    target.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": here}],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": ""}}],
                "current-context": "c",
            }
        )
    )

    def kubectl(*arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
        return cluster.kubectl(f"--kubeconfig={target}", *flags, *arguments, **options)

    return kubectl


def test_a_certificate_that_is_asked_for_approved_and_used(guarded: Podling, tmp_path: Path) -> None:
    key, request = new_key(tmp_path, "/CN=ann/O=dev")
    ask(guarded, "kube-apiserver-client", request, ["client auth"], "ann")
    assert "Pending" in guarded.kubectl("get", "csr", "ann").stdout
    guarded.kubectl("certificate", "approve", "ann")
    (tmp_path / "ann.pem").write_bytes(certificate(guarded, "ann"))
    assert "Approved,Issued" in guarded.kubectl("get", "csr", "ann").stdout
    ann = user(guarded, tmp_path, "ann", f"--client-certificate={tmp_path / 'ann.pem'}", f"--client-key={key}")
    assert json.loads(ann("auth", "whoami", "-o", "json").stdout)["status"]["userInfo"]["username"] == "ann"
    refused = ann("get", "pods", check=False)
    assert 'User "ann" cannot list resource "pods" in API group ""' in refused.stderr
    guarded.kubectl("create", "rolebinding", "ann", "--clusterrole=view", "--user=ann")
    eventually(lambda: ann("get", "pods", check=False).returncode == 0)


def test_a_request_that_is_denied_or_asks_for_too_much(guarded: Podling, tmp_path: Path) -> None:
    _, request = new_key(tmp_path, "/CN=eve")
    ask(guarded, "kube-apiserver-client", request, ["client auth"], "denied")
    guarded.kubectl("certificate", "deny", "denied")
    assert "Denied" in guarded.kubectl("get", "csr", "denied").stdout
    ask(guarded, "kube-apiserver-client", request, ["server auth"], "wrong")
    guarded.kubectl("certificate", "approve", "wrong")
    eventually(lambda: "Approved,Failed" in guarded.kubectl("get", "csr", "wrong").stdout)
    _, request = new_key(tmp_path, "/CN=eve/O=system:masters")
    with pytest.raises(AssertionError, match=r"use of kubernetes.io/kube-apiserver-client signer with system:masters group"):
        ask(guarded, "kube-apiserver-client", request, ["client auth"], "master")


def test_a_machine_joins_by_a_bootstrap_token(guarded: Podling, tmp_path: Path) -> None:
    data = {
        "token-id": "abcdef",
        "token-secret": "0123456789abcdef",
        "usage-bootstrap-authentication": "true",
        "expiration": "2999-01-01T00:00:00Z",
    }
    literals = [f"--from-literal={name}={value}" for name, value in data.items()]
    kind = "--type=bootstrap.kubernetes.io/token"
    guarded.kubectl("create", "secret", "generic", "bootstrap-token-abcdef", "-n", "kube-system", kind, *literals)
    joining = user(guarded, tmp_path, "joining", "--token=abcdef.0123456789abcdef")
    who = json.loads(joining("auth", "whoami", "-o", "json").stdout)["status"]["userInfo"]
    assert (who["username"], "system:bootstrappers" in who["groups"]) == ("system:bootstrap:abcdef", True)
    key, request = new_key(tmp_path, "/O=system:nodes/CN=system:node:far")
    flags = (f"--kubeconfig={tmp_path / 'joining.kubeconfig'}", "--token=abcdef.0123456789abcdef")
    ask(guarded, "kube-apiserver-client-kubelet", request, ["digital signature", "client auth"], "far", *flags)
    (tmp_path / "far.pem").write_bytes(certificate(guarded, "far"))  # nobody approved it
    far = user(guarded, tmp_path, "far", f"--client-certificate={tmp_path / 'far.pem'}", f"--client-key={key}")
    far("create", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "far"}}))
    assert "can only list" in far("get", "pods", "-A", check=False).stderr
    far("get", "pods", "-A", "--field-selector=spec.nodeName=far")
    assert "can only list secrets by name" in far("get", "secrets", "-A", check=False).stderr
    own = guarded.config.node_name
    assert "only its own Node object" in far("label", "node", own, "x=y", check=False).stderr
    guarded.kubectl("delete", "node", "far")


def test_tokens_can_be_checked_by_others(guarded: Podling) -> None:
    configuration = json.loads(guarded.kubectl("get", "--raw", "/.well-known/openid-configuration").stdout)
    keys = json.loads(guarded.kubectl("get", "--raw", "/openid/v1/jwks").stdout)["keys"]
    token = guarded.kubectl("create", "token", "default", "--audience=vault").stdout.strip()
    claims = jwt.decode(token, jwt.PyJWK(keys[0]).key, ["ES256"], audience="vault", issuer=configuration["issuer"])
    assert claims["sub"] == "system:serviceaccount:default:default"
    assert jwt.get_unverified_header(token)["kid"] == keys[0]["kid"]
    review = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token, "audiences": ["vault", "x"]},
    }
    answer = guarded.kubectl("create", "-f", "-", "-o", "json", input=json.dumps(review)).stdout
    assert json.loads(answer)["status"]["audiences"] == ["vault"]


def test_nobody_grants_what_he_has_not(guarded: Podling) -> None:
    guarded.kubectl("create", "clusterrole", "maker", "--verb=create,get,update,patch", "--resource=roles,rolebindings")
    guarded.kubectl("create", "clusterrolebinding", "maker", "--clusterrole=maker", "--user=bob")
    refused = guarded.kubectl("create", "role", "r", "--verb=get", "--resource=secrets", "--as=bob", check=False)
    assert (
        'user "bob" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held'
        in refused.stderr
    )
    assert '{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}' in refused.stderr
    refused = guarded.kubectl("create", "rolebinding", "b", "--clusterrole=admin", "--user=bob", "--as=bob", check=False)
    assert "is attempting to grant RBAC permissions not currently held" in refused.stderr


def test_a_role_joins_the_users_roles(guarded: Podling) -> None:
    labels = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    rules = [{"apiGroups": ["example.com"], "resources": ["widgets"], "verbs": ["get"]}]
    metadata = {"name": "widgets", "labels": labels}
    guarded.apply({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": metadata, "rules": rules})
    for role in ("view", "edit", "admin"):
        eventually(lambda role=role: "example.com" in json.dumps(guarded.get("clusterrole", role)["rules"]))


def test_pods_that_break_the_standard(guarded: Podling) -> None:
    guarded.kubectl("create", "namespace", "strict")
    guarded.kubectl("label", "namespace", "strict", "pod-security.kubernetes.io/enforce=restricted")
    refused = guarded.kubectl("run", "p", "--image=busybox", "-n", "strict", check=False)
    assert 'violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "p" must set' in refused.stderr
    guarded.kubectl("delete", "namespace", "strict", "--wait=false")


def test_secrets_are_told_to_pods_and_to_nobody_else(guarded: Podling) -> None:
    guarded.kubectl("create", "secret", "generic", "word", f"--from-literal=w={WORD}")
    reading = pod("reader", "sh", "-c", "echo $WORD; sleep 60")
    source = {"secretKeyRef": {"name": "word", "key": "w"}}
    reading["spec"]["containers"][0]["env"] = [{"name": "WORD", "valueFrom": source}]
    guarded.apply(reading)
    eventually(lambda: WORD in guarded.kubectl("logs", "reader", check=False).stdout)
    root = guarded.config_root
    files = [path for folder in ("server", "log") for path in (root / folder).rglob("*") if path.is_file()]
    assert any(path.name == "audit.log" for path in files)
    encoded = base64.b64encode(WORD.encode())
    assert [path for path in files if WORD.encode() in path.read_bytes() or encoded in path.read_bytes()] == []
    assert (root / "server/encryption.yaml").stat().st_mode & 0o777 == 0o600
    guarded.kubectl("delete", "pod", "reader", "--now")


def test_the_audit_log_knows_who_did_what(guarded: Podling) -> None:
    guarded.kubectl("create", "configmap", "noted", "--from-literal=a=b", "--as=bob", "--as-group=system:masters")
    path = guarded.config_root / "server/audit.log"

    def is_it(event: dict[str, Any]) -> bool:
        users = event["user"]["username"], event.get("impersonatedUser", {}).get("username")
        return users == ("kubernetes-admin", "bob") and event.get("objectRef", {}).get("resource") == "configmaps"

    def found() -> list[dict[str, Any]]:
        events = map(json.loads, path.read_text().splitlines())
        return [event for event in events if event["stage"] == "ResponseComplete" and is_it(event)]

    event = eventually(found)[0]
    assert event["requestObject"]["data"] == {"a": "b"}
    assert event["responseStatus"]["code"] == 201


def test_logs_are_lines_of_json(guarded: Podling) -> None:
    for name in ("server", "agent"):
        lines = guarded.config.log_file(name).read_text().splitlines()
        assert {json.loads(line)["process"] for line in lines} == {name}


def test_it_comes_back_with_its_secrets(guarded: Podling) -> None:
    guarded.kubectl("create", "secret", "generic", "kept", f"--from-literal=w={WORD}")
    server = int(guarded.config.pid_file("server").read_text())
    os.kill(server, 9)
    guarded.up()
    data = guarded.get("secret", "kept")["data"]
    assert base64.b64decode(data["w"]).decode() == WORD
