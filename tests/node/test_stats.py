"""What the node tells of its use, asked over its own API as metrics-server and Prometheus ask; and the texts as tables."""

import asyncio
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from node.conftest import Cluster, World, eventually, shell
from podling.aio.client import HttpClient
from podling.linux.cgroup import Hierarchies, Stats
from podling.node.kubelet.access import asked_of
from podling.node.kubelet.stats import cadvisor, resource
from podling.node.kubelet.stats.disks import SERVES_SECONDS, Disks
from podling.node.kubelet.stats.exposition import Family, Sample, text
from podling.node.kubelet.stats.groups import GroupReader, pressure
from podling.node.kubelet.stats.machine import busy_ns
from podling.node.kubelet.stats.summary import summary
from podling.node.kubelet.stats.values import (
    ContainerReading,
    Disk,
    Interface,
    NodeReading,
    PodReading,
    Pressure,
    Reading,
    Space,
    Stall,
    Use,
    VolumeReading,
    nano_cores,
)
from podling.testing.clock import ManualClock

KUBELET = "https://10.244.0.1:10250"
BUSY = "head -c 300000 /dev/zero > /kept; head -c 200000 /dev/zero > /scratch/file; echo hello; while :; do :; done"


async def ask(world: World, path: str, who: str = "client", headers: Any = None) -> tuple[int, str]:
    async with HttpClient(tls=world.tls(who)) as client:
        reply = await client.request("GET", KUBELET + path, headers=headers)
        return reply.status, (await reply.body()).decode()


def values(metrics: str, name: str, **labels: str) -> list[float]:
    """The samples of a metric that have these labels."""
    found = []
    for shown, value in re.findall(rf"^{name}(?:{{(.*)}})? (\S+)", metrics, re.MULTILINE):
        has = dict(re.findall(r'(\w+)="([^"]*)"', shown))
        if all(has.get(label) == wanted for label, wanted in labels.items()):
            found.append(float(value))
    return found


