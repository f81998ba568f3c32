"""From a chosen node to a bound pod: Reserve and Permit at once, PreBind, Bind, PostBind beside other work; or all undone."""

import asyncio
import logging
from dataclasses import dataclass
from typing import cast

from podling.client.errors import FAILURES, Conflict, NotFound
from podling.client.events import EventRecorder
from podling.scheduler.cycle import Placed, Unplaced
from podling.scheduler.events import POD_DELETED
from podling.scheduler.framework import Diagnosis, Rejection, Wait
from podling.scheduler.ledger import Ledger
from podling.scheduler.queue import SchedulingQueue, Waiting
from podling.scheduler.report import Reporter
from podling.scheduler.waiting import PermitWait, WaitingPods

log = logging.getLogger(__name__)

BINDINGS = 100  # in flight at once


@dataclass(frozen=True, slots=True)
class Reserved:
    """A pod with a place. `permit` where plugins make it wait."""

    waiting: Waiting
    placed: Placed
    permit: PermitWait | None


class Binder:
    def __init__(
        self, ledger: Ledger, queue: SchedulingQueue, waiting: WaitingPods, recorder: EventRecorder, reporter: Reporter
    ) -> None:
        self._ledger = ledger
        self._queue = queue
        self._permits = waiting
        self._recorder = recorder
        self._reporter = reporter
        self._free = asyncio.Semaphore(BINDINGS)

    def reserve(self, waiting: Waiting, placed: Placed) -> Reserved | Rejection:
        """Count the pod on its node and ask Reserve and Permit. A rejection leaves everything to `undo`."""
        pod, profile, state = waiting.pod, waiting.profile, placed.state
        self._ledger.assume(pod, placed.node)
        for plugin in profile.at("reserve"):
            if (rejection := plugin.reserve(state, pod, placed.node)) is not None:
                return cast(Rejection, rejection)
        waits: dict[str, float] = {}
        for plugin in profile.at("permit"):
            verdict = plugin.permit(state, pod, placed.node)
            if isinstance(verdict, Wait):
                waits[plugin.name] = verdict.seconds
            elif verdict is not None:
                return cast(Rejection, verdict)
        return Reserved(waiting, placed, self._permits.add(pod, placed.node, waits) if waits else None)

    async def bind(self, reserved: Reserved) -> None:
        waiting, placed = reserved.waiting, reserved.placed
        pod = waiting.pod
        try:
            rejection = await self._permits.wait(reserved.permit) if reserved.permit is not None else None
            rejection = rejection or await self._bind(reserved)
        except (NotFound, Conflict) as error:  # deleted, or bound by somebody else
            log.info("binding %s: %s", pod.key, error)
            self.undo(waiting, placed)
            self._queue.fail(waiting, error=True)
        except FAILURES as error:
            log.warning("binding %s to %s failed: %s", pod.key, placed.node, error)
            self.undo(waiting, placed)
            self._recorder.event(pod.pod, "Warning", "FailedScheduling", f"binding rejected: {error}")
            self._queue.fail(waiting, error=True)
        else:
            await self._end(reserved, rejection)

    async def _end(self, reserved: Reserved, rejection: Rejection | None) -> None:
        waiting, placed = reserved.waiting, reserved.placed
        pod = waiting.pod
        if rejection is not None:
            self.undo(waiting, placed)
            await self.refuse(waiting, rejection)
            return
        self._queue.remove(pod.uid)
        self._recorder.event(pod.pod, "Normal", "Scheduled", f"Successfully assigned {pod.key} to {placed.node}")
        for plugin in waiting.profile.at("postBind"):
            await plugin.post_bind(placed.state, pod, placed.node)

    async def _bind(self, reserved: Reserved) -> Rejection | None:
        pod, profile, placed = reserved.waiting.pod, reserved.waiting.profile, reserved.placed
        for plugin in profile.at("preBind"):
            if (rejection := await plugin.pre_bind(placed.state, pod, placed.node)) is not None:
                return cast(Rejection, rejection)
        async with self._free:
            for plugin in profile.at("bind"):
                if await plugin.bind(placed.state, pod, placed.node):
                    return None
        return Rejection("", (f"no Bind plugin of profile {profile.name} binds the pod",))

    def undo(self, waiting: Waiting, placed: Placed) -> None:
        """The pod is nowhere again, and others may have its place."""
        for plugin in reversed(waiting.profile.at("reserve")):
            plugin.unreserve(placed.state, waiting.pod, placed.node)
        self._ledger.forget(waiting.pod.uid)
        self._queue.wake(POD_DELETED, waiting.pod)

    async def refuse(self, waiting: Waiting, rejection: Rejection) -> None:
        """A plugin has turned the pod down after the node was chosen."""
        diagnosis = Diagnosis(1)
        diagnosis.add(rejection, 0)
        self._queue.fail(waiting, frozenset({rejection.plugin} - {""}))
        await self._reporter.report(waiting, Unplaced(diagnosis.message, frozenset(diagnosis.plugins)))
