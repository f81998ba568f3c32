"""Containers as a person uses them, on the real kernel."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from podling.base.errors import AlreadyExists, Conflict, InvalidInput, NotFound, NotModified
from podling.engine.engine import Engine
from podling.engine.types import (
    ContainerSpec,
    DeviceRate,
    ExecSpec,
    Mount,
    Namespaces,
    PortBinding,
    Resources,
    RestartPolicy,
    Security,
)
from podling.runtime.types import Ulimit
from podling.testing.engine import output_of, run

pytestmark = pytest.mark.root


async def test_a_container_runs_writes_and_ends(engine: Engine) -> None:
    container = await run(engine, "sh", "-c", "echo out; echo err >&2; exit 3")
    assert await output_of(container) == ("out\nerr\n", 3)
    state = container.state
    assert (state.status, state.exit_code, state.pid, state.oom_killed) == ("exited", 3, 0, False)
    assert 0 < state.started_at <= state.finished_at
    await container.remove()
    with pytest.raises(NotFound, match=f"No such container: {container.name}"):
        engine.containers.find(container.name)


async def test_what_a_container_finds_inside(engine: Engine) -> None:
    script = (
        "hostname; cat /etc/hostname; pwd; id -u; id -g; id -G; echo $FOO $HOME; grep -c web /etc/hosts; ip -o addr show eth0"
    )
    container = await run(
        engine, "sh", "-c", script, hostname="web", working_dir="/made/here", user="nobody", env=("FOO=bar",), groups=("44",)
    )
    text, code = await output_of(container)
    lines = text.splitlines()
    assert lines[:7] == ["web", "web", "/made/here", "65534", "65534", "65534 44", "bar /nonexistent"]
    assert lines[7] == "1"
    assert "inet 172." in text
    assert code == 0


async def test_a_container_is_confined_as_dockers(engine: Engine) -> None:
    script = """
    grep -E 'CapEff|Seccomp:' /proc/self/status; unshare -m true 2>&1; mount -t tmpfs none /mnt 2>&1
    echo > /proc/sys/kernel/hostname; cat /proc/timer_list | wc -c; ls /dev
    """
    text, _ = await output_of(await run(engine, "sh", "-c", script))
    assert "CapEff:\t00000000a80425fb" in text
    assert "Seccomp:\t2" in text
    assert text.count("ermi") >= 2
    assert "Read-only file system" in text
    assert "\n0\n" in text
    assert "kmsg" not in text


async def test_a_privileged_container_is_not(engine: Engine) -> None:
    script = "grep Seccomp: /proc/self/status; mount -t tmpfs none /home && echo mounted; test -e /dev/kmsg && echo kmsg"
    text, _ = await output_of(await run(engine, "sh", "-c", script, security=Security(privileged=True)))
    assert "Seccomp:\t0" in text
    assert "mounted\n" in text
    assert "kmsg\n" in text


async def test_stop_signals_and_then_kills(engine: Engine) -> None:
    polite = await run(engine, "sh", "-c", "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done")
    async for _ in polite.logs(follow=True):
        break
    await polite.stop(grace=10)
    assert polite.state.exit_code == 7
    with pytest.raises(NotModified):
        await polite.stop()
    deaf = await run(engine, "sleep", "100")
    begun = time.monotonic()
    await deaf.stop(grace=0.2)
    assert deaf.state.exit_code == 137
    assert 0.2 <= time.monotonic() - begun < 5


async def test_kill_and_start_again(engine: Engine) -> None:
    container = await run(engine, "sh", "-c", "echo again; sleep 100")
    with pytest.raises(NotModified):
        await container.start()
    async for _ in container.logs(follow=True):
        await container.kill("TERM")
        await container.kill("KILL")
    assert await container.wait() == 137
    with pytest.raises(Conflict, match=r"cannot kill container: .*: container .* is not running"):
        await container.kill()
    await container.start()
    lines = 0
    async for _ in container.logs(follow=True):
        lines += 1
        if lines == 2:
            break
    await container.restart(grace=0)
    assert container.running
    lines = 0
    async for record in container.logs(follow=True):
        assert record.data == b"again\n"
        lines += 1
        if lines == 3:
            await container.kill()
    assert lines == 3


async def test_pause_stops_the_clock_inside(engine: Engine) -> None:
    container = await run(engine, "sleep", "100")
    await container.pause()
    assert container.state.status == "paused"
    with pytest.raises(Conflict, match="cannot start a paused container"):
        await container.start()
    with pytest.raises(Conflict, match="is paused, unpause the container before exec"):
        await container.exec(ExecSpec(("true",)))
    await container.unpause()
    assert container.state.status == "running"
    await container.pause()
    await container.stop(grace=0.1)
    assert container.state.status == "exited"


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        ("nosuch", 127, 'exec: "nosuch": executable file not found in $PATH: unknown'),
        ("/etc/passwd", 126, 'exec: "/etc/passwd": permission denied: unknown'),
    ],
)
async def test_a_program_that_cannot_be_started(engine: Engine, command: str, code: int, words: str) -> None:
    container = await engine.containers.create(ContainerSpec("busybox", command=(command,)))
    with pytest.raises(InvalidInput) as caught:
        await container.start()
    assert words in caught.value.message
    assert caught.value.message.startswith("failed to create task for container: ")
    assert (container.state.status, container.state.exit_code) == ("created", code)
    await container.remove()


async def test_restart_policy_counts_and_gives_up(engine: Engine) -> None:
    container = await run(engine, "sh", "-c", "echo run; exit 1", restart=RestartPolicy("on-failure", 2))
    await container.wait()
    assert container.state.restart_count == 2
    assert (await output_of(container))[0] == "run\n" * 3


async def test_always_restarts_until_stopped(engine: Engine) -> None:
    container = await run(engine, "true", restart=RestartPolicy("always"))
    while container.state.restart_count < 2:
        await container.wait("next-exit")
    await container.stop()
    assert container.state.status == "exited"
    await container.remove()


async def test_auto_remove(engine: Engine) -> None:
    container = await run(engine, "sh", "-c", "exit 4", auto_remove=True, mounts=(Mount("volume", "", "/data"),))
    assert await container.wait("removed") == 4
    assert engine.containers.list() == []
    assert list(engine.volumes.list()) == []


async def test_names(engine: Engine) -> None:
    container = await engine.containers.create(ContainerSpec("busybox", name="web"))
    assert engine.containers.find("/web") is engine.containers.find(container.id[:5]) is container
    with pytest.raises(AlreadyExists, match=f'The container name "/web" is already in use by container "{container.id}"'):
        await engine.containers.create(ContainerSpec("busybox", name="web"))
    with pytest.raises(InvalidInput, match="Invalid container name"):
        await engine.containers.create(ContainerSpec("busybox", name="a/b"))
    await container.rename("db")
    assert engine.containers.find("db") is container
    with pytest.raises(NotFound):
        engine.containers.find("web")


async def test_a_failed_create_leaves_nothing(engine: Engine) -> None:
    with pytest.raises(NotFound, match="No such image"):
        await engine.containers.create(ContainerSpec("missing", name="x1"))
    with pytest.raises(InvalidInput, match="bind source path does not exist: /nowhere"):
        await engine.containers.create(ContainerSpec("busybox", name="x1", mounts=(Mount("bind", "/nowhere", "/x"),)))
    with pytest.raises(InvalidInput, match='unknown capability: "FLY"'):
        await engine.containers.create(ContainerSpec("busybox", name="x1", security=Security(cap_add=("FLY",))))
    assert list((engine.root / "containers").iterdir()) == []
    await engine.containers.create(ContainerSpec("busybox", name="x1"))


async def test_removing_a_running_container_needs_force(engine: Engine) -> None:
    container = await run(engine, "sleep", "100", name="busy")
    with pytest.raises(Conflict, match='cannot remove container "/busy": container is running: stop the container before'):
        await container.remove()
    assert container.running
    await container.remove(force=True)
    assert engine.containers.list() == []


async def test_mounts(engine: Engine, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("from the host\n")
    mounts = (
        Mount("bind", str(source), "/host", read_only=True),
        Mount("volume", "data", "/root"),
        Mount("tmpfs", "", "/scratch", options={"size": 1 << 20, "mode": 0o700}),
    )
    script = "cat /host/file; touch /host/x 2>&1; echo kept > /root/file; df -k /scratch | tail -1; stat -c %a /scratch"
    text, _ = await output_of(await run(engine, "sh", "-c", script, mounts=mounts))
    assert "from the host\n" in text
    assert "Read-only file system" in text
    assert " 1024 " in text
    assert text.endswith("700\n")
    again = await run(engine, "cat", "/root/file", mounts=(Mount("volume", "data", "/root"),))
    assert await output_of(again) == ("kept\n", 0)
    with pytest.raises(Conflict, match="volume is in use"):
        await engine.volumes.remove("data")


async def test_an_empty_volume_gets_the_images_content(engine: Engine) -> None:
    container = await run(engine, "ls", "/etc", mounts=(Mount("volume", "conf", "/etc"),))
    assert "passwd" in (await output_of(container))[0]


async def test_limits(engine: Engine) -> None:
    limits = Resources(
        memory=64 << 20, pids_limit=50, cpu_quota_us=50000, cpu_period_us=100000, ulimits=(Ulimit("nofile", 100, 200),)
    )
    container = await run(engine, "sh", "-c", "ulimit -n; ulimit -Hn; sleep 100", resources=limits)
    stats = container.cgroup.stats()
    assert (stats.memory_limit, stats.pids_limit) == (64 << 20, 50)
    await container.update(Resources(memory=96 << 20, memory_swap=192 << 20))
    assert container.cgroup.stats().memory_limit == 96 << 20
    assert container.stats().memory_limit == 96 << 20
    await container.kill()
    assert (await output_of(container))[0] == "100\n200\n"


async def test_out_of_memory_is_told(engine: Engine) -> None:
    limits = Resources(memory=16 << 20, memory_swap=16 << 20)
    container = await run(engine, "sh", "-c", "x=x; while :; do x=$x$x; done", resources=limits)
    assert await container.wait() == 137
    assert container.state.oom_killed


async def test_networks(engine: Engine) -> None:
    await engine.networks.create("front")
    web = await run(engine, "sleep", "100", name="web", namespaces=Namespaces(network="front"))
    (endpoint,) = web.endpoints
    text, _ = await output_of(await run(engine, "nslookup", "web", namespaces=Namespaces(network="front")))
    assert endpoint.ip in text
    shared = await run(engine, "ip", "-o", "addr", namespaces=Namespaces(network=f"container:{web.id}"))
    assert endpoint.ip in (await output_of(shared))[0]
    alone = await run(engine, "ip", "-o", "addr", namespaces=Namespaces(network="none"))
    assert "eth0" not in (await output_of(alone))[0]
    host = await run(engine, "sh", "-c", "ip -o link | wc -l; hostname", namespaces=Namespaces(network="host"))
    assert (await output_of(host))[1] == 0


async def test_published_ports(engine: Engine) -> None:
    web = await run(engine, "sleep", "100", ports=(PortBinding(80),))
    published = web.published
    assert published
    assert {port.port for port in published} == {80}
    with pytest.raises(Conflict, match="port is already allocated"):
        await run(engine, "true", ports=(PortBinding(80, host_port=published[0].host_port),))
    await web.kill()
    await web.wait()
    assert not web.published


async def test_labels_limit_what_a_container_sends(engine: Engine) -> None:
    labels = {"podling.network.egress": "8M"}
    slow = await run(engine, "sleep", "100", labels=labels)
    assert engine.networks.rates_of(slow.id).egress == 8_000_000
    await slow.kill("KILL")
    await slow.wait()
    await slow.start()
    assert engine.networks.rates_of(slow.id).egress == 8_000_000
    await slow.remove(force=True)
    assert engine.networks.rates_of(slow.id).egress == 0
    wrong = await engine.containers.create(ContainerSpec("busybox", labels={"podling.network.egress": "fast"}))
    with pytest.raises(InvalidInput, match=r"invalid label podling\.network\.egress"):
        await wrong.start()


async def test_a_missing_network_is_named_and_nothing_stays(engine: Engine) -> None:
    container = await engine.containers.create(ContainerSpec("busybox", namespaces=Namespaces(network="nowhere")))
    with pytest.raises(NotFound, match="network nowhere not found"):
        await container.start()
    assert container.state.status == "created"
    assert not list((engine.run / "netns").iterdir())


async def test_top_and_stats(engine: Engine) -> None:
    container = await run(engine, "sh", "-c", "echo up; read x", open_stdin=True)
    async for _ in container.logs(follow=True):
        break
    table = await container.top()
    assert table.titles[0] == "UID"
    assert [row[-1] for row in table.rows] == ["sh -c echo up; read x"]
    table = await container.top("-o pid,args")
    assert (table.titles, table.rows) == (("PID", "COMMAND"), ((str(container.state.pid), "sh -c echo up; read x"),))
    for arguments, message in (("-o args", "Couldn't find PID field in ps output"), ("--nosuch", "ps: ")):
        with pytest.raises(InvalidInput, match=message):
            await container.top(arguments)
    stats = container.stats()
    assert stats.pids == 1
    assert stats.memory_usage > 0
    assert "eth0" in stats.interfaces


async def test_many_at_once(engine: Engine) -> None:
    async def one(number: int) -> int:
        container = await run(engine, "sh", "-c", f"exit {number}")
        code = await container.wait()
        await container.remove()
        return code

    assert await asyncio.gather(*(one(number) for number in range(12))) == list(range(12))


async def test_a_caller_that_goes_away_does_not_stop_a_start(engine: Engine) -> None:
    container = await engine.containers.create(ContainerSpec("busybox", command=("sleep", "100")))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.005):
            await container.start()
    await container.stop(grace=0)
    assert container.state.exit_code == 137


async def test_an_unknown_runtime_is_named(engine: Engine) -> None:
    with pytest.raises(InvalidInput, match="unknown or invalid runtime name: kata"):
        await engine.containers.create(ContainerSpec("busybox", runtime="kata"))


async def test_runc_does_as_well(engine: Engine) -> None:
    container = await run(engine, "sh", "-c", "echo hi; exit 5", runtime="runc")
    assert await output_of(container) == ("hi\n", 5)


def _disk() -> str | None:
    return next((str(path) for path in Path("/dev").iterdir() if path.is_block_device()), None)


async def test_rates_of_a_disk_reach_the_kernel(engine: Engine) -> None:
    if (disk := _disk()) is None:
        pytest.skip("no block device")
    limits = Resources(read_bps=(DeviceRate(disk, 1 << 20),), write_iops=(DeviceRate(disk, 100),))
    container = await run(engine, "sleep", "100", resources=limits)
    number = os.stat(disk).st_rdev
    name = f"{os.major(number)}:{os.minor(number)}"
    told = container.cgroup.read("blkio", "blkio.throttle.read_bps_device") + container.cgroup.read("io", "io.max")
    assert f"{name} {1 << 20}" in told or f"{name} rbps={1 << 20}" in told
    with pytest.raises(InvalidInput, match="/dev/null is not a block device"):
        await engine.containers.create(
            ContainerSpec("busybox", command=("true",), resources=Resources(read_bps=(DeviceRate("/dev/null", 1),)))
        )
