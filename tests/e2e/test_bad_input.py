"""What is wrong is refused, in upstream's words, and leaves nothing half made."""

import json
import subprocess
import tempfile
from pathlib import Path

import pytest

from podling.testing.podling import Podling, take_down
from podling.testing.workloads import pod

pytestmark = [pytest.mark.root, pytest.mark.timeout(120)]


def config_map(**changes: object) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bad"}, **changes}


def named(**metadata: object) -> dict:
    return config_map(metadata={"name": "bad", **metadata})


SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with "
    "an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "bad"},
    "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "c"}}, "spec": pod("x")["spec"]}},
}


@pytest.mark.parametrize(
    ("obj", "words"),
    [
        (config_map(dat={}), 'strict decoding error: unknown field "dat"'),
        (config_map(data={"a": 1}), "json: cannot unmarshal number into Go struct field ConfigMap.data.a of type string"),
        (config_map(data={"a/b": "c"}), 'data[a/b]: Invalid value: "a/b": a valid config key must consist of alphanumeric'),
        (config_map(metadata={"name": "B_ad"}), f'metadata.name: Invalid value: "B_ad": {SUBDOMAIN}'),
        (named(labels={"a b": "c"}), 'metadata.labels: Invalid value: "a b": name part must consist of alphanumeric characters'),
        (
            named(labels={"a": "c d"}),
            'metadata.labels: Invalid value: "c d": a valid label must be an empty string or',
        ),
        (named(namespace="none"), 'namespaces "none" not found'),
        ({"apiVersion": "v1", "kind": "Nope", "metadata": {"name": "x"}}, 'no matches for kind "Nope" in version "v1"'),
        (pod("bad", "x", containers=[]), "spec.containers: Required value"),
        (pod("bad", "x", restartPolicy="Often"), 'Unsupported value: "Often": supported values: "Always", "OnFailure", "Never"'),
        (pod("bad", container={"ports": [{"containerPort": 99999}]}), "must be between 1 and 65535, inclusive"),
        (pod("bad", container={"resources": {"limits": {"cpu": "much"}}}), "quantities must match the regular expression"),
        (pod("bad", container={"volumeMounts": [{"name": "v", "mountPath": "/v"}]}), 'volumeMounts[0].name: Not found: "v"'),
        (DEPLOYMENT, 'spec.template.metadata.labels: Invalid value: {"a":"c"}: `selector` does not match template `labels`'),
    ],
)
def test_an_object_that_breaks_a_rule_is_refused(podling: Podling, obj: dict, words: str) -> None:
    refused = podling.kubectl("create", "-f", "-", input=json.dumps(obj), check=False)
    assert refused.returncode == 1
    assert words in refused.stderr
    assert podling.kubectl("get", "configmap/bad", "pod/bad", "deployment/bad", "--ignore-not-found").stdout == ""


@pytest.mark.parametrize(
    ("body", "media", "code", "words"),
    [
        (b'{"kind":', "application/json", 400, "couldn't get version/kind; json parse error"),
        (b"a: [", "application/yaml", 400, "couldn't get version/kind"),
        (b"[1]", "application/json", 400, "cannot unmarshal array"),
        (b"\xff\xfe", "application/json", 400, "json parse error"),
        (b"k8s\0\x0a\xff\xff", "application/vnd.kubernetes.protobuf", 400, "unexpected EOF"),
        (b"{}", "text/plain", 415, "the body of the request was in an unknown format"),
        (b'{"data":' + b"[" * 5000 + b"]" * 5000 + b"}", "application/json", 400, "depth"),
        (b'{"data":{"a":"' + b"x" * (3 << 20) + b'"}}', "application/json", 413, "Request entity too large: limit is 3145728"),
    ],
)
def test_a_body_that_is_none_is_refused(podling: Podling, tmp_path: Path, body: bytes, media: str, code: int, words: str) -> None:
    (tmp_path / "body").write_bytes(body)
    token = podling.kubectl("create", "token", "default", "-n", "kube-system").stdout.strip()
    podling.kubectl(
        "create", "clusterrolebinding", "sender", "--clusterrole=cluster-admin", "--serviceaccount=kube-system:default"
    )
    try:
        answer = podling.run(
            "curl", "-sk", "-w", "\n%{http_code}", "-H", f"Authorization: Bearer {token}", "-H", f"Content-Type: {media}",
            "--data-binary", f"@{tmp_path / 'body'}", f"{podling.config.api_url}/api/v1/namespaces/default/configmaps",
        ).stdout  # fmt: skip
    finally:
        podling.kubectl("delete", "clusterrolebinding", "sender")
    text, _, status = answer.rpartition("\n")
    assert int(status) == code
    said = json.loads(text)
    assert (said["kind"], said["status"], said["code"]) == ("Status", "Failure", code)
    assert words in said["message"]


