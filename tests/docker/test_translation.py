"""From Docker's JSON to engine types and back, and its small languages. Pure."""

from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.base.errors import InvalidInput
from podling.docker import credentials, events, filters, timestamps
from podling.docker.archive import go_mode
from podling.docker.create import container_spec
from podling.docker.host_config import host_config
from podling.docker.images import matches
from podling.docker.inspect import status
from podling.docker.limits import Kernel, check_update, resources
from podling.docker.streams import DetachKeys, parse_keys
from podling.engine.types import ContainerState, Event, HealthState, Mount, PortBinding


def asked(host=None, here=Kernel(cpus="0-1"), **body):  # noqa: B008 - frozen
    return container_spec({"Image": "busybox", "HostConfig": host or {}, **body}, "name", "", here)


def spec(host=None, **body):
    return asked(host, **body)[0]


def test_a_container():
    made = spec(
        {
            "Binds": ["/a:/b:ro", "data:/data", "/anonymous"],
            "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}], "53/udp": None},
            "NanoCpus": 1_500_000_000,
            "Memory": 64 << 20,
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
            "ExtraHosts": ["a:1.2.3.4"],
            "SecurityOpt": ["no-new-privileges", "seccomp=unconfined"],
        },
        Cmd=["echo", "x"],
        Entrypoint="sh",
        Env=["A=b"],
        Volumes={"/anonymous": {}, "/more": {}},
    )
    assert (made.entrypoint, made.command) == (("sh",), ("echo", "x"))
    assert made.mounts == (
        Mount("bind", "/a", "/b", True, options={"create_source": True}),
        Mount("volume", "data", "/data"),
        Mount("volume", "", "/anonymous"),
        Mount("volume", "", "/more"),
    )
    assert made.ports == (PortBinding(80, "tcp", "127.0.0.1", 8080), PortBinding(53, "udp"))
    assert (made.resources.cpu_quota_us, made.resources.cpu_period_us) == (150_000, 100_000)
    assert (made.security.no_new_privileges, made.security.seccomp) == (True, "unconfined")


def test_until():
    assert filters.until({"until": ["1h30m", "10m"]}, 10_000) == 4600
    assert filters.until({"until": ["2001-09-09T01:46:40Z"]}, 0) == 1_000_000_000
    assert filters.until({}, 0) == float("inf")
    for text in ("1x", "h", "1h1"):
        with pytest.raises(InvalidInput):
            filters.until({"until": [text]}, 0)


