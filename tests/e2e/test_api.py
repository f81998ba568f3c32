"""The Kubernetes API as kubectl and the Python client use it, beyond one application."""

import json
import subprocess
import sys

import pytest

from podling.testing.podling import Podling
from podling.testing.workloads import SERVICE, WEB, eventually, pod

pytestmark = [pytest.mark.root, pytest.mark.timeout(120)]


def config_map(name: str, **data: str) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def test_a_list_is_applied_and_what_is_got_is_applied_again(cluster):
    both = json.dumps({"apiVersion": "v1", "kind": "List", "items": [WEB, SERVICE]})
    assert cluster.kubectl("apply", "-f", "-", input=both).stdout.split() == [
        "deployment.apps/web",
        "created",
        "service/web",
        "created",
    ]
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=30s")  # what is got names its version
    shown = cluster.kubectl("get", "deployment/web", "service/web", "-o", "yaml").stdout
    assert "service/web configured" in cluster.kubectl("apply", "-f", "-", input=shown).stdout
    typo = json.dumps({"apiVersion": "v1", "kind": "List", "items": [{**config_map("typo"), "dat": {}}]})
    refused = cluster.kubectl("apply", "-f", "-", input=typo, check=False)
    assert 'unknown field "dat" in io.k8s.api.core.v1.ConfigMap' in refused.stderr


def test_labels_annotations_edits_and_all_patches(cluster):
    cluster.apply(config_map("c", a="b"))
    cluster.kubectl("label", "configmap/c", "tier=front")
    assert "--overwrite is false" in cluster.kubectl("label", "configmap/c", "tier=back", check=False).stderr
    cluster.kubectl("label", "configmap/c", "tier=back", "--overwrite")
    cluster.kubectl("annotate", "configmap/c", "note=well")
    cluster.run("env", "EDITOR=sed -i s/a:.b/a:\\ edited/", "kubectl", "edit", "configmap/c")
    cluster.kubectl("patch", "configmap/c", "-p", '{"data":{"strategic":"1"}}')
    cluster.kubectl("patch", "configmap/c", "--type=merge", "-p", '{"data":{"merge":"2"}}')
    cluster.kubectl("patch", "configmap/c", "--type=json", "-p", '[{"op":"add","path":"/data/json","value":"3"}]')
    found = cluster.get("configmap/c")
    assert found["data"] == {"a": "edited", "strategic": "1", "merge": "2", "json": "3"}
    assert found["metadata"]["labels"] == {"tier": "back"}
    assert found["metadata"]["annotations"]["note"] == "well"
    failed = cluster.kubectl(
        "patch", "configmap/c", "--type=json", "-p", '[{"op":"test","path":"/data/a","value":""}]', check=False
    )
    assert "The request is invalid" in failed.stderr


def test_replace_diff_and_dry_run(cluster):
    cluster.apply(config_map("c", a="b"))
    found = cluster.get("configmap/c")
    stale = {**found, "data": {"a": "stale"}, "metadata": {**found["metadata"], "resourceVersion": "1"}}
    conflict = cluster.kubectl("replace", "-f", "-", input=json.dumps(stale), check=False)
    assert "the object has been modified; please apply your changes to the latest version and try again" in conflict.stderr
    cluster.kubectl("replace", "-f", "-", input=json.dumps({**found, "data": {"a": "new"}}))
    diff = cluster.kubectl("diff", "-f", "-", input=json.dumps(config_map("c", a="other")), check=False)
    assert diff.returncode == 1
    assert "-  a: new\n+  a: other\n" in diff.stdout
    cluster.kubectl("delete", "configmap/c", "--dry-run=server")
    assert cluster.get("configmap/c")["data"] == {"a": "new"}
    cluster.kubectl("create", "configmap", "unreal", "--dry-run=server", "-o", "yaml")
    assert cluster.kubectl("get", "configmap/unreal", check=False).returncode == 1


