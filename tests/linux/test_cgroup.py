"""Control groups: the host's own hierarchies where it has them, files that look like v2's where it doesn't."""

import asyncio
import os
import signal
import time
import uuid
from pathlib import Path

import pytest

from podling.linux import cgroup, process
from podling.linux.cgroup import DeviceRates, DeviceUse, Group, Hierarchies, Limits
from podling.linux.mount import parse_mountinfo

V1 = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct"
NAMED = "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd"
UNIFIED = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw"


@pytest.mark.parametrize(
    ("lines", "mode"), [([V1], "v1"), ([V1, NAMED, UNIFIED], "hybrid"), ([UNIFIED], "v2"), ([NAMED, UNIFIED], "v2")]
)
def test_the_mode_follows_from_the_mounts(lines, mode):
    assert cgroup.detect([parse_mountinfo(line) for line in lines]).mode == mode


def test_a_host_without_control_groups_is_told():
    with pytest.raises(FileNotFoundError, match="no control groups"):
        cgroup.detect([])


@pytest.mark.parametrize(("shares", "weight"), [(2, 1), (1024, 39), (262144, 10000), (0, 1)])
def test_shares_become_a_weight(shares, weight):
    assert cgroup.weight_of_shares(shares) == weight


@pytest.fixture
def group():
    made = Group(f"podling-test-{uuid.uuid4().hex[:8]}/inner")
    made.create()
    yield made
    made.kill()
    for name in (made.path, made.path.rpartition("/")[0]):
        Group(name).remove()


@pytest.mark.root
async def test_a_process_is_counted_frozen_and_killed(group):
    child = process.spawn(["sleep", "100"])
    group.add(child.pid)
    assert group.pids() == [child.pid]
    assert group.stats().pids in (0, 1)
    group.freeze(True)
    group.freeze(False)
    group.kill()
    assert await child.wait() == -signal.SIGKILL
    assert group.pids() == []


@pytest.mark.root
async def test_limits_come_back_in_stats(group):
    group.apply(Limits(cpu_quota=50000, cpu_period=100000, cpu_shares=512, memory=64 << 20, pids=20))
    assert (group.stats().memory_limit, group.stats().pids_limit) == (64 << 20, 20)
    group.apply(Limits(memory=128 << 20, memory_swap=256 << 20))
    group.apply(Limits(memory=32 << 20, memory_swap=32 << 20))
    assert group.stats().memory_limit == 32 << 20
    group.apply(Limits(memory_swap=-1, pids=-1))
    group.apply(Limits(memory=-1))
    assert (group.stats().memory_limit, group.stats().pids_limit) == (0, 0)


@pytest.mark.root
async def test_cpu_time_is_counted(group):
    code = "import os,sys; sys.stdin.read(1); [i * i for i in range(10**6)]"
    read, write = os.pipe()
    child = process.spawn(["python3", "-c", code], files={0: read})
    group.add(child.pid)
    os.close(read)
    os.close(write)
    assert await child.wait() == 0
    assert group.stats().cpu_total > 1_000_000


@pytest.mark.root
async def test_a_bad_limit_names_the_file(group):
    with pytest.raises(OSError, match=r"cpuset\.cpus"):
        group.apply(Limits(cpus="9999"))


@pytest.mark.root
async def test_out_of_memory_is_told(group):
    if group._host.mode == "v2":
        pytest.skip("on v2 it is a change of memory.events")
    group.apply(Limits(memory=16 << 20, memory_swap=16 << 20))
    event = group.oom_events()
    told = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().add_reader(event, lambda: told.done() or told.set_result(os.read(event, 8)))
    read, write = os.pipe()
    child = process.spawn(["python3", "-c", "import sys; sys.stdin.read(1); x = b'x' * (100 << 20)"], files={0: read})
    group.add(child.pid)
    os.close(read)
    os.close(write)
    assert await child.wait() == -signal.SIGKILL
    await asyncio.wait_for(told, 5)
    assert group.oom_kills() == group.stats().oom_kills == 1
    asyncio.get_running_loop().remove_reader(event)
    os.close(event)


@pytest.fixture
def disk():
    """A file on a disk of this machine, and that disk's numbers."""
    path = Path(f"/var/tmp/podling-test-{uuid.uuid4().hex[:8]}")
    path.write_bytes(b"")
    number = path.stat().st_dev
    sys = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve()
    if (sys / "partition").exists():
        sys = sys.parent
    if not (sys / "dev").exists():
        path.unlink()
        pytest.skip("/var/tmp is on no disk")
    major, minor = (sys / "dev").read_text().split(":")
    yield path, (int(major), int(minor))
    path.unlink()


