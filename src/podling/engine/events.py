"""What happened, told to whoever listens, and a bounded past for who comes late."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping

from podling.aio.clock import Clock
from podling.engine.types import Event

_HISTORY = 256  # as Docker's
_BEHIND = 4096  # events that a listener may lag before the oldest are dropped
Filter = Callable[[Event], bool]


class Events:
    """One stream of events with many listeners. Publishing never waits."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._history: deque[Event] = deque(maxlen=_HISTORY)
        self._listeners: set[_Listener] = set()
        self._last = 0

    def publish(self, kind: str, action: str, actor: str, attributes: Mapping[str, str] | None = None) -> None:
        """Tell that `action` happened to `actor` (an id or a name). Times rise strictly, so that `since` loses none."""
        self._last = max(int(self._clock.now() * 1_000_000_000), self._last + 1)
        event = Event(kind, action, actor, dict(attributes or {}), self._last)
        self._history.append(event)
        for listener in self._listeners:
            listener.put(event)

    async def subscribe(
        self, since: float | None = None, until: float | None = None, wanted: Filter = lambda _: True
    ) -> AsyncIterator[Event]:
        """Events from now on, or from `since` as far as they are remembered, to `until` (unix seconds; None: for ever)."""
        listener = _Listener()
        self._listeners.add(listener)
        try:
            past = [] if since is None else [event for event in self._history if event.time >= since * 1_000_000_000]
            for event in past:
                if wanted(event) and (until is None or event.time <= until * 1_000_000_000):
                    yield event
            try:
                async with asyncio.timeout(None if until is None else max(until - self._clock.now(), 0)):
                    while True:
                        event = await listener.next()
                        if wanted(event):
                            yield event
            except TimeoutError:
                return
        finally:
            self._listeners.discard(listener)


class _Listener:
    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=_BEHIND)
        self._ready = asyncio.Event()

    def put(self, event: Event) -> None:
        self._events.append(event)
        self._ready.set()

    async def next(self) -> Event:
        while not self._events:
            self._ready.clear()
            await self._ready.wait()
        return self._events.popleft()
