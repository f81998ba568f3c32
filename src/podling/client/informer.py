"""Informers: a cache of one resource, kept by list and watch, that tells handlers what changed.

An interrupted watch resumes at the last revision seen; a revision that has been compacted away (410) lists anew and tells
handlers the difference. Handlers run on the event loop between two events: they must only take note and return.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from podling.aio.clock import Clock
from podling.aio.tasks import Tasks
from podling.api.objects import Object, key_of
from podling.client.backoff import Backoff, Jitter
from podling.client.cache import Cache, IndexBy
from podling.client.client import Client, WatchEvent
from podling.client.errors import FAILURES, Gone
from podling.client.resource import Resource

log = logging.getLogger(__name__)

SILENCE_SECONDS = 180.0
"""How long a watch may say nothing: servers send bookmarks each minute, so beyond it the connection is dead without knowing."""

# Called as (old, new): added (None, new), changed (old, new), deleted (old, None).
Handler = Callable[[Object | None, Object | None], None]


@dataclass(frozen=True, slots=True)
class Scope:
    """What part of a resource an informer holds. Only metadata: objects are PartialObjectMetadata."""

    namespace: str = ""
    labels: str = ""
    fields: str = ""
    metadata_only: bool = False


class Informer:
    """The cache of one resource. `synced` is set after the first list has been delivered to the handlers."""

    def __init__(self, client: Client, resource: Resource, clock: Clock, jitter: Jitter, scope: Scope | None = None) -> None:
        self.resource = resource
        self.cache = Cache()
        self.synced = asyncio.Event()
        self._client = client
        self._clock = clock
        self._backoff = Backoff(jitter=jitter)
        self._scope = scope or Scope()
        self._handlers: list[Handler] = []
        self._revision = ""

    @property
    def revision(self) -> str:
        """The revision up to which the cache knows everything; "" before the first list."""
        return self._revision

    def add_handler(self, handler: Handler) -> None:
        """Tell `handler` each change from now on, first all that is already there."""
        self._handlers.append(handler)
        for obj in self.cache:
            _tell(handler, None, obj)

    def remove_handler(self, handler: Handler) -> None:
        self._handlers.remove(handler)

    def index(self, name: str, by: IndexBy | None = None) -> Self:
        self.cache.index(name, by)
        return self

    async def run(self) -> None:
        """Keep the cache until cancelled."""
        while True:
            try:
                await self._follow()
            except Gone:
                self._revision = ""
            except FAILURES as error:
                await self._wait(error)

    async def _follow(self) -> None:
        if not self._revision:
            await self._list()
        scope = self._scope
        events = self._client.watch(
            self.resource,
            scope.namespace,
            labels=scope.labels,
            fields=scope.fields,
            resource_version=self._revision,
            metadata_only=scope.metadata_only,
        )
        before = self._revision
        loop = asyncio.get_running_loop()
        async with aclosing(events), asyncio.timeout(SILENCE_SECONDS) as silence:
            async for event in events:
                silence.reschedule(loop.time() + SILENCE_SECONDS)
                self._apply(event)
                self._backoff.reset()
        if self._revision == before:
            raise EOFError("the watch ended without an event")

    async def _wait(self, error: Exception) -> None:
        wait = self._backoff.next()
        level = logging.DEBUG if self._backoff.failures < 3 else logging.WARNING
        log.log(level, "watching %s failed, again in %.1f s: %s", self.resource, wait, error)
        await self._clock.sleep(wait)

    async def _list(self) -> None:
        scope = self._scope
        listing = await self._client.list(
            self.resource, scope.namespace, labels=scope.labels, fields=scope.fields, metadata_only=scope.metadata_only
        )
        self._replace(listing.items)
        self._revision = listing.resource_version
        self.synced.set()

    def _replace(self, items: list[Object]) -> None:
        missing = self.cache.keys() - {key_of(item) for item in items}
        for key in missing:
            self._drop(key)
        for item in items:
            self._put(item)

    def _apply(self, event: WatchEvent) -> None:
        self._revision = event.object["metadata"]["resourceVersion"]
        if event.type in ("ADDED", "MODIFIED"):
            self._put(event.object)
        elif event.type == "DELETED":
            self._drop(key_of(event.object), event.object)

    def _put(self, obj: Object) -> None:
        self._name_type(obj)
        obj["metadata"].pop("managedFields", None)  # large, and of no use to a reader
        old = self.cache.put(obj)
        if old is not None and old["metadata"].get("uid") != obj["metadata"].get("uid"):
            self._tell(old, None)
            old = None
        if old is None or old["metadata"].get("resourceVersion") != obj["metadata"].get("resourceVersion"):
            self._tell(old, obj)

    def _drop(self, key: str, last: Object | None = None) -> None:
        old = self.cache.remove(key)
        if old is not None:
            self._tell(self._name_type(last or old), None)

    def _name_type(self, obj: Object) -> Object:
        """List items carry no type, and partial ones that of their metadata; ours carry their own."""
        obj["apiVersion"], obj["kind"] = self.resource.api_version, self.resource.kind
        return obj

    def _tell(self, old: Object | None, new: Object | None) -> None:
        for handler in self._handlers:
            _tell(handler, old, new)


def _tell(handler: Handler, old: Object | None, new: Object | None) -> None:
    try:
        handler(old, new)
    except Exception:
        log.exception("a handler of informer events failed")


class Informers:
    """One shared informer for each resource and scope. Those asked for after `start` start at once."""

    def __init__(self, client: Client, clock: Clock, jitter: Jitter) -> None:
        self._client = client
        self._clock = clock
        self._jitter = jitter
        self._tasks = Tasks("informers")
        self._started = False
        self._informers: dict[tuple[Resource, Scope], Informer] = {}
        self._running: dict[Informer, asyncio.Task[None]] = {}

    def of(self, resource: Resource, scope: Scope | None = None) -> Informer:
        """The informer of `resource`; a metadata-only one is the full one where that exists already."""
        scope = scope or Scope()
        if scope == Scope(metadata_only=True) and (full := self._informers.get((resource, Scope()))):
            return full
        informer = self._informers.get((resource, scope))
        if informer is None:
            informer = self._informers[resource, scope] = Informer(self._client, resource, self._clock, self._jitter, scope)
            if self._started:
                self._run(informer)
        return informer

    async def start(self) -> None:
        """Start all informers and wait until each is synced. May be called again."""
        if not self._started:
            self._started = True
            for informer in self._informers.values():
                self._run(informer)
        await self.wait_synced()

    async def wait_synced(self) -> None:
        for informer in list(self._informers.values()):
            await informer.synced.wait()

    def _run(self, informer: Informer) -> None:
        self._running[informer] = self._tasks.start(informer.run(), str(informer.resource))

    async def forget(self, resource: Resource) -> None:
        """Stop the informers of a resource that the server has no more."""
        for key in [key for key in self._informers if key[0] == resource]:
            task = self._running.pop(self._informers.pop(key), None)
            if task is not None:
                task.cancel()
                await asyncio.wait([task])

    async def stop(self) -> None:
        await self._tasks.cancel()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()
