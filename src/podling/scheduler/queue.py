"""Pods that wait for a node: ready ones in the order of QueueSort, failed ones for a while, hopeless ones until something helps.

Source: Kubernetes documentation "Scheduling Framework", QueueSort and QueueingHint; k8s.io/kubernetes scheduling_queue, for the
times. While nothing is ready the failed ones needn't wait for their time.
"""

import asyncio
import heapq
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from podling.aio.clock import Clock
from podling.client.workqueue import sleep_or
from podling.scheduler.events import ClusterEvent, EventWithHint
from podling.scheduler.pod_info import PodInfo
from podling.scheduler.profile import Profile

log = logging.getLogger(__name__)

FIRST_BACKOFF, LONGEST_BACKOFF = 1.0, 10.0  # seconds
STALE = 300.0  # seconds after which a hopeless pod is tried anyway
REMEMBERED = 1000  # events for those that are being tried while they happen


@dataclass(slots=True, eq=False)
class Waiting:
    """A pod in the queue. `rejected_by` are the plugins that turned it down last. `held`: it waits for somebody's word."""

    pod: PodInfo
    profile: Profile
    since: float
    attempts: int = 0
    rejected_by: frozenset[str] = field(default_factory=frozenset)
    tried_at: float = 0.0
    gated: bool = False
    held: bool = False
    missed: bool = False  # something that helps happened while it was held


class SchedulingQueue:
    """`add` pods, `pop` the next to schedule, `fail` what found no node, `wake` by what changes. `run` minds the time."""

    def __init__(
        self, profiles: Mapping[str, Profile], clock: Clock, first: float = FIRST_BACKOFF, longest: float = LONGEST_BACKOFF
    ) -> None:
        self._profiles = tuple(profiles.values())
        self._sort = self._profiles[0].at("queueSort")[0].sort_key
        self._clock = clock
        self._first, self._longest = first, longest
        self._known: dict[str, Waiting] = {}  # by uid: all that isn't scheduled, the popped ones too
        self._active: list[tuple[Any, int, str]] = []
        self._in_active: set[str] = set()
        self._backoff: list[tuple[float, int, str]] = []
        self._in_backoff: dict[str, bool] = {}  # whether it must wait: what failed by an error
        self._hopeless = Hopeless()
        self._events: deque[tuple[ClusterEvent, Any, Any]] = deque(maxlen=REMEMBERED)
        self._happened = 0
        self._popped_at: dict[str, int] = {}
        self._order = count()
        self._filled = asyncio.Event()
        self._timed = asyncio.Event()
        self._sleeps_until = float("inf")
        self._listening: dict[ClusterEvent, tuple[tuple[str, str, tuple[EventWithHint, ...]], ...]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, uid: str) -> bool:
        return uid in self._known

    def add(self, pod: PodInfo, profile: Profile, *, gated: bool = False) -> None:
        """A new pod, or a changed one: it is tried at once, unless a gate is in its way."""
        known = self._known.get(pod.uid)
        if known is None:
            known = self._known[pod.uid] = Waiting(pod, profile, self._clock.monotonic())
        known.pod, known.profile, known.gated = pod, profile, gated
        if known.held:
            known.missed = True
        elif not gated and pod.uid not in self._popped_at and pod.uid not in self._in_backoff:
            self._activate(known)

    def replace(self, pod: PodInfo) -> None:
        """The same pod, changed in nothing that matters here."""
        self._known[pod.uid].pod = pod

    def get(self, uid: str) -> Waiting | None:
        return self._known.get(uid)

    def all(self) -> list[Waiting]:
        return list(self._known.values())

    def remove(self, uid: str) -> None:
        """Scheduled, deleted, or gone elsewhere."""
        known = self._known.pop(uid, None)
        if known is not None:
            self._hopeless.remove(known)
        self._in_active.discard(uid)
        self._in_backoff.pop(uid, None)
        self._popped_at.pop(uid, None)

    async def pop(self) -> Waiting:
        """The first by QueueSort."""
        while True:
            if not self._in_active:
                self._hasten()
            while self._active:
                uid = heapq.heappop(self._active)[-1]
                if uid in self._in_active:
                    self._in_active.discard(uid)
                    waiting = self._known[uid]
                    waiting.attempts += 1
                    self._popped_at[uid] = self._happened
                    return waiting
            self._filled.clear()
            await self._filled.wait()

    def fail(self, waiting: Waiting, rejected_by: frozenset[str] = frozenset(), *, error: bool = False) -> None:
        """No node would do, or (`error`) something else went wrong, which is tried again in any case."""
        uid = waiting.pod.uid
        popped_at = self._popped_at.pop(uid, self._happened)
        if uid not in self._known:
            return
        waiting.rejected_by, waiting.tried_at = rejected_by, self._clock.monotonic()
        if error or self._helped_since(waiting, popped_at):
            self._back_off(waiting, must_wait=error)
        else:
            self._hopeless.add(waiting)
            self._due_at(waiting.tried_at + STALE)

    def hold(self, waiting: Waiting) -> None:
        """Don't try it until `release`: room is being made for it."""
        waiting.held = True

    def release(self, waiting: Waiting) -> None:
        waiting.held = False
        if waiting.missed and waiting.pod.uid in self._known:
            waiting.missed = False
            self._hopeless.remove(waiting)
            self._back_off(waiting)

    def _helped_since(self, waiting: Waiting, popped_at: int) -> bool:
        """Whether something happened since that may help; what is forgotten may have."""
        number = self._happened - popped_at
        if number > len(self._events):
            return True
        return any(self._helps(waiting, *self._events[-place]) for place in range(1, number + 1))

    def _helps(self, waiting: Waiting, event: ClusterEvent, old: Any, new: Any) -> bool:
        if not waiting.rejected_by:
            return True
        return any(
            name in waiting.rejected_by and profile == waiting.profile.name and _hinted(hints, waiting.pod, old, new)
            for profile, name, hints in self._concerned(event)
        )

    def wake(self, event: ClusterEvent, old: Any = None, new: Any = None) -> None:
        """Try those again that `event` may help."""
        if self._popped_at:
            self._events.append((event, old, new))
            self._happened += 1
        if not self._hopeless:
            return
        helped = self._hopeless.rejected_by_nobody()
        for profile, name, hints in self._concerned(event):
            for waiting in self._hopeless.rejected_by(profile, name):
                if _hinted(hints, waiting.pod, old, new):
                    helped.append(waiting)
        for waiting in dict.fromkeys(helped):
            if waiting.held:
                waiting.missed = True
            else:
                self._hopeless.remove(waiting)
                self._back_off(waiting)

    def _concerned(self, event: ClusterEvent) -> tuple[tuple[str, str, tuple[EventWithHint, ...]], ...]:
        """Profile, plugin, hints: who listens to such events."""
        if event not in self._listening:
            self._listening[event] = tuple(
                (profile.name, name, hints) for profile in self._profiles for name, hints in profile.listening(event).items()
            )
        return self._listening[event]

    async def run(self) -> None:
        """Move on what has waited long enough, until cancelled."""
        while True:
            self._timed.clear()
            self._sleeps_until = self._next_due()
            wait = self._sleeps_until - self._clock.monotonic()
            if wait == float("inf"):
                await self._timed.wait()
            elif wait > 0:
                await sleep_or(self._clock, wait, self._timed)
            self._flush()

    def _due_at(self, time: float) -> None:
        if time < self._sleeps_until:
            self._timed.set()

    def _next_due(self) -> float:
        first = self._hopeless.first()
        return min(self._backoff[0][0] if self._backoff else float("inf"), first.tried_at + STALE if first else float("inf"))

    def _flush(self) -> None:
        now = self._clock.monotonic()
        while self._backoff and self._backoff[0][0] <= now:
            uid = heapq.heappop(self._backoff)[-1]
            if self._in_backoff.pop(uid, None) is not None:
                self._activate(self._known[uid])
        while (first := self._hopeless.first()) is not None and first.tried_at + STALE <= now:
            self._activate(first)

    def _hasten(self) -> None:
        """Nothing else is to be done: the next that was rejected needn't wait longer."""
        waits = []
        while self._backoff:
            entry = heapq.heappop(self._backoff)
            must_wait = self._in_backoff.get(entry[-1])
            if must_wait:
                waits.append(entry)
            elif must_wait is False:
                self._activate(self._known[entry[-1]])
                break
        for entry in waits:
            heapq.heappush(self._backoff, entry)

    def _back_off(self, waiting: Waiting, *, must_wait: bool = False) -> None:
        """Wait from the last attempt on; what has waited long enough is ready."""
        wait = min(self._longest, self._first * 2.0 ** min(waiting.attempts - 1, 10))
        due = waiting.tried_at + wait
        if due <= self._clock.monotonic():
            self._activate(waiting)
            return
        self._in_backoff[waiting.pod.uid] = must_wait
        heapq.heappush(self._backoff, (due, next(self._order), waiting.pod.uid))
        self._filled.set()
        self._due_at(due)

    def _activate(self, waiting: Waiting) -> None:
        uid = waiting.pod.uid
        self._hopeless.remove(waiting)
        self._in_backoff.pop(uid, None)
        if uid not in self._in_active:
            self._in_active.add(uid)
            heapq.heappush(self._active, (self._sort(waiting.pod, waiting.since), next(self._order), uid))
            self._filled.set()


