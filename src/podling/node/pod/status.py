"""The pod's status as its machine knows it. Source: core/v1 PodStatus; phases and reasons as the kubelet gives them."""

from podling.api.timestamps import rfc3339
from podling.node.pod.conditions import conditions_of, kept_conditions
from podling.node.pod.plan import is_finished
from podling.node.pod.resizing import granted_to
from podling.node.pod.spec import Object, container_of, containers, init_containers, qos_class
from podling.node.pod.state import Container, Exit, Life, State


def pod_status(state: State, old: Object, host_ip: str, now: float) -> Object:
    """The whole status; `old` is the one last written, for transition times and for conditions that others keep."""
    if state.rejected:
        return _refused(state, old, now)
    phase = phase_of(state)
    statuses = {c.name: _container_status(state, c) for c in state.containers}
    status: Object = {
        "phase": phase,
        "conditions": conditions_of(state, phase, old, now),
        "hostIP": host_ip,
        "hostIPs": [{"ip": host_ip}],
        "startTime": old.get("startTime") or rfc3339(state.started_at),
        "containerStatuses": [statuses[c["name"]] for c in containers(state.pod)],
        "qosClass": old.get("qosClass") or qos_class(state.pod),
    }
    if init_containers(state.pod):
        status["initContainerStatuses"] = [statuses[c["name"]] for c in init_containers(state.pod)]
    if state.ephemerals:
        status["ephemeralContainerStatuses"] = [statuses[c.name] for c in state.ephemerals]
    if state.addresses:
        status |= {"podIP": state.addresses[0], "podIPs": [{"ip": address} for address in state.addresses]}
    if state.failure is not None and phase == "Failed":
        status |= {"reason": state.failure[0], "message": state.failure[1]}
    if (generation := state.pod["metadata"].get("generation")) is not None:
        status["observedGeneration"] = generation
    return status


def _refused(state: State, old: Object, now: float) -> Object:
    """The status of a pod that the node has not taken in."""
    assert state.failure is not None
    generation = state.pod["metadata"].get("generation")
    return {
        "phase": "Failed",
        "reason": state.failure[0],
        "message": state.failure[1],
        "conditions": kept_conditions(state),
        "startTime": old.get("startTime") or rfc3339(state.started_at),
        "qosClass": old.get("qosClass") or qos_class(state.pod),
    } | ({"observedGeneration": generation} if generation is not None else {})


def phase_of(state: State) -> str:
    """Source: Kubernetes, "Pod phase". A pod whose node ends it has failed once nothing of it runs."""
    busy = any(c.busy for c in state.containers)
    if (state.failure is not None and not busy) or (state.failure is None and is_finished(state)):
        return "Succeeded" if state.failure is None and _all_well(state) else "Failed"
    if state.deleting and not busy:
        return "Succeeded" if _all_well(state) else "Failed"
    if not state.initialized:
        return "Pending"
    return "Running" if all(_has_run(c) for c in state.apps) else "Pending"


def _all_well(state: State) -> bool:
    ended = [c for c in state.containers if c.role in ("init", "app")]
    return all(c.life is Life.EXITED and c.exit is not None and c.exit.code == 0 for c in ended)


def _has_run(container: Container) -> bool:
    return container.alive or container.exit is not None or container.previous is not None


def _container_status(state: State, container: Container) -> Object:
    waiting_for = "PodInitializing" if state.inits else "ContainerCreating"
    status: Object = {
        "name": container.name,
        "state": _present(container, waiting_for, state.runtime),
        "lastState": _past(container, state.runtime),
        "ready": _is_ready(container),
        "restartCount": container.restarts,
        "image": container_of(state.pod, container.name).get("image", ""),
        "imageID": container.image_id,
        "started": container.alive and container.started,
    }
    if container.role != "ephemeral":
        size = container.size if container.alive and container.size is not None else granted_to(state, container)
        status["resources"] = {part: size[part] for part in ("limits", "requests") if size.get(part)}
        if asked := granted_to(state, container).get("requests"):
            status["allocatedResources"] = asked
    if container.id:
        status["containerID"] = f"{state.runtime}://{container.id}"
    return status


def _is_ready(container: Container) -> bool:
    if container.role == "init":
        return container.exit is not None and container.life is Life.EXITED and container.exit.code == 0
    return container.alive and container.ready


def _present(container: Container, waiting_for: str, runtime: str) -> Object:
    if container.alive:
        return {"running": {"startedAt": rfc3339(container.started_at)}}
    if container.exit is not None and not container.reason:
        return {"terminated": _terminated(container.exit, runtime)}
    waiting = {"reason": container.reason or waiting_for}
    return {"waiting": waiting | ({"message": container.message} if container.message else {})}


def _past(container: Container, runtime: str) -> Object:
    """The end before the present state: the latest one, once it isn't the present any more."""
    latest = container.exit if container.exit is not None and container.reason else container.previous
    return {"terminated": _terminated(latest, runtime)} if latest is not None else {}


def _terminated(end: Exit, runtime: str) -> Object:
    terminated: Object = {
        "exitCode": end.code,
        "reason": end.reason,
        "startedAt": rfc3339(end.started_at) if end.started_at else None,
        "finishedAt": rfc3339(end.finished_at),
        "containerID": f"{runtime}://{end.container_id}" if end.container_id else "",
    }
    return terminated | ({"message": end.message} if end.message else {})