@pytest.mark.root
async def test_a_busy_pod_in_all_that_the_node_tells(cluster: Cluster, world: World) -> None:
    """The summary, the metrics for metrics-server and for Prometheus, of one pod that works, writes, and is probed."""
    probe = {"exec": {"command": ["true"]}, "periodSeconds": 1}
    limits = {"resources": {"limits": {"memory": "64Mi", "cpu": "500m"}}}
    mounts = {"volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]}
    await cluster.create(
        "busy", shell(BUSY, readinessProbe=probe, **limits, **mounts), volumes=[{"name": "scratch", "emptyDir": {}}]
    )
    await cluster.ready("busy")

    async def summarized() -> Any:
        return json.loads((await ask(world, "/stats/summary"))[1])

    whole = await eventually(summarized, lambda found: _written(found))
    pod, container = whole["pods"][0], whole["pods"][0]["containers"][0]
    assert pod["podRef"]["name"] == "busy"
    assert container["cpu"]["usageNanoCores"] > 100_000_000  # half a CPU is allowed; the machine may be loaded
    assert container["cpu"]["usageCoreNanoSeconds"] <= pod["cpu"]["usageCoreNanoSeconds"]
    assert 0 < container["memory"]["workingSetBytes"] < 64 << 20
    assert container["memory"]["availableBytes"] == (64 << 20) - container["memory"]["workingSetBytes"]
    assert 300_000 <= container["rootfs"]["usedBytes"] < 10_000_000
    assert 0 < container["logs"]["usedBytes"] < 1_000_000
    assert pod["ephemeral-storage"]["usedBytes"] >= 500_000
    assert pod["process_stats"]["process_count"] >= 1
    assert pod["network"]["name"] == "eth0"
    node = whole["node"]
    assert node["nodeName"] == "n1"
    assert {one["name"] for one in node["systemContainers"]} == {"kubelet", "pods"}
    assert node["memory"]["availableBytes"] > 0
    assert node["fs"]["capacityBytes"] > 0
    assert node["rlimit"]["curproc"] > 1
    assert node["runtime"]["imageFs"]["usedBytes"] > 0

    of_it = {"namespace": "default", "pod": "busy", "container": "app"}
    first = (await ask(world, "/metrics/resource"))[1]
    assert values(first, "container_memory_working_set_bytes", **of_it)[0] > 0
    assert values(first, "container_start_time_seconds", **of_it)[0] > 0
    assert values(first, "resource_scrape_error") == [0]

    async def cpu() -> float:
        return values((await ask(world, "/metrics/resource"))[1], "container_cpu_usage_seconds_total", **of_it)[0]

    began = values(first, "container_cpu_usage_seconds_total", **of_it)[0]
    await eventually(cpu, lambda seconds: seconds > began + 0.1)

    prometheus = (await ask(world, "/metrics/cadvisor"))[1]
    assert values(prometheus, "container_cpu_usage_seconds_total", cpu="total", **of_it)[0] > 0
    assert values(prometheus, "container_spec_memory_limit_bytes", **of_it) == [64 << 20]
    assert values(prometheus, "container_fs_usage_bytes", **of_it)[0] >= 300_000
    assert values(prometheus, "container_network_receive_bytes_total", pod="busy", interface="eth0")
    assert values(prometheus, "container_cpu_cfs_periods_total", **of_it)[0] > 0
    probes = (await ask(world, "/metrics/probes"))[1]
    assert values(probes, "prober_probe_total", probe_type="Readiness", result="successful", **of_it)[0] >= 1
    own = (await ask(world, "/metrics"))[1]
    assert values(own, "kubelet_running_pods") == [1]
    assert values(own, "kubelet_running_containers", container_state="running") == [1]
    assert values(own, "kubelet_http_requests_total", path="metrics/cadvisor") == [1]


def _written(found: Any) -> bool:
    """Whether the pod has written its files, and has been seen to."""
    pods = [pod for pod in found["pods"] if "volume" in pod]
    return bool(pods) and pods[0]["volume"][0]["usedBytes"] >= 200_000 and "usageNanoCores" in pods[0]["containers"][0]["cpu"]


@pytest.mark.root
async def test_who_may_ask(cluster: Cluster, world: World) -> None:
    status, words = await ask(world, "/stats/summary", "stranger")
    assert (status, words) == (403, "Forbidden (user=somebody, verb=get, resource=nodes, subresource(s)=[stats])\n")
    status, words = await ask(world, "/pods", "stranger")
    assert (status, "subresource(s)=[pods proxy]" in words) == (403, True)
    async with HttpClient(tls=world.anonymous()) as client:
        for headers in ([], [("authorization", "Bearer nothing")]):
            reply = await client.request("GET", f"{KUBELET}/metrics", headers=headers)
            assert (reply.status, await reply.body()) == (401, b"Unauthorized\n")
    readings = await asyncio.gather(*(ask(world, "/metrics/cadvisor") for _ in range(3)))
    assert {status for status, _ in readings} == {200}


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/stats/summary", ("get", ("stats",))),
        ("GET", "/metrics", ("get", ("metrics",))),
        ("GET", "/metrics/cadvisor", ("get", ("metrics",))),
        ("GET", "/pods", ("get", ("pods", "proxy"))),
        ("POST", "/exec/ns/pod/c", ("create", ("proxy",))),
        ("GET", "/containerLogs/ns/pod/c", ("get", ("proxy",))),
    ],
)
def test_what_a_path_asks_leave_for(method: str, path: str, expected: Any) -> None:
    assert asked_of(method, path) == expected


NOW = 1_700_000_000.0
SPACE = Space(1000, 400, 100, 60, "/dev/vda")
USE = Use(NOW, 2_000_000_000, 900, 700, 500, limit=1000, swap=5, swap_limit=50, page_faults=7, major_faults=1)


def reading(**more: Any) -> Reading:
    disk = Disk(SPACE, 30, 3)
    container = ContainerReading("app", "id1", "busybox", NOW - 60, 0, "/pods/podu1/id1", USE, rootfs=disk, logs=disk)
    volumes = (VolumeReading("data", Disk(SPACE, 7, 2), "claim", ephemeral=False), VolumeReading("tmp", Disk(SPACE, 11, 1)))
    pod = PodReading("web", "shop", "u1", NOW - 61, "/pods/podu1", USE, (container,), (Interface("eth0", 10, 1),), volumes)
    node = NodeReading("n1", NOW - 1000, 5000, Use(NOW, 9_000_000_000, 3000, 2000), root=disk, images=disk, **more)
    return Reading(node, (pod,))


