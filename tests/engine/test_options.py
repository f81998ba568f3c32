"""What is asked of a container, as its processes see it."""

import asyncio
import shutil
from pathlib import Path

import pytest

from podling.base.errors import InvalidInput
from podling.engine.engine import Engine
from podling.engine.types import (
    ContainerSpec,
    Endpoint,
    Mount,
    Namespaces,
    Resources,
    RestartPolicy,
    Security,
)
from podling.runtime.types import Device, Ulimit
from podling.testing.engine import output_of, run

pytestmark = pytest.mark.root
FIELDS = {
    "sysctl": (
        {"security": Security(sysctls={"net.ipv4.ip_forward": "1", "kernel.msgmax": "4096"})},
        "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax",
        "1\n4096\n",
    ),
    "shm": ({"shm_size": 1 << 20}, "df -k /dev/shm | tail -1 | tr -s ' ' | cut -d' ' -f2", "1024\n"),
    "tmpfs": (
        {"mounts": (Mount("tmpfs", "", "/t", options={"size": 1 << 20, "mode": 0o750}),)},
        "stat -c %a /t; grep ' /t ' /proc/mounts | grep -o size=1024k",
        "750\nsize=1024k\n",
    ),
    "read-only root": (
        {"security": Security(read_only_root=True)},
        "touch /x || echo no; touch /dev/shm/x && echo yes",
        "no\nyes\n",
    ),
    "ulimit": ({"resources": Resources(ulimits=(Ulimit("nofile", 64, 128),))}, "ulimit -Sn; ulimit -Hn", "64\n128\n"),
    "device": (
        {"resources": Resources(devices=(Device("/dev/null", "/dev/nothing"),))},
        "echo x > /dev/nothing && stat -c %t:%T /dev/nothing",
        "1:3\n",
    ),
    "device rule": (
        {"resources": Resources(device_cgroup_rules=("c 1:11 r",)), "security": Security(cap_add=("SYSLOG", "SYS_RAWIO"))},
        "mknod /kmsg c 1 11; mknod /mem c 1 1; head -c 0 /kmsg && echo yes; head -c 0 /mem || echo no",
        "yes\nno\n",
    ),
    "host names": (
        {"extra_hosts": ("db:10.9.8.7",), "domainname": "lan", "hostname": "web"},
        "grep -c '10.9.8.7.*db' /etc/hosts; grep -c 'web.lan web' /etc/hosts; hostname",
        "1\n1\nweb\n",
    ),
    "resolver": (
        {"dns": ("10.9.8.7",), "dns_search": ("lan", "wan"), "dns_options": ("ndots:3",)},
        "cat /etc/resolv.conf",
        "nameserver 10.9.8.7\nsearch lan wan\noptions ndots:3\n",
    ),
    "capabilities": (
        {"security": Security(cap_drop=("ALL",), cap_add=("CHOWN",), no_new_privileges=True)},
        "grep -E 'CapBnd|NoNewPrivs' /proc/self/status | tr -d '\\t'",
        "CapBnd:0000000000000001\nNoNewPrivs:1\n",
    ),
    "seccomp": ({"security": Security(seccomp="unconfined")}, "grep Seccomp: /proc/self/status | tr -d '\\t'", "Seccomp:0\n"),
    "groups": ({"user": "7:8", "groups": ("9",)}, "id -u; id -g; id -G", "7\n8\n8 9\n"),
    "oom score": ({"oom_score_adj": 500}, "cat /proc/self/oom_score_adj", "500\n"),
}


@pytest.mark.parametrize("name", FIELDS)
async def test_what_is_asked_is_seen_inside(engine: Engine, name: str) -> None:
    fields, script, expected = FIELDS[name]
    out, _ = await output_of(await run(engine, "sh", "-c", f"({script}) 2>/dev/null", **fields))
    assert out == expected


