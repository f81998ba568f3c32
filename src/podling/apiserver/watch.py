"""WATCH: changes as a stream, out of the cache. Source: Kubernetes API concepts, "Efficient detection of changes".

Events are framed once and shared by all streams; each stream writes what has gathered when its client has taken the last.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from podling.aio.clock import Clock
from podling.aio.http import BodyWriter, Response
from podling.api.field import FieldError
from podling.api.kind import Kind
from podling.api.status import expired, invalid
from podling.apiserver import watch_protobuf
from podling.apiserver.cache import Change, Item, MakeFrame, ResourceCache, TooOld, event_frame
from podling.apiserver.call import Call
from podling.apiserver.listing import Selection, parse_revision, selection, too_large_revision
from podling.apiserver.negotiation import JSON, Representation
from podling.apiserver.protobuf_fields import MEDIA_TYPE
from podling.apiserver.storage import Storage

Object = dict[str, Any]

BACKLOG = 10_000  # events that wait for one slow client; then its watch ends, and it may come back
DEFAULT_SECONDS = 45 * 60.0
BOOKMARK_SECONDS = 60.0
INITIAL_EVENTS_END = {"k8s.io/initial-events-end": "true"}


class Watcher:
    """One client's view of a resource: what its selection lets through, as frames that wait to be written."""

    def __init__(self, cache: ResourceCache, selection: Selection, form: Representation, make: MakeFrame = event_frame) -> None:
        self._cache = cache
        self._make = make
        self._selection = selection
        self._form = form
        self._frames: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False

    @property
    def kind(self) -> Kind:
        return self._selection.kind

    def open(self) -> None:
        self._cache.listen(self.offer)

    def close(self) -> None:
        """End the stream once what is queued has been written. Safe to call twice."""
        self._cache.unlisten(self.offer)
        self._ended = True
        self._wake()

    def offer(self, change: Change) -> None:
        """A change of the resource, seen through the selection: entering it is ADDED, leaving it is DELETED."""
        selection = self._selection
        if not change.key.startswith(selection.prefix):
            return
        now = change.item is not None and selection.matches(change.item)
        before = change.previous is not None and selection.matches(change.previous)
        if now:
            self.add(change.frame("MODIFIED" if before else "ADDED", self._form, self._make))
        elif before:
            self.add(change.frame("DELETED", self._form, self._make))

    def add(self, frame: bytes) -> None:
        if len(self._frames) >= BACKLOG:
            self._frames.clear()
            self.close()
            return
        self._frames.append(frame)
        self._wake()

    def show(self, items: Sequence[Item]) -> None:
        """Items that are there already, as ADDED."""
        if items:  # as one frame, so that they don't count as a backlog
            self._frames.append(b"".join(self._make("ADDED", self._form.one(item.data)) for item in items))

    def bookmark(self, revision: int, annotations: Object | None = None) -> None:
        """Tell the client how far it has seen."""
        self.add(self._make("BOOKMARK", bookmark(self._selection.kind, revision, annotations)))

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def take(self) -> bytes:
        """What has gathered; b"" at the end."""
        if not self._frames and not self._ended:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        frames, self._frames = self._frames, []
        return frames[0] if len(frames) == 1 else b"".join(frames)