def test_the_summary_of_a_reading() -> None:
    found = summary(reading(), {"": 1_500_000_000, "/pods/podu1/id1": 250_000_000})
    pod = found["pods"][0]
    assert found["node"]["cpu"] == {
        "time": "2023-11-14T22:13:20Z",
        "usageNanoCores": 1_500_000_000,
        "usageCoreNanoSeconds": 9_000_000_000,
    }
    assert found["node"]["memory"]["availableBytes"] == 3000
    assert pod["containers"][0]["memory"] == {
        "time": "2023-11-14T22:13:20Z",
        "availableBytes": 300,
        "usageBytes": 900,
        "workingSetBytes": 700,
        "rssBytes": 500,
        "pageFaults": 7,
        "majorPageFaults": 1,
    }
    assert pod["containers"][0]["swap"] == {"time": "2023-11-14T22:13:20Z", "swapAvailableBytes": 45, "swapUsageBytes": 5}
    assert "usageNanoCores" not in pod["cpu"]
    assert pod["ephemeral-storage"]["usedBytes"] == 30 + 30 + 11
    assert pod["volume"][0]["pvcRef"] == {"name": "claim", "namespace": "shop"}
    brief = summary(reading(), {}, only_cpu_and_memory=True)
    assert set(brief["pods"][0]) == {"podRef", "startTime", "containers", "cpu", "memory", "swap"}
    assert set(brief["pods"][0]["containers"][0]) == {"name", "startTime", "cpu", "memory", "swap"}


def test_pressure_is_told_where_the_kernel_measures_it() -> None:
    use = Use(NOW, 1, pressure={"cpu": Pressure(some=Stall(1.5, 1.0, 0.5, 12)), "io": Pressure()})
    found = summary(Reading(NodeReading("n1", NOW, 1, use), ()), {})["node"]
    assert found["cpu"]["psi"]["some"] == {"total": 12000, "avg10": 1.5, "avg60": 1.0, "avg300": 0.5}
    assert found["io"]["psi"]["full"]["total"] == 0
    assert pressure(
        "some avg10=1.50 avg60=1.00 avg300=0.50 total=12\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=3\n"
    ) == Pressure(Stall(1.5, 1.0, 0.5, 12), Stall(total_us=3))


def test_the_metrics_of_a_reading() -> None:
    lines = text(resource.families(reading()))
    assert 'container_cpu_usage_seconds_total{container="app",namespace="shop",pod="web"} 2.0 1700000000000' in lines
    assert 'pod_memory_working_set_bytes{namespace="shop",pod="web"} 700 1700000000000' in lines
    assert "node_cpu_usage_seconds_total 9.0 1700000000000" in lines
    assert "# TYPE container_cpu_usage_seconds_total counter" in lines
    detailed = Use(NOW, 1, detail=Stats(memory={"total_cache": 44, "cache": 1}, pids=3), limit=9)
    container = ContainerReading("app", "id1", "busybox", NOW - 60, 0, "/pods/podu1/id1", detailed)
    pod = PodReading("web", "shop", "u1", NOW, "/pods/podu1", None, (container,))
    found = text(cadvisor.families(Reading(reading().node, (pod,)), "v1", 2))
    labels = 'container="app",id="/pods/podu1/id1",image="busybox",name="id1",namespace="shop",pod="web"'
    assert f"container_memory_cache{{{labels}}} 44 1700000000000" in found
    assert f"container_threads{{{labels}}} 3 1700000000000" in found
    assert "machine_cpu_cores 2\n" in found
    assert "container_cpu_cfs_periods_total{" not in found  # it has no quota


def test_rates_and_texts() -> None:
    before = {"a": (10.0, 1_000_000_000), "b": (10.0, 500), "new": (12.0, 7)}
    assert nano_cores(before, {"a": (12.0, 2_000_000_000), "b": (12.0, 400), "c": (12.0, 1), "new": (12.0, 9)}) == {
        "a": 500_000_000
    }
    assert busy_ns("cpu  10 1 5 100 7 2 3 1 4 0\ncpu0 1\n") == (10 + 1 + 5 + 2 + 3 + 1) * 10_000_000
    shown = text([Family("one", "Help.", "gauge", [Sample(1, {"a": 'x"\\\n'})]), Family("none", "", "gauge", [])])
    assert shown == '# HELP one Help.\n# TYPE one gauge\none{a="x\\"\\\\\\n"} 1\n'