async def seconds_to_write(group, path, size):
    """How long a process of the group takes to bring so many bytes to the disk."""
    count = size // 131072
    command = f"read go; exec dd if=/dev/zero of={path} bs=128k count={count} oflag=direct conv=notrunc 2>/dev/null"
    theirs, ours = os.pipe()
    child = process.spawn(["sh", "-c", command], files={0: theirs})
    group.add(child.pid)
    started = time.monotonic()
    os.write(ours, b"\n")
    os.close(ours)
    os.close(theirs)
    assert await child.wait() == 0
    return time.monotonic() - started


@pytest.mark.root
async def test_a_disk_is_written_no_faster_than_allowed(group, disk):
    path, numbers = disk
    if group.directory("io" if group._host.mode == "v2" else "blkio") is None:
        pytest.skip("the host has no controller of disks")
    free = await seconds_to_write(group, path, 2 << 20)
    group.apply(Limits(devices={numbers: DeviceRates(write_bytes=2 << 20, reads=1000)}))
    slow = await seconds_to_write(group, path, 2 << 20)
    group.apply(Limits(devices={numbers: DeviceRates(write_bytes=-1, reads=-1)}))
    lifted = await seconds_to_write(group, path, 2 << 20)
    assert 0.7 < slow < 3
    assert max(free, lifted) < slow


@pytest.mark.root
def test_removing_twice_is_no_error(group):
    outer = Group(group.path.rpartition("/")[0])
    assert outer.exists()
    outer.remove()
    outer.remove()
    assert not group.exists()
    assert group.pids() == []


@pytest.mark.root
async def test_killing_and_freezing_on_the_unified_hierarchy():
    unified = cgroup.detect().unified
    if unified is None:
        pytest.skip("no cgroup2 is mounted")
    group = Group(f"podling-test-{uuid.uuid4().hex[:8]}", Hierarchies("v2", {}, unified))
    group.create()
    child = process.spawn(["sleep", "100"])
    group.add(child.pid)
    group.freeze(True)
    assert int(group.read("", "cgroup.freeze")) == 1
    group.kill()
    assert await child.wait() == -signal.SIGKILL
    group.remove()


@pytest.fixture
def paper(tmp_path) -> Group:
    """A v2 group of plain files."""
    group = Group("c", Hierarchies("v2", {}, tmp_path))
    (tmp_path / "c").mkdir()
    return group


def test_v2_limits_in_files(paper, tmp_path):
    names = ("cpu.max", "cpu.weight", "memory.max", "memory.swap.max", "pids.max", "cpuset.cpus")
    for name in names:
        (tmp_path / "c" / name).touch()
    paper.apply(Limits(cpu_quota=20000, cpu_shares=1024, memory=100, memory_swap=150, pids=-1, cpus="0-1"))
    assert [(tmp_path / "c" / name).read_text() for name in names] == ["20000 100000", "39", "100", "50", "max", "0-1"]


def test_v2_rates_of_disks_in_a_file(paper, tmp_path):
    (tmp_path / "c/io.max").write_text("")
    paper.apply(Limits(devices={(8, 0): DeviceRates(read_bytes=1000, writes=-1)}))
    assert (tmp_path / "c/io.max").read_text() == "8:0 rbps=1000 wiops=max"
    paper.apply(Limits(devices={(8, 0): DeviceRates()}))


def test_v2_stats_from_files(paper, tmp_path):
    def put(name, text):
        Path(tmp_path / "c" / name).write_text(text)

    put("cpu.stat", "usage_usec 30\nuser_usec 20\nsystem_usec 10\nnr_periods 4\nnr_throttled 2\nthrottled_usec 7\n")
    put("memory.current", "1000\n")
    put("memory.max", "max\n")
    put("memory.stat", "anon 700\ninactive_file 300\n")
    put("memory.events", "low 0\noom 3\noom_kill 2\n")
    put("pids.current", "5\n")
    put("io.stat", "8:0 rbytes=1 wbytes=2 rios=3\n8:16 rbytes=10 wbytes=20 rios=1\n")
    stats = paper.stats()
    assert (stats.cpu_total, stats.cpu_user, stats.cpu_throttled) == (30_000, 20_000, 7_000)
    assert (stats.memory_usage, stats.memory_limit, stats.working_set, stats.oom_kills) == (1000, 0, 700, 2)
    assert (stats.pids, stats.pids_limit, stats.io_read, stats.io_written) == (5, 0, 11, 22)
    assert stats.io[0] == DeviceUse(8, 0, 1, 2, 3, 0)
