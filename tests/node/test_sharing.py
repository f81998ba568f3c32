"""What containers of one pod share with each other and with their node, with real containers."""

import json
import os
import re
from pathlib import Path

import pytest

from node.conftest import Cluster, eventually, shell, waiting
from podling.linux import mount

pytestmark = pytest.mark.root

PROFILE = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}


def local(profile: str) -> dict[str, object]:
    return {"securityContext": {"seccompProfile": {"type": "Localhost", "localhostProfile": profile}}}


async def test_processes_memory_and_bandwidth_of_one_pod(cluster: Cluster) -> None:
    cluster.agent.config.seccomp.mkdir()
    (cluster.agent.config.seccomp / "no-mkdir.json").write_text(json.dumps(PROFILE))
    await cluster.create(
        "shared",
        shell("echo hello > /dev/shm/note; true; sleep 1000; true"),
        shell("until cat /dev/shm/note; do sleep 0.1; done; mkdir /x || echo denied; sleep 1001; true", **local("no-mkdir.json")),
        shareProcessNamespace=True,
        metadata={"annotations": {"kubernetes.io/ingress-bandwidth": "10M", "kubernetes.io/egress-bandwidth": "20M"}},
    )
    await cluster.ready("shared")
    assert "hello\n" in await eventually(lambda: cluster.logs("shared", "-c", "c1"), lambda log: "denied" in log)
    listed = await cluster.kubectl("exec", "shared", "-c", "app", "--", "ps", "-o", "pid,args")
    assert re.search(r"^ +1 sleep infinity$", listed, re.M)
    assert "sleep 1001" in listed
    orphaned = "sh -c 'sleep 0.1 & exit'; sleep 1; ps -o stat,args | grep -c ^Z"
    assert (await cluster.kubectl("exec", "shared", "--", "sh", "-c", orphaned, check=False)).startswith("0\n")
    await cluster.gone("shared")
    assert not [m for m in mount.mounts_below(cluster.agent.config.sandboxes) if m.target.endswith(("/pid", "/shm"))]
    await cluster.create("missing", local("none.json"))
    assert "none.json" in waiting(await cluster.waits("missing", "CreateContainerConfigError"))["message"]


async def test_processes_and_memory_of_the_node(cluster: Cluster) -> None:
    script = "readlink /proc/self/ns/pid; readlink /proc/self/ns/ipc; stat -f -c %b /dev/shm"
    await cluster.create("host", shell(script), hostPID=True, hostIPC=True, restartPolicy="Never")
    await cluster.phase("host", "Succeeded")
    told = (await cluster.logs("host")).split()
    assert told[:2] == [os.readlink("/proc/self/ns/pid"), os.readlink("/proc/self/ns/ipc")]
    assert int(told[2]) == os.statvfs("/dev/shm").f_blocks


async def test_mounts_go_both_ways(cluster: Cluster, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    mount.share(place)
    volume = {"volumes": [{"name": "v", "hostPath": {"path": str(place)}}]}
    script = "mkdir /v/own; mount -t tmpfs none /v/own; touch /v/own/file; until test -e /v/host/file; do sleep 0.1; done"
    both = {"volumeMounts": [{"name": "v", "mountPath": "/v", "mountPropagation": "Bidirectional"}]}
    one = {"volumeMounts": [{"name": "v", "mountPath": "/v", "mountPropagation": "HostToContainer"}]}
    none = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    context = {"securityContext": {"privileged": True}}
    try:
        await cluster.create(
            "deaf", shell("until test -e /v/end; do sleep 0.1; done; ls /v/own /v/host", **none), restartPolicy="Never", **volume
        )
        await cluster.create(
            "ears", shell("until test -e /v/host/file; do sleep 0.1; done", **one), restartPolicy="Never", **volume
        )
        await cluster.phase("deaf", "Running")
        await cluster.phase("ears", "Running")
        await cluster.create("mouth", shell(script, **both, **context), restartPolicy="Never", **volume)

        async def seen() -> bool:
            return (place / "own/file").exists()

        await eventually(seen, bool)
        (place / "host").mkdir()
        mount.tmpfs(place / "host")
        (place / "host/file").touch()
        for name in ("mouth", "ears"):
            await cluster.phase(name, "Succeeded")
        (place / "end").touch()
        await cluster.phase("deaf", "Succeeded")
        assert (await cluster.logs("deaf")).split() == ["/v/host:", "/v/own:"]
    finally:
        for mounted in reversed(mount.mounts_below(place)):
            mount.unmount_if_mounted(mounted.target)
        mount.unmount_if_mounted(place)