def test_the_way_back():
    host = {
        "Binds": ["/a:/b:ro", "data:/data"],
        "NanoCpus": 500_000_000,
        "Memory": 64 << 20,
        "CapAdd": ["NET_ADMIN"],
        "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]},
        "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0},
        "PublishAllPorts": True,
        "SecurityOpt": ["no-new-privileges", "label=disable"],
        "ContainerIDFile": "/tmp/id",
    }
    shown = host_config(spec(host))
    assert {name: shown[name] for name in host} == host
    assert host_config(spec(shown)) == shown


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ({"Binds": ["a:b:c:d"]}, "invalid volume specification: 'a:b:c:d'"),
        ({"Binds": ["/a:/"]}, "destination can't be '/'"),
        ({"Binds": ["/a:/x", "/b:/x"]}, "Duplicate mount point: /x"),
        ({"Mounts": [{"Type": "bind", "Source": "", "Target": "/x"}]}, "field Source must not be empty"),
        ({"Mounts": [{"Type": "odd", "Target": "/x"}]}, "mount type unknown"),
        ({"Memory": 1}, "Minimum memory limit allowed is 6MB"),
        ({"Memory": -1}, "Minimum memory limit allowed is 6MB"),
        ({"Memory": 64 << 20, "MemorySwap": 32 << 20}, "Minimum memoryswap limit should be larger than memory limit"),
        ({"MemorySwap": 32 << 20}, "You should always set the Memory limit when using Memoryswap limit"),
        ({"MemorySwappiness": 101}, "Invalid value: 101, valid memory swappiness range is 0-100"),
        ({"MemoryReservation": 1}, "Minimum memory reservation allowed is 6MB"),
        ({"Memory": 8 << 20, "MemoryReservation": 9 << 20}, "Minimum memory limit can not be less than memory reservation limit"),
        ({"NanoCpus": 1, "CpuQuota": 1}, "Nano CPUs and CPU Quota cannot both be set"),
        ({"NanoCpus": 1, "CpuPeriod": 1}, "Nano CPUs and CPU Period cannot both be set"),
        ({"NanoCpus": 3 * 10**9}, "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"),
        ({"NanoCpus": -1}, "range of CPUs is from 0.01 to 2.00"),
        ({"CpuPeriod": 999}, "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"),
        ({"CpuQuota": 999}, "CPU cfs quota can not be less than 1ms (i.e. 1000)"),
        ({"CpuShares": -1}, "invalid CPU shares (-1): value must be a positive integer"),
        ({"CpusetCpus": "0-2"}, "Requested CPUs are not available - requested 0-2, available: 0-1"),
        ({"CpusetCpus": "1-0"}, "Invalid value 1-0 for cpuset cpus"),
        ({"CpusetMems": "x"}, "Invalid value x for cpuset mems"),
        ({"CpusetMems": "1"}, "Requested memory nodes are not available - requested 1, available: 0"),
        ({"BlkioWeight": 9}, "Range of blkio weight is from 10 to 1000"),
        ({"IOMaximumIOps": 9}, "Invalid QoS settings: linux does not support Maximum IO Bandwidth or Maximum IO IOps"),
        ({"PortBindings": {"x": None}}, 'invalid port specification: "x"'),
        ({"PortBindings": {"80": [{"HostPort": "99999"}]}}, 'invalid port specification: "99999"'),
        ({"PortBindings": {"80/icmp": None}}, "invalid proto: icmp"),
        ({"Tmpfs": {"/t": "size=1m,odd"}}, 'invalid tmpfs option ["odd"]'),
        ({"Mounts": [{"Type": "bind", "Source": "/", "Target": "/x", "TmpfsOptions": {"Mode": 1}}]}, "TmpfsOptions must not be"),
        (
            {"Mounts": [{"Type": "bind", "Source": "/", "Target": "/x", "BindOptions": {"Propagation": "x"}}]},
            "propagation mode: x",
        ),
        ({"Mounts": [{"Type": "volume", "Target": "/x", "VolumeOptions": {"Subpath": "a"}}]}, "must not set Subpath when using"),
        ({"Mounts": [{"Type": "tmpfs", "Source": "x", "Target": "/x"}]}, "field Source must not be specified"),
        ({"Mounts": [{"Type": "volume", "Target": "x"}]}, "invalid mount path: 'x' mount path must be absolute"),
        ({"NetworkMode": "container:"}, "invalid container format container:<name|id>"),
        ({"NetworkMode": "container:a", "Links": ["b"]}, "container type network can't be used with links"),
        ({"NetworkMode": "host", "Links": ["b"]}, "host type networking can't be used with links"),
        ({"NetworkMode": "container:a", "Dns": ["1.1.1.1"]}, "conflicting options: dns and the network mode"),
        ({"NetworkMode": "container:a", "PortBindings": {"80/tcp": []}}, "port publishing and the container type network mode"),
        ({"IpcMode": "odd"}, "invalid IPC mode: odd"),
        ({"PidMode": "container:"}, "invalid PID mode: container:"),
        ({"UTSMode": "odd"}, "invalid UTS mode: odd"),
        ({"CgroupnsMode": "odd"}, "invalid cgroup namespace mode: odd"),
        ({"UsernsMode": "private"}, "invalid user namespace mode: private"),
        ({"CapAdd": ["FLY"]}, 'invalid CapAdd: unknown capability: "FLY"'),
        ({"CapDrop": ["CAP_FLY"]}, 'invalid CapDrop: unknown capability: "CAP_FLY"'),
        ({"ExtraHosts": ["a:b"]}, 'invalid IP address in add-host: "b"'),
        ({"RestartPolicy": {"Name": "sometimes"}}, "unknown policy 'sometimes'"),
        ({"RestartPolicy": {"Name": "always"}, "AutoRemove": True}, "can't create 'AutoRemove' container with restart policy"),
        ({"SecurityOpt": ["nonsense"]}, "invalid --security-opt"),
        ({"ExtraHosts": ["x"]}, 'bad format for add-host: "x"'),
    ],
)
def test_what_makes_no_sense(host, message):
    with pytest.raises(InvalidInput) as error:
        spec(host)
    assert message in error.value.message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"StopSignal": "NOSUCH"}, "invalid signal: NOSUCH"),
        ({"Hostname": "a", "HostConfig": {"UTSMode": "host"}}, "hostname and the UTS mode"),
        ({"Hostname": "a", "HostConfig": {"NetworkMode": "container:b"}}, "hostname and the network mode"),
        ({"MacAddress": "02:42:ac:11:00:99", "HostConfig": {"NetworkMode": "host"}}, "mac-address and the network mode"),
        ({"ExposedPorts": {"80/tcp": {}}, "HostConfig": {"NetworkMode": "container:b"}}, "port exposing and the container"),
        ({"Healthcheck": {"Interval": 1}}, "Interval in Healthcheck cannot be less than 1ms"),
        ({"Env": ["=x"]}, "invalid environment variable: =x"),
        ({"WorkingDir": "x"}, "the working directory 'x' is invalid, it needs to be an absolute path"),
    ],
)
def test_what_does_not_go_together(body, message):
    with pytest.raises(InvalidInput) as error:
        container_spec({"Image": "busybox", **body}, "", "", Kernel())
    assert message in error.value.message