async def test_limits_reach_the_kernel(engine: Engine) -> None:
    limits = Resources(
        cpu_shares=512,
        cpu_quota_us=50_000,
        cpu_period_us=100_000,
        cpuset_cpus="0",
        cpuset_mems="0",
        memory=64 << 20,
        memory_swap=128 << 20,
        memory_reservation=32 << 20,
        pids_limit=30,
    )
    container = await run(engine, "sleep", "100", resources=limits)
    group = container.cgroup
    if engine.host.cgroup_v2:
        wanted = {"cpu.max": "50000 100000", "cpuset.cpus": "0", "memory.max": str(64 << 20), "memory.swap.max": str(64 << 20)}
        wanted |= {"memory.low": str(32 << 20), "pids.max": "30"}
    else:
        wanted = {"cpu.shares": "512", "cpu.cfs_quota_us": "50000", "cpuset.cpus": "0", "cpuset.mems": "0", "pids.max": "30"}
        wanted |= {"memory.limit_in_bytes": str(64 << 20), "memory.soft_limit_in_bytes": str(32 << 20)}
    assert {file: group.read(file.partition(".")[0], file).strip() for file in wanted} == wanted


async def test_limits_and_policy_change_while_it_runs(engine: Engine) -> None:
    container = await run(engine, "sleep", "100")
    await container.update(Resources(pids_limit=17, cpu_shares=256), RestartPolicy("always"))
    assert container.cgroup.read("pids", "pids.max").strip() == "17"
    await container.kill("TERM")  # which the first process ignores
    assert (container.spec.restart.name, container.spec.resources.pids_limit) == ("always", 17)


@pytest.mark.skipif(not any(map(shutil.which, ("docker-init", "tini", "tini-static", "catatonit"))), reason="no init program")
async def test_an_init_passes_signals_on(engine: Engine) -> None:
    container = await run(engine, "sh", "-c", "cat /proc/1/cmdline | tr '\\0' ' '; sleep 100", init=True)
    async for record in container.logs(follow=True):
        assert record.data.startswith(b"/sbin/docker-init -- sh")
        await container.kill("TERM")  # the shell alone, as the first process, would not hear it
    assert await container.wait() == 143


async def test_without_an_init_program_it_is_said(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    container = await engine.containers.create(ContainerSpec("busybox", command=("true",), init=True))
    (tmp_path / "bin").mkdir()
    for program in ("conmon", "crun", "runc"):
        if found := shutil.which(program):
            (tmp_path / "bin" / program).symlink_to(found)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(InvalidInput, match="install tini to use an init process"):
        await container.start()


async def test_a_name_in_a_network_follows_a_rename(engine: Engine) -> None:
    await engine.networks.create("net")
    modes, asked = Namespaces(network="net"), {"net": Endpoint(aliases=("alias",))}
    web = await run(engine, "sleep", "100", name="web", namespaces=modes, networks=asked)
    await web.rename("other")
    script = "nslookup -type=a other; nslookup -type=a alias; nslookup -type=a web || echo gone"
    out, _ = await output_of(await run(engine, "sh", "-c", script, namespaces=modes))
    assert out.count(f"Address: {web.endpoints[0].ip}") == 2
    assert "gone" in out


async def test_the_host_by_its_gateway(engine: Engine) -> None:
    container = await run(engine, "cat", "/etc/hosts", extra_hosts=("up:host-gateway",))
    gateway = container.endpoints[0].gateway if container.running else ""
    out, _ = await output_of(container)
    address = next(line.split("\t")[0] for line in out.splitlines() if line.endswith("\tup"))
    assert address == gateway or not gateway


async def test_every_condition_can_be_waited_for(engine: Engine) -> None:
    container = await engine.containers.create(ContainerSpec("busybox", command=("sh", "-c", "exit 4")))
    assert await container.wait() == 0  # it does not run
    await container.start()
    assert await container.wait("not-running") == 4
    next_exit = asyncio.ensure_future(container.wait("next-exit"))
    removed = asyncio.ensure_future(container.wait("removed"))
    await asyncio.sleep(0)
    assert not next_exit.done()  # the last one does not count
    await container.start()
    assert await next_exit == 4
    assert not removed.done()
    await container.wait()
    await container.remove()
    assert await removed == 4
