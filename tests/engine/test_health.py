import asyncio

import pytest

from podling.engine.engine import Engine
from podling.engine.health import command_of, judge, pause_of
from podling.engine.types import Health, HealthResult, HealthState
from podling.testing.engine import run

GOOD, BAD = (HealthResult(100.0, 100.1, code, "") for code in (0, 1))


@pytest.mark.parametrize(
    ("test", "command"),
    [
        ((), ()),
        (("NONE",), ()),
        (("CMD", "a", "b"), ("a", "b")),
        (("CMD-SHELL", "a && b"), ("/bin/sh", "-c", "a && b")),
    ],
)
def test_the_command(test: tuple[str, ...], command: tuple[str, ...]) -> None:
    assert command_of(Health(test)) == command


def test_retries_make_it_unhealthy_and_one_success_healthy() -> None:
    spec = Health(("CMD", "x"), retries=2)
    state = judge(HealthState(), BAD, spec, 0)
    assert (state.status, state.failing_streak) == ("starting", 1)
    state = judge(state, BAD, spec, 0)
    assert (state.status, state.failing_streak) == ("unhealthy", 2)
    state = judge(state, GOOD, spec, 0)
    assert (state.status, state.failing_streak, len(state.log)) == ("healthy", 0, 3)


def test_failures_of_the_start_period_do_not_count() -> None:
    spec = Health(("CMD", "x"), retries=1, start_period=10)
    assert judge(HealthState(), BAD, spec, 95).status == "starting"
    assert judge(HealthState(), BAD, spec, 80).status == "unhealthy"
    assert judge(HealthState("healthy"), BAD, spec, 95).status == "unhealthy"


def test_runs_are_closer_until_the_first_success_in_the_start_period() -> None:
    spec = Health(("CMD", "x"), interval=30, start_period=10, start_interval=1)
    assert [pause_of(spec, HealthState(), age) for age in (0, 9, 11)] == [1, 1, 30]
    assert pause_of(spec, HealthState("healthy"), 0) == 30
    assert pause_of(Health(("CMD", "x"), start_period=10), HealthState(), 0) == 5


def test_the_last_five_runs_are_kept() -> None:
    state = HealthState()
    for _ in range(7):
        state = judge(state, GOOD, Health(("CMD", "x")), 0)
    assert len(state.log) == 5


@pytest.mark.root
async def test_a_check_runs_in_the_container_and_is_told(engine: Engine) -> None:
    check = Health(("CMD-SHELL", "echo looked; test -e /tmp/ok"), interval=0.05, retries=2)
    container = await run(engine, "sh", "-c", "sleep 0.3; touch /tmp/ok; sleep 100", health=check)
    seen = []
    async with asyncio.timeout(10):
        async for event in engine.events.subscribe(since=0, wanted=lambda event: event.action.startswith("health_status")):
            seen.append(event.action)
            if len(seen) == 2:
                break
    assert seen == ["health_status: unhealthy", "health_status: healthy"]
    health = container.state.health
    assert health is not None
    assert (health.log[-1].exit_code, health.log[-1].output) == (0, "looked\n")


@pytest.mark.root
async def test_a_check_that_hangs_counts_as_failed(engine: Engine) -> None:
    check = Health(("CMD", "sleep", "50"), interval=0.05, timeout=0.1, retries=1)
    container = await run(engine, "sleep", "100", health=check)
    async with asyncio.timeout(10):
        async for _ in engine.events.subscribe(since=0, wanted=lambda event: event.action == "health_status: unhealthy"):
            break
    health = container.state.health
    assert health is not None
    assert health.log[-1].output == "Health check exceeded timeout (0.1s)"
