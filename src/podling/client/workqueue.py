"""A queue of keys to work on: each once, never two workers on one key, failed ones again after a growing wait.

A key added while a worker has it is handed out again after that worker is done, so that no change is missed.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Hashable
from itertools import count
from typing import Generic, TypeVar

from podling.aio.clock import Clock
from podling.client.backoff import Backoff, Jitter

K = TypeVar("K", bound=Hashable)


class WorkQueue(Generic[K]):
    """`get` a key, work on it, then `done` (and `retry` or `forget`). `run` serves the delayed keys."""

    FIRST, MOST = 0.005, 60.0  # seconds between attempts; upstream goes on to 1000 s

    def __init__(self, clock: Clock, jitter: Jitter) -> None:
        self._clock = clock
        self._jitter = jitter
        self._ready: deque[K] = deque()
        self._waiting_turn: set[K] = set()  # in _ready, or to be put there when its worker is done
        self._working: set[K] = set()
        self._filled = asyncio.Event()
        self._backoffs: dict[K, Backoff] = {}
        self._delayed: list[tuple[float, int, K]] = []
        self._due: dict[K, float] = {}
        self._sequence = count()
        self._delay_changed = asyncio.Event()

    def add(self, key: K) -> None:
        if key in self._waiting_turn:
            return
        self._waiting_turn.add(key)
        if key not in self._working:
            self._push(key)

    def add_after(self, key: K, seconds: float) -> None:
        """Add `key` in `seconds`; of several delays the earliest counts."""
        if seconds <= 0:
            self.add(key)
            return
        due = self._clock.monotonic() + seconds
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            heapq.heappush(self._delayed, (due, next(self._sequence), key))
            self._delay_changed.set()

    def retry(self, key: K) -> float:
        """Add `key` after a wait that grows with each retry; returns the wait in seconds."""
        backoff = self._backoffs.get(key)
        if backoff is None:
            backoff = self._backoffs[key] = Backoff(self.FIRST, self.MOST, jitter=self._jitter)
        wait = backoff.next()
        self.add_after(key, wait)
        return wait

    def forget(self, key: K) -> None:
        """The work succeeded: its next failure waits shortly again."""
        self._backoffs.pop(key, None)

    async def get(self) -> K:
        while not self._ready:
            self._filled.clear()
            await self._filled.wait()
        key = self._ready.popleft()
        self._waiting_turn.discard(key)
        self._working.add(key)
        return key

    def done(self, key: K) -> None:
        self._working.discard(key)
        if key in self._waiting_turn:
            self._push(key)

    def __len__(self) -> int:
        return len(self._ready)

    @property
    def idle(self) -> bool:
        """Nothing ready and nobody working (delayed keys may be left)."""
        return not self._ready and not self._working

    async def run(self) -> None:
        """Add the delayed keys when they are due, until cancelled."""
        while True:
            self._delay_changed.clear()
            await self._sleep_until_due()
            self._add_due()

    def _push(self, key: K) -> None:
        self._ready.append(key)
        self._filled.set()

    def _add_due(self) -> None:
        now = self._clock.monotonic()
        while self._delayed and self._delayed[0][0] <= now:
            due, _, key = heapq.heappop(self._delayed)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key)

    async def _sleep_until_due(self) -> None:
        if not self._delayed:
            await self._delay_changed.wait()
            return
        await sleep_or(self._clock, self._delayed[0][0] - self._clock.monotonic(), self._delay_changed)


async def sleep_or(clock: Clock, seconds: float, event: asyncio.Event) -> bool:
    """Sleep `seconds` or until `event` is set, whichever comes first; tells whether the event is set."""
    async with asyncio.TaskGroup() as group:
        sleeping = group.create_task(clock.sleep(max(0.0, seconds)))
        waiting = group.create_task(event.wait())
        await asyncio.wait([sleeping, waiting], return_when=asyncio.FIRST_COMPLETED)
        sleeping.cancel()
        waiting.cancel()
    return event.is_set()
