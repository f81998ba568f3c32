"""A change of size while the pod runs: the node is asked for room, then each container gets its part.

Source: Kubernetes, "Resize CPU and Memory Resources assigned to Containers"; KEP-1287.
"""

from dataclasses import replace

from podling.node.pod.events import Granted, NotGranted, Resized, ResizeFailed, RoomMade
from podling.node.pod.instructions import AskForRoom, Outbox, Resize, Stop
from podling.node.pod.sizes import needs_restart, same, sizes_of
from podling.node.pod.spec import container_of, grace_of
from podling.node.pod.state import Container, Life, State

_EVENTS = {"Deferred": "ResizeDeferred", "Infeasible": "ResizeInfeasible"}


def put(state: State, container: Container) -> State:
    """The state with one container's record replaced."""
    return replace(state, containers=tuple(container if c.name == container.name else c for c in state.containers))


def is_granted(state: State) -> bool:
    """Whether the node has granted what the spec wishes."""
    wishes = sizes_of(state.pod)
    return all(same(wish, state.sizes.get(name, wish)) for name, wish in wishes.items())


def unfinished(state: State) -> list[Container]:
    """The running containers that don't have yet what the node has granted."""
    return [c for c in state.containers if c.alive and c.size is not None and not same(c.size, granted_to(state, c))]


def granted_to(state: State, container: Container) -> dict[str, object]:
    found = state.sizes.get(container.name)
    return container_of(state.pod, container.name).get("resources") or {} if found is None else found


# Events


def granted(state: State, event: Granted, now: float, out: Outbox) -> State:
    return replace(state, sizes=event.sizes, asking=False, unmet=None)


def not_granted(state: State, event: NotGranted, now: float, out: Outbox) -> State:
    if state.unmet != (event.reason, event.message):
        out.warn(_EVENTS[event.reason], event.message)
    return replace(state, asking=False, unmet=(event.reason, event.message))


def room_made(state: State, event: RoomMade, now: float, out: Outbox) -> State:
    return replace(state, unmet=None) if state.unmet and state.unmet[0] == "Deferred" else state


def resized(state: State, event: Resized, now: float, out: Outbox) -> State:
    container = state.container(event.container)
    if not container.alive or container.id != event.id:
        return state
    state = put(state, replace(container, size=event.size, resizing=False, resize_error=""))
    if not unfinished(state):
        out.note("ResizeCompleted", "Pod resize completed")
    return state


def resize_failed(state: State, event: ResizeFailed, now: float, out: Outbox) -> State:
    container = state.container(event.container)
    if not container.alive or container.id != event.id:
        return state
    if container.resize_error != event.message:
        out.warn("ResizeError", event.message, event.container)
    return put(state, replace(container, resizing=False, resize_error=event.message, retry_at=now + RETRY))


RETRY = 10.0  # seconds until a size that the kernel refused is tried again


# The plan


def resize(state: State, now: float, out: Outbox) -> State:
    """What is due of a resize."""
    if not is_granted(state) and not state.asking and state.unmet is None:
        out.put(AskForRoom())
        state = replace(state, asking=True)
    for container in unfinished(state):
        if container.life is Life.RUNNING and not container.resizing and now >= container.retry_at:
            state = put(state, _begin(state, container, out))
    return state


def _begin(state: State, container: Container, out: Outbox) -> Container:
    assert container.size is not None
    if needs_restart(container_of(state.pod, container.name), container.size, granted_to(state, container)):
        grace = grace_of(state.pod)
        out.note("Killing", f"Container {container.name} resize requires restart", container.name)
        out.put(Stop(container.name, container.id, grace))
        return replace(container, life=Life.STOPPING, grace=grace, ready=False, renewed=True, retry_at=0.0)
    out.put(Resize(container.name, container.id))
    return replace(container, resizing=True, retry_at=0.0)
