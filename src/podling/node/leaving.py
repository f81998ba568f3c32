"""The node shuts down: its pods end in the order of their priorities, each group in its time.

Source: Kubernetes, "Node Shutdowns", "Graceful node shutdown" and "Pod Priority based graceful node shutdown".
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from podling.node.pod.events import Doomed
from podling.node.pod.spec import Object
from podling.node.settings import Shutdown

MESSAGE = "Pod was terminated in response to imminent node shutdown."

T = TypeVar("T")


class Worker(Protocol):
    """As much of a pod's worker as is needed to end it."""

    def post(self, event: Doomed) -> None: ...

    async def ended(self) -> None: ...


def priority_of(pod: Object) -> int:
    return int(pod["spec"].get("priority") or 0)


def groups(pods: Iterable[tuple[int, T]], shutdown: Shutdown) -> list[tuple[float, list[T]]]:
    """Who ends together, and the seconds for it: the lowest priorities first. `pods` come with their priorities."""
    periods = sorted(shutdown.periods)
    found: list[tuple[float, list[T]]] = [(seconds, []) for _, seconds in periods]
    for priority, pod in pods:
        index = max((n for n, (least, _) in enumerate(periods) if least <= priority), default=0)
        found[index][1].append(pod)
    return [(seconds, members) for seconds, members in found if members]


async def leave(workers: Sequence[tuple[int, Worker]], shutdown: Shutdown) -> None:
    """End them all; returns when they have ended, or the time is over."""
    for seconds, members in groups(workers, shutdown):
        for worker in members:
            worker.post(Doomed("Terminated", MESSAGE, seconds, "TerminationByKubelet"))
        try:
            async with asyncio.timeout(seconds + 1.0):
                await asyncio.gather(*(worker.ended() for worker in members))
        except TimeoutError:
            continue
