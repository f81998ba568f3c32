"""The OCI spec as tables: what is asked, what comes out."""

from dataclasses import replace
from typing import Any

import pytest

from podling.base.errors import InvalidInput
from podling.runtime.capability import ALL, DEFAULT, effective
from podling.runtime.spec import BindMount, DeviceNode, Host, Plan, TmpfsMount, build, limits_of
from podling.runtime.types import DeviceRate, Resources, Security, Ulimit
from podling.runtime.user import User

PLAN = Plan(
    "/root",
    ["sh"],
    ["A=1"],
    hostname="web",
    namespaces={"mount": None, "pid": None, "ipc": None, "uts": None, "network": "/ns"},
    cgroup_path="/podling/x",
)


def spec(host: Host = Host(), **changes: Any) -> dict[str, Any]:  # noqa: B008
    return build(replace(PLAN, **changes), host)


def mount_at(built: dict[str, Any], target: str) -> dict[str, Any]:
    (found,) = [mount for mount in built["mounts"] if mount["destination"] == target]
    return found


def test_the_defaults_are_dockers() -> None:
    built = spec()
    assert sorted(built["process"]["capabilities"]["bounding"]) == sorted(DEFAULT)
    assert len(DEFAULT) == 14
    assert built["hostname"] == "web"
    assert built["linux"]["namespaces"][-1] == {"type": "network", "path": "/ns"}
    assert built["linux"]["cgroupsPath"] == "/podling/x"
    assert "/proc/kcore" in built["linux"]["maskedPaths"]
    assert "/proc/sys" in built["linux"]["readonlyPaths"]
    assert built["linux"]["seccomp"]["defaultAction"] == "SCMP_ACT_ERRNO"
    assert built["linux"]["resources"] == {"devices": [{"allow": False, "access": "rwm"}]}
    assert "ro" in mount_at(built, "/sys")["options"]
    assert "size=67108864" in mount_at(built, "/dev/shm")["options"]
    assert "oomScoreAdj" not in built["process"]


def test_privileged_takes_the_fences_away() -> None:
    built = spec(security=Security(privileged=True))
    assert built["process"]["capabilities"]["bounding"] == list(ALL)
    assert not {"seccomp", "maskedPaths", "readonlyPaths"} & built["linux"].keys()
    assert built["linux"]["resources"]["devices"] == [{"allow": True, "access": "rwm"}]
    assert "rw" in mount_at(built, "/sys/fs/cgroup")["options"]


@pytest.mark.parametrize(
    ("security", "has", "lacks"),
    [
        (Security(cap_add=("NET_ADMIN",)), "CAP_NET_ADMIN", "CAP_SYS_ADMIN"),
        (Security(cap_drop=("cap_chown",)), "CAP_KILL", "CAP_CHOWN"),
        (Security(cap_drop=("ALL",), cap_add=("chown",)), "CAP_CHOWN", "CAP_KILL"),
        (Security(cap_add=("ALL",), cap_drop=("SYS_ADMIN",)), "CAP_NET_ADMIN", "CAP_SYS_ADMIN"),
    ],
)
def test_capabilities(security: Security, has: str, lacks: str) -> None:
    names = effective(security, DEFAULT, ALL)
    assert has in names
    assert lacks not in names


def test_no_capability_that_the_agent_lacks() -> None:
    host = Host(capabilities=frozenset(ALL) - {"CAP_SYS_RESOURCE"})
    assert "CAP_SYS_RESOURCE" not in spec(host, security=Security(privileged=True))["process"]["capabilities"]["bounding"]


def test_what_is_no_capability_is_named() -> None:
    with pytest.raises(InvalidInput, match='unknown capability: "FLY"'):
        spec(security=Security(cap_add=("FLY",)))


@pytest.mark.parametrize(
    ("asked", "part", "value"),
    [
        (Resources(memory=100), "memory", {"limit": 100, "swap": 200}),
        (Resources(memory=100, memory_swap=100), "memory", {"limit": 100, "swap": 100}),
        (Resources(memory=100, memory_swap=-1), "memory", {"limit": 100, "swap": -1}),
        (Resources(memory_reservation=50), "memory", {"reservation": 50}),
        (Resources(cpu_shares=512, cpuset_cpus="0-1"), "cpu", {"shares": 512, "cpus": "0-1"}),
        (Resources(cpu_quota_us=50000, cpu_period_us=100000), "cpu", {"quota": 50000, "period": 100000}),
        (Resources(pids_limit=7), "pids", {"limit": 7}),
        (Resources(pids_limit=-1), "pids", {"limit": 4 << 20}),
        (Resources(blkio_weight=300), "blockIO", {"weight": 300}),
    ],
)
def test_resources(asked: Resources, part: str, value: dict[str, Any]) -> None:
    assert limits_of(asked, Host()) == {part: value}


def test_a_host_that_does_not_count_swap() -> None:
    assert limits_of(Resources(memory=100), Host(swap_limit=False)) == {"memory": {"limit": 100}}


