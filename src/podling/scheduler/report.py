"""When no node would do: the event, the pod's condition, and the pods that have to go for it."""

import asyncio
import logging
from dataclasses import replace

from podling.aio.clock import Clock
from podling.api.objects import Object, condition
from podling.api.timestamps import rfc3339
from podling.client.client import Client
from podling.client.errors import FAILURES, Conflict, NotFound
from podling.client.events import EventRecorder
from podling.client.resource import PODS
from podling.scheduler.cycle import Unplaced
from podling.scheduler.framework import PostFilterResult
from podling.scheduler.ledger import Ledger
from podling.scheduler.pod_info import PodInfo
from podling.scheduler.queue import SchedulingQueue, Waiting
from podling.scheduler.waiting import WaitingPods

log = logging.getLogger(__name__)


class Reporter:
    def __init__(
        self, client: Client, clock: Clock, recorder: EventRecorder, ledger: Ledger, queue: SchedulingQueue, waiting: WaitingPods
    ) -> None:
        self._client = client
        self._clock = clock
        self._recorder = recorder
        self._ledger = ledger
        self._queue = queue
        self._waiting = waiting

    def note(self, waiting: Waiting, result: Unplaced) -> None:
        """What the next cycles must know at once: the nomination, and that the pod waits until its room is made."""
        found = result.preemption
        if found is None or found.nominated is None:
            return
        waiting.pod = replace(waiting.pod, nominated=found.nominated)
        self._ledger.nominate(waiting.pod)
        if found.victims:
            self._queue.hold(waiting)

    async def report(self, waiting: Waiting, result: Unplaced) -> None:
        pod = waiting.pod
        self._recorder.event(pod.pod, "Warning", "FailedScheduling", result.message)
        try:
            await self._mark(pod, result)
            if result.preemption is not None and result.preemption.victims:
                await self._preempt(pod, result.preemption)
        except NotFound:
            log.debug("%s is gone", pod.key)
        except FAILURES as error:
            log.info("reporting on %s: %s", pod.key, error)
        finally:
            self._queue.release(waiting)

    async def _mark(self, pod: PodInfo, result: Unplaced) -> None:
        """The pod's condition PodScheduled, and the node that is being cleared for it."""
        old = condition(pod.pod, "PodScheduled") or {}
        status: Object = {}
        if (old.get("status"), old.get("message")) != ("False", result.message):
            now = rfc3339(self._clock.now())
            new = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": result.message}
            since = old["lastTransitionTime"] if old.get("status") == "False" else now
            status["conditions"] = [{**new, "lastTransitionTime": since}]
        written = (pod.pod.get("status") or {}).get("nominatedNodeName") or ""
        if result.preemption is not None and result.preemption.nominated not in (None, written):
            status["nominatedNodeName"] = result.preemption.nominated or None
        if status:
            await self._patch_status(pod, status)

    async def _patch_status(self, pod: PodInfo, status: Object) -> None:
        patch = {"metadata": {"uid": pod.uid}, "status": status}
        await self._client.patch(PODS, pod.pod["metadata"]["name"], patch, pod.namespace, type="strategic", subresource="status")

    async def _preempt(self, pod: PodInfo, result: PostFilterResult) -> None:
        await asyncio.gather(*(self._evict(pod, victim, result.nominated or "") for victim in result.victims))
        for other in self._ledger.nominated_below(pod, result.nominated or ""):
            self._ledger.withdraw(other.uid)  # its room is somebody else's now
            if (waiting := self._queue.get(other.uid)) is not None:
                waiting.pod = replace(waiting.pod, nominated="")
            await self._patch_status(other, {"nominatedNodeName": None})

    async def _evict(self, pod: PodInfo, victim: PodInfo, node: str) -> None:
        """Tell the victim why, and delete it. One that only waits to be bound is turned down instead."""
        try:
            if (permit := self._waiting.get(victim.uid)) is not None:
                permit.reject("DefaultPreemption", "preempted")
            else:
                await self._patch_status(victim, {"conditions": [self._disruption(pod)]})
                await self._client.delete(PODS, victim.pod["metadata"]["name"], victim.namespace, uid=victim.uid)
            self._recorder.event(victim.pod, "Normal", "Preempted", f"Preempted by pod {pod.uid} on node {node}")
        except (NotFound, Conflict) as error:
            log.info("preempting %s: %s", victim.key, error)

    def _disruption(self, pod: PodInfo) -> Object:
        scheduler = pod.pod["spec"].get("schedulerName", "default-scheduler")
        return {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "PreemptionByScheduler",
            "message": f"{scheduler}: preempting to accommodate a higher priority pod",
            "lastTransitionTime": rfc3339(self._clock.now()),
        }
