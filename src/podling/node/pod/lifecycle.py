"""The machine: an event changes what is known, then the plan says what to do about it.

Source: Kubernetes, "Pod Lifecycle"; the reasons and messages are the kubelet's, since people and tools match on them.
"""

from collections.abc import Iterable
from dataclasses import replace

from podling.api.timestamps import parse
from podling.node.pod.events import Event
from podling.node.pod.instructions import Instruction, Outbox
from podling.node.pod.observe import join, observe
from podling.node.pod.plan import deadline_of, plan
from podling.node.pod.sizes import sizes_of, told_by
from podling.node.pod.spec import Object, container_of, containers, init_containers, is_deleted, is_sidecar, probe_of
from podling.node.pod.state import Container, Exit, Found, Life, Part, Place, ProbeKind, State


def step(state: State, event: Event, now: float) -> tuple[State, list[Instruction]]:
    """One event; `now` in unix seconds. The instructions are to be carried out in order, each without waiting for its answer."""
    out = Outbox()
    state = plan(observe(state, event, now, out), now, out)
    return state, out.items


def begin(pod: Object, now: float) -> State:
    """A pod that this node has just been given."""
    records = [Container(c["name"], "sidecar" if is_sidecar(c) else "init") for c in init_containers(pod)]
    records += [Container(c["name"], "app") for c in containers(pod)]
    records = [replace(record, image=container_of(pod, record.name).get("image", "")) for record in records]
    ended = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    sizes = sizes_of(pod)
    return join(State(pod, tuple(records), started_at=now, deleting=is_deleted(pod), ended=ended, sizes=sizes))


def restore(pod: Object, found: Iterable[Found], addresses: tuple[str, ...] | None, now: float) -> State:
    """A pod that was here before the agent restarted. `addresses` is None if its sandbox is gone (the host was rebooted)."""
    state = begin(pod, now)
    state = replace(state, sizes=told_by(pod.get("status") or {}, state.sizes))
    known = {each.container: each for each in found}
    containers_ = tuple(_restored(c, known.get(c.name), pod, addresses is not None) for c in state.containers)
    containers_ = tuple(replace(c, size=state.sizes.get(c.name)) if c.alive else c for c in containers_)
    sandbox = Place() if addresses is None else Place(Part.READY)
    started = min((f.started_at for f in known.values() if f.started_at), default=now)
    initialized = addresses is not None and any(c.launched for c in containers_ if c.role == "app")
    return replace(
        state, containers=containers_, sandbox=sandbox, addresses=addresses or (), started_at=started, initialized=initialized
    )


def _restored(container: Container, found: Found | None, pod: Object, has_sandbox: bool) -> Container:
    if found is None:
        return container
    container = replace(
        container, id=found.id, image_id=found.image_id, restarts=found.restarts, launched=True, started_at=found.started_at
    )
    known = _known_status(pod, container)
    container = replace(container, previous=_known_end((known.get("lastState") or {}).get("terminated")))
    if found.running and has_sandbox:
        return replace(container, life=Life.RUNNING, started=bool(known.get("started")), ready=bool(known.get("ready")))
    end = found.exit or Exit(137, "ContainerStatusUnknown", found.started_at, container_id=found.id)
    if not has_sandbox and container.role in ("init", "sidecar"):
        return replace(container, previous=end)  # a new sandbox is initialized anew
    return replace(container, life=Life.EXITED, exit=end)


_STATUSES = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")


def _known_status(pod: Object, container: Container) -> Object:
    status = pod.get("status") or {}
    for each in (one for kind in _STATUSES for one in status.get(kind) or []):
        if each["name"] == container.name and each.get("containerID", "").endswith(container.id):
            found: Object = each
            return found
    return {}


def _known_end(terminated: Object | None) -> Exit | None:
    """An end as the status tells it."""
    if terminated is None:
        return None
    started, finished = (parse(terminated[key]) if terminated.get(key) else 0.0 for key in ("startedAt", "finishedAt"))
    id = (terminated.get("containerID") or "").rpartition("//")[2]
    return Exit(terminated["exitCode"], terminated.get("reason", ""), finished, started, terminated.get("message", ""), id)


def next_wake(state: State, now: float) -> float | None:
    """When a `Woke` is due though nothing else happens; None: never. What was due by `now`, the latest step has seen to."""
    if state.over:
        return None
    times = [place.retry_at for place in (state.sandbox, state.volumes) if place.part is Part.ABSENT and place.retry_at]
    for container in state.containers:
        if container.life in (Life.WAITING, Life.EXITED):
            times += [at for at in (container.retry_at, container.reason_settles_at) if at]
        elif container.resize_error and container.retry_at:
            times.append(container.retry_at)
    if not (state.deleting or state.ended or state.failure) and (deadline := deadline_of(state)) is not None:
        times.append(deadline)
    return min((at for at in times if at > now), default=None)


def probes_wanted(state: State) -> set[tuple[str, str, ProbeKind]]:
    """The probes that have to run now: (container, its id, kind)."""
    wanted: set[tuple[str, str, ProbeKind]] = set()
    for container in state.containers:
        if container.alive and container.role != "init":
            wanted.update((container.name, container.id, kind) for kind in _kinds(state, container))
    return wanted


def _kinds(state: State, container: Container) -> list[ProbeKind]:
    spec = container_of(state.pod, container.name)
    leaving = state.deleting or container.life is Life.STOPPING
    kinds: list[ProbeKind] = []
    if not container.started:
        kinds = [] if leaving else ["startup"]
    elif leaving:
        kinds = ["readiness"]
    else:
        kinds = ["liveness", "readiness"]
    return [kind for kind in kinds if probe_of(spec, kind) is not None]