@pytest.mark.parametrize(
    ("credentials", "words"),
    [
        (("--token=wrong",), "You must be logged in to the server (Unauthorized)"),
        (("--username=a", "--password=b"), 'User "system:anonymous" cannot list resource "pods"'),
    ],
)
def test_who_is_not_known_is_refused(podling: Podling, credentials: tuple[str, ...], words: str) -> None:
    server = (f"--server={podling.config.api_url}", "--insecure-skip-tls-verify", "--kubeconfig=/dev/null")
    refused = podling.kubectl("get", "pods", *server, *credentials, check=False)
    assert refused.returncode == 1
    assert words in refused.stderr


def test_a_certificate_of_another_authority_is_refused(podling: Podling, tmp_path: Path) -> None:
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    subject = "/O=system:masters/CN=intruder"
    podling.run(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject),
        *("-keyout", str(key), "-out", str(certificate)),
    )
    server = (f"--server={podling.config.api_url}", "--insecure-skip-tls-verify", "--kubeconfig=/dev/null")
    refused = podling.kubectl(
        "get", "pods", *server, f"--client-key={key}", f"--client-certificate={certificate}", check=False
    )  # fmt: skip
    assert refused.returncode == 1
    assert "items" not in refused.stdout
    assert podling.kubectl("get", "--raw", "/readyz").stdout == "ok"


def test_nobody_grants_more_than_he_has(cluster: Podling) -> None:
    cluster.kubectl("create", "rolebinding", "boss", "--clusterrole=admin", "--user=boss")
    try:
        cluster.kubectl("create", "role", "within", "--verb=get", "--resource=pods", "--as=boss")
        beyond = ("create", "rolebinding", "all", "--clusterrole=cluster-admin", "--user=boss", "--as=boss")
        refused = cluster.kubectl(*beyond, check=False).stderr
        words = 'user "boss" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n'
        assert words + '{APIGroups:["*"], Resources:["*"], Verbs:["*"]}' in refused
    finally:
        cluster.kubectl("delete", "rolebinding/boss", "role/within", "--ignore-not-found")


def failure(podling: Podling, *arguments: str) -> str:
    """The one line that a failing podling says."""
    failed = podling.podling(*arguments, check=False)
    assert failed.returncode == 1
    (line,) = failed.stderr.strip().splitlines()
    return line


def test_settings_that_can_not_be_are_named_before_anything_is_made() -> None:
    with tempfile.TemporaryDirectory(prefix="podling-test-") as folder:
        made = Podling.create(Path(folder))
        try:
            assert failure(made, "up", "-d", "--api-port", "99999") == "podling: api_port: 99999 is no port: 1 to 65535"
            assert "pod_cidr: " in failure(made, "up", "-d", "--pod-cidr", "nowhere")
            overlapping = ("--pod-cidr", "10.9.0.0/24", "--service-cidr", "10.9.0.0/16")
            assert "overlap" in failure(made, "up", "-d", *overlapping)
            assert "node_name: 'Not_one'" in failure(made, "up", "-d", "--node-name", "Not_one")
            assert "the kubeconfig has no current context" in failure(made, "why", "pod/x")
            assert "there is no cluster here yet" in failure(made, "kubeconfig")
            assert not (made.config_root / "instance.json").exists()
        finally:
            leftovers = take_down(made)
        assert not leftovers, leftovers


def test_a_taken_port_is_named_and_another_is_found() -> None:
    with tempfile.TemporaryDirectory(prefix="podling-test-") as folder:
        made = Podling.create(Path(folder))
        program = "import socket, time; s = socket.create_server(('127.0.0.1', 6443)); print(1, flush=True); time.sleep(99)"
        listen = ("python3", "-c", program)
        try:
            with subprocess.Popen(made.command(*listen), stdout=subprocess.PIPE) as holder:
                try:
                    assert holder.stdout is not None
                    holder.stdout.readline()
                    words = "the Kubernetes API can't listen on 127.0.0.1:6443: Address already in use"
                    assert words in failure(made, "up", "-d", "--api-port", "6443")
                    made.up()
                    assert made.config.api_port != 6443
                    assert made.kubectl("get", "--raw", "/readyz").stdout == "ok"
                finally:
                    holder.kill()
        finally:
            leftovers = take_down(made)
        assert not leftovers, leftovers
