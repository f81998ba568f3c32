"""Changes of a configuration outside a build, and durations."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.base.errors import InvalidInput
from podling.build.configuration import applied
from podling.build.duration import nanoseconds


def test_changes_of_a_commit():
    config = applied(
        {"Env": ["A=1"], "Cmd": ["x"]}, ["ENV B=$A-2", "CMD echo hi", "EXPOSE 80-81", "LABEL a=b", "WORKDIR /w", "USER me"]
    )
    assert config == {
        "Env": ["A=1", "B=1-2"],
        "Cmd": ["/bin/sh", "-c", "echo hi"],
        "ExposedPorts": {"80/tcp": {}, "81/tcp": {}},
        "Labels": {"a": "b"},
        "WorkingDir": "/w",
        "User": "me",
    }


def test_nothing_of_the_old_one_is_changed():
    old = {"Env": ["A=1"], "Labels": {"a": "b"}}
    applied(old, ["ENV A=2", "LABEL a=c"])
    assert old == {"Env": ["A=1"], "Labels": {"a": "b"}}


@pytest.mark.parametrize("change", ["RUN x", "FROM x", "COPY a b", "nonsense x"])
def test_what_is_no_change(change):
    with pytest.raises(InvalidInput):
        applied({}, [change])


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("5s", 5_000_000_000), ("1m30s", 90_000_000_000), ("1.5h", 5_400_000_000_000), ("250ms", 250_000_000)],
)
def test_durations(text, value):
    assert nanoseconds(text, "x") == value


@given(st.text(alphabet="0123456789.smhnuµ -x", max_size=8))
def test_any_duration_is_read_or_refused(text):
    with contextlib.suppress(InvalidInput):
        assert nanoseconds(text, "x") >= 0
