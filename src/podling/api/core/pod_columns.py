"""How a pod is shown in a line. Source: pkg/printers/internalversion printPod; Kubernetes documentation "Pod Lifecycle"."""

from dataclasses import dataclass

from podling.api import objects, timestamps
from podling.api.columns import AGE, NAME
from podling.api.core.container import is_sidecar
from podling.api.kind import Column, Object

_FINAL = ("Succeeded", "Failed")


@dataclass(slots=True)
class Summary:
    """What the columns READY, STATUS and RESTARTS say. `last_restart` is a timestamp or empty."""

    reason: str
    total: int
    ready: int = 0
    restarts: int = 0
    last_restart: str = ""

    def count(self, status: Object) -> None:
        self.restarts += status.get("restartCount", 0)
        finished = objects.get(status, "lastState.terminated.finishedAt", "")
        self.last_restart = max(self.last_restart, finished)


def summarize(pod: Object) -> Summary:
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    inits = spec.get("initContainers") or ()
    sidecars = {init.get("name") for init in inits if is_sidecar(init)}
    summary = Summary(_first_reason(status), len(spec.get("containers") or ()) + len(sidecars))
    initializing = _initialize(summary, status, len(inits), sidecars)
    if not initializing or objects.has_condition(pod, "Initialized"):
        _run(summary, pod, sidecars)
    if objects.is_deleting(pod):
        if status.get("reason") == "NodeLost":
            summary.reason = "Unknown"
        elif status.get("phase") not in _FINAL:
            summary.reason = "Terminating"
    return summary


def _first_reason(status: Object) -> str:
    for found in status.get("conditions") or ():
        if found.get("type") == "PodScheduled" and found.get("reason") == "SchedulingGated":
            return "SchedulingGated"
    return str(status.get("reason") or status.get("phase") or "Unknown")


def _initialize(summary: Summary, status: Object, total: int, sidecars: set[str]) -> bool:
    """Look at init containers up to the one that is not done. Whether there is such a one."""
    for index, each in enumerate(status.get("initContainerStatuses") or ()):
        summary.count(each)
        sidecar = each.get("name") in sidecars
        state = each.get("state") or {}
        terminated, waiting = state.get("terminated"), state.get("waiting") or {}
        if terminated and terminated.get("exitCode") == 0:
            continue
        if sidecar and each.get("started"):
            summary.ready += bool(each.get("ready"))
            continue
        if terminated:
            summary.reason = f"Init:{_end(terminated)}"
        elif waiting.get("reason") and waiting["reason"] != "PodInitializing":
            summary.reason = f"Init:{waiting['reason']}"
        else:
            summary.reason = f"Init:{index}/{total}"
        return True
    return False


def _end(terminated: Object) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    return f"Signal:{terminated['signal']}" if terminated.get("signal") else f"ExitCode:{terminated.get('exitCode', 0)}"


def _run(summary: Summary, pod: Object, sidecars: set[str]) -> None:
    """Once initialized, only sidecars' and regular containers' restarts count."""
    status = pod.get("status") or {}
    summary.restarts, summary.last_restart = 0, ""
    for each in status.get("initContainerStatuses") or ():
        if each.get("name") in sidecars:
            summary.count(each)
    running = False
    for each in reversed(status.get("containerStatuses") or ()):
        summary.count(each)
        state = each.get("state") or {}
        if objects.get(state, "waiting.reason"):
            summary.reason = state["waiting"]["reason"]
        elif state.get("terminated"):
            summary.reason = _end(state["terminated"])
        elif each.get("ready") and state.get("running") is not None:
            running = True
            summary.ready += 1
    if summary.reason == "Completed" and running:
        summary.reason = "Running" if objects.has_condition(pod, "Ready") else "NotReady"


def _ready(pod: Object, _: float) -> str:
    summary = summarize(pod)
    return f"{summary.ready}/{summary.total}"


def _status(pod: Object, _: float) -> str:
    return summarize(pod).reason


def _restarts(pod: Object, _: float) -> timestamps.Ago | str:
    summary = summarize(pod)
    if summary.restarts and summary.last_restart:
        return timestamps.Ago(timestamps.parse(summary.last_restart), f"{summary.restarts} (", " ago)")
    return str(summary.restarts)


def _address(pod: Object, _: float) -> str:
    addresses = objects.get(pod, "status.podIPs", ())
    return str(addresses[0].get("ip") if addresses else objects.get(pod, "status.podIP") or "<none>")


def _gates(pod: Object, _: float) -> str:
    gates = objects.get(pod, "spec.readinessGates", ())
    if not gates:
        return "<none>"
    return f"{sum(objects.has_condition(pod, gate['conditionType']) for gate in gates)}/{len(gates)}"


COLUMNS = (
    NAME,
    Column("Ready", _ready, description="The aggregate readiness state of this pod for accepting traffic."),
    Column("Status", _status, description="The aggregate status of the containers in this pod."),
    Column("Restarts", _restarts, description="The number of times the containers in this pod have been restarted."),
    AGE,
    Column("IP", _address, priority=1),
    Column("Node", "spec.nodeName", priority=1),
    Column("Nominated Node", "status.nominatedNodeName", priority=1),
    Column("Readiness Gates", _gates, priority=1),
)