@pytest.mark.parametrize(
    ("host", "lacks", "warning", "left"),
    [
        ({"Memory": 64 << 20}, {"swap": False}, "Memory limited without swap", ("memory_swap", -1)),
        ({"Memory": 64 << 20}, {}, "", ("memory_swap", 128 << 20)),
        ({"MemorySwappiness": 9}, {"swappiness": False}, "Memory swappiness discarded", ("memory_swappiness", None)),
        ({"MemorySwappiness": -1}, {"swappiness": False}, "", ("memory_swappiness", None)),
        ({"OomKillDisable": True}, {"oom_kill_disable": False}, "OomKillDisable discarded", ("oom_kill_disable", False)),
        ({"OomKillDisable": True}, {}, "no memory limit is set", ("oom_kill_disable", True)),
        ({"BlkioWeight": 300}, {"blkio_weight": False}, "Weight discarded", ("blkio_weight", 0)),
        ({"BlkioWeight": 300}, {}, "", ("blkio_weight", 300)),
        ({"PidsLimit": -1}, {}, "", ("pids_limit", 0)),
    ],
)
def test_what_the_kernel_lacks_is_left_out_with_a_warning(host, lacks, warning, left):
    made, warnings = asked(host, Kernel(**lacks))
    assert getattr(made.resources, left[0]) == left[1]
    assert bool(warnings) is bool(warning)
    assert all(warning in each for each in warnings)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ({"CpuQuota": 5000}, {"NanoCpus": 10**9}, "Nano CPUs cannot be updated as CPU Quota has already been set"),
        ({"CpuPeriod": 5000}, {"NanoCpus": 10**9}, "Nano CPUs cannot be updated as CPU Period has already been set"),
        ({"NanoCpus": 10**9}, {"CpuQuota": 5000}, "CPU Quota cannot be updated as NanoCPUs has already been set"),
        ({"NanoCpus": 10**9}, {"CpuPeriod": 5000}, "CPU Period cannot be updated as NanoCPUs has already been set"),
        ({"Memory": 8 << 20, "MemorySwap": 16 << 20}, {"Memory": 32 << 20}, "smaller than already set memoryswap limit"),
        ({"Memory": 8 << 20, "MemorySwap": 16 << 20}, {"Memory": 32 << 20, "MemorySwap": -1}, ""),
        ({"NanoCpus": 10**9}, {"NanoCpus": 2 * 10**9}, ""),
        ({"CpuQuota": 5000}, {"CpuQuota": 6000, "MemorySwap": 8 << 20}, ""),
    ],
)
def test_updates_that_meet_earlier_limits(old, new, message):
    before, after = (resources(each, Kernel(), update=True)[0] for each in (old, new))
    with pytest.raises(InvalidInput, match=message) if message else nullcontext():
        check_update(before, after)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "Less than a second"), (1.9, "1 second"), (59, "59 seconds"), (61, "About a minute"), (3000, "50 minutes"),
        (3600, "About an hour"), (40 * 3600, "40 hours"), (5 * 86400, "5 days"), (20 * 86400, "2 weeks"),
        (100 * 86400, "3 months"), (800 * 86400, "2 years"),
    ],
)  # fmt: skip
def test_spans(seconds, words):
    assert timestamps.span(seconds) == words


