"""Sizes of pods with real containers: changed while they run, and refused where they don't fit."""

import pytest

from node.conftest import Cluster, condition, shell, status_of
from podling.client.resource import PODS
from podling.linux.cgroup import Group

pytestmark = pytest.mark.root


def size(cpu: str, memory: str) -> dict[str, dict[str, str]]:
    return {"limits": {"cpu": cpu, "memory": memory}, "requests": {"cpu": cpu, "memory": memory}}


async def test_a_pod_is_resized_while_it_runs(cluster: Cluster) -> None:
    restarting = [{"resourceName": "memory", "restartPolicy": "RestartContainer"}]
    await cluster.create(
        "web",
        shell("sleep 1000", resources=size("100m", "32Mi")),
        shell("sleep 1000", resources=size("100m", "32Mi"), resizePolicy=restarting),
    )
    before = await cluster.ready("web")
    assert status_of(before)["resources"] == size("100m", "32Mi")

    async def wish(first: tuple[str, str], second: tuple[str, str]) -> None:
        wanted = [{"name": "app", "resources": size(*first)}, {"name": "c1", "resources": size(*second)}]
        patch = {"spec": {"containers": wanted}}
        await cluster.client.patch(PODS, "web", patch, "default", type="strategic", subresource="resize")

    await wish(("200m", "64Mi"), ("200m", "48Mi"))
    pod = await cluster.until(
        "web",
        lambda pod: (
            status_of(pod)["resources"] == size("200m", "64Mi") and status_of(pod, "c1")["resources"] == size("200m", "48Mi")
        ),
        "resized",
    )
    pod = await cluster.until("web", lambda pod: status_of(pod, "c1")["ready"] and status_of(pod, "c1")["restartCount"] == 1)
    assert status_of(pod)["restartCount"] == 0
    assert status_of(pod)["containerID"] == status_of(before)["containerID"]
    path = f"{cluster.agent.config.cgroup}/pod{pod['metadata']['uid']}"
    limits = [
        Group(f"{path}/{status_of(pod, name)['containerID'].partition('//')[2]}").stats().memory_limit for name in ("app", "c1")
    ]
    assert limits == [64 << 20, 48 << 20]
    assert Group(path).stats().memory_limit == 112 << 20

    await wish(("100", "64Mi"), ("200m", "48Mi"))
    pod = await cluster.until("web", lambda pod: any(c["type"] == "PodResizePending" for c in pod["status"]["conditions"]))
    assert condition(pod, "PodResizePending")["reason"] == "Infeasible"
    assert "cpu, requested: 100200, capacity: 2000" in condition(pod, "PodResizePending")["message"]
    await wish(("200m", "64Mi"), ("200m", "48Mi"))
    await cluster.until("web", lambda pod: not any(c["type"] == "PodResizePending" for c in pod["status"]["conditions"]))


async def test_a_pod_that_does_not_fit_is_refused(cluster: Cluster) -> None:
    await cluster.create("large", {"resources": {"requests": {"cpu": "64"}}})
    pod = await cluster.phase("large", "Failed")
    assert pod["status"]["reason"] == "OutOfcpu"
    assert pod["status"]["message"] == (
        "Pod was rejected: Node didn't have enough resource: cpu, requested: 64000, used: 0, capacity: 2000"
    )
    await cluster.create("elsewhere", nodeSelector={"disk": "none"})
    assert (await cluster.phase("elsewhere", "Failed"))["status"]["reason"] == "NodeAffinity"
    await cluster.create("unsafe", securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "1"}]})
    assert (await cluster.phase("unsafe", "Failed"))["status"]["reason"] == "SysctlForbidden"
    await cluster.gone("large")
    assert cluster.engine.containers.list() == []