@pytest.mark.parametrize(("cascade", "sets"), [("background", 0), ("foreground", 0), ("orphan", 1)])
def test_deletion_takes_or_leaves_what_is_below(cluster, cascade, sets):
    cluster.apply(WEB)
    cluster.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    cluster.kubectl("delete", "deployment/web", f"--cascade={cascade}", "--timeout=20s")
    eventually(lambda: len(cluster.get("replicasets")["items"]) == sets)
    assert cluster.get("deployments")["items"] == []
    if sets:
        assert "ownerReferences" not in cluster.get("replicasets")["items"][0]["metadata"]


def test_a_watch_tells_each_change_once_and_rests(cluster):
    command = cluster.command("kubectl", "get", "pods", "--watch", "--output-watch-events", "-o", "json")
    with subprocess.Popen(command, env=cluster.environment(), stdout=subprocess.PIPE, text=True) as watching:
        try:
            cluster.apply(pod("short", "true", restartPolicy="Never"))
            eventually(lambda: cluster.get("pod/short")["status"]["phase"] == "Succeeded")
            cluster.kubectl("delete", "pod/short")
        finally:
            watching.terminate()
        assert watching.stdout is not None
        events = _objects(watching.stdout.read())
    kinds = [event["type"] for event in events]
    assert kinds[0] == "ADDED"
    assert kinds[-1] == "DELETED"
    assert len(kinds) < 15
    versions = [event["object"]["metadata"]["resourceVersion"] for event in events]
    assert len(set(versions)) == len(versions)


def _objects(text: str) -> list[dict]:
    decoder, found, at = json.JSONDecoder(), [], 0
    while at < len(text.rstrip()):
        value, at = decoder.raw_decode(text, at)
        at += len(text[at:]) - len(text[at:].lstrip())
        found.append(value)
    return found


def test_pods_come_and_go_by_run_attach_and_cp(cluster, tmp_path):
    echoed = cluster.kubectl("run", "echo", "-i", "--rm", "--restart=Never", "--image=busybox", "--", "cat", input="through\n")
    assert "through\n" in echoed.stdout
    failed = cluster.kubectl(
        "run", "fails", "--rm", "--attach", "--restart=Never", "--image=busybox", "--", "sh", "-c", "sleep 1; exit 3", check=False
    )
    assert failed.returncode == 3
    cluster.apply(pod("box", "sleep", "1000"))
    cluster.kubectl("wait", "--for=condition=Ready", "pod/box", "--timeout=20s")
    (tmp_path / "sent").write_text("hello\n")
    cluster.kubectl("cp", str(tmp_path / "sent"), "box:/tmp/there")
    cluster.kubectl("cp", "box:/tmp/there", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "hello\n"
    assert "command terminated with exit code 127" in cluster.kubectl("exec", "box", "--", "nothing", check=False).stderr
    cluster.kubectl("delete", "pod/box", "--grace-period=1")


def test_a_container_joins_a_running_pod_to_look_into_it(cluster):
    cluster.apply(pod("box", "sleep", "1000"))
    cluster.kubectl("wait", "--for=condition=Ready", "pod/box", "--timeout=20s")
    cluster.kubectl("debug", "box", "--image=busybox", "--container=look", "--", "sh", "-c", "hostname; sleep 1000")
    eventually(lambda: "running" in cluster.get("pod/box")["status"]["ephemeralContainerStatuses"][0]["state"])
    assert cluster.kubectl("logs", "box", "-c", "look").stdout == "box\n"
    cluster.kubectl("debug", "box", "--image=busybox", "--container=ends", "--", "false")
    eventually(lambda: "terminated" in cluster.get("pod/box")["status"]["ephemeralContainerStatuses"][1]["state"])
    status = cluster.get("pod/box")["status"]
    assert status["ephemeralContainerStatuses"][1]["restartCount"] == 0
    assert next(one["status"] for one in status["conditions"] if one["type"] == "Ready") == "True"
    attached = cluster.kubectl(
        "debug", "box", "-i", "--image=busybox", "--container=reads", "--", "head", "-n1", input="through\n"
    )
    assert attached.stdout == "through\n"


def test_an_image_that_was_made_here_runs_whatever_the_pull_policy(cluster):
    cluster.docker("build", "-t", "made-here", "-", input="FROM busybox\nCMD echo made here\n")
    cluster.apply(
        pod("made", container={"image": "made-here", "imagePullPolicy": "Always", "command": []}, restartPolicy="Never")
    )
    eventually(lambda: cluster.get("pod/made")["status"]["phase"] == "Succeeded")
    assert cluster.kubectl("logs", "made").stdout == "made here\n"
    cluster.kubectl("delete", "pod/made", "--grace-period=1")
    cluster.docker("rmi", "made-here")


def test_priorities(cluster):
    classes = cluster.kubectl("get", "priorityclasses", "-o", "name").stdout
    assert "system-node-critical" in classes
    cluster.apply(pod("critical", "sleep", "1000", priorityClassName="system-cluster-critical"), pod("plain", "sleep", "1000"))
    spec = cluster.get("pod/critical")["spec"]
    assert (spec["priority"], spec["preemptionPolicy"]) == (2_000_000_000, "PreemptLowerPriority")
    assert cluster.get("pod/plain")["spec"]["priority"] == 0
    wrong = json.dumps(pod("wrong", "true", priorityClassName="none"))
    assert "no PriorityClass with name none was found" in cluster.kubectl("apply", "-f", "-", input=wrong, check=False).stderr


def test_who_may_what(cluster):
    assert cluster.kubectl("auth", "can-i", "create", "pods").stdout == "yes\n"
    assert cluster.kubectl("auth", "can-i", "create", "pods", "--as=bob", check=False).stdout.startswith("no")
    assert "Username    bob" in cluster.kubectl("auth", "whoami", "--as=bob", "--as-group=devs").stdout
    assert "[/healthz]" in cluster.kubectl("auth", "can-i", "--list", "--as=bob").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("get", "nothing"), 'the server doesn\'t have a resource type "nothing"'),
        (("explain", "pod.spec.nothing"), 'field "nothing" does not exist'),
        (("attach", "nobody"), 'pods "nobody" not found'),
        (("rollout", "undo", "deployment/nobody"), 'deployments.apps "nobody" not found'),
        (("get", "pods", "--field-selector=spec.x=1"), 'field selector "spec.x=1": field label not supported: spec.x'),
    ],
)
def test_what_is_not_there_is_named(podling, arguments, words):
    failed = podling.kubectl(*arguments, check=False)
    assert failed.returncode != 0
    assert words in failed.stderr


