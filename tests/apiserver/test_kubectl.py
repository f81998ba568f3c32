"""What a person with the real kubectl sees, and a program with the Python client."""

import json
import subprocess
import time

import pytest
from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException

from podling.testing.apiserver import Served

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: main, image: busybox, ports: [{containerPort: 80}]}]
"""


@pytest.fixture
def space(served: Served, request: pytest.FixtureRequest) -> str:
    """A namespace for one test."""
    name = request.node.name.replace("_", "-")[5:60].strip("-")
    served.kubectl("create", "namespace", name)
    served.kubectl("-n", name, "create", "serviceaccount", "default")
    return name


def test_a_deployment_from_file_to_deletion(served: Served, space: str) -> None:
    def run(*arguments: str, stdin: str = "") -> str:
        return served.kubectl("-n", space, *arguments, stdin=stdin)

    assert run("create", "-f", "-", stdin=DEPLOYMENT) == "deployment.apps/web created\n"
    assert "0/2" in run("get", "deploy", "web")
    wide = run("get", "deploy", "web", "-o", "wide").splitlines()
    assert wide[0].split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "CONTAINERS", "IMAGES", "SELECTOR"]
    assert wide[1].split()[5:] == ["main", "busybox", "app=web"]
    assert run("scale", "deploy", "web", "--replicas=5") == "deployment.apps/web scaled\n"
    assert run("label", "deploy", "web", "tier=front") == "deployment.apps/web labeled\n"
    assert run("set", "image", "deploy/web", "main=busybox:2") == "deployment.apps/web image updated\n"
    patch = json.dumps({"spec": {"template": {"spec": {"containers": [{"name": "main", "env": [{"name": "A", "value": "b"}]}]}}}})
    run("patch", "deploy", "web", "-p", patch)
    shown = json.loads(run("get", "deploy", "web", "-o", "json"))
    assert shown["metadata"]["generation"] == 4
    assert shown["metadata"]["labels"] == {"tier": "front"}
    assert shown["spec"]["replicas"] == 5
    (container,) = shown["spec"]["template"]["spec"]["containers"]
    assert (container["image"], container["env"]) == ("busybox:2", [{"name": "A", "value": "b"}])
    assert run("get", "deploy", "-l", "tier=front", "-o", "name") == "deployment.apps/web\n"
    assert run("delete", "deploy", "web") == 'deployment.apps "web" deleted\n'
    assert run("get", "deploy") == ""


def test_apply_twice_changes_once(served: Served, space: str) -> None:
    assert "created" in served.kubectl("-n", space, "apply", "-f", "-", stdin=DEPLOYMENT)
    assert "unchanged" in served.kubectl("-n", space, "apply", "-f", "-", stdin=DEPLOYMENT)
    assert "configured" in served.kubectl("-n", space, "apply", "-f", "-", stdin=DEPLOYMENT.replace("replicas: 2", "replicas: 3"))
    assert served.run("-n", space, "diff", "-f", "-", stdin=DEPLOYMENT.replace("replicas: 2", "replicas: 3")).returncode == 0


def test_generators_speak_protobuf(served: Served, space: str) -> None:
    """`kubectl create NOUN` sends its objects encoded as protobuf."""
    for noun in (
        ("configmap", "c", "--from-literal=a=b"),
        ("secret", "generic", "s", "--from-literal=a=b"),
        ("deployment", "d", "--image=busybox", "--replicas=0", "--port=80"),
        ("serviceaccount", "other"),
        ("role", "r", "--verb=get", "--resource=pods"),
        ("rolebinding", "rb", "--role=r", "--serviceaccount=x:y"),
        ("service", "clusterip", "v", "--tcp=80:8080"),
    ):
        assert "created" in served.kubectl("-n", space, "create", *noun)
    secret = json.loads(served.kubectl("-n", space, "get", "secret", "s", "-o", "json"))
    assert secret["data"] == {"a": "Yg=="}
    deployment = json.loads(served.kubectl("-n", space, "get", "deploy", "d", "-o", "json"))
    assert deployment["spec"]["replicas"] == 0
    service = json.loads(served.kubectl("-n", space, "get", "svc", "v", "-o", "json"))
    assert service["spec"]["ports"] == [{"name": "80-8080", "port": 80, "protocol": "TCP", "targetPort": 8080}]


def test_a_dry_run_leaves_nothing(served: Served, space: str) -> None:
    assert "created (server dry run)" in served.kubectl("-n", space, "create", "-f", "-", "--dry-run=server", stdin=DEPLOYMENT)
    assert served.kubectl("-n", space, "get", "deploy", "-o", "name") == ""


def test_mistakes_are_told_in_upstreams_words(served: Served, space: str) -> None:
    def fails(*arguments: str, stdin: str = "") -> str:
        done = served.run("-n", space, *arguments, stdin=stdin)
        assert done.returncode == 1
        return done.stderr.strip()

    assert fails("get", "pod", "nope") == 'Error from server (NotFound): pods "nope" not found'
    unknown = fails("create", "-f", "-", stdin=DEPLOYMENT.replace("replicas: 2", "replicaz: 2"))
    assert unknown.endswith(
        'Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: unknown field "spec.replicaz"'
    )
    wrong = fails("create", "-f", "-", stdin=DEPLOYMENT.replace("matchLabels: {app: web}", "matchLabels: {app: x}"))
    assert wrong == (
        'The Deployment "web" is invalid: spec.template.metadata.labels: Invalid value: {"app":"web"}: '
        "`selector` does not match template `labels`"
    )
    served.kubectl("-n", space, "create", "-f", "-", stdin=DEPLOYMENT)
    again = fails("create", "-f", "-", stdin=DEPLOYMENT)
    assert again == 'Error from server (AlreadyExists): error when creating "STDIN": deployments.apps "web" already exists'
    assert fails("create", "cm", "c", "-n", "nowhere") == ('error: failed to create configmap: namespaces "nowhere" not found')


def test_discovery_and_explain(served: Served) -> None:
    resources = served.kubectl("api-resources", "--no-headers")
    assert any(line.split() == ["deployments", "deploy", "apps/v1", "true", "Deployment"] for line in resources.splitlines())
    assert "apps/v1\n" in served.kubectl("api-versions")
    explained = served.kubectl("explain", "pod.spec.containers.ports")
    assert "containerPort\t<integer> -required-" in explained
    assert "Server Version: v1.36.0" in served.kubectl("version")
    assert "readyz check passed" in served.kubectl("get", "--raw", "/readyz?verbose")


def test_get_w_follows(served: Served, space: str) -> None:
    command = served.command("-n", space, "get", "cm", "-w", "--no-headers")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None
        try:
            for name in ("first", "second"):
                served.kubectl("-n", space, "create", "cm", name)
                assert follower.stdout.readline().split()[:2] == [name, "0"]
        finally:
            follower.terminate()


def test_a_namespace_being_deleted_takes_nothing_new(served: Served, space: str) -> None:
    served.kubectl("delete", "namespace", space, "--wait=false")
    assert "Terminating" in served.kubectl("get", "ns", space)
    refused = served.run("-n", space, "create", "-f", "-", stdin=DEPLOYMENT)
    assert f"unable to create new content in namespace {space} because it is being terminated" in refused.stderr


def test_a_node_port_service(served: Served, space: str) -> None:
    served.kubectl("-n", space, "create", "-f", "-", stdin=DEPLOYMENT)
    served.kubectl("-n", space, "expose", "deploy", "web", "--type=NodePort", "--port=80")
    spec = json.loads(served.kubectl("-n", space, "get", "svc", "web", "-o", "json"))["spec"]
    assert spec["clusterIP"].startswith("10.96.")
    assert 30000 <= spec["ports"][0]["nodePort"] <= 32767
    assert "IPv4" in served.kubectl("-n", space, "describe", "svc", "web")


def test_the_python_client(served: Served, space: str) -> None:
    core = client.CoreV1Api(config.new_client_from_config(str(served.kubeconfig)))
    try:
        body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="c"), data={"a": "b"})
        created = core.create_namespaced_config_map(space, body)
        assert core.read_namespaced_config_map("c", space).data == {"a": "b"}
        assert [item.metadata.name for item in core.list_namespaced_config_map(space).items] == ["c"]
        core.patch_namespaced_config_map("c", space, {"data": {"a": "c"}})
        changes = watch.Watch().stream(
            core.list_namespaced_config_map, space, resource_version=created.metadata.resource_version, timeout_seconds=1
        )
        (event,) = changes  # to its end, so that its connection is given back
        assert (event["type"], event["object"].data) == ("MODIFIED", {"a": "c"})
        core.delete_namespaced_config_map("c", space)
        with pytest.raises(ApiException) as missing:
            core.read_namespaced_config_map("c", space)
        assert missing.value.status == 404
    finally:
        core.api_client.rest_client.pool_manager.clear()
        core.api_client.close()


def test_large_lists_come_in_pages(served: Served, space: str) -> None:
    items = [f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c{number}}}\n" for number in range(25)]
    served.kubectl("-n", space, "create", "-f", "-", stdin="---\n".join(items))
    started = time.monotonic()
    names = served.kubectl("-n", space, "get", "cm", "--chunk-size=7", "-o", "name").split()
    assert len(names) == 25
    assert time.monotonic() - started < 5
