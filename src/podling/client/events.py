"""Records Events about objects without ever making the recorder wait.

Same events within memory count up one Event; many that differ only in their message become one combined Event; an object that
goes on and on is limited. Source: k8s.io/client-go tools/record, whose limits these are.
"""

import asyncio
import logging
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import TypeVar

from podling.aio.clock import Clock
from podling.api import timestamps
from podling.api.objects import Object
from podling.client.client import Client
from podling.client.errors import FAILURES, NotFound
from podling.client.resource import EVENTS

log = logging.getLogger(__name__)

REMEMBERED = 4096  # distinct events and objects
SIMILAR, SIMILAR_WINDOW = 10, 600.0  # after so many similar ones within so many seconds they are combined
BURST, REFILL = 25.0, 1 / 300  # events per object at once, and per second
QUEUED = 1000

K = TypeVar("K")
V = TypeVar("V")
Similar = tuple[str, str, str, str]


@dataclass(slots=True)
class _Recorded:
    name: str
    first: str
    count: int = 0


@dataclass(slots=True)
class _Group:
    """The distinct messages of similar events since `since`."""

    since: float
    messages: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class EventRecorder:
    """`event` takes note; `run` writes. `component` is who says it, `host` where."""

    def __init__(self, client: Client, clock: Clock, component: str, host: str = "") -> None:
        self._client = client
        self._clock = clock
        self._source = {"component": component, "host": host} if host else {"component": component}
        self._queue: deque[tuple[Object, str, str, str]] = deque(maxlen=QUEUED)
        self._filled = asyncio.Event()
        self._recorded: OrderedDict[tuple[Similar, str], _Recorded] = OrderedDict()
        self._groups: OrderedDict[Similar, _Group] = OrderedDict()
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._sequence = 0

    def event(self, about: Object, type: str, reason: str, message: str) -> None:
        """Note an event: `type` is Normal or Warning. The oldest waiting one gives way where the server is too slow."""
        self._queue.append((reference_to(about), type, reason, message[:1024]))
        self._filled.set()

    async def run(self) -> None:
        """Write what is noted, until cancelled."""
        while True:
            self._filled.clear()
            while self._queue:
                await self._write(*self._queue.popleft())
            await self._filled.wait()

    async def _write(self, about: Object, type: str, reason: str, message: str) -> None:
        now = self._clock.now()
        if not self._allowed(about, now):
            return
        similar = (about.get("uid", "") or f"{about.get('namespace')}/{about['name']}", type, reason, about.get("fieldPath", ""))
        message, key = self._combined(similar, message, now)
        known = self._recorded.get((similar, key))
        try:
            if known is not None and await self._count_up(about, known, message, now):
                return
            await self._create(about, type, reason, message, (similar, key), now)
        except FAILURES as error:
            log.warning("event %s about %s is lost: %s", reason, about["name"], error)

    async def _count_up(self, about: Object, known: _Recorded, message: str, now: float) -> bool:
        patch = {"count": known.count + 1, "lastTimestamp": timestamps.rfc3339(now), "message": message}
        try:
            await self._client.patch(EVENTS, known.name, patch, _namespace(about))
        except NotFound:
            return False
        known.count += 1
        return True

    async def _create(self, about: Object, type: str, reason: str, message: str, key: tuple[Similar, str], now: float) -> None:
        self._sequence += 1
        known = _Recorded(f"{about['name']}.{int(now * 1e6) * 1000 + self._sequence % 1000:x}", timestamps.rfc3339(now), 1)
        await self._client.create(
            EVENTS,
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": known.name, "namespace": _namespace(about)},
                "involvedObject": about,
                "type": type,
                "reason": reason,
                "message": message,
                "source": self._source,
                "reportingComponent": self._source["component"],
                "reportingInstance": self._source.get("host", ""),
                "firstTimestamp": known.first,
                "lastTimestamp": known.first,
                "count": 1,
            },
            _namespace(about),
        )
        _remember(self._recorded, key, known)

    def _combined(self, similar: Similar, message: str, now: float) -> tuple[str, str]:
        """The message to show, and what the event counts under."""
        group = self._groups.get(similar)
        if group is None or now - group.since > SIMILAR_WINDOW:
            group = _Group(now)
        _remember(self._groups, similar, group)
        group.messages.add(message)
        if len(group.messages) > SIMILAR:
            return f"(combined from similar events): {message}", ""
        return message, message

    def _allowed(self, about: Object, now: float) -> bool:
        key = f"{about['kind']}/{about.get('namespace')}/{about['name']}/{about.get('uid')}"
        bucket = self._buckets.get(key) or _Bucket(BURST, now)
        bucket.tokens = min(BURST, bucket.tokens + (now - bucket.at) * REFILL)
        bucket.at = now
        _remember(self._buckets, key, bucket)
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True


def reference_to(obj: Object) -> Object:
    """The v1 ObjectReference of an object; a reference (no metadata) is taken as it is."""
    if "metadata" not in obj:
        return obj
    metadata = obj["metadata"]
    reference = {"kind": obj["kind"], "apiVersion": obj["apiVersion"], "name": metadata["name"]}
    return reference | {key: metadata[key] for key in ("namespace", "uid", "resourceVersion") if metadata.get(key)}


def _namespace(about: Object) -> str:
    """Events about objects without namespace live in `default`."""
    return about.get("namespace") or "default"


def _remember(memory: OrderedDict[K, V], key: K, value: V) -> None:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > REMEMBERED:
        memory.popitem(last=False)
