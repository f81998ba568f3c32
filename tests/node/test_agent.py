"""Pods as people see them: through the API, with real containers."""

import asyncio
import base64
import re
import time
from pathlib import Path

import pytest

from node.conftest import Cluster, World, condition, eventually, shell, status_of, waiting
from podling.client.resource import CONFIG_MAPS, LEASES, NODES, PODS, SECRETS
from podling.linux.cgroup import Group
from podling.node.settings import Settings
from podling.testing.engine import load_busybox

pytestmark = pytest.mark.root

SLEEP = {"command": ["sleep", "1000"]}


async def config_map(cluster: Cluster, name: str, **data: str) -> None:
    made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}, "data": data}
    await cluster.client.create(CONFIG_MAPS, made)


async def test_a_pod_runs_and_goes(cluster: Cluster) -> None:
    await cluster.create("web", SLEEP)
    pod = await cluster.ready("web")
    assert pod["status"]["phase"] == "Running"
    assert pod["status"]["podIP"].startswith("10.244.0.")
    assert pod["status"]["hostIP"] == "10.244.0.1"
    assert status_of(pod)["ready"] is True
    group = Group(f"{cluster.agent.config.cgroup}/besteffort/pod{pod['metadata']['uid']}")
    assert group.exists()
    await cluster.gone("web")
    assert cluster.engine.containers.list() == []
    assert not group.exists()
    assert not list(cluster.agent.config.pods.iterdir())
    assert not list(cluster.agent.config.logs.iterdir())


async def test_the_node_is_registered(cluster: Cluster) -> None:
    node = await cluster.client.get(NODES, "n1")
    assert node["metadata"]["labels"]["kubernetes.io/hostname"] == "n1"
    assert node["spec"]["podCIDR"] == "10.244.0.0/24"
    conditions = {c["type"]: c["status"] for c in node["status"]["conditions"]}
    assert conditions == {"Ready": "True", "MemoryPressure": "False", "DiskPressure": "False", "PIDPressure": "False"}
    assert node["status"]["capacity"]["cpu"] == "2"
    assert {"type": "InternalIP", "address": "10.244.0.1"} in node["status"]["addresses"]
    lease = await cluster.client.get(LEASES, "n1", "kube-node-lease")
    assert lease["spec"]["holderIdentity"] == "n1"


async def test_two_containers_share_the_network_and_the_host_name(cluster: Cluster) -> None:
    listen = shell("echo hello > /tmp/index.html; httpd -f -p 8080 -h /tmp")
    ask = shell("until wget -qO- http://127.0.0.1:8080/index.html; do sleep 0.1; done; hostname; sleep 1000")
    await cluster.create("pair", listen, ask)
    await cluster.ready("pair")
    assert await eventually(lambda: cluster.logs("pair", "-c", "c1"), lambda log: "pair" in log) == "hello\npair\n"


async def test_init_containers_prepare_what_the_application_finds(cluster: Cluster) -> None:
    mount = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    await cluster.create(
        "init",
        shell("cat /data/file", **mount),
        initContainers=[
            {"name": "one", "image": "busybox", "imagePullPolicy": "IfNotPresent", **shell("echo one > /data/file", **mount)},
            {"name": "two", "image": "busybox", "imagePullPolicy": "IfNotPresent", **shell("echo two >> /data/file", **mount)},
        ],
        volumes=[{"name": "data", "emptyDir": {}}],
        restartPolicy="Never",
    )
    pod = await cluster.phase("init", "Succeeded")
    assert await cluster.logs("init") == "one\ntwo\n"
    assert condition(pod, "Ready")["reason"] == "PodCompleted"
    assert status_of(pod, "two")["state"]["terminated"]["reason"] == "Completed"


async def test_a_failing_pod_that_never_restarts(cluster: Cluster) -> None:
    await cluster.create("fail", shell("echo last words > /dev/termination-log; exit 3"), restartPolicy="Never")
    pod = await cluster.phase("fail", "Failed")
    end = status_of(pod)["state"]["terminated"]
    assert (end["exitCode"], end["reason"], end["message"]) == (3, "Error", "last words\n")


async def test_a_crashing_pod_restarts_then_backs_off(cluster: Cluster) -> None:
    await cluster.create("crash", shell("echo run; exit 1", terminationMessagePolicy="FallbackToLogsOnError"))
    status = status_of(await cluster.waits("crash", "CrashLoopBackOff"))
    assert status["restartCount"] == 1
    assert status["lastState"]["terminated"]["message"] == "run\n"
    assert await cluster.logs("crash", "--previous") == "run\n"
    reasons = {reason for reason, _ in await cluster.events("crash")}
    assert {"Pulled", "Created", "Started", "BackOff"} <= reasons


