"""What an event changes in what is known of the pod. Answers to work that is no longer under way are dropped."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from podling.node.pod.events import (
    ClockJumped,
    ConfigurationChanged,
    Doomed,
    Event,
    Exited,
    Granted,
    HookFailed,
    LaunchFailed,
    NotGranted,
    Probed,
    Pulled,
    PullFailed,
    Resized,
    ResizeFailed,
    RoomMade,
    SandboxDown,
    SandboxFailed,
    SandboxUp,
    Seen,
    Started,
    TracesCleared,
    Vanished,
    VolumesDown,
    VolumesFailed,
    VolumesUp,
    Woke,
)
from podling.node.pod.instructions import Outbox, Stop
from podling.node.pod.probing import observe_probe
from podling.node.pod.resizing import granted, not_granted, put, resize_failed, resized, room_made
from podling.node.pod.sizes import sizes_of
from podling.node.pod.spec import container_of, ephemeral_containers, full_name, grace_of, is_deleted, probe_of
from podling.node.pod.state import Container, Exit, Life, Part, Place, State

_CONFIG_RETRY = 10.0  # seconds until a container that could not be made is tried again
_PLACE_RETRY_MOST = 120.0
_GRACE_OF_THE_FORGOTTEN = 2.0  # seconds for a pod that was deleted by force
_REASON_SHOWN = 2.0  # seconds that ErrImagePull is seen before it reads ImagePullBackOff


def observe(state: State, event: Event, now: float, out: Outbox) -> State:
    return _OBSERVERS[type(event)](state, event, now, out)


def _seen(state: State, event: Seen, now: float, out: Outbox) -> State:
    unmet = state.unmet if sizes_of(event.pod) == sizes_of(state.pod) else None
    return join(replace(state, pod=event.pod, deleting=state.deleting or is_deleted(event.pod), unmet=unmet))


def join(state: State) -> State:
    """The state with the ephemeral containers that have come to the pod."""
    known = {container.name for container in state.containers}
    new = [c for c in ephemeral_containers(state.pod) if c["name"] not in known]
    return replace(state, containers=(*state.containers, *(Container(c["name"], "ephemeral", image=c["image"]) for c in new)))


def _vanished(state: State, event: Vanished, now: float, out: Outbox) -> State:
    metadata = state.pod["metadata"]
    static = "kubernetes.io/config.source" in (metadata.get("annotations") or {})  # its file is gone: nobody is in a hurry
    grace = grace_of(state.pod) if static else min(grace_of(state.pod), _GRACE_OF_THE_FORGOTTEN)
    pod = {**state.pod, "metadata": {**metadata, "deletionGracePeriodSeconds": grace}}
    return replace(state, pod=pod, deleting=True)


def _doomed(state: State, event: Doomed, now: float, out: Outbox) -> State:
    if state.failure is not None or state.ended:
        return state
    out.warn(event.reason, event.message)
    message = f"Pod was rejected: {event.message}" if event.rejected else event.message
    disruption = (event.disruption, event.message) if event.disruption else None
    failure = (event.reason, message)
    return replace(state, failure=failure, hurry=event.grace, disruption=disruption, rejected=event.rejected)


def _sandbox_up(state: State, event: SandboxUp, now: float, out: Outbox) -> State:
    return replace(state, sandbox=Place(Part.READY), addresses=event.addresses)


def _sandbox_failed(state: State, event: SandboxFailed, now: float, out: Outbox) -> State:
    out.warn("FailedCreatePodSandBox", f"Failed to create pod sandbox: {event.message}")
    return replace(state, sandbox=_failed(state.sandbox, event.message, 1.0, now))


def _sandbox_down(state: State, event: SandboxDown, now: float, out: Outbox) -> State:
    return replace(state, sandbox=Place(Part.GONE))


def _volumes_up(state: State, event: VolumesUp, now: float, out: Outbox) -> State:
    return replace(state, volumes=Place(Part.READY))


def _volumes_failed(state: State, event: VolumesFailed, now: float, out: Outbox) -> State:
    out.warn("FailedMount", event.message)
    return replace(state, volumes=_failed(state.volumes, event.message, 0.5, now))


def _volumes_down(state: State, event: VolumesDown, now: float, out: Outbox) -> State:
    return replace(state, volumes=Place(Part.GONE))


def _failed(place: Place, message: str, first: float, now: float) -> Place:
    wait = min(first * 2.0 ** min(place.failures, 16), _PLACE_RETRY_MOST)
    return Place(Part.ABSENT, message, now + wait, place.failures + 1)


def _pulled(state: State, event: Pulled, now: float, out: Outbox) -> State:
    container = state.container(event.container)
    if container.life is not Life.PULLING:
        return state
    return put(state, replace(container, life=Life.PULLED, image_id=event.image_id, reason="", message=""))


def _pull_failed(state: State, event: PullFailed, now: float, out: Outbox) -> State:
    container = state.container(event.container)
    if container.life is not Life.PULLING:
        return state
    backoff = container.pull_backoff.attempt(now)
    out.warn("Failed", f"Error: {event.reason}", event.container)
    return put(
        state,
        replace(
            container,
            life=Life.WAITING,
            pull_backoff=backoff,
            retry_at=now + backoff.delay,
            reason=event.reason,
            message=event.message,
            reason_settles_at=now + _REASON_SHOWN if event.reason == "ErrImagePull" else 0.0,
        ),
    )


def _started(state: State, event: Started, now: float, out: Outbox) -> State:
    container = state.container(event.container)
    return put(state, _running(state, container, event.id, event.at)) if container.life is Life.LAUNCHING else state


def _running(state: State, container: Container, id: str, at: float) -> Container:
    spec = container_of(state.pod, container.name)
    started = probe_of(spec, "startup") is None
    return replace(
        container,
        life=Life.RUNNING,
        id=id,
        started_at=at,
        started=started,
        ready=started and probe_of(spec, "readiness") is None,
        exit=None,
        reason="",
        message="",
        streaks={},
    )


def _launch_failed(state: State, event: LaunchFailed, now: float, out: Outbox) -> State:
    container = state.container(event.container)
    if container.life is not Life.LAUNCHING:
        return state
    out.warn("Failed", f"Error: {event.message}", event.container)
    if event.reason == "StartError":
        end = Exit(128, "StartError", now, message=event.message, container_id=event.id)
        return put(state, _ended(state, replace(container, id=event.id), end, out))
    waiting = replace(
        container,
        life=Life.WAITING,
        launched=container.restarts > 0,
        restarts=max(container.restarts - 1, 0),
        retry_at=now + _CONFIG_RETRY,
        reason=event.reason,
        message=event.message,
    )
    return put(state, waiting)


def _hook_failed(state: State, event: HookFailed, now: float, out: Outbox) -> State:
    container = state.container(event.container)
    if container.life is not Life.LAUNCHING:
        return state
    grace = float(state.pod["spec"].get("terminationGracePeriodSeconds") or 0)
    out.warn("FailedPostStartHook", f"PostStartHook failed: {event.message}", event.container)
    out.note("Killing", "FailedPostStartHook", event.container)
    out.put(Stop(event.container, event.id, grace))
    running = _running(state, container, event.id, now)
    return put(state, replace(running, life=Life.STOPPING, grace=grace, ready=False))


def _exited(state: State, event: Exited, now: float, out: Outbox) -> State:
    container = state.container(event.container)
    if not container.alive or container.id != event.id:
        return state
    reason = "OOMKilled" if event.oom_killed else "Error" if event.code else "Completed"
    end = Exit(event.code, reason, event.at, container.started_at, event.message, event.id)
    return put(state, _ended(state, container, end, out))


def _ended(state: State, container: Container, end: Exit, out: Outbox) -> Container:
    """The record after an exit; when it comes to a restart, it may start again after what the back-off says."""
    backoff = container.restart_backoff.forgotten(end.finished_at)
    return replace(
        container,
        life=Life.EXITED,
        exit=end,
        ready=False,
        started=False,
        reason="",
        message="",
        grace=0.0,
        restart_backoff=backoff,
        retry_at=end.finished_at + backoff.delay if backoff.delay and not container.renewed else 0.0,
        streaks={},
        resizing=False,
    )


def _probed(state: State, event: Probed, now: float, out: Outbox) -> State:
    container = state.container(event.container)
    if not container.alive or container.id != event.id:
        return state
    return put(state, observe_probe(state.pod, container, event, out))


def _cleared(state: State, event: TracesCleared, now: float, out: Outbox) -> State:
    return replace(state, traces="cleared")


def _jumped(state: State, event: ClockJumped, now: float, out: Outbox) -> State:
    """What is to happen at an hour still happens after the same time."""
    by = event.seconds
    return replace(
        state,
        started_at=state.started_at + by,
        sandbox=replace(state.sandbox, retry_at=_moved(state.sandbox.retry_at, by)),
        volumes=replace(state.volumes, retry_at=_moved(state.volumes.retry_at, by)),
        containers=tuple(_shifted(container, by) for container in state.containers),
    )


def _shifted(container: Container, by: float) -> Container:
    return replace(
        container,
        retry_at=_moved(container.retry_at, by),
        reason_settles_at=_moved(container.reason_settles_at, by),
        restart_backoff=replace(container.restart_backoff, at=_moved(container.restart_backoff.at, by)),
        pull_backoff=replace(container.pull_backoff, at=_moved(container.pull_backoff.at, by)),
    )


def _moved(at: float, by: float) -> float:
    return at + by if at else 0.0


def _woke(state: State, event: Woke, now: float, out: Outbox) -> State:
    for container in state.containers:
        if container.reason_settles_at and now >= container.reason_settles_at and container.life is Life.WAITING:
            state = put(state, _settled(container, out))
    return state


def _configured(state: State, event: ConfigurationChanged, now: float, out: Outbox) -> State:
    for container in state.containers:
        if container.life is Life.WAITING and container.reason == "CreateContainerConfigError":
            state = put(state, replace(container, retry_at=0.0))
    return replace(state, volumes=replace(state.volumes, retry_at=0.0))


def _settled(container: Container, out: Outbox) -> Container:
    out.note("BackOff", f'Back-off pulling image "{container.image}"', container.name)
    out.warn("Failed", "Error: ImagePullBackOff", container.name)
    message = f'Back-off pulling image "{container.image}": {container.reason}: {container.message}'
    return replace(container, reason="ImagePullBackOff", message=message, reason_settles_at=0.0)


def crash_looping(state: State, container: Container, out: Outbox) -> Container:
    """The record of a container that has to wait before its restart, and the event about it."""
    pod = full_name(state.pod)
    out.warn("BackOff", f"Back-off restarting failed container {container.name} in pod {pod}", container.name)
    wait = int(container.restart_backoff.delay)
    message = f"back-off {_duration(wait)} restarting failed container={container.name} pod={pod}"
    return replace(container, reason="CrashLoopBackOff", message=message)


def _duration(seconds: int) -> str:
    """As Go prints a time.Duration: 40s, 1m20s, 5m0s."""
    return f"{seconds}s" if seconds < 60 else f"{seconds // 60}m{seconds % 60}s"


_OBSERVERS: dict[type, Callable[[State, Any, float, Outbox], State]] = {
    Seen: _seen,
    Vanished: _vanished,
    SandboxUp: _sandbox_up,
    SandboxFailed: _sandbox_failed,
    SandboxDown: _sandbox_down,
    VolumesUp: _volumes_up,
    VolumesFailed: _volumes_failed,
    VolumesDown: _volumes_down,
    Pulled: _pulled,
    PullFailed: _pull_failed,
    Started: _started,
    LaunchFailed: _launch_failed,
    HookFailed: _hook_failed,
    Exited: _exited,
    Probed: _probed,
    Doomed: _doomed,
    Granted: granted,
    NotGranted: not_granted,
    RoomMade: room_made,
    Resized: resized,
    ResizeFailed: resize_failed,
    ClockJumped: _jumped,
    TracesCleared: _cleared,
    Woke: _woke,
    ConfigurationChanged: _configured,
}
