"""The wall clock is set while pods run: what waits, waits as long as it would have."""

import pytest

from node.test_pod import Life, pod, running
from podling.node.pod.events import ClockJumped, PullFailed, SandboxFailed, Seen, Woke
from podling.node.pod.instructions import Pull
from podling.node.pod.lifecycle import next_wake

JUMPS = [3600.0, -3600.0, 1e7, -1e7]


def jump(life: Life, seconds: float) -> None:
    """The clock is set, and the machine is told."""
    life.now += seconds
    assert life.on(ClockJumped(seconds)) == []


@pytest.mark.parametrize("seconds", JUMPS)
def test_a_crashed_container_waits_its_back_off(seconds: float) -> None:
    life = running()
    life.end(1)
    life.run(id="c2")
    life.end(1, id="c2")
    wait = next_wake(life.state, life.now)
    assert wait is not None
    left = wait - life.now
    jump(life, seconds)
    assert next_wake(life.state, life.now) == pytest.approx(life.now + left)
    life.now += left - 0.5
    assert life.on(Woke()) == []
    life.now += 1.0
    assert life.on(Woke()) == [Pull("app")]
    life.run(id="c3")
    life.end(1, id="c3")
    wait = next_wake(life.state, life.now)
    assert wait is not None
    assert 19 <= wait - life.now <= 20  # still the second crash in a row


@pytest.mark.parametrize("seconds", JUMPS)
def test_a_pull_waits_its_back_off(seconds: float) -> None:
    life = Life(pod())
    life.up()
    life.on(PullFailed("app", "ErrImagePull", "no such image"))
    jump(life, seconds)
    life.now += 2
    life.on(Woke())
    assert life.status()["state"]["waiting"]["reason"] == "ImagePullBackOff"
    life.now += 7
    assert life.on(Woke()) == []
    life.now += 2
    assert life.on(Woke()) == [Pull("app")]


@pytest.mark.parametrize("seconds", JUMPS)
def test_a_deadline_is_a_duration(seconds: float) -> None:
    life = running(activeDeadlineSeconds=60)
    life.now += 30
    jump(life, seconds)
    life.now += 29
    life.on(Woke())
    assert life.phase == "Running"
    life.now += 1
    life.on(Woke())
    assert "DeadlineExceeded" in life.reasons


@pytest.mark.parametrize("seconds", JUMPS)
def test_a_sandbox_is_tried_again_after_its_time(seconds: float) -> None:
    life = Life(pod())
    life.on(Seen(life.state.pod), SandboxFailed("no address"))
    wait = next_wake(life.state, life.now)
    assert wait is not None
    left = wait - life.now
    jump(life, seconds)
    assert next_wake(life.state, life.now) == pytest.approx(life.now + left)
