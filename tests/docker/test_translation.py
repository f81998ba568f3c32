"""From Docker's JSON to engine types and back, and its small languages. Pure."""

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
from podling.docker.streams import DetachKeys, parse_keys
from podling.engine.types import ContainerState, Event, HealthState, Mount, PortBinding


def spec(host=None, **body):
    return container_spec({"Image": "busybox", "HostConfig": host or {}, **body}, "name", "")


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
        ({"NanoCpus": 1, "CpuQuota": 1}, "Nano CPUs and CPU Period cannot both be set"),
        ({"PortBindings": {"x": None}}, "invalid port specification: 'x'"),
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