class Hopeless:
    """Pods that no node would take, in the order of their last attempt, found by the plugins that rejected them."""

    def __init__(self) -> None:
        self._all: dict[Waiting, None] = {}
        self._by_plugin: dict[tuple[str, str], dict[Waiting, None]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def first(self) -> Waiting | None:
        return next((one for one in self._all if not one.held and not one.gated), None)

    def add(self, waiting: Waiting) -> None:
        self._all[waiting] = None
        for name in waiting.rejected_by or ("",):
            self._by_plugin.setdefault((waiting.profile.name, name), {})[waiting] = None

    def remove(self, waiting: Waiting) -> None:
        if waiting not in self._all:
            return
        del self._all[waiting]
        for name in waiting.rejected_by or ("",):
            self._by_plugin[waiting.profile.name, name].pop(waiting, None)

    def rejected_by(self, profile: str, plugin: str) -> list[Waiting]:
        return list(self._by_plugin.get((profile, plugin), ()))

    def rejected_by_nobody(self) -> list[Waiting]:
        return [one for (_, name), pods in self._by_plugin.items() if not name for one in pods]


def _hinted(hints: tuple[EventWithHint, ...], pod: PodInfo, old: Any, new: Any) -> bool:
    """Whether one hint says that it may help; a hint that fails says so too."""
    for one in hints:
        if one.hint is None:
            return True
        try:
            if one.hint(pod, old, new):
                return True
        except Exception:
            log.exception("a queueing hint failed for %s", pod.key)
            return True
    return False
