"""What a pod needs next, given what is known of it: sandbox and volumes, then containers in order; or the way down."""

from dataclasses import replace

from podling.node.pod.backoff import Backoff
from podling.node.pod.instructions import (
    CancelPull,
    ClearTraces,
    DropSandbox,
    DropVolumes,
    Forget,
    Instruction,
    Launch,
    MakeSandbox,
    MakeVolumes,
    Outbox,
    Pull,
    Stop,
)
from podling.node.pod.observe import crash_looping
from podling.node.pod.resizing import granted_to, put, resize
from podling.node.pod.spec import grace_of, restart_policy
from podling.node.pod.state import Container, Life, Part, Place, State


def plan(state: State, now: float, out: Outbox) -> State:
    if state.over:
        return state
    state = _check_deadline(state, now, out)
    if state.deleting or is_finished(state):
        return _wind_down(state, out)
    state = replace(
        state,
        sandbox=_make(state.sandbox, MakeSandbox(), now, out),
        volumes=_make(state.volumes, MakeVolumes(), now, out),
    )
    if state.sandbox.part is not Part.READY or state.volumes.part is not Part.READY:
        return state
    return _advance(state, now, out)


# Facts


def deadline_of(state: State) -> float | None:
    seconds = state.pod["spec"].get("activeDeadlineSeconds")
    return None if seconds is None else state.started_at + float(seconds)


def wants_restart(state: State, container: Container) -> bool:
    """Whether an exited container is to run again while the pod lives. Source: PodSpec.restartPolicy."""
    assert container.exit is not None
    if container.renewed:
        return True
    if container.role in ("sidecar", "ephemeral"):
        return container.role == "sidecar"
    policy = restart_policy(state.pod)
    if container.role == "init" or policy == "OnFailure":
        return container.exit.code != 0 and policy != "Never"
    return policy == "Always"


def _is_done(state: State, container: Container) -> bool:
    return container.life is Life.EXITED and not wants_restart(state, container)


def is_finished(state: State) -> bool:
    """Whether the pod has run to its end, well or not."""
    if state.ended or state.failure is not None or any(_is_done(state, c) and c.exit and c.exit.code for c in state.inits):
        return True
    return bool(state.apps) and all(_is_done(state, c) for c in state.apps)


def is_passed(container: Container) -> bool:
    """Whether the next init container may start."""
    if container.role == "sidecar":
        return container.alive and container.started
    return container.exit is not None and container.life is Life.EXITED and container.exit.code == 0


# The way up


def _check_deadline(state: State, now: float, out: Outbox) -> State:
    deadline = deadline_of(state)
    if deadline is None or now < deadline or state.deleting or is_finished(state):
        return state
    message = "Pod was active on the node longer than the specified deadline"
    out.note("DeadlineExceeded", message)
    return replace(state, failure=("DeadlineExceeded", message))


def _make(place: Place, instruction: Instruction, now: float, out: Outbox) -> Place:
    if place.part is not Part.ABSENT or now < place.retry_at:
        return place
    out.put(instruction)
    return replace(place, part=Part.MAKING)


def _advance(state: State, now: float, out: Outbox) -> State:
    for container in state.inits:
        if container.role == "sidecar" or not (state.initialized or is_passed(container)):
            state = _nudge(state, container, now, out, may_launch=True)
        if not (state.initialized or is_passed(container)):
            return state
    state = replace(state, initialized=True)
    clear = True
    for container in state.apps:
        state = _nudge(state, container, now, out, may_launch=clear)
        clear = clear and state.container(container.name).life not in (Life.PULLING, Life.PULLED, Life.LAUNCHING)
    for container in state.ephemerals:
        state = _nudge(state, container, now, out, may_launch=True)
    return resize(state, now, out)


def _nudge(state: State, container: Container, now: float, out: Outbox, may_launch: bool) -> State:
    """Take the next step with one container, if one is due."""
    if container.life is Life.EXITED and not wants_restart(state, container):
        return state
    if container.life in (Life.WAITING, Life.EXITED):
        return put(state, _begin(state, container, now, out))
    if container.life is Life.PULLED and may_launch:
        return put(state, replace(_launch(container, now, out), size=granted_to(state, container)))
    return state


def _begin(state: State, container: Container, now: float, out: Outbox) -> Container:
    if now < container.retry_at:
        if container.life is Life.EXITED and container.reason != "CrashLoopBackOff":
            return crash_looping(state, container, out)
        return container
    out.put(Pull(container.name))
    return replace(container, life=Life.PULLING, retry_at=0.0, reason_settles_at=0.0)


def _launch(container: Container, now: float, out: Outbox) -> Container:
    restarts = container.restarts + 1 if container.launched else 0
    out.put(Launch(container.name, restarts, container.image_id))
    return replace(
        container,
        life=Life.LAUNCHING,
        launched=True,
        restarts=restarts,
        previous=container.exit or container.previous,
        restart_backoff=_after_restart(container, now) if restarts else container.restart_backoff,
        renewed=False,
        resize_error="",
    )


def _after_restart(container: Container, now: float) -> Backoff:
    return container.restart_backoff if container.renewed else container.restart_backoff.attempt(now)


# The way down


def _wind_down(state: State, out: Outbox) -> State:
    for container in state.containers:
        if container.life in (Life.PULLING, Life.PULLED):
            out.put(CancelPull(container.name))
            state = put(state, replace(container, life=Life.EXITED if container.exit else Life.WAITING))
    state = _stop(state, [c for c in state.containers if c.role != "sidecar"], out)
    if any(c.busy for c in state.containers if c.role != "sidecar"):
        return state
    running = [c for c in state.containers if c.role == "sidecar" and c.busy]
    if running:
        return _stop(state, running[-1:], out)  # in reverse order, one after the other
    return _clear(state, out)


def _stop(state: State, containers: list[Container], out: Outbox) -> State:
    grace = grace_of(state.pod) if state.hurry is None else min(grace_of(state.pod), state.hurry)
    for container in containers:
        if container.life is Life.RUNNING:
            out.note("Killing", f"Stopping container {container.name}", container.name)
        elif container.life is not Life.STOPPING or grace >= container.grace:
            continue
        out.put(Stop(container.name, container.id, grace))
        state = put(state, replace(container, life=Life.STOPPING, grace=grace))
    return state


def _clear(state: State, out: Outbox) -> State:
    state = replace(
        state,
        sandbox=_drop(state.sandbox, DropSandbox(), out),
        volumes=_drop(state.volumes, DropVolumes(), out),
    )
    gone = (Part.ABSENT, Part.GONE)
    if not state.deleting or state.sandbox.part not in gone or state.volumes.part not in gone:
        return state
    if state.traces == "kept":
        out.put(ClearTraces())
        return replace(state, traces="clearing")
    if state.traces == "cleared":
        out.put(Forget())
        return replace(state, over=True)
    return state


def _drop(place: Place, instruction: Instruction, out: Outbox) -> Place:
    if place.part is not Part.READY:
        return replace(place, retry_at=0.0)
    out.put(instruction)
    return replace(place, part=Part.CLEARING)
