"""A watcher's place in history: it reads from the log while it is behind, and from memory once it has caught up.

A reader that stays slow falls behind again instead of filling memory: nothing is lost, it only costs a read of the log.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Self

from podling.store.base import Event

BACKLOG = 16384  # events held in memory for one watcher
History = Callable[[str, int, int], Awaitable[list[Event]]]
"""(prefix, after, limit) -> the next events in order, at most `limit`; raises Compacted."""


class LogWatch:
    """One watcher. The driver calls `feed` with each committed batch, from the loop."""

    def __init__(
        self, prefix: str, after: int, current: int, history: History, closed: Callable[["LogWatch", None], None]
    ) -> None:
        self._prefix = prefix
        self._position = after
        self._behind = after < current
        self._history = history
        self._closed = closed
        self._events: list[Event] = []
        self._waiter: asyncio.Future[None] | None = None
        self._open = True

    def feed(self, events: Iterable[Event]) -> None:
        """Committed events; those of other prefixes and those already seen are passed over."""
        if self._behind:
            return
        self._events += [event for event in events if event.key.startswith(self._prefix) and event.revision > self._position]
        if len(self._events) > BACKLOG:
            self._events = []
            self._behind = True
        if self._events or self._behind:
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Sequence[Event]:
        while self._open:
            events = await self._catch_up() if self._behind else self._take()
            if events:
                self._position = events[-1].revision
                return events
            if not self._behind and not self._events:
                await self._wait()
        raise StopAsyncIteration

    def _take(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    async def _catch_up(self) -> list[Event]:
        """Events from the log. What is fed from here on, while it is read, is buffered and sorted out by `_position`."""
        self._behind = False
        try:
            events = await self._history(self._prefix, self._position, BACKLOG)
        except BaseException:
            self._behind = True
            raise
        if len(events) == BACKLOG:
            self._behind = True
        if events:
            last = events[-1].revision
            self._events = [event for event in self._events if event.revision > last] if not self._behind else []
        return events

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    async def aclose(self) -> None:
        """End the iteration, also one that waits in another task."""
        self._open = False
        self._closed(self, None)
        self._wake()