def test_rollouts_are_paused_resumed_and_named(web):
    web.kubectl("rollout", "pause", "deployment/web")
    web.kubectl("set", "env", "deployment/web", "COLOUR=blue")
    assert len(web.get("replicasets")["items"]) == 1
    web.kubectl("rollout", "resume", "deployment/web")
    web.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert "COLOUR:\tblue" in web.kubectl("rollout", "history", "deployment/web", "--revision=2").stdout
    assert (
        "unable to find specified revision 77"
        in web.kubectl("rollout", "undo", "deploy/web", "--to-revision=77", check=False).stderr
    )
    scaled = web.kubectl("get", "deployment/web", "--subresource=scale").stdout.splitlines()
    assert [line.split()[:3] for line in scaled] == [["NAME", "DESIRED", "AVAILABLE"], ["web", "2", "2"]]


_CLIENT = """
from kubernetes import client, config, watch
config.load_kube_config()
core = client.CoreV1Api()
space = core.create_namespace({"metadata": {"generateName": "client-"}}).metadata.name
body = {"metadata": {"name": "p"}, "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [
    {"name": "c", "image": "busybox", "imagePullPolicy": "IfNotPresent", "command": ["echo", "hi"]}]}}
core.create_namespaced_pod(space, body)
for event in watch.Watch().stream(core.list_namespaced_pod, space, timeout_seconds=20):
    if event["object"].status.phase == "Succeeded":
        break
print(core.read_namespaced_pod_log("p", space), end="")
pod = core.read_namespaced_pod("p", space)
print(pod.spec.node_name == core.list_node().items[0].metadata.name, len(pod.status.conditions))
core.delete_namespace(space)
for event in watch.Watch().stream(core.list_namespace, timeout_seconds=20):
    if event["type"] == "DELETED" and event["object"].metadata.name == space:
        print("gone")
        break
"""


def test_the_python_client(podling: Podling):
    assert podling.run(sys.executable, "-c", _CLIENT).stdout == "hi\nTrue 5\ngone\n"