async def test_a_missing_image_is_told(cluster: Cluster) -> None:
    await cluster.create("missing", {"image": "localhost:1/none:1"})
    assert "localhost:1" in waiting(await cluster.waits("missing", "ErrImagePull"))["message"]
    await cluster.waits("missing", "ImagePullBackOff")
    await cluster.create("never", {"image": "none:1", "imagePullPolicy": "Never"})
    await cluster.waits("never", "ErrImageNeverPull")


async def test_a_program_that_is_not_there(cluster: Cluster) -> None:
    await cluster.create("nothing", {"command": ["/no/such/program"]}, restartPolicy="Never")
    pod = await cluster.phase("nothing", "Failed")
    end = status_of(pod)["state"]["terminated"]
    assert (end["exitCode"], end["reason"]) == (128, "StartError")
    assert "/no/such/program" in end["message"]


async def test_environment_and_arguments(cluster: Cluster) -> None:
    await config_map(cluster, "settings", colour="red", size="7")
    container = {
        "command": ["sh", "-c"],
        "args": ["echo $COLOUR $(NAME) $IP $size $LIMIT; env | grep -c KUBERNETES_SERVICE_HOST"],
        "envFrom": [{"configMapRef": {"name": "settings"}}],
        "env": [
            {"name": "COLOUR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "colour"}}},
            {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "LIMIT", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
        ],
        "resources": {"limits": {"memory": "64Mi", "cpu": "500m"}},
    }
    await cluster.create("env", container, restartPolicy="Never")
    pod = await cluster.phase("env", "Succeeded")
    assert await cluster.logs("env") == f"red env {pod['status']['podIP']} 7 64\n1\n"
    assert pod["status"]["qosClass"] == "Guaranteed"


async def test_configuration_that_comes_late(cluster: Cluster) -> None:
    container = shell("echo $X", env=[{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "late", "key": "x"}}}])
    await cluster.create("late", container, restartPolicy="Never")
    pod = await cluster.waits("late", "CreateContainerConfigError")
    assert waiting(pod)["message"] == 'configmap "late" not found'
    await config_map(cluster, "late", x="here")
    await cluster.phase("late", "Succeeded")
    assert await cluster.logs("late") == "here\n"


async def test_a_mounted_config_map_follows_its_object(cluster: Cluster) -> None:
    await config_map(cluster, "live", key="old")
    await cluster.create(
        "live",
        shell("while true; do cat /etc/live/key; echo; sleep 0.1; done", volumeMounts=[{"name": "v", "mountPath": "/etc/live"}]),
        volumes=[{"name": "v", "configMap": {"name": "live"}}],
    )
    await cluster.ready("live")
    await cluster.client.patch(CONFIG_MAPS, "live", {"data": {"key": "new"}}, "default")
    await eventually(lambda: cluster.logs("live", "--tail=1"), lambda log: log == "new\n")


async def test_secrets_tokens_and_downward_files(cluster: Cluster) -> None:
    data = {"password": base64.b64encode(b"s3cret").decode()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "default"}, "data": data}
    await cluster.client.create(SECRETS, secret)
    sources = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
        {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
    ]
    await cluster.create(
        "files",
        shell(
            "cat /s/password; echo; cut -d. -f1 /p/token | head -c 2; echo; cat /p/labels; mount | grep -c 'on /s type tmpfs'",
            volumeMounts=[{"name": "s", "mountPath": "/s", "readOnly": True}, {"name": "p", "mountPath": "/p"}],
        ),
        metadata={"labels": {"app": "files"}},
        volumes=[{"name": "s", "secret": {"secretName": "s"}}, {"name": "p", "projected": {"sources": sources}}],
        restartPolicy="Never",
    )
    await cluster.phase("files", "Succeeded")
    assert cluster.agent.config.pods.stat().st_mode & 0o077 == 0
    assert await cluster.logs("files") == 's3cret\ney\napp="files"1\n'


async def test_names_inside_a_pod(cluster: Cluster) -> None:
    script = "cat /etc/resolv.conf; cat /etc/hosts; nslookup kubernetes.default.svc.cluster.local | tail -3"
    await cluster.create("names", shell(script), restartPolicy="Never", hostname="me")
    pod = await cluster.phase("names", "Succeeded")
    text = await cluster.logs("names")
    assert "nameserver 10.96.0.10\nsearch default.svc.cluster.local svc.cluster.local cluster.local" in text
    assert "options ndots:5" in text
    assert f"{pod['status']['podIP']}\tme\n" in text
    assert "10.96.0.1\n" in text


