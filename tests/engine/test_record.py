from pathlib import Path

import pytest

from podling.base.errors import InvalidInput
from podling.engine.codec import decode, encode
from podling.engine.lifecycle import Life
from podling.engine.record import Record, Records
from podling.engine.signals import signal_number
from podling.engine.types import (
    ContainerSpec,
    ContainerState,
    Endpoint,
    Health,
    Mount,
    PortBinding,
    Resources,
    RestartPolicy,
    Security,
)
from podling.runtime.types import Device, Ulimit

SPEC = ContainerSpec(
    "busybox",
    name="web",
    entrypoint=(),
    command=("a", "b"),
    labels={"x": "y"},
    mounts=(Mount("volume", "v", "/v", options={"no_copy": True}),),
    resources=Resources(memory=5, ulimits=(Ulimit("nofile", 1, 2),), devices=(Device("/dev/a", "/dev/b"),)),
    security=Security(seccomp={"defaultAction": "SCMP_ACT_ALLOW"}, masked_paths=(), sysctls={"a": "1"}),
    networks={"front": Endpoint(aliases=("a",))},
    ports=(PortBinding(80, host_port=8080),),
    restart=RestartPolicy("on-failure", 3),
    health=Health(("CMD", "x"), interval=1.5),
    stop_timeout=0.0,
    init=False,
)


@pytest.mark.parametrize("spec", [SPEC, ContainerSpec("x"), ContainerSpec("x", security=Security(seccomp="unconfined"))])
def test_what_is_written_is_read_again(tmp_path: Path, spec: ContainerSpec) -> None:
    life = Life(state=ContainerState("exited", exit_code=3, started_at=1.5), stopped_by_hand=True)
    record = Record("ab" * 32, "web", 5.25, "sha256:1", "sha256:2", spec, life)
    records = Records(tmp_path)
    records.prepare(record.id)
    assert records.half_made() == [record.id]
    records.save(record)
    assert list(records.load()) == [record]
    assert records.half_made() == []
    records.revoke(record.id)
    assert list(records.load()) == []


def test_defaults_are_not_written_and_unknown_keys_ignored() -> None:
    assert encode(ContainerSpec("x")) == {"image": "x"}
    assert decode(ContainerSpec, {"image": "x", "from_the_future": 1}) == ContainerSpec("x")


def test_a_damaged_record_does_not_hide_the_others(tmp_path: Path) -> None:
    records = Records(tmp_path)
    for name in ("a", "b"):
        records.prepare(name)
        records.save(Record(name, name, 0, "", "", ContainerSpec("x")))
    (tmp_path / "a" / "container.json").write_text("{")
    assert [record.id for record in records.load()] == ["b"]


@pytest.mark.parametrize(
    ("asked", "number"), [("SIGTERM", 15), ("term", 15), ("9", 9), (9, 9), ("RTMIN+3", 37), ("SIGRTMAX-1", 63)]
)
def test_signals(asked: str | int, number: int) -> None:
    assert signal_number(asked) == number


@pytest.mark.parametrize("asked", ["", "NOPE", "0", "99", "-1"])
def test_what_is_no_signal(asked: str) -> None:
    with pytest.raises(InvalidInput, match="invalid signal"):
        signal_number(asked)