def bookmark(kind: Kind, revision: int, annotations: Object | None = None) -> bytes:
    metadata: Object = {"resourceVersion": str(revision), "creationTimestamp": None}
    if annotations:
        metadata["annotations"] = annotations
    return orjson.dumps({"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata})


class Watches:
    """All streams of a server: they get bookmarks, and end when the server does."""

    def __init__(self) -> None:
        self._open: dict[Watcher, bool] = {}
        self._closed = False

    def add(self, watcher: Watcher, bookmarks: bool) -> None:
        self._open[watcher] = bookmarks
        watcher.open()
        if self._closed:
            self.remove(watcher)

    def remove(self, watcher: Watcher) -> None:
        self._open.pop(watcher, None)
        watcher.close()

    def __len__(self) -> int:
        return len(self._open)

    def end(self, resources: Collection[tuple[str, str]]) -> None:
        """End the streams of resources that are no longer served, or not as they were."""
        for watcher in tuple(self._open):
            if watcher.kind.storage in resources:
                self.remove(watcher)

    async def send_bookmarks(self, storage: Storage, clock: Clock) -> None:
        """Forever: tell each stream that asked for it how far it has seen."""
        while True:
            await clock.sleep(BOOKMARK_SECONDS)
            for watcher, bookmarks in tuple(self._open.items()):
                if bookmarks:
                    watcher.bookmark(storage.revision)

    def close(self) -> None:
        """End those that are open, and at once those that are still to come."""
        self._closed = True
        for watcher in tuple(self._open):
            self.remove(watcher)


@dataclass(frozen=True, slots=True)
class Options:
    """The query of a watch.

    `initial` asks for what is there already, with a bookmark at its end (True), or not (False); None leaves it to `revision`.
    """

    revision: int
    initial: bool | None
    bookmarks: bool
    seconds: float


def options(call: Call) -> Options:
    """Raises 400, 422, 504."""
    query = call.request.query
    initial = call.flag("sendInitialEvents") if "sendInitialEvents" in query else None
    match = query.get("resourceVersionMatch")
    errors = []
    if initial is not None and match != "NotOlderThan":
        detail = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        errors.append(FieldError("FieldValueForbidden", "resourceVersionMatch", None, detail))
    elif match and initial is None:
        detail = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        errors.append(FieldError("FieldValueForbidden", "resourceVersionMatch", None, detail))
    if errors:
        raise invalid("ListOptions", "", errors, "meta.k8s.io")
    revision = parse_revision(query.get("resourceVersion"))
    if initial and revision > call.storage.revision:
        raise too_large_revision(revision, call.storage.revision)
    seconds = call.number("timeoutSeconds") or DEFAULT_SECONDS
    return Options(revision, initial, call.flag("allowWatchBookmarks"), seconds)


async def watch(call: Call, watches: Watches) -> Response:
    """The stream. What is wrong with the revision is told as an ERROR event, as upstream's watch cache does."""
    chosen, asked = selection(call), options(call)
    form = call.form
    cache = call.storage.cache(call.kind)
    make, media = event_frame, JSON
    if call.media.name == MEDIA_TYPE:
        watch_protobuf.check(call.kind, call.media)
        make, media = watch_protobuf.protobuf_frame, watch_protobuf.STREAM

    async def stream(writer: BodyWriter) -> None:
        watcher = Watcher(cache, chosen, form, make)
        try:
            _begin(watcher, cache, chosen, asked, call.storage.revision)
        except TooOld as error:
            gone = expired(f"too old resource version: {asked.revision} ({error.oldest})")
            writer.write_framed(make("ERROR", orjson.dumps(gone.status())))
            return
        watches.add(watcher, asked.bookmarks)
        timer = asyncio.get_running_loop().call_later(asked.seconds, watcher.close)
        try:
            await _copy(watcher, writer)
        finally:
            timer.cancel()
            watches.remove(watcher)

    return Response(200, stream, [("Content-Type", media), ("Cache-Control", "no-cache, private")])


def _begin(watcher: Watcher, cache: ResourceCache, chosen: Selection, asked: Options, current: int) -> None:
    """Queue what the client has not seen: the objects that are there, or the changes since its revision. Raises TooOld."""
    if not asked.initial and (asked.revision or asked.initial is not None):
        for change in cache.since(asked.revision or current):
            watcher.offer(change)
        return
    watcher.show([item for item in cache.items(chosen.prefix) if chosen.matches(item)])
    if asked.initial and asked.bookmarks:
        watcher.bookmark(current, INITIAL_EVENTS_END)


async def _copy(watcher: Watcher, writer: BodyWriter) -> None:
    while frames := await watcher.take():
        writer.write_framed(frames)
        await writer.drain()
