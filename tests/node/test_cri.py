"""A node whose pods run by containerd, through kubectl."""

import shutil
from collections.abc import AsyncIterator

import pytest

from node.conftest import Cluster, World, shell
from podling.node.settings import Settings
from podling.testing.containerd import running_containerd
from podling.testing.engine import assert_nothing_left

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not shutil.which("containerd"), reason="needs containerd"),
]


@pytest.fixture
async def cluster(world: World) -> AsyncIterator[Cluster]:
    cni = world.root / "run/node/cni"
    with running_containerd(world.root / "containerd", cni) as endpoint:
        made = await world.agent(settings=Settings(runtime=endpoint))
        try:
            yield made
        finally:
            await world.end(made)
    assert_nothing_left(world.root)


async def test_a_pod_by_containerd(cluster: Cluster) -> None:
    node = (await cluster.client.call("GET", "/api/v1/nodes/n1"))["status"]
    assert node["nodeInfo"]["containerRuntimeVersion"].startswith("containerd://")
    probe = {"readinessProbe": {"exec": {"command": ["test", "-e", "/tmp/up"]}, "periodSeconds": 1}}
    first = shell("echo first", name="first")
    main = shell("echo up; touch /tmp/up; sleep 600", **probe)
    await cluster.create("web", main, initContainers=[{**first, "image": "busybox", "imagePullPolicy": "IfNotPresent"}])
    ready = await cluster.ready("web")
    assert ready["status"]["containerStatuses"][0]["containerID"].startswith("containerd://")
    assert await cluster.logs("web") == "up\n"
    assert await cluster.logs("web", "-c", "first") == "first\n"
    assert await cluster.kubectl("exec", "-i", "web", "--", "sh", "-c", "cat; hostname", input="typed\n") == "typed\nweb\n"
    assert "exit code 3" in await cluster.kubectl("exec", "web", "--", "sh", "-c", "exit 3", check=False)
    await cluster.gone("web")
    assert await cluster.agent._runtime.containers() == []


async def test_an_end_is_seen_and_healed(cluster: Cluster) -> None:
    await cluster.create("short", shell("echo again; exit 1"), restartPolicy="Always")
    restarted = await cluster.until("short", lambda pod: (pod["status"].get("containerStatuses") or [{}])[0].get("restartCount"))
    assert restarted["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 1
    assert await cluster.logs("short", "--previous") == "again\n"
    await cluster.gone("short")
