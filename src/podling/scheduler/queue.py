"""Pods that wait for a node: ready ones by priority, failed ones for a while, hopeless ones until something changes.

Source: Kubernetes documentation "Scheduling Framework", QueueSort; k8s.io/kubernetes scheduling_queue, for the times.
"""

import asyncio
import heapq
from dataclasses import dataclass, field
from itertools import count

from podling.aio.clock import Clock
from podling.client.workqueue import sleep_or
from podling.scheduler.framework import Profile
from podling.scheduler.pod_info import PodInfo

FIRST_BACKOFF, LONGEST_BACKOFF = 1.0, 10.0  # seconds
STALE = 300.0  # seconds after which a hopeless pod is tried anyway


@dataclass(slots=True)
class Waiting:
    """A pod in the queue. `rejected_by` are the plugins that turned it down last."""

    pod: PodInfo
    since: float
    attempts: int = 0
    rejected_by: frozenset[str] = field(default_factory=frozenset)
    tried_at: float = 0.0
    gated: bool = False


class SchedulingQueue:
    """`add` pods, `pop` the next to schedule, `fail` what found no node, `wake` by what changes. `run` minds the time."""

    def __init__(self, profile: Profile, clock: Clock) -> None:
        self._profile = profile
        self._clock = clock
        self._known: dict[str, Waiting] = {}  # by uid: all that isn't scheduled, the popped ones too
        self._active: list[tuple[int, float, int, str]] = []
        self._in_active: set[str] = set()
        self._backoff: list[tuple[float, int, str]] = []
        self._in_backoff: set[str] = set()
        self._hopeless: dict[str, None] = {}
        self._events = 0  # how many there were: a pod that fails while one happens is tried again
        self._popped_at: dict[str, int] = {}
        self._order = count()
        self._filled = asyncio.Event()
        self._timed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, uid: str) -> bool:
        return uid in self._known

    def add(self, pod: PodInfo, *, gated: bool = False) -> None:
        """A new pod, or a changed one: it is tried at once, unless a gate is in its way."""
        known = self._known.get(pod.uid)
        if known is None:
            known = self._known[pod.uid] = Waiting(pod, self._clock.monotonic())
        known.pod, known.gated = pod, gated
        if gated:
            self._hopeless[pod.uid] = None
        elif pod.uid not in self._popped_at and pod.uid not in self._in_backoff:
            self._activate(known)

    def replace(self, pod: PodInfo) -> None:
        """The same pod, changed in nothing that matters here."""
        self._known[pod.uid].pod = pod

    def remove(self, uid: str) -> None:
        """Scheduled, deleted, or gone elsewhere."""
        self._known.pop(uid, None)
        self._hopeless.pop(uid, None)
        self._in_active.discard(uid)
        self._in_backoff.discard(uid)
        self._popped_at.pop(uid, None)

    async def pop(self) -> Waiting:
        """The most important pod, of equals the one that has waited longest."""
        while True:
            while self._active:
                _, _, _, uid = heapq.heappop(self._active)
                if uid in self._in_active:
                    self._in_active.discard(uid)
                    waiting = self._known[uid]
                    waiting.attempts += 1
                    self._popped_at[uid] = self._events
                    return waiting
            self._filled.clear()
            await self._filled.wait()

    def fail(self, waiting: Waiting, rejected_by: frozenset[str] = frozenset(), *, error: bool = False) -> None:
        """No node would do, or (`error`) something else went wrong, which is tried again in any case."""
        uid = waiting.pod.uid
        popped_at = self._popped_at.pop(uid, self._events)
        if uid not in self._known:
            return
        waiting.rejected_by, waiting.tried_at = rejected_by, self._clock.monotonic()
        if error or popped_at != self._events:
            self._back_off(waiting)
        else:
            self._hopeless[uid] = None
            self._timed.set()

    def wake(self, event: str) -> None:
        """Try those again that `event` may help."""
        self._events += 1
        for uid in [uid for uid in self._hopeless if self._is_helped(uid, event)]:
            del self._hopeless[uid]
            self._back_off(self._known[uid])

    def _is_helped(self, uid: str, event: str) -> bool:
        waiting = self._known[uid]
        return not waiting.gated and self._profile.woken_by(event, waiting.rejected_by)

    async def run(self) -> None:
        """Move on what has waited long enough, until cancelled."""
        while True:
            self._timed.clear()
            wait = self._next_due() - self._clock.monotonic()
            if wait == float("inf"):
                await self._timed.wait()
            elif wait > 0:
                await sleep_or(self._clock, wait, self._timed)
            self._flush()

    def _next_due(self) -> float:
        stale = min(
            (self._known[uid].tried_at + STALE for uid in self._hopeless if not self._known[uid].gated), default=float("inf")
        )
        return min(self._backoff[0][0] if self._backoff else float("inf"), stale)

    def _flush(self) -> None:
        now = self._clock.monotonic()
        while self._backoff and self._backoff[0][0] <= now:
            _, _, uid = heapq.heappop(self._backoff)
            if uid in self._in_backoff:
                self._in_backoff.discard(uid)
                self._activate(self._known[uid])
        for uid in [uid for uid in self._hopeless if self._known[uid].tried_at + STALE <= now]:
            if not self._known[uid].gated:
                del self._hopeless[uid]
                self._activate(self._known[uid])

    def _back_off(self, waiting: Waiting) -> None:
        """Wait from the last attempt on; what has waited long enough is ready."""
        wait = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(waiting.attempts - 1, 10))
        due = waiting.tried_at + wait
        if due <= self._clock.monotonic():
            self._activate(waiting)
            return
        self._in_backoff.add(waiting.pod.uid)
        heapq.heappush(self._backoff, (due, next(self._order), waiting.pod.uid))
        self._timed.set()

    def _activate(self, waiting: Waiting) -> None:
        uid = waiting.pod.uid
        self._hopeless.pop(uid, None)
        self._in_backoff.discard(uid)
        if uid not in self._in_active:
            self._in_active.add(uid)
            heapq.heappush(self._active, (-waiting.pod.priority, waiting.since, next(self._order), uid))
            self._filled.set()
