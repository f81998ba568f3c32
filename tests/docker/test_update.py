"""Limits of a running container: changed, shown, and in force; and the figures of what it uses."""

import json
import os
import time
from pathlib import Path

import pytest

from podling.linux.cgroup import detect

pytestmark = pytest.mark.root
MEGABYTE = 1 << 20


@pytest.fixture
def box(docker):
    docker("run", "-d", "--name", "box", "-v", "/data", "busybox", "sleep", "1000")
    return "box"


def in_force(docker, controller, v1, v2):
    """What the control group of the container says; `v1` and `v2` are files."""
    found = detect()
    pid = docker("inspect", "-f", "{{.State.Pid}}", "box").stdout.strip()
    places = {name: path for _, names, path in _lines(pid) for name in names.split(",")}
    if found.mode == "v2":
        return (found.unified / places[""].lstrip("/") / v2).read_text().strip()
    return (found.controllers[controller] / places[controller].lstrip("/") / v1).read_text().strip()


def _lines(pid):
    return [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]


def test_every_limit_is_changed_shown_and_in_force(docker, box):
    for flags, member, shown, file, value in (
        (["--cpus", "1.5"], "NanoCpus", 1_500_000_000, ("cpu", "cpu.cfs_quota_us", "cpu.max"), "150000"),
        (["--cpu-shares", "512"], "CpuShares", 512, ("cpu", "cpu.shares", "cpu.weight"), "512"),
        (["--cpuset-cpus", "0"], "CpusetCpus", "0", ("cpuset", "cpuset.cpus", "cpuset.cpus"), "0"),
        (["--cpuset-mems", "0"], "CpusetMems", "0", ("cpuset", "cpuset.mems", "cpuset.mems"), "0"),
        (
            ["--memory", "80m", "--memory-swap", "-1"],
            "Memory",
            80 * MEGABYTE,
            ("memory", "memory.limit_in_bytes", "memory.max"),
            str(80 * MEGABYTE),
        ),
        (
            ["--memory-reservation", "40m"],
            "MemoryReservation",
            40 * MEGABYTE,
            ("memory", "memory.soft_limit_in_bytes", "memory.low"),
            str(40 * MEGABYTE),
        ),
        (["--pids-limit", "55"], "PidsLimit", 55, ("pids", "pids.max", "pids.max"), "55"),
    ):
        docker("update", *flags, box)
        assert json.loads(docker("inspect", "-f", "{{json .HostConfig}}", box).stdout)[member] == shown, flags
        found = in_force(docker, *file)
        assert (value in found) or (detect().mode == "v2" and file[2] == "cpu.weight"), (flags, found)
    docker("update", "--pids-limit", "-1", box)
    assert in_force(docker, "pids", "pids.max", "pids.max") in ("max", str(4 << 20))
    docker("update", "--restart", "on-failure:4", box)
    policy = json.loads(docker("inspect", "-f", "{{json .HostConfig.RestartPolicy}}", box).stdout)
    assert policy == {"Name": "on-failure", "MaximumRetryCount": 4}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--memory", "5m"], "Minimum memory limit allowed is 6MB"),
        (["--cpuset-cpus", "4000"], "Requested CPUs are not available - requested 4000, available: "),
        (["--cpus", "4000"], "range of CPUs is from 0.01 to "),
        (["--cpu-quota", "5000"], "CPU Quota cannot be updated as NanoCPUs has already been set"),
        (["--memory", "90m"], "Memory limit should be smaller than already set memoryswap limit"),
        (["--restart", "always"], "Restart policy cannot be updated because AutoRemove is enabled for the container"),
    ],
)
def test_what_cannot_be_changed(docker, flags, message):
    docker("create", "--rm", "--name", "box", "--cpus", "0.5", "-m", "40m", "busybox")
    assert message in docker("update", *flags, "box", check=False).stderr


def figures(docker):
    return json.loads(docker.api("GET", "/containers/box/stats?stream=0&one-shot=1")[2])


def disk(docker):
    """The device of the disk that volumes are on; None where they are on none."""
    number = os.stat(docker.folder).st_dev
    place = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    if not place.exists():
        return None
    real = place.resolve()
    return f"/dev/{(real.parent if (real / 'partition').exists() else real).name}"


def test_the_figures_move(docker):
    device = disk(docker)
    # Since Linux 6.10 version 1 counts the requests to a disk only where there is a limit for it.
    limits = ["--device-read-bps", f"{device}:1gb", "--device-write-bps", f"{device}:1gb"] if device else []
    docker("run", "-d", "--name", "box", "-v", "/data", *limits, "busybox", "sleep", "1000")
    before = figures(docker)
    script = "dd if=/dev/zero of=/data/x bs=1M count=8 oflag=direct; dd if=/data/x of=/dev/null bs=1M iflag=direct; "
    script += "ping -c 3 -i 0.1 $(ip route | awk '/default/{print $3}'); i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"
    docker("exec", "box", "sh", "-c", script)
    after = figures(docker)
    assert after["cpu_stats"]["cpu_usage"]["total_usage"] - before["cpu_stats"]["cpu_usage"]["total_usage"] > 10_000_000
    assert after["cpu_stats"]["system_cpu_usage"] > before["cpu_stats"]["system_cpu_usage"]
    for figure in ("rx_bytes", "tx_bytes"):
        assert after["networks"]["eth0"][figure] - before["networks"]["eth0"][figure] >= 3 * 84
    memory = after["memory_stats"]
    assert 0 < memory["usage"] <= memory.get("max_usage", memory["limit"]) <= memory["limit"]
    assert after["pids_stats"]["current"] == 1
    if each := after["cpu_stats"]["cpu_usage"].get("percpu_usage"):
        assert sum(each) == pytest.approx(after["cpu_stats"]["cpu_usage"]["total_usage"], rel=0.1)
    if device:
        moved = {entry["op"]: entry["value"] for entry in after["blkio_stats"]["io_service_bytes_recursive"]}
        assert all(moved[operation] >= 8 * MEGABYTE for operation in ("read", "write"))


def test_the_client_draws_them(docker, box):
    docker("update", "-m", "64m", "--memory-swap", "-1", box)
    docker("exec", "-d", box, "sh", "-c", "while :; do :; done")
    until = time.monotonic() + 60
    while True:
        drawn = json.loads(docker("stats", "--no-stream", "--format", "{{json .}}", box).stdout)
        if float(drawn["CPUPerc"].rstrip("%")) > 5 or time.monotonic() > until:
            break
    assert float(drawn["CPUPerc"].rstrip("%")) > 5
    assert drawn["MemUsage"].endswith(" / 64MiB")
    assert (drawn["Name"], drawn["PIDs"]) == ("box", "2")


def test_the_figures_of_one_that_does_not_run(docker):
    docker("create", "--name", "box", "busybox")
    assert figures(docker)["cpu_stats"]["cpu_usage"]["total_usage"] == 0
    assert "0B / 0B" in docker("stats", "--no-stream", "-a", "box").stdout
