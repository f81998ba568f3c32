"""Pods that Permit plugins have told to wait: for being allowed by each of them, for a rejection, or for the time to be up."""

import asyncio
from collections.abc import Collection, Mapping

from podling.aio.clock import Clock
from podling.client.workqueue import sleep_or
from podling.scheduler.framework import Rejection, WaitingPod
from podling.scheduler.pod_info import PodInfo


class PermitWait:
    """One such pod. `verdict` is set when it may go (None) or is rejected."""

    def __init__(self, pod: PodInfo, node: str, plugins: Mapping[str, float]) -> None:
        self.pod = pod
        self.node = node
        self.pending = dict(plugins)
        self.rejection: Rejection | None = None
        self.decided = asyncio.Event()

    def allow(self, plugin: str) -> None:
        self.pending.pop(plugin, None)
        if not self.pending:
            self.decided.set()

    def reject(self, plugin: str, message: str) -> None:
        if not self.decided.is_set():
            self.rejection = Rejection(plugin, (message,))
            self.decided.set()


class WaitingPods:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: dict[str, PermitWait] = {}

    def __call__(self) -> Collection[WaitingPod]:
        return list(self._waiting.values())

    def get(self, uid: str) -> PermitWait | None:
        return self._waiting.get(uid)

    def add(self, pod: PodInfo, node: str, plugins: Mapping[str, float]) -> PermitWait:
        """`plugins` with the seconds that each lets it wait."""
        found = self._waiting[pod.uid] = PermitWait(pod, node, plugins)
        return found

    async def wait(self, one: PermitWait) -> Rejection | None:
        """The verdict."""
        try:
            plugin, seconds = min(one.pending.items(), key=lambda pair: pair[1], default=("", 0.0))
            if not one.decided.is_set() and not await sleep_or(self._clock, seconds, one.decided):
                one.reject(plugin, f"rejected due to timeout after waiting {seconds:g}s at plugin {plugin}")
            return one.rejection
        finally:
            self._waiting.pop(one.pod.uid, None)