def lay(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)


STAT_V2 = "anon 300\nfile 500\ninactive_file 200\npgfault 70\npgmajfault 7\n"
STAT_V1 = "rss 1\ntotal_rss 300\ntotal_inactive_file 200\ntotal_swap 40\ntotal_pgfault 70\ntotal_pgmajfault 7\n"


def test_a_group_of_version_2(tmp_path: Path) -> None:
    lay(
        tmp_path / "pod",
        {
            "cpu.stat": "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\n",
            "memory.current": "1000\n",
            "memory.max": "2000\n",
            "memory.stat": STAT_V2,
            "memory.swap.current": "40\n",
            "memory.swap.max": "max\n",
            "memory.peak": "1800\n",
            "memory.events": "low 0\nmax 3\noom 0\noom_kill 1\n",
            "cgroup.procs": "",
            "c1/cgroup.procs": "12\n13\n",
            "cpu.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=9\n",
        },
    )
    groups = GroupReader(Hierarchies("v2", {}, tmp_path), ManualClock())
    found = groups.whole("/pod")
    assert found is not None
    assert (found.cpu_ns, found.memory, found.working_set, found.rss, found.limit) == (1_500_000, 1000, 800, 300, 2000)
    assert (found.swap, found.swap_limit, found.page_faults, found.major_faults) == (40, 0, 70, 7)
    assert (found.peak, found.limit_hits, found.processes, found.pressure["cpu"].some.total_us) == (1800, 3, 2, 9)
    assert found.detail is not None
    assert (found.detail.cpu_user, found.detail.oom_kills) == (1_000_000, 1)
    assert groups.brief("/none") is None
    assert groups.container("/pod", "c1") == "/pod/c1"
    (tmp_path / "pod/crio-c2.scope").mkdir()
    assert groups.container("/pod", "c2") == "/pod/crio-c2.scope"


def test_a_group_of_version_1(tmp_path: Path) -> None:
    lay(
        tmp_path,
        {
            "cpuacct/pod/cpuacct.usage": "1500000\n",
            "cpuacct/pod/cpuacct.stat": "user 1\nsystem 0\n",
            "cpu/pod/cpu.stat": "nr_periods 5\nnr_throttled 2\nthrottled_time 99\n",
            "memory/pod/memory.usage_in_bytes": "1000\n",
            "memory/pod/memory.limit_in_bytes": "2000\n",
            "memory/pod/memory.memsw.limit_in_bytes": "2500\n",
            "memory/pod/memory.stat": STAT_V1,
            "memory/pod/memory.max_usage_in_bytes": "1800\n",
            "memory/pod/memory.failcnt": "3\n",
            "pids/pod/cgroup.procs": "12\n",
        },
    )
    controllers = {name: tmp_path / name for name in ("cpu", "cpuacct", "memory", "pids")}
    found = GroupReader(Hierarchies("v1", controllers, None), ManualClock()).whole("pod")
    assert found is not None
    assert (found.cpu_ns, found.memory, found.working_set, found.rss, found.limit) == (1_500_000, 1000, 800, 300, 2000)
    assert (found.swap, found.swap_limit, found.page_faults, found.major_faults) == (40, 500, 70, 7)
    assert (found.peak, found.limit_hits, found.processes, found.pressure) == (1800, 3, 1, {})
    assert found.detail is not None
    assert (found.detail.cpu_periods, found.detail.cpu_throttled) == (5, 99)


def test_disks_are_measured_now_and_then(tmp_path: Path) -> None:
    clock = ManualClock()
    disks = Disks(clock)
    (tmp_path / "a").write_bytes(bytes(100_000))
    os.link(tmp_path / "a", tmp_path / "b")
    first = disks.tree(tmp_path)
    assert first is not None
    assert 100_000 <= first.used < 150_000
    assert first.inodes_used == 2
    assert 0 < first.space.available <= first.space.capacity
    (tmp_path / "c").write_bytes(bytes(100_000))
    again = disks.tree(tmp_path)
    assert again is not None
    assert again.used == first.used
    asyncio.run(clock.advance(SERVES_SECONDS))
    later = disks.tree(tmp_path)
    assert later is not None
    assert later.used >= 200_000
    assert disks.tree(tmp_path / "none") is None
