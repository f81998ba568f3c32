"""From a pod, its events and its node to the chain of causes that keeps it from being ready. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]

# The event that tells why, for each reason that a waiting container gives.
_EVENT_OF = {
    "ErrImagePull": ("Failed",),
    "ImagePullBackOff": ("Failed", "BackOff"),
    "ErrImageNeverPull": ("ErrImageNeverPull",),
    "InvalidImageName": ("InspectFailed",),
    "CrashLoopBackOff": ("BackOff",),
    "CreateContainerConfigError": ("Failed",),
    "CreateContainerError": ("Failed",),
    "RunContainerError": ("Failed",),
    "ContainerCreating": ("FailedMount", "FailedCreatePodSandBox", "FailedAttachVolume"),
    "PodInitializing": ("FailedMount",),
}


@dataclass(frozen=True, slots=True)
class Cause:
    """One link of the chain, and what a person may type next."""

    text: str
    advice: str = ""


def explain(pod: Object, events: Sequence[Object], node: Object | None) -> list[Cause]:
    """The chain, from what is seen to what causes it. One link only when the pod runs and is ready, or has done its work."""
    metadata, status = pod["metadata"], pod.get("status", {})
    name = metadata["name"]
    where = f"kubectl -n {metadata['namespace']}"
    phase = status.get("phase", "Pending")
    if phase == "Succeeded":
        return [Cause(f"pod/{name} has done its work: every container ended with exit code 0")]
    if "deletionTimestamp" in metadata:
        return [Cause(f"pod/{name} is being deleted since {metadata['deletionTimestamp']}"), *_terminating(pod, events)]
    if _condition(pod, "Ready").get("status") == "True":
        return [Cause(f"pod/{name} runs and is ready")]
    chain = [Cause(f"pod/{name} is not ready (phase {phase})")]
    if not pod["spec"].get("nodeName"):
        return [*chain, *_unscheduled(pod, where)]
    if node is None or _condition(node, "Ready").get("status") != "True":
        return [*chain, *_node(pod, node)]
    return [*chain, *_containers(pod, events, where)]


def _condition(obj: Object, kind: str) -> Object:
    return next((item for item in obj.get("status", {}).get("conditions") or () if item["type"] == kind), {})


def _unscheduled(pod: Object, where: str) -> Iterator[Cause]:
    condition = _condition(pod, "PodScheduled")
    if condition.get("reason") == "SchedulingGated":
        gates = ", ".join(gate["name"] for gate in pod["spec"].get("schedulingGates") or ())
        yield Cause(f"its scheduling is gated by {gates}")
    elif condition.get("message"):
        yield Cause("no node takes it")
        yield Cause(condition["message"], f"{where} describe pod {pod['metadata']['name']}; kubectl get nodes")
    else:
        scheduler = pod["spec"].get("schedulerName", "default-scheduler")
        yield Cause(f"the scheduler {scheduler} has not looked at it yet", "podling status")


def _node(pod: Object, node: Object | None) -> Iterator[Cause]:
    name = pod["spec"]["nodeName"]
    if node is None:
        yield Cause(f"its node {name} does not exist (any more)")
        return
    ready = _condition(node, "Ready")
    yield Cause(f"its node {name} is not ready")
    yield Cause(ready.get("message") or ready.get("reason") or "the node has never reported", "podling status")


def _terminating(pod: Object, events: Sequence[Object]) -> Iterator[Cause]:
    if finalizers := pod["metadata"].get("finalizers"):
        yield Cause(f"it waits for the finalizers {', '.join(finalizers)}: a controller has to remove them")
        return
    seconds = pod["metadata"].get("deletionGracePeriodSeconds", 30)
    yield Cause(f"its containers have {seconds} s to end")
    yield from (Cause(event["message"]) for event in _latest(events, ("FailedKillPod", "FailedPreStopHook")))


def _containers(pod: Object, events: Sequence[Object], where: str) -> Iterator[Cause]:
    status = pod.get("status", {})
    for kind, key in (("init container", "initContainerStatuses"), ("container", "containerStatuses")):
        for container in status.get(key) or ():
            if chain := list(_container(pod, kind, container, events, where)):
                yield from chain
                return
    if not status.get("containerStatuses"):
        yield Cause("its node has not started it yet")
        yield from (Cause(event["message"]) for event in _latest(events, _EVENT_OF["ContainerCreating"]))
        return
    for gate in pod["spec"].get("readinessGates") or ():
        if _condition(pod, gate["conditionType"]).get("status") != "True":
            yield Cause(f"its readiness gate {gate['conditionType']} is not True")


def _container(pod: Object, kind: str, container: Object, events: Sequence[Object], where: str) -> Iterator[Cause]:
    name = container["name"]
    logs = f"{where} logs {pod['metadata']['name']} -c {name}"
    state = container.get("state", {})
    if waiting := state.get("waiting"):
        reason = waiting.get("reason", "waiting")
        about = f" (image {container['image']})" if "Image" in reason and container.get("image") else ""
        yield Cause(f"{kind} {name} waits: {reason}{about}")
        if reason == "CrashLoopBackOff":
            yield _ended(container.get("lastState", {}).get("terminated", {}), name, f"{logs} --previous")
            return
        messages = [event["message"] for event in _latest(events, _EVENT_OF.get(reason, ()))]
        text = waiting.get("message") or next(iter(messages), "")
        if text:
            yield Cause(text)
    elif ended := state.get("terminated"):
        if ended.get("exitCode") != 0:
            yield _ended(ended, name, logs)
    elif "running" in state and not container.get("ready", False):
        probe = "startup" if container.get("started") is False else "readiness"
        yield Cause(f"{kind} {name} runs, but its {probe} probe has not passed")
        yield from (Cause(event["message"], logs) for event in _latest(events, ("Unhealthy",)))


def _ended(ended: Object, name: str, advice: str) -> Cause:
    reason = ended.get("reason", "Error")
    text = f"container {name} ended with exit code {ended.get('exitCode', '?')} ({reason})"
    if reason == "OOMKilled":
        return Cause(f"{text}: it used more memory than its limit", f"raise resources.limits.memory of {name}")
    message = (ended.get("message") or "").strip()
    return Cause(f"{text}: {message}" if message else text, advice)


def _latest(events: Iterable[Object], reasons: Sequence[str]) -> list[Object]:
    """The last event with one of the reasons, as a list of at most one."""
    return [event for event in events if event.get("reason") in reasons][-1:]
