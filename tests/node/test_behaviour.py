"""What conformance asks of a node, many small things in few pods with real containers."""

from pathlib import Path

import pytest

from node.conftest import Cluster, World, condition, eventually, shell, status_of
from podling.client.resource import NODES, RUNTIME_CLASSES
from podling.linux import mount
from podling.node.pressure.thresholds import parse
from podling.node.settings import Settings
from podling.testing.engine import load_busybox

pytestmark = pytest.mark.root


async def test_last_words(cluster: Cluster) -> None:
    fallback = {"terminationMessagePolicy": "FallbackToLogsOnError"}
    custom = {"terminationMessagePath": "/dev/own-log", "securityContext": {"runAsUser": 1000}}
    await cluster.create(
        "words",
        shell("echo from the log; exit 1", **fallback),
        shell("echo nobody asks", **fallback),
        shell("echo from the file > /dev/termination-log; echo not this", **fallback),
        shell("echo by a user > /dev/own-log", **custom),
        restartPolicy="Never",
    )
    pod = await cluster.phase("words", "Failed")
    ends = {each["name"]: each["state"]["terminated"] for each in pod["status"]["containerStatuses"]}
    assert {name: end.get("message", "") for name, end in ends.items()} == {
        "app": "from the log\n",
        "c1": "",
        "c2": "from the file\n",
        "c3": "by a user\n",
    }


async def test_what_a_container_finds_around_itself(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("127.0.0.1 mine\n")
    mine = {"volumeMounts": [{"name": "hosts", "mountPath": "/etc/hosts"}]}
    expanded = {
        "env": [{"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "volumeMounts": [{"name": "data", "mountPath": "/data", "subPathExpr": "$(NAME)"}],
    }
    escape = {
        "volumeMounts": [{"name": "data", "mountPath": "/data", "subPathExpr": "$(UP)"}],
        "env": [{"name": "UP", "value": ".."}],
    }
    held_back = {"securityContext": {"allowPrivilegeEscalation": False, "privileged": False}}
    await cluster.create(
        "around",
        shell("cat /proc/sys/kernel/shm_rmid_forced; grep alias /etc/hosts"),
        shell("cat /etc/hosts", **mine),
        shell("grep NoNewPrivs /proc/self/status; ip link add dummy0 type dummy 2>&1 || true", **held_back),
        shell("echo found > /data/file", **expanded),
        shell("cat /all/around/file", volumeMounts=[{"name": "data", "mountPath": "/all"}]),
        restartPolicy="OnFailure",
        hostAliases=[{"ip": "10.9.8.7", "hostnames": ["alias.one", "alias.two"]}],
        securityContext={"sysctls": [{"name": "kernel.shm_rmid_forced", "value": "1"}]},
        volumes=[{"name": "hosts", "hostPath": {"path": str(tmp_path / "hosts")}}, {"name": "data", "emptyDir": {}}],
    )
    await cluster.create("escapes", shell("true", **escape), volumes=[{"name": "data", "emptyDir": {}}])
    await cluster.phase("around", "Succeeded")
    logs = [await cluster.logs("around", "-c", name) for name in ("app", "c1", "c2", "c4")]
    assert logs[0] == "1\n10.9.8.7\talias.one\talias.two\n"
    assert logs[1] == "127.0.0.1 mine\n"
    assert logs[2].startswith("NoNewPrivs:\t1\n")
    assert "not permitted" in logs[2]
    assert logs[3] == "found\n"
    await cluster.waits("escapes", "CreateContainerConfigError")


async def test_a_class_of_runtime(cluster: Cluster) -> None:
    for name, handler in (("quick", "crun"), ("unheard-of", "no-such-runtime")):
        made = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": name}, "handler": handler}
        await cluster.client.create(RUNTIME_CLASSES, made)
    await cluster.create("classed", shell("true"), runtimeClassName="quick", restartPolicy="Never")
    await cluster.create("odd", shell("true"), runtimeClassName="unheard-of")
    await cluster.phase("classed", "Succeeded")
    assert [container.spec.runtime for container in cluster.engine.containers.list()] == ["crun"]

    async def told() -> list[str]:
        return [message for reason, message in await cluster.events("odd") if reason == "FailedCreatePodSandBox"]

    found = await eventually(told, bool)
    assert found[0] == 'Failed to create pod sandbox: no runtime for "no-such-runtime" is configured'


async def test_a_full_disk(world: World) -> None:
    """On a disk of its own, of which a pod takes more than may be gone."""
    place = world.root / "lib"
    place.mkdir()
    mount.tmpfs(place, "size=128m")
    settings = Settings(thresholds=parse({"nodefs.available": "30%"}), measured_every=0.5, pressure_lasts=1.0)
    cluster = await world.agent(settings=settings)
    try:
        await load_busybox(cluster.engine)
        await cluster.create("modest", shell("sleep 1000"))
        await cluster.ready("modest")
        await cluster.create("hog", shell("dd if=/dev/zero of=/big bs=1M count=100; sleep 1000"))
        pod = await cluster.phase("hog", "Failed")
        assert pod["status"]["reason"] == "Evicted"
        message = pod["status"]["message"]
        assert message.startswith("The node was low on resource: ephemeral-storage. Threshold quantity: ")
        assert "request is 0, has larger consumption of ephemeral-storage. " in message
        assert condition(pod, "DisruptionTarget")["status"] == "True"

        async def pressed() -> str:
            node = await cluster.client.get(NODES, "n1")
            return str(next(c["reason"] for c in node["status"]["conditions"] if c["type"] == "DiskPressure"))

        await cluster.gone("hog")
        await eventually(pressed, lambda reason: reason == "KubeletHasNoDiskPressure")
        assert "running" in status_of(await cluster.get("modest"))["state"]
    finally:
        await world.end(cluster)
        mount.unmount_if_mounted(place)