@given(st.integers(0, 2**62))
def test_times_there_and_back(time):
    text = timestamps.from_nanoseconds(time)
    assert timestamps.from_nanoseconds(time, padded=True)[:19] == text[:19]
    assert abs((timestamps.parse(text[:19] + "Z") or 0) - time // 10**9) < 1


def test_times():
    assert timestamps.from_seconds(0) == "0001-01-01T00:00:00Z"
    assert timestamps.parse("1700000000.5") == 1700000000.5
    assert timestamps.parse("2023-11-14T22:13:20+00:00") == 1700000000
    assert timestamps.parse("0") is timestamps.parse("") is None
    with pytest.raises(InvalidInput):
        timestamps.parse("yesterday")


def test_states_in_words():
    assert status(ContainerState(), 0) == "Created"
    assert status(ContainerState("running", started_at=10, health=HealthState("unhealthy")), 15) == "Up 5 seconds (unhealthy)"
    assert status(ContainerState("running", started_at=10, health=HealthState()), 15) == "Up 5 seconds (health: starting)"
    assert status(ContainerState("paused", started_at=10), 15) == "Up 5 seconds (Paused)"
    assert status(ContainerState("exited", exit_code=3, finished_at=10), 75) == "Exited (3) About a minute ago"
    assert status(ContainerState("restarting", exit_code=1, finished_at=10), 12) == "Restarting (1) 2 seconds ago"


def test_detach_keys():
    assert parse_keys("") == b"\x10\x11"
    assert parse_keys("a,ctrl-[,ctrl-@") == b"a\x1b\x00"
    with pytest.raises(InvalidInput):
        parse_keys("ctrl-!")
    keys = DetachKeys(b"\x10\x11")
    assert [keys.feed(data) for data in (b"ab\x10", b"c\x10\x10", b"\x11rest")] == [b"ab", b"\x10c\x10", b""]
    assert keys.complete


@given(st.lists(st.binary(max_size=5)), st.binary(min_size=1, max_size=3))
def test_nothing_typed_is_lost(pieces, sequence):
    keys = DetachKeys(sequence)
    passed = b""
    for piece in pieces:
        passed += keys.feed(piece)
        if keys.complete:
            break
    typed = b"".join(pieces)
    if keys.complete:
        assert typed.startswith(passed + sequence)
        assert sequence not in passed
    else:
        assert typed.startswith(passed)
        assert len(typed) - len(passed) < len(sequence)
        assert sequence not in typed


def test_events():
    event = Event("container", "exec_create: ls", "f" * 64, {"name": "web", "image": "busybox", "tier": "front"}, 1_500_000_000)
    shown = events.event_json(event)
    assert (shown["id"], shown["from"], shown["time"], shown["timeNano"]) == ("f" * 64, "busybox", 1, 1_500_000_000)
    for asked, passes in (
        ({}, True), ({"type": ["image"]}, False), ({"event": ["exec_create"]}, True), ({"container": ["web"]}, True),
        ({"container": ["other"]}, False), ({"image": ["busybox"]}, True), ({"label": ["tier=front"]}, True),
        ({"label": ["tier=x"]}, False),
        ({"network": ["web"]}, False),
    ):  # fmt: skip
        assert events.wanted(event, asked) is passes, asked


def test_filters():
    assert filters.labels({"label": ["a", "b=1"], "label!": ["c"]}, {"a": "", "b": "1"})
    assert not filters.labels({"label!": ["a"]}, {"a": ""})
    assert filters.flag({"dangling": ["true"]}, "dangling") is True
    with pytest.raises(InvalidInput):
        filters.flag({"dangling": ["maybe"]}, "dangling")
    assert matches("mine/*:1", "mine/tool:1")
    assert not matches("*", "mine/tool:1")


def test_modes_as_go_has_them():
    assert go_mode(0o040755) == 1 << 31 | 0o755
    assert go_mode(0o104755) == 1 << 23 | 0o755
    assert go_mode(0o120777) == 1 << 27 | 0o777


def test_registries_of_credentials():
    assert credentials.domain("https://index.docker.io/v1/") == "docker.io"
    assert credentials.domain("localhost:5000") == "localhost:5000"
    assert credentials.domain("https://example.com/v2/") == "example.com"
    assert credentials.of_object({"auth": "bWU6c2VjcmV0"}).username == "me"


def test_mounts_are_shown_as_they_were_asked_for():
    host = {
        "Binds": ["/a:/b:ro,rslave", "data:/data:nocopy", "/own"],
        "Mounts": [
            {"Type": "bind", "Source": "/c", "Target": "/d", "BindOptions": {"NonRecursive": True}},
            {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 4096, "Options": [["noexec"], ["uid", "5"]]}},
        ],
        "VolumeDriver": "remote",
    }
    made = spec(host)
    shown = host_config(made)
    assert {name: shown[name] for name in host} == host
    assert shown["Tmpfs"] is None
    assert [mount.options for mount in made.mounts] == [
        {"create_source": True},
        {"no_copy": True, "driver": "remote"},
        {"driver": "remote"},
        {"non_recursive": True},
        {"size": 4096, "flags": ["noexec", "uid=5"]},
    ]