async def test_readiness_by_http(cluster: Cluster) -> None:
    probe = {"httpGet": {"path": "/ready", "port": "web"}, "periodSeconds": 1}
    ports = [{"name": "web", "containerPort": 8080}]
    await cluster.create("probe", shell("httpd -p 8080 -h /tmp; sleep 1000", readinessProbe=probe, ports=ports))
    pod = await cluster.phase("probe", "Running")
    assert condition(pod, "Ready")["reason"] == "ContainersNotReady"
    await cluster.kubectl("exec", "probe", "--", "touch", "/tmp/ready")
    await cluster.ready("probe")
    await cluster.kubectl("exec", "probe", "--", "rm", "/tmp/ready")
    await cluster.until("probe", lambda pod: condition(pod, "Ready")["status"] == "False", "unready again")
    assert ("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 404") in await cluster.events("probe")


async def test_liveness_restarts_a_container(cluster: Cluster) -> None:
    probe = {"exec": {"command": ["test", "!", "-e", "/tmp/ill"]}, "periodSeconds": 1, "failureThreshold": 1}
    startup = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    script = "httpd -p 8080 -h /tmp; sleep 2; touch /tmp/ill; sleep 1000"
    await cluster.create("ill", shell(script, livenessProbe=probe, startupProbe=startup))
    pod = await cluster.until("ill", lambda pod: status_of(pod)["restartCount"] == 1, "restarted")
    assert status_of(pod)["lastState"]["terminated"]["exitCode"] == 137
    assert any("failed liveness probe, will be restarted" in message for _, message in await cluster.events("ill"))


async def test_hooks(cluster: Cluster, tmp_path: Path) -> None:
    hooks = {
        "postStart": {"exec": {"command": ["sh", "-c", "echo begun >> /out/log"]}},
        "preStop": {"exec": {"command": ["sh", "-c", "echo ending >> /out/log"]}},
    }
    script = "trap 'echo ended >> /out/log; exit 0' TERM; while true; do sleep 0.1; done"
    await cluster.create(
        "hooks",
        shell(script, lifecycle=hooks, volumeMounts=[{"name": "out", "mountPath": "/out"}]),
        volumes=[{"name": "out", "hostPath": {"path": str(tmp_path / "out"), "type": "DirectoryOrCreate"}}],
        terminationGracePeriodSeconds=5,
    )
    await cluster.ready("hooks")
    assert (tmp_path / "out/log").read_text() == "begun\n"
    await cluster.gone("hooks")
    assert (tmp_path / "out/log").read_text() == "begun\nending\nended\n"


async def test_grace_is_kept_and_ended(cluster: Cluster) -> None:
    await cluster.create("deaf", shell("trap '' TERM; sleep 1000"), terminationGracePeriodSeconds=1)
    await cluster.ready("deaf")
    begin = time.monotonic()
    await cluster.gone("deaf")
    assert 0.9 < time.monotonic() - begin < 5
    assert ("Killing", "Stopping container app") in await cluster.events("deaf")


async def test_a_forced_deletion_kills_what_runs(cluster: Cluster) -> None:
    await cluster.create("deaf", shell("trap '' TERM; sleep 1000"), terminationGracePeriodSeconds=600)
    await cluster.ready("deaf")
    await cluster.client.delete(PODS, "deaf", "default")
    await cluster.client.delete(PODS, "deaf", "default", grace=0)
    begin = time.monotonic()
    container = cluster.engine.containers.list()[0]
    await asyncio.wait_for(container.wait("removed"), 10)
    assert time.monotonic() - begin < 4


async def test_limits_reach_the_kernel(cluster: Cluster) -> None:
    resources = {"limits": {"memory": "32Mi", "cpu": "500m"}, "requests": {"memory": "16Mi"}}
    await cluster.create("small", shell("tail /dev/zero", resources=resources), restartPolicy="Never")
    pod = await cluster.phase("small", "Failed")
    assert status_of(pod)["state"]["terminated"]["reason"] == "OOMKilled"
    assert pod["status"]["qosClass"] == "Burstable"


async def test_the_nodes_own_network(cluster: Cluster) -> None:
    await cluster.create("host", shell("ip -o link | grep -c gw; hostname"), hostNetwork=True, restartPolicy="Never")
    pod = await cluster.phase("host", "Succeeded")
    assert pod["status"]["podIP"] == "10.244.0.1"
    assert (await cluster.logs("host")).startswith("1\n")