@pytest.mark.parametrize(
    ("limit", "soft", "hard"),
    [(Ulimit("nofile", 10, 20), 10, 20), (Ulimit("nofile", 500, 900), 100, 100), (Ulimit("nofile", 10, -1), 10, 100)],
)
def test_a_hard_limit_is_not_raised_without_the_right(limit: Ulimit, soft: int, hard: int) -> None:
    weak = Host(capabilities=frozenset(DEFAULT), hard_limits={"nofile": 100})
    (found,) = spec(weak, resources=Resources(ulimits=(limit,)))["process"]["rlimits"]
    assert found == {"type": "RLIMIT_NOFILE", "soft": soft, "hard": hard}


def test_unlimited_is_the_largest_number_and_soft_is_not_above_hard() -> None:
    (found,) = spec(resources=Resources(ulimits=(Ulimit("core", -1, -1),)))["process"]["rlimits"]
    assert found["hard"] == (1 << 64) - 1
    with pytest.raises(InvalidInput, match="ulimit soft limit must be less than or equal to hard limit: 5 > 4"):
        spec(resources=Resources(ulimits=(Ulimit("core", 5, 4),)))


@pytest.mark.parametrize(("wanted", "has_right", "is_set"), [(500, False, True), (-500, False, False), (-500, True, True)])
def test_the_oom_score_is_not_lowered_without_the_right(wanted: int, has_right: bool, is_set: bool) -> None:
    host = Host(capabilities=frozenset(ALL) if has_right else frozenset(DEFAULT))
    assert ("oomScoreAdj" in spec(host, oom_score_adj=wanted)["process"]) == is_set


def test_mounts_come_parents_first_and_replace_the_defaults() -> None:
    mounts = [BindMount("/b", "/a/b"), BindMount("/a", "/a", read_only=True), TmpfsMount("/dev/shm", ("size=1m",))]
    built = spec(mounts=mounts)
    targets = [mount["destination"] for mount in built["mounts"]]
    assert targets.index("/a") < targets.index("/a/b")
    assert mount_at(built, "/a")["options"] == ["rbind", "ro", "rprivate"]
    assert mount_at(built, "/dev/shm")["options"][-1] == "size=1m"


def test_propagation_reaches_the_root() -> None:
    assert spec()["linux"]["rootfsPropagation"] == "rprivate"
    assert spec(mounts=[BindMount("/a", "/a", propagation="rshared")])["linux"]["rootfsPropagation"] == "rshared"
    with pytest.raises(InvalidInput, match="invalid mount propagation: loud"):
        spec(mounts=[BindMount("/a", "/a", propagation="loud")])


def test_sharing_the_hosts_namespaces() -> None:
    built = spec(namespaces={"mount": None})
    assert "hostname" not in built
    assert mount_at(built, "/dev/shm")["type"] == "bind"


def test_devices() -> None:
    node = DeviceNode("/dev/x", "c", 10, 200, permissions="rw")
    built = spec(devices=[node], resources=Resources(device_cgroup_rules=("b 8:* r",)))
    assert built["linux"]["devices"][0]["path"] == "/dev/x"
    assert built["linux"]["resources"]["devices"][1:] == [
        {"allow": True, "type": "c", "major": 10, "minor": 200, "access": "rw"},
        {"allow": True, "type": "b", "major": 8, "access": "r"},
    ]
    for bad in ("", "x 1:1 r", "c 1 r", "c 1:1 q", "c 1:a r"):
        with pytest.raises(InvalidInput, match="invalid device cgroup rule format"):
            spec(resources=Resources(device_cgroup_rules=(bad,)))


def test_who_runs() -> None:
    user = spec(user=User(5, 6, (7,)))["process"]["user"]
    assert user == {"uid": 5, "gid": 6, "additionalGids": [7]}


def test_rates_of_devices() -> None:
    disk, numbers = (DeviceRate("/dev/x", 5),), {"/dev/x": (8, 16)}
    limits = Resources(
        blkio_weight=300, blkio_weight_devices=disk, read_bps=disk, write_bps=disk, read_iops=disk, write_iops=disk
    )
    rate = [{"major": 8, "minor": 16, "rate": 5}]
    assert limits_of(limits, Host(), numbers)["blockIO"] == {
        "weight": 300,
        "weightDevice": [{"major": 8, "minor": 16, "weight": 5}],
        "throttleReadBpsDevice": rate,
        "throttleWriteBpsDevice": rate,
        "throttleReadIOPSDevice": rate,
        "throttleWriteIOPSDevice": rate,
    }


def test_what_only_cgroup_v1_has_is_left_out_on_v2() -> None:
    limits = Resources(memory=1 << 30, memory_swappiness=0, oom_kill_disable=True)
    assert limits_of(limits, Host())["memory"] == {
        "limit": 1 << 30,
        "swap": 2 << 30,
        "swappiness": 0,
        "disableOOMKiller": True,
    }
    assert limits_of(limits, Host(cgroup_v2=True))["memory"] == {"limit": 1 << 30, "swap": 2 << 30}


def test_a_terminal_begins_with_its_size() -> None:
    assert spec(tty=True, console_size=(20, 50))["process"]["consoleSize"] == {"height": 20, "width": 50}
    assert "consoleSize" not in spec(console_size=(20, 50))["process"]


def test_without_shared_memory() -> None:
    assert not [mount for mount in spec(shm_size=0)["mounts"] if mount["destination"] == "/dev/shm"]
