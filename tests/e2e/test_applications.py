"""A Deployment and its Service, as kubectl drives them."""

import json
import os
import pty
import select
import subprocess

import pytest

from podling.testing.podling import Podling
from podling.testing.workloads import eventually, pod

pytestmark = [pytest.mark.root, pytest.mark.timeout(180)]


def pods(cluster: Podling) -> list[dict]:
    return [item for item in cluster.get("pods", "-l", "app=web")["items"] if "deletionTimestamp" not in item["metadata"]]


def fetch(cluster: Podling, url: str, **options) -> str:
    return cluster.run("busybox", "wget", "-q", "-O", "-", url, **options).stdout


def test_a_service_answers_from_outside_and_by_name_from_inside(web):
    names = {item["metadata"]["name"] for item in pods(web)}
    address = web.get("service", "web")["spec"]["clusterIP"]
    assert {fetch(web, f"http://{address}/hostname").strip() for _ in range(20)} == names
    for name in ("web", "web.default", "web.default.svc.cluster.local"):
        inside = web.kubectl("exec", "deployment/web", "--", "wget", "-q", "-O", "-", f"http://{name}/hostname")
        assert inside.stdout.strip() in names


def test_docker_sees_the_pods_containers(web):
    listed = web.docker("ps", "--format", "{{.Names}} {{.Image}}").stdout.splitlines()
    for item in pods(web):
        assert any(line.startswith(f"k8s_web_{item['metadata']['name']}_default_") for line in listed)


def test_scale_restart_and_undo(web):
    web.kubectl("scale", "deployment/web", "--replicas=4")
    web.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    assert len(pods(web)) == 4
    before = {item["metadata"]["name"] for item in pods(web)}
    web.kubectl("rollout", "restart", "deployment/web")
    web.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert not before & {item["metadata"]["name"] for item in pods(web)}
    web.kubectl("set", "env", "deployment/web", "COLOUR=green")
    web.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert "COLOUR=green" in web.kubectl("exec", "deployment/web", "--", "env").stdout
    web.kubectl("rollout", "undo", "deployment/web")
    web.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    assert "COLOUR" not in web.kubectl("exec", "deployment/web", "--", "env").stdout
    history = web.kubectl("rollout", "history", "deployment/web").stdout.split()
    assert [word for word in history if word.isdecimal()] == ["1", "3", "4"]


def test_a_bad_image_leaves_the_old_pods_serving(web):
    web.kubectl("set", "image", "deployment/web", "web=missing.invalid/nothing:1")
    eventually(
        lambda: "ErrImagePull" in web.kubectl("get", "pods").stdout or "ImagePullBackOff" in web.kubectl("get", "pods").stdout
    )
    address = web.get("service", "web")["spec"]["clusterIP"]
    assert fetch(web, f"http://{address}/hostname")
    paused = web.kubectl("rollout", "status", "deployment/web", "--timeout=1s", check=False)
    assert paused.returncode != 0
    web.kubectl("rollout", "undo", "deployment/web")
    web.kubectl("rollout", "status", "deployment/web", "--timeout=30s")


def test_a_killed_container_comes_back(web):
    victim = pods(web)[0]["metadata"]["name"]
    container = web.docker("ps", "-q", "--filter", f"name=k8s_web_{victim}").stdout.strip()
    web.docker("kill", container)

    def restarted() -> bool:
        status = web.get("pod", victim)["status"]["containerStatuses"][0]
        return status["restartCount"] == 1 and status["ready"]

    eventually(restarted)
    events = web.kubectl("get", "events", "--field-selector", f"involvedObject.name={victim}", "-o", "name").stdout
    assert events


def test_logs_follow(web):
    command = web.command("kubectl", "logs", "-f", "deployment/web")
    with subprocess.Popen(command, env=web.environment(), stdout=subprocess.PIPE, text=True) as follower:
        try:
            assert follower.stdout is not None
            assert follower.stdout.readline() == "serving\n"
        finally:
            follower.kill()