async def test_security_context(cluster: Cluster) -> None:
    context = {"runAsUser": 1000, "runAsGroup": 2000, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    script = "id -u; id -g; touch /x 2>&1; grep CapEff /proc/self/status"
    await cluster.create("user", shell(script, securityContext=context), restartPolicy="Never", securityContext={"fsGroup": 3000})
    await cluster.phase("user", "Succeeded")
    assert (await cluster.logs("user")).split("\n")[:3] == ["1000", "2000", "touch: /x: Read-only file system"]
    await cluster.create("root", {"securityContext": {"runAsNonRoot": True}})
    await cluster.waits("root", "CreateContainerConfigError")


async def test_logs_as_kubectl_asks_for_them(cluster: Cluster) -> None:
    await cluster.create("talk", shell("for n in 1 2 3; do echo line $n; done; echo oops >&2; sleep 1000"))
    await cluster.ready("talk")
    await eventually(lambda: cluster.logs("talk"), lambda log: "oops" in log)
    assert await cluster.logs("talk", "--tail=2") == "line 3\noops\n"
    assert await cluster.logs("talk", "--limit-bytes=6") == "line 1"
    stamped = await cluster.logs("talk", "--timestamps", "--tail=1")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z oops\n", stamped)
    assert await cluster.logs("talk", "--since=1h") == "line 1\nline 2\nline 3\noops\n"
    refused = await cluster.kubectl("logs", "talk", "--previous", check=False)
    assert 'previous terminated container "app" in pod "talk" not found' in refused


async def test_followed_logs_end_with_the_container(cluster: Cluster) -> None:
    await cluster.create("count", shell("for n in 1 2 3; do echo $n; sleep 0.2; done"), restartPolicy="Never")
    await cluster.until("count", lambda pod: pod["status"].get("phase") in ("Running", "Succeeded"), "begun")
    assert await cluster.logs("count", "-f") == "1\n2\n3\n"


async def test_an_image_as_a_volume(cluster: Cluster) -> None:
    mounts = [{"name": "tools", "mountPath": "/tools"}, {"name": "tools", "mountPath": "/programs", "subPath": "bin"}]
    script = "/tools/bin/busybox echo runs 2>&1; touch /tools/x 2>&1; touch /programs/x 2>&1; test -f /programs/sh && echo below"
    volume = {"name": "tools", "image": {"reference": "busybox", "pullPolicy": "Never"}}
    await cluster.create("image", shell(script, volumeMounts=mounts), volumes=[volume], restartPolicy="Never")
    await cluster.phase("image", "Succeeded")
    assert (await cluster.logs("image")).splitlines() == [
        "sh: /tools/bin/busybox: Permission denied",
        "touch: /tools/x: Read-only file system",
        "touch: /programs/x: Read-only file system",
        "below",
    ]
    await cluster.gone("image")
    snapshots = cluster.engine.images.snapshots

    async def views() -> list[str]:
        return [each.name for each in snapshots.walk() if each.kind == "view"]

    await eventually(views, lambda found: not found)
    missing = {"name": "tools", "image": {"reference": "localhost:1/none", "pullPolicy": "Never"}}
    await cluster.create("missing", volumes=[missing])

    async def told() -> list[str]:
        return [message for reason, message in await cluster.events("missing") if reason == "FailedMount"]

    found = await eventually(told, bool)
    assert found[0].startswith('MountVolume.SetUp failed for volume "tools" : ErrImageNeverPull: ')


async def test_logs_are_rotated(world: World) -> None:
    cluster = await world.agent(settings=Settings(log_size=30_000, log_files=3))
    try:
        await load_busybox(cluster.engine)
        await _fill_logs(cluster)
    finally:
        await world.end(cluster)


async def _fill_logs(cluster: Cluster) -> None:
    script = "for n in $(seq 3000); do echo line $n of a log that is longer than it may be; done; sleep 1000"
    await cluster.create("talk", shell(script))
    await cluster.ready("talk")
    await eventually(lambda: cluster.logs("talk", "--tail=1"), lambda log: "line 3000 " in log)
    lines = (await cluster.logs("talk")).splitlines()
    pod = await cluster.get("talk")
    files = list((cluster.agent.config.log_directory(pod) / "app").iterdir())
    assert 1 < len({file.stat().st_ino for file in files}) <= 3
    assert 0 < len(lines) < 3000
    numbers = [int(line.split()[1]) for line in lines]
    assert numbers == sorted(numbers)
    assert numbers[-1] == 3000
    assert len(await cluster.logs("talk", "--limit-bytes=100")) == 100
