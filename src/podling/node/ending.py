"""How a container ends: the preStop hook and the signals before, the termination message after."""

from pathlib import Path

from podling.base.errors import PodlingError
from podling.client.errors import FAILURES
from podling.node.crew import Crew
from podling.node.hooks import run_hook
from podling.node.launch import termination_file
from podling.node.pod.events import Exited
from podling.node.pod.instructions import Stop
from podling.node.pod.spec import Object, container_of
from podling.node.runtime import Ended

_LEAST_AFTER_HOOK = 2.0  # seconds that a container gets after its preStop hook, however long that took
_MESSAGE_MOST = 4096
_LOG_LINES, _LOG_MOST = 80, 2048


async def stop(crew: Crew, pod: Object, order: Stop, address: str) -> None:
    """preStop, the stop signal, and KILL when `order.grace` seconds are over; returns when it has ended."""
    container = container_of(pod, order.container)
    handler = (container.get("lifecycle") or {}).get("preStop")
    grace = order.grace
    if handler and grace > 0:
        began = crew.clock.monotonic()
        try:
            await run_hook(crew.runtime, crew.clock, handler, container, order.id, address, grace)
        except (*FAILURES, ValueError) as error:
            crew.record(pod, "Warning", "FailedPreStopHook", f"PreStopHook failed: {error}", order.container)
        grace = max(grace - (crew.clock.monotonic() - began), _LEAST_AFTER_HOOK)
    await crew.runtime.stop(order.id, grace)


async def ended(crew: Crew, pod: Object, name: str, id: str, restarts: int, end: Ended) -> Exited:
    """The event of an end, with what the container left to say. Source: Kubernetes, "Determine the Reason for Pod Failure"."""
    message = read_message(termination_file(crew.config.pod_directory(pod), name, restarts))
    policy = container_of(pod, name).get("terminationMessagePolicy")
    if not message and end.code != 0 and policy == "FallbackToLogsOnError":
        message = await _last_words(crew, id)
    return Exited(name, id, end.code, end.at, end.oom_killed, message)


def read_message(path: Path) -> str:
    """A termination message; "" if there is none."""
    try:
        with path.open("rb") as file:
            return file.read(_MESSAGE_MOST).decode(errors="replace")
    except OSError:
        return ""


async def _last_words(crew: Crew, id: str) -> str:
    try:
        pieces = [record.data async for record in crew.runtime.logs(id, tail=_LOG_LINES)]
    except PodlingError:
        return ""
    return b"".join(pieces)[-_LOG_MOST:].decode(errors="replace")
