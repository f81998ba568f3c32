"""Objects in the store and their image in the watch cache: a write returns when it is durable and reads see it."""

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from podling.aio.tasks import Tasks
from podling.api.kind import Kind
from podling.api.objects import name_of, namespace_of
from podling.apiserver.cache import Item, ResourceCache
from podling.apiserver.encoding import encode, stamp, unstamp
from podling.apiserver.encryption import NO_ENCRYPTION, Encryption
from podling.store.base import Event, Page, RevisionMismatch, Store

Object = dict[str, Any]


_PAGE = 1000  # objects read at once at the start


class Stale(Exception):
    """The object is no longer at the revision that the write was decided on."""


class Storage:
    """The caches of all resources, fed by one watch over the whole store; what lies there sealed is plain in here."""

    def __init__(self, store: Store, encryption: Encryption = NO_ENCRYPTION) -> None:
        self._store = store
        self._encryption = encryption
        self._caches: dict[tuple[str, str], ResourceCache] = {}
        self._tasks = Tasks("storage")
        self._applied = 0
        self._started_at = 0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    async def start(self) -> None:
        page = await self._store.range("/", limit=_PAGE)
        self._applied = self._started_at = page.revision
        self._load(page)
        while page.more:  # a page after the other, so that not all is in memory twice
            page = await self._store.range("/", start_after=page.entries[-1].key, limit=_PAGE, revision=page.revision)
            self._load(page)
        self._tasks.start(self._follow(), "follow the store")
        if stale := self._encryption.stale:
            self._tasks.start(self._seal_anew(stale), "seal with the new key")

    def _load(self, page: Page) -> None:
        for entry in page.entries:
            resource, key = _split(entry.key)
            self.of(resource).load(key, self._encryption.open(resource, key, entry.value), entry.revision)

    async def close(self) -> None:
        await self._tasks.cancel()

    @property
    def revision(self) -> int:
        """The revision that reads show."""
        return self._applied

    def of(self, resource: tuple[str, str]) -> ResourceCache:
        """The cache of (group, plural)."""
        cache = self._caches.get(resource)
        if cache is None:
            cache = self._caches[resource] = ResourceCache(self._started_at)
        return cache

    def cache(self, kind: Kind) -> ResourceCache:
        return self.of(kind.storage)

    def get(self, kind: Kind, namespace: str, name: str) -> Item | None:
        return self.cache(kind).get(f"{namespace}/{name}" if kind.namespaced else name)

    def objects(self, resource: tuple[str, str], prefix: str = "") -> Iterator[Object]:
        """Every object of (group, plural), decoded; each is the caller's own."""
        return (item.object for item in self.of(resource).items(prefix))

    def sizes(self) -> Iterator[tuple[tuple[str, str], int]]:
        """How many objects each (group, plural) has."""
        return ((resource, len(cache)) for resource, cache in self._caches.items())

    async def _follow(self) -> None:
        async for events in self._store.watch("/", after=self._applied):
            self._apply(events)

    def _apply(self, events: Sequence[Event]) -> None:
        for event in events:
            resource, key = _split(event.key)
            self.of(resource).apply(key, self._opened(resource, key, event.value), event.revision)
            self._applied = event.revision
        if self._waiting:
            self._release()

    def _opened(self, resource: tuple[str, str], key: str, value: bytes | None) -> bytes | None:
        if value is None:
            self._encryption.forget(resource, key)
            return None
        return self._encryption.open(resource, key, value)

    async def _seal_anew(self, stale: Sequence[tuple[tuple[str, str], str]]) -> None:
        """Write what another key sealed, or none. Who writes it meanwhile does the same."""
        for resource, key in stale:
            if (item := self.of(resource).get(key)) is not None:
                sealed = self._encryption.seal(resource, key, unstamp(item.data, item.revision))
                with suppress(RevisionMismatch):
                    await self._store.put(_path(resource, key), sealed, expected=item.revision)

    def _release(self) -> None:
        waiting, self._waiting = self._waiting, []
        for revision, future in waiting:
            if revision > self._applied:
                self._waiting.append((revision, future))
            elif not future.done():
                future.set_result(None)

    async def wait(self, revision: int) -> None:
        """Return when reads show `revision`."""
        if revision > self._applied:
            future = asyncio.get_running_loop().create_future()
            self._waiting.append((revision, future))
            await future

    # writes

    async def create(self, kind: Kind, obj: Object) -> Item:
        """Raises store.base.KeyExists."""
        key, value = _key(kind, obj), encode(obj)
        sealed = self._encryption.seal(kind.storage, key, value)
        revision = await self._store.create(_path(kind.storage, key), sealed)
        return await self._written(kind.storage, key, value, revision)

    async def replace(self, kind: Kind, seen: Item, obj: Object) -> Item:
        """Put `obj` in the place of what was `seen`; nothing is written when nothing differs. Raises Stale."""
        value = encode(obj)
        if stamp(value, seen.revision) == seen.data and not self._encryption.is_stale(kind.storage, seen.key):
            return seen
        sealed = self._encryption.seal(kind.storage, seen.key, value)
        revision = await self._swap(self._store.put(_path(kind.storage, seen.key), sealed, expected=seen.revision))
        return await self._written(kind.storage, seen.key, value, revision)

    async def remove(self, kind: Kind, seen: Item) -> None:
        """Raises Stale."""
        await self.wait(await self._swap(self._store.delete(_path(kind.storage, seen.key), expected=seen.revision)))

    async def _swap(self, write: Awaitable[int]) -> int:
        try:
            return await write
        except RevisionMismatch:
            await self.wait(self._store.revision)
            raise Stale from None

    async def _written(self, resource: tuple[str, str], key: str, value: bytes, revision: int) -> Item:
        """What was written, as reads show it; somebody may have written the next already."""
        await self.wait(revision)
        item = self.of(resource).get(key)
        return item if item is not None and item.revision == revision else Item(key, stamp(value, revision), revision)


def _key(kind: Kind, obj: Object) -> str:
    return f"{namespace_of(obj)}/{name_of(obj)}" if kind.namespaced else name_of(obj)


def _path(resource: tuple[str, str], key: str) -> str:
    group, plural = resource
    return f"/{group or 'core'}/{plural}/{key}"


def _split(path: str) -> tuple[tuple[str, str], str]:
    _, group, plural, key = path.split("/", 3)
    return ("" if group == "core" else group, plural), key
