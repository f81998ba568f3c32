"""The life of a container as tables: no process, no clock."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.base.errors import Conflict, NotModified
from podling.engine.lifecycle import (
    SIGKILL,
    Event,
    Exited,
    Expired,
    Freeze,
    KillAsked,
    Launch,
    Life,
    PauseAsked,
    Persist,
    Publish,
    Release,
    Remove,
    RemoveAsked,
    RestartAsked,
    SetTimer,
    Signal,
    StartAsked,
    Started,
    StartFailed,
    StopAsked,
    StopTimers,
    UnpauseAsked,
    recover,
    starts_with_engine,
    step,
)
from podling.engine.types import RestartPolicy


def after(*events: Event, life: Life = Life()) -> Life:  # noqa: B008
    for event in events:
        life, _ = step(life, event)
    return life


RUNNING = after(StartAsked(), Started(10, 100.0))
ALWAYS = replace(RUNNING, policy=RestartPolicy("always"))


def test_a_start_launches_and_is_kept() -> None:
    life, instructions = step(Life(), StartAsked())
    assert instructions == [StopTimers(), Launch()]
    life, instructions = step(life, Started(10, 100.0))
    assert instructions == [Persist(), Publish("start")]
    assert (life.state.status, life.state.pid, life.state.started_at) == ("running", 10, 100.0)


def test_an_end_releases_what_was_held() -> None:
    life, instructions = step(RUNNING, Exited(3, 105.0))
    assert instructions == [StopTimers(), Publish("die", {"exitCode": "3"}), Release(), Persist()]
    assert (life.state.status, life.state.pid, life.state.exit_code, life.state.finished_at) == ("exited", 0, 3, 105.0)


@pytest.mark.parametrize(
    ("life", "event", "error", "words"),
    [
        (RUNNING, StartAsked(), NotModified, "already running"),
        (after(PauseAsked(), life=RUNNING), StartAsked(), Conflict, "cannot start a paused container, try unpause instead"),
        (Life(), StopAsked(15, 10), NotModified, "already stopped"),
        (Life(), KillAsked(9), Conflict, "is not running"),
        (Life(), PauseAsked(), Conflict, "is not running"),
        (RUNNING, UnpauseAsked(), Conflict, "is not paused"),
        (after(PauseAsked(), life=RUNNING), PauseAsked(), Conflict, "is already paused"),
        (RUNNING, RemoveAsked(), Conflict, "container is running: stop the container before removing or force remove"),
        (after(PauseAsked(), life=RUNNING), RemoveAsked(), Conflict, "container is paused: unpause and then stop the container"),
        (after(Exited(1, 101.0), life=ALWAYS), RemoveAsked(), Conflict, "container is restarting"),
        (after(RemoveAsked()), RemoveAsked(), Conflict, "removal of container is already in progress"),
        (after(RemoveAsked()), StartAsked(), Conflict, "marked for removal and cannot be started"),
    ],
)
def test_what_is_not_allowed(life: Life, event: Event, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        step(life, event)


def test_stop_asks_and_then_kills() -> None:
    life, instructions = step(RUNNING, StopAsked(15, 10))
    assert instructions == [Publish("kill", {"signal": "15"}), Signal(15), SetTimer("grace", 10)]
    life, instructions = step(life, Expired("grace"))
    assert Signal(SIGKILL) in instructions
    life = after(Exited(137, 111.0), life=life)
    assert life.stopped_by_hand


def test_a_stop_without_end_sets_no_timer() -> None:
    assert not any(isinstance(i, SetTimer) for i in step(RUNNING, StopAsked(15, -1))[1])


def test_a_grace_that_expires_late_does_nothing() -> None:
    assert step(after(Exited(0, 101.0), life=RUNNING), Expired("grace"))[1] == []


def test_a_paused_container_goes_on_to_hear_the_signal() -> None:
    life, instructions = step(after(PauseAsked(), life=RUNNING), StopAsked(15, 10))
    assert instructions.index(Signal(15)) < instructions.index(Freeze(False))
    assert life.state.status == "running"


def test_restart_is_an_end_and_a_start() -> None:
    life, instructions = step(ALWAYS, RestartAsked(15, 10))
    assert Signal(15) in instructions
    life, instructions = step(life, Exited(143, 105.0))
    assert instructions[-3:] == [Release(), Persist(), Launch()]
    assert not life.again
    life = after(Started(11, 106.0), life=life)
    assert (life.state.restart_count, life.stopped_by_hand, life.stopping) == (0, False, False)


def test_the_back_off_doubles_to_a_minute_and_starts_anew_after_a_stable_run() -> None:
    life, delays, now = ALWAYS, [], 100.0
    for _ in range(12):
        life, instructions = step(life, Exited(1, now + 1))
        delays += [i.seconds for i in instructions if isinstance(i, SetTimer)]
        life = after(Expired("retry"), Started(10, now), life=life)
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 60.0, 60.0]
    _, instructions = step(life, Exited(1, now + 10))
    assert SetTimer("retry", 0.1) in instructions


@pytest.mark.parametrize(
    ("policy", "code", "restarts"),
    [
        (RestartPolicy("no"), 1, False),
        (RestartPolicy("always"), 0, True),
        (RestartPolicy("unless-stopped"), 0, True),
        (RestartPolicy("on-failure"), 0, False),
        (RestartPolicy("on-failure"), 1, True),
    ],
)
def test_policies(policy: RestartPolicy, code: int, restarts: bool) -> None:
    life = after(Exited(code, 101.0), life=replace(RUNNING, policy=policy))
    assert life.state.status == ("restarting" if restarts else "exited")


def test_on_failure_gives_up() -> None:
    life = replace(RUNNING, policy=RestartPolicy("on-failure", 2))
    for _ in range(2):
        life = after(Exited(1, 101.0), Expired("retry"), Started(10, 102.0), life=life)
    life = after(Exited(1, 103.0), life=life)
    assert (life.state.status, life.state.restart_count) == ("exited", 2)


def test_who_was_stopped_or_killed_by_hand_stays_so() -> None:
    for asked in (StopAsked(15, 10), KillAsked(SIGKILL), KillAsked(15, ends=True)):
        life = after(asked, Exited(137, 101.0), life=ALWAYS)
        assert life.state.status == "exited"
    assert after(KillAsked(1), Exited(1, 101.0), life=ALWAYS).state.status == "restarting"


def test_a_stop_while_waiting_for_the_restart() -> None:
    life, instructions = step(after(Exited(1, 101.0), life=ALWAYS), StopAsked(15, 10))
    assert life.state.status == "exited"
    assert StopTimers() in instructions
    assert step(life, Expired("retry"))[1] == []


def test_auto_remove_and_forced_removal() -> None:
    life, instructions = step(replace(RUNNING, auto_remove=True), Exited(0, 101.0))
    assert instructions[-3:] == [Release(), Remove(volumes=True), Publish("destroy")]
    life, instructions = step(ALWAYS, RemoveAsked(force=True))
    assert Signal(SIGKILL) in instructions
    life, instructions = step(life, Exited(137, 101.0))
    assert Remove() in instructions
    assert life.state.status == "removing"


def test_a_failed_first_start_leaves_it_created() -> None:
    life, instructions = step(after(StartAsked()), StartFailed("no such program", 127, 100.0))
    assert (life.state.status, life.state.exit_code, life.state.error) == ("created", 127, "no such program")
    assert instructions == [Release(), Persist()]


@pytest.mark.parametrize(
    ("life", "starts"),
    [
        (after(Exited(1, 101.0), life=ALWAYS), True),
        (after(StopAsked(15, 1), Exited(0, 101.0), life=ALWAYS), True),
        (after(StopAsked(15, 1), Exited(0, 101.0), life=replace(RUNNING, policy=RestartPolicy("unless-stopped"))), False),
        (after(KillAsked(1), Exited(0, 101.0), life=replace(RUNNING, policy=RestartPolicy("unless-stopped"))), False),
        (after(StopAsked(15, 1), Exited(1, 101.0), life=replace(RUNNING, policy=RestartPolicy("on-failure"))), True),
        (after(StopAsked(15, 1), Exited(0, 101.0), life=replace(RUNNING, policy=RestartPolicy("on-failure"))), False),
        (replace(Life(), policy=RestartPolicy("always")), False),
        (after(Exited(0, 101.0), life=RUNNING), False),
    ],
)
def test_what_starts_with_the_engine(life: Life, starts: bool) -> None:
    assert starts_with_engine(life) == starts


def test_who_is_found_running_runs_on() -> None:
    for asked in (StopAsked(15, 1), RestartAsked(15, 1), RemoveAsked(force=True)):
        life = recover(after(asked, life=RUNNING), pid=10)
        assert life.state.status == "running"
        _, instructions = step(life, RemoveAsked(force=True))
        assert Signal(SIGKILL) in instructions


def test_who_is_found_frozen_is_paused() -> None:
    assert recover(RUNNING, pid=10, frozen=True).state.status == "paused"
    assert recover(after(PauseAsked(), life=RUNNING), pid=10).state.status == "running"


def test_that_it_was_stopped_is_kept_before_the_signal() -> None:
    unless_stopped = replace(RUNNING, policy=RestartPolicy("unless-stopped"))
    for event in (StopAsked(15, 1), KillAsked(1), KillAsked(SIGKILL)):
        life, instructions = step(unless_stopped, event)
        assert instructions[0] == Persist()
        assert life.stopped_by_hand
    life, _ = step(after(KillAsked(1), life=ALWAYS), Exited(0, 101.0))
    assert life.state.status == "restarting"  # a signal that is not meant as the end does not hold back `always`
    life, _ = step(after(KillAsked(1), life=unless_stopped), Exited(0, 101.0))
    assert life.state.status == "exited"


EVENTS = st.sampled_from(
    [
        StartAsked(),
        StopAsked(15, 5),
        KillAsked(SIGKILL),
        KillAsked(1),
        RestartAsked(15, 5),
        PauseAsked(),
        UnpauseAsked(),
        RemoveAsked(),
        RemoveAsked(force=True),
        Expired("grace"),
        Expired("retry"),
        Exited(1, 200.0),
    ]
)


@given(st.lists(EVENTS, max_size=30), st.sampled_from(["no", "always", "on-failure", "unless-stopped"]), st.booleans())
def test_whatever_happens_launches_and_ends_alternate(events: list[Event], policy: str, fails: bool) -> None:
    """Never two processes at once, none after the removal, and one removal at most."""
    life = Life(policy=RestartPolicy(policy))  # type: ignore[arg-type]
    alive, removed = False, 0
    for event in events:
        if removed or (isinstance(event, Exited) != alive and isinstance(event, Exited)):
            continue
        try:
            life, instructions = step(life, event)
        except (Conflict, NotModified):
            continue
        alive = alive and not isinstance(event, Exited)
        for instruction in instructions:
            removed += isinstance(instruction, Remove)
            if isinstance(instruction, Launch):
                assert not alive
                life, _ = step(life, StartFailed("x", 127, 1.0) if fails else Started(10, 1.0))
                alive = not fails
    assert removed <= 1
    assert not (removed and alive)
