"""A container's life as an event machine: `step(life, event) -> (life, instructions)`. Pure.

Whoever drives it carries out the instructions in order, one container's one after the other, and hands completions back as
events. What must be told to a caller is raised as an error; then nothing has changed.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

from podling.base.errors import Conflict, NotModified
from podling.engine.types import ContainerState, RestartPolicy

_FIRST_DELAY = 0.1
_LONGEST_DELAY = 60.0
_STABLE = 10.0  # seconds after which the back-off starts anew
_KILLED = 137
SIGKILL = 9

Timer = Literal["grace", "retry"]


@dataclass(frozen=True, slots=True)
class Life:
    """What the machine knows. `stopping`: somebody asked for the end, so no restart follows; `stopped_by_hand`: somebody has
    signalled it since its start, which outlives its end and the engine."""

    state: ContainerState = ContainerState()  # noqa: RUF009 - immutable
    policy: RestartPolicy = RestartPolicy()  # noqa: RUF009 - immutable
    auto_remove: bool = False
    launching: bool = False
    stopping: bool = False
    stopped_by_hand: bool = False
    again: bool = False
    removing: bool = False
    with_volumes: bool = False
    delay: float = 0.0


# -- events


@dataclass(frozen=True, slots=True)
class StartAsked:
    """Somebody wants it to run."""


@dataclass(frozen=True, slots=True)
class Started:
    pid: int
    at: float


@dataclass(frozen=True, slots=True)
class StartFailed:
    message: str
    code: int
    at: float


@dataclass(frozen=True, slots=True)
class Exited:
    code: int
    at: float
    oom_killed: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class StopAsked:
    """`grace` in seconds; negative: for ever."""

    signal: int
    grace: float


@dataclass(frozen=True, slots=True)
class RestartAsked:
    signal: int
    grace: float


@dataclass(frozen=True, slots=True)
class KillAsked:
    """`ends`: it is meant as the end (SIGKILL, or the container's own stop signal), so that no restart follows."""

    signal: int
    ends: bool = False


@dataclass(frozen=True, slots=True)
class PauseAsked:
    pass


@dataclass(frozen=True, slots=True)
class UnpauseAsked:
    pass


@dataclass(frozen=True, slots=True)
class RemoveAsked:
    """`volumes`: with its anonymous volumes."""

    force: bool = False
    volumes: bool = False


@dataclass(frozen=True, slots=True)
class Expired:
    timer: Timer


Event = (
    StartAsked
    | Started
    | StartFailed
    | Exited
    | StopAsked
    | RestartAsked
    | KillAsked
    | PauseAsked
    | UnpauseAsked
    | RemoveAsked
    | Expired
)


# -- instructions


@dataclass(frozen=True, slots=True)
class Launch:
    """Bring the process into being; completes as Started or StartFailed."""


@dataclass(frozen=True, slots=True)
class Signal:
    number: int


@dataclass(frozen=True, slots=True)
class Freeze:
    on: bool


@dataclass(frozen=True, slots=True)
class SetTimer:
    timer: Timer
    seconds: float


@dataclass(frozen=True, slots=True)
class StopTimers:
    pass


@dataclass(frozen=True, slots=True)
class Release:
    """Give back what a run holds: the runtime's state, networks, mounts."""


@dataclass(frozen=True, slots=True)
class Persist:
    pass


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete the container and all that is its own, `volumes` too."""

    volumes: bool = False


@dataclass(frozen=True, slots=True)
class Publish:
    action: str
    attributes: dict[str, str] = field(default_factory=dict)


Instruction = Launch | Signal | Freeze | SetTimer | StopTimers | Release | Persist | Remove | Publish
Step = tuple[Life, list[Instruction]]


def is_running(life: Life) -> bool:
    """Whether a process exists: paused counts, waiting for a restart does not."""
    return life.state.status in ("running", "paused")


def step(life: Life, event: Event) -> Step:
    """One event. Raises Conflict or NotModified, in Docker's words, for what the state does not allow."""
    match event:
        case StartAsked():
            return _start(life)
        case Started():
            return _started(life, event)
        case StartFailed():
            return _start_failed(life, event)
        case Exited():
            return _exited(life, event)
        case StopAsked():
            return _stop(life, event.signal, event.grace)
        case RestartAsked():
            return _restart(life, event.signal, event.grace)
        case KillAsked():
            return _kill(life, event.signal, ends=event.ends)
        case PauseAsked() | UnpauseAsked():
            return _pause(life, on=isinstance(event, PauseAsked))
        case RemoveAsked():
            return _remove(life, event)
        case Expired():
            return _expired(life, event.timer)


def _start(life: Life) -> Step:
    match life.state.status:
        case "running":
            raise NotModified("container is already running")
        case "paused":
            raise Conflict("cannot start a paused container, try unpause instead")
        case "removing" | "dead":
            raise Conflict("container is marked for removal and cannot be started")
    fresh = replace(life, launching=True, stopping=False, stopped_by_hand=False, again=False, delay=0.0)
    return _with(fresh, error="", restart_count=0), [StopTimers(), Launch()]


def _started(life: Life, event: Started) -> Step:
    state = replace(
        life.state, status="running", pid=event.pid, started_at=event.at, exit_code=0, error="", oom_killed=False, finished_at=0
    )
    return replace(life, state=state, launching=False), [Persist(), Publish("start")]


def _start_failed(life: Life, event: StartFailed) -> Step:
    """A container that never ran stays as it was; one that a policy starts again is tried again."""
    again = life.state.restart_count > 0 and not life.stopping
    ended = _with(replace(life, launching=False), exit_code=event.code, error=event.message, pid=0, finished_at=event.at)
    life = _with(ended, status="created" if life.state.started_at == 0 else "exited")
    if again:
        return _after_end(life, event.at)
    if life.auto_remove:
        return _leave(life)
    return life, [Release(), Persist()]


def _exited(life: Life, event: Exited) -> Step:
    ran = event.at - life.state.started_at
    ended = _with(
        life,
        status="exited",
        pid=0,
        exit_code=event.code,
        oom_killed=event.oom_killed,
        error=event.error,
        finished_at=event.at,
    )
    life = replace(ended, launching=False, delay=0.0 if ran >= _STABLE else life.delay)
    oom: list[Instruction] = [Publish("oom")] if event.oom_killed else []
    died: list[Instruction] = [StopTimers(), *oom, Publish("die", {"exitCode": str(event.code)})]
    life, rest = _after_end(life, event.at)
    return life, died + rest


def _after_end(life: Life, at: float) -> Step:
    """What follows an end: removal, a start at once (restart asked), a start after a delay (policy), or rest."""
    if life.removing:
        return _leave(life)
    if life.again:
        return replace(life, again=False, stopping=False, launching=True), [Release(), Persist(), Launch()]
    if _wants_restart(life):
        delay = min(life.delay * 2, _LONGEST_DELAY) if life.delay else _FIRST_DELAY
        state = replace(life.state, status="restarting", restart_count=life.state.restart_count + 1)
        return replace(life, state=state, delay=delay), [Release(), Persist(), SetTimer("retry", delay)]
    life = replace(life, stopping=False)
    return _leave(life) if life.auto_remove else (life, [Release(), Persist()])


def _wants_restart(life: Life) -> bool:
    return not life.stopping and _policy_wants(life)


def _policy_wants(life: Life) -> bool:
    policy, state = life.policy, life.state
    match policy.name:
        case "always":
            return True
        case "unless-stopped":
            return not life.stopped_by_hand
        case "on-failure":
            most = policy.maximum_retry_count
            return state.exit_code != 0 and (most == 0 or state.restart_count < most)
    return False


def _leave(life: Life) -> Step:
    life, gone = _vanish(life)
    return life, [Release(), *gone]


def _vanish(life: Life) -> Step:
    """The removal of what holds nothing any more."""
    remove = Remove(volumes=life.with_volumes or life.auto_remove)
    return _with(replace(life, removing=True), status="removing"), [remove, Publish("destroy")]


def _stop(life: Life, signal: int, grace: float) -> Step:
    if life.state.status == "restarting":
        life = _with(replace(life, stopped_by_hand=True), status="exited")
        return life, [StopTimers(), Persist()]
    if not is_running(life):
        raise NotModified("container is already stopped")
    return _end(life, signal, grace)


def _end(life: Life, signal: int, grace: float) -> Step:
    """Ask the process to end. A paused one can't hear before it goes on."""
    life, kept = _by_hand(life)
    life, thaw = _thawed(life)
    life = replace(life, stopping=True)
    instructions: list[Instruction] = [*kept, Publish("kill", {"signal": str(signal)}), Signal(signal), *thaw]
    if signal != SIGKILL and grace >= 0:
        instructions.append(SetTimer("grace", grace))
    return life, instructions


def _by_hand(life: Life) -> Step:
    """Somebody signals it. `unless-stopped` heeds that for good, so it is kept before the signal can have an effect."""
    if life.stopped_by_hand:
        return life, []
    return replace(life, stopped_by_hand=True), [Persist()] if life.policy.name == "unless-stopped" else []


def _thawed(life: Life) -> Step:
    if life.state.status != "paused":
        return life, []
    return _with(life, status="running"), [Freeze(False)]


def _restart(life: Life, signal: int, grace: float) -> Step:
    if not is_running(life):
        life, instructions = _start(life)
        return life, instructions
    life, instructions = _end(life, signal, grace)
    return replace(life, again=True, stopped_by_hand=False), instructions


def _kill(life: Life, signal: int, *, ends: bool) -> Step:
    if not is_running(life):
        raise Conflict("container is not running")
    life, kept = _by_hand(life)
    signalled: list[Instruction] = [*kept, Publish("kill", {"signal": str(signal)}), Signal(signal)]
    if not ends and signal != SIGKILL:
        return life, signalled
    life, thaw = _thawed(life)
    return replace(life, stopping=True), signalled + thaw


def _pause(life: Life, *, on: bool) -> Step:
    wanted = "running" if on else "paused"
    if life.state.status != wanted:
        reason = "is already paused" if on and life.state.status == "paused" else f"is not {wanted}"
        raise Conflict(f"container {reason}")
    life = _with(life, status="paused" if on else "running")
    return life, [Freeze(on), Persist(), Publish("pause" if on else "unpause")]


def _remove(life: Life, asked: RemoveAsked) -> Step:
    status, force = life.state.status, asked.force
    if life.removing:
        raise Conflict("removal of container is already in progress")
    life = replace(life, with_volumes=asked.volumes)
    if not is_running(life):
        if status == "restarting" and not force:
            raise Conflict("container is restarting: stop the container before removing or force remove")
        life, gone = _vanish(life)
        return life, [StopTimers(), *gone]
    if not force:
        remedy = "unpause and then stop the container" if status == "paused" else "stop the container"
        raise Conflict(f"container is {status}: {remedy} before removing or force remove")
    life, instructions = _kill(life, SIGKILL, ends=True)
    return replace(life, removing=True), instructions


def _expired(life: Life, timer: Timer) -> Step:
    if timer == "grace":
        return (life, [Publish("kill", {"signal": str(SIGKILL)}), Signal(SIGKILL)]) if is_running(life) else (life, [])
    if life.state.status != "restarting":
        return life, []
    return replace(life, launching=True), [Launch()]


def recover(life: Life, *, pid: int, frozen: bool = False) -> Life:
    """The life of a container that is found running, or (`pid` 0) found not to be, after our own process was started anew.

    Of one that has ended its driver reports Exited afterwards.
    """
    base = replace(life, launching=False)
    if pid:
        status = "paused" if frozen else "running"
        # Who asked for its end has gone with that process, and so has the timer.
        return _with(replace(base, stopping=False, again=False, removing=False), status=status, pid=pid)
    return base


def starts_with_engine(life: Life) -> bool:
    """Whether its restart policy wants it to run when the engine comes up (after a reboot, say). One that never ran waits."""
    if is_running(life) or life.removing or life.state.started_at == 0:
        return False
    return life.state.status == "restarting" or _policy_wants(life)


def _with(life: Life, **changes: object) -> Life:
    return replace(life, state=replace(life.state, **changes))  # type: ignore[arg-type]
