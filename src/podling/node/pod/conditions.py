"""Pod conditions. Source: Kubernetes, "Pod conditions"; reasons and messages are the kubelet's."""

from podling.api.timestamps import rfc3339
from podling.node.pod.plan import is_passed
from podling.node.pod.resizing import is_granted, unfinished
from podling.node.pod.spec import Object
from podling.node.pod.state import Container, Life, Part, State

_RESIZE = ("PodResizePending", "PodResizeInProgress")  # there only while they hold
_ALWAYS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")

_OURS = (*_ALWAYS, *_RESIZE)

Verdict = tuple[bool, str, str]  # holds, reason, message
_TRUE: Verdict = (True, "", "")


def conditions_of(state: State, phase: str, old: Object, now: float) -> list[Object]:
    """All conditions: ours computed, those of others kept."""
    before = {c["type"]: c for c in old.get("conditions") or []}
    latest = {c["type"]: c for c in (state.pod.get("status") or {}).get("conditions") or []}
    containers_ready = _containers_ready(state, phase)
    verdicts: dict[str, Verdict] = {
        "PodReadyToStartContainers": (state.sandbox.part is Part.READY, "", ""),
        "Initialized": _initialized(state, phase),
        "Ready": _ready(state, containers_ready, latest),
        "ContainersReady": containers_ready,
        "PodScheduled": _TRUE,
    }
    generation = state.pod["metadata"].get("generation")
    verdicts |= _resize(state)
    if state.disruption is not None:
        verdicts["DisruptionTarget"] = (True, *state.disruption)
    ours = [
        _condition(name, verdict, before.get(name) or latest.get(name), generation, now) for name, verdict in verdicts.items()
    ]
    return ours + [condition for name, condition in latest.items() if name not in (*_OURS, *verdicts)]


def kept_conditions(state: State) -> list[Object]:
    """Those that others have written, of a pod that isn't ours to speak of."""
    return [one for one in (state.pod.get("status") or {}).get("conditions") or [] if one["type"] not in _RESIZE]


def _resize(state: State) -> dict[str, Verdict]:
    """Source: KEP-1287, "Resize Status"."""
    found: dict[str, Verdict] = {}
    if state.unmet is not None and not is_granted(state):
        found["PodResizePending"] = (True, *state.unmet)
    if late := unfinished(state):
        error = next((container.resize_error for container in late if container.resize_error), "")
        found["PodResizeInProgress"] = (True, "Error" if error else "", error)
    return found


def _condition(name: str, verdict: Verdict, old: Object | None, generation: int | None, now: float) -> Object:
    holds, reason, message = verdict
    condition: Object = {"type": name, "status": "True" if holds else "False", "lastProbeTime": None}
    same = old is not None and old["status"] == condition["status"]
    condition["lastTransitionTime"] = old["lastTransitionTime"] if same and old else rfc3339(now)
    condition |= {"reason": reason} if reason else {}
    condition |= {"message": message} if message else {}
    return condition | ({"observedGeneration": generation} if generation is not None else {})


def _initialized(state: State, phase: str) -> Verdict:
    if not state.inits or state.initialized:
        return (True, "PodCompleted", "") if phase == "Succeeded" else _TRUE
    waiting = [c.name for c in state.inits if not is_passed(c)]
    if not waiting:
        return _TRUE
    return (False, "ContainersNotInitialized", f"containers with incomplete status: [{' '.join(waiting)}]")


def _containers_ready(state: State, phase: str) -> Verdict:
    if phase == "Succeeded":
        return (False, "PodCompleted", "")
    if phase == "Failed":
        return (False, "PodFailed", "")
    unready = [c.name for c in state.containers if c.role in ("sidecar", "app") and not _is_ready(c)]
    if unready:
        return (False, "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]")
    return _TRUE


def _is_ready(container: Container) -> bool:
    return container.ready and container.life in (Life.RUNNING, Life.STOPPING)


def _ready(state: State, containers_ready: Verdict, latest: Object) -> Verdict:
    if not containers_ready[0]:
        return containers_ready
    complaints = []
    for gate in state.pod["spec"].get("readinessGates") or []:
        name = gate["conditionType"]
        if name not in latest:
            complaints.append(f'corresponding condition of pod readiness gate "{name}" does not exist.')
        elif latest[name]["status"] != "True":
            complaints.append(f'the status of pod readiness gate "{name}" is not "True", but {latest[name]["status"]}')
    return (False, "ReadinessGatesNotReady", ", ".join(complaints)) if complaints else _TRUE