def test_exec_with_a_terminal(web):
    command = web.command("kubectl", "exec", "-it", "deployment/web", "--", "sh")
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        command, env=web.environment(), stdin=follower, stdout=follower, stderr=follower, start_new_session=True
    )
    os.close(follower)
    try:
        os.write(leader, b"tty; stty size; exit 7\n")
        assert process.wait(timeout=20) == 7
        output = b""
        while select.select([leader], [], [], 0.2)[0]:
            try:
                output += os.read(leader, 4096)
            except OSError:
                break
    finally:
        process.kill()
        os.close(leader)
    assert b"/dev/pts/" in output


def test_exec_gives_the_exit_code_and_both_streams(web):
    done = web.kubectl("exec", "deployment/web", "--", "sh", "-c", "echo out; echo err >&2; exit 3", check=False)
    assert (done.returncode, done.stdout) == (3, "out\n")
    assert "err\n" in done.stderr
    piped = web.kubectl("exec", "-i", "deployment/web", "--", "cat", input="x" * 100_000)
    assert len(piped.stdout) == 100_000


def test_port_forward(web):
    command = web.command("kubectl", "port-forward", "service/web", "18080:80")
    with subprocess.Popen(command, env=web.environment(), stdout=subprocess.PIPE, text=True) as forward:
        try:
            assert forward.stdout is not None
            assert "Forwarding from" in forward.stdout.readline()
            for _ in range(3):
                assert fetch(web, "http://127.0.0.1:18080/hostname").startswith("web-")
        finally:
            forward.kill()


def test_describe_explain_and_tables(web):
    described = web.kubectl("describe", "deployment/web").stdout
    assert "RollingUpdateStrategy:  25% max unavailable, 25% max surge" in described
    assert "ScalingReplicaSet" in described
    name = pods(web)[0]["metadata"]["name"]
    text = web.kubectl("describe", "pod", name).stdout
    for expected in ("Successfully assigned default/", "Started container web", "Readiness:", "Service Account:  default"):
        assert expected in text
    assert "replicas" in web.kubectl("explain", "deployment.spec").stdout
    wide = web.kubectl("get", "pods", "-o", "wide").stdout.splitlines()
    assert wide[0].split() == [
        "NAME",
        "READY",
        "STATUS",
        "RESTARTS",
        "AGE",
        "IP",
        "NODE",
        "NOMINATED",
        "NODE",
        "READINESS",
        "GATES",
    ]
    assert "1/1" in wide[1]


def test_a_job_like_pod_runs_once_and_why_says_so(cluster):
    cluster.apply(pod("once", "sh", "-c", "echo done", restartPolicy="Never"))
    eventually(lambda: cluster.get("pod", "once")["status"]["phase"] == "Succeeded")
    assert cluster.kubectl("logs", "once").stdout == "done\n"
    assert "has done its work" in cluster.podling("why", "pod/once").stdout


def test_why_names_the_cause_of_a_missing_image(cluster):
    cluster.apply(pod("broken", "true", container={"image": "missing.invalid/nothing:1"}))
    eventually(lambda: "ImagePull" in json.dumps(cluster.get("pod", "broken")["status"]))
    explained = cluster.podling("why", "pod/broken", check=False)
    assert explained.returncode == 1
    assert "missing.invalid/nothing:1" in explained.stdout


def test_a_pod_reaches_the_api_as_its_service_account(cluster):
    token = "/var/run/secrets/kubernetes.io/serviceaccount"
    cluster.apply(pod("reader", "sh", "-c", "sleep 1000"))
    cluster.kubectl("wait", "--for=condition=Ready", "pod/reader", "--timeout=20s")
    assert cluster.kubectl("exec", "reader", "--", "ls", token).stdout.split() == ["ca.crt", "namespace", "token"]
    jwt = cluster.kubectl("exec", "reader", "--", "cat", f"{token}/token").stdout
    host = cluster.get("service", "kubernetes")["spec"]["clusterIP"]
    as_robot = ("kubectl", f"--server=https://{host}", f"--token={jwt}", "--insecure-skip-tls-verify", "--kubeconfig=/dev/null")
    refused = cluster.run(*as_robot, "get", "pods", check=False)
    assert 'User "system:serviceaccount:default:default" cannot list resource "pods"' in refused.stderr
    cluster.kubectl("create", "rolebinding", "reader", "--clusterrole=view", "--serviceaccount=default:default")
    allowed = cluster.run(*as_robot, "get", "pods")
    assert "reader" in allowed.stdout
    cluster.kubectl("delete", "rolebinding", "reader")
