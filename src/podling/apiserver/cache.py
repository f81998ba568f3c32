"""The watch cache: each resource's objects as encoded bytes in the order of keys, and a ring of their latest changes.

Reads, lists and watch events join these bytes and encode nothing. The ring answers watches from the past, and lists of a past
revision by undoing what came after it.
"""

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from podling.aio.http import frame_chunk
from podling.api.kind import Kind
from podling.api.objects import labels_of
from podling.api.table import Cells, encoded_cells
from podling.apiserver.encoding import decode, metadata_end, metadata_of, restamp, stamp

Object = dict[str, Any]

RING_EVENTS = 4096
RING_BYTES = 8 << 20


class Item:
    """One object at one revision. `data` is its JSON with the resourceVersion; the rest is read from it when first asked."""

    __slots__ = ("_cells", "_fields", "_labels", "_metadata_end", "data", "key", "revision")

    def __init__(self, key: str, data: bytes, revision: int) -> None:
        self.key = key
        self.data = data
        self.revision = revision
        self._labels: dict[str, str] | None = None
        self._fields: tuple[Kind, dict[str, str]] | None = None
        self._cells: tuple[Kind, Cells] | None = None
        self._metadata_end = 0

    @property
    def object(self) -> Object:
        """A fresh copy that the caller may edit."""
        return decode(self.data)

    @property
    def labels(self) -> dict[str, str]:
        if self._labels is None:
            self._labels = labels_of(self.object)
        return self._labels

    def fields(self, kind: Kind) -> dict[str, str]:
        """The values that field selectors see when the object is shown as `kind`."""
        if self._fields is None or self._fields[0] is not kind:
            obj = self.object
            self._labels = labels_of(obj)
            self._fields = (kind, kind.field_values(kind.from_stored(obj)))
        return self._fields[1]

    @property
    def metadata(self) -> bytes:
        """The JSON of metadata: a part of `data`, of which only the end is kept."""
        if not self._metadata_end:
            self._metadata_end = metadata_end(self.data, self.object)
        return metadata_of(self.data, self._metadata_end)

    def cells(self, kind: Kind) -> Cells:
        """What a Table shows of the object as `kind`."""
        if self._cells is None or self._cells[0] is not kind:
            obj = self.object
            self._metadata_end = self._metadata_end or metadata_end(self.data, obj)  # before the kind changes it
            self._cells = (kind, encoded_cells(kind, kind.from_stored(obj)))
        return self._cells[1]


class Form(Protocol):
    """A representation, such as JSON, Table or PartialObjectMetadata; hashable, so that events in it are shared."""

    def one(self, data: bytes) -> bytes: ...


MakeFrame = Callable[[str, bytes], bytes]
"""(type of an event, the object's JSON) -> the event as one chunk."""


class Change:
    """One write: `item` is None when it deleted, `previous` is None when it created."""

    __slots__ = ("_frames", "_last", "item", "key", "previous", "revision")

    def __init__(self, key: str, revision: int, item: Item | None, previous: Item | None) -> None:
        self.key = key
        self.revision = revision
        self.item = item
        self.previous = previous
        self._last: bytes | None = None
        self._frames: dict[tuple[str, Form, MakeFrame | None], bytes] = {}

    def frame(self, kind: str, form: Form, make: "MakeFrame | None" = None) -> bytes:
        """The watch event of type `kind` as one chunk, made once for all streams."""
        frame = self._frames.get((kind, form, make))
        if frame is None:
            frame = self._frames[kind, form, make] = (make or event_frame)(kind, form.one(self._shown(kind)))
        return frame

    def _shown(self, kind: str) -> bytes:
        """A deletion, and the leaving of a selector's view, show the state before at the revision of the change."""
        if kind != "DELETED":
            assert self.item is not None
            return self.item.data
        assert self.previous is not None
        if self._last is None:
            self._last = restamp(self.previous.data, self.previous.revision, self.revision)
        return self._last

    @property
    def size(self) -> int:
        return len(self.item.data) if self.item is not None else 0


def event_frame(kind: str, data: bytes) -> bytes:
    return frame_chunk(b'{"type":"%b","object":%b}\n' % (kind.encode(), data))


class TooOld(Exception):
    """The ring no longer reaches back to the revision asked for; `oldest` is the first that it can show."""

    def __init__(self, oldest: int) -> None:
        super().__init__(f"older than {oldest}")
        self.oldest = oldest


Listener = Callable[[Change], None]


class ResourceCache:
    """All objects of one resource. Keys are `namespace/name`, or `name` for what has no namespace."""

    def __init__(self, oldest: int) -> None:
        self._items: dict[str, Item] = {}
        self._keys: list[str] = []
        self._ring: deque[Change] = deque()
        self._ring_size = 0
        self._oldest = oldest  # states before this revision can't be shown
        self._listeners: dict[Listener, None] = {}
        self.generation = 0
        """Grows with each change."""

    def __len__(self) -> int:
        return len(self._keys)

    def get(self, key: str) -> Item | None:
        return self._items.get(key)

    def items(self, prefix: str = "") -> Iterator[Item]:
        """The items whose key starts with `prefix`, in order, as they are now."""
        items = self._items
        return (items[key] for key in _between(self._keys, prefix, "")) if items else iter(())

    def load(self, key: str, value: bytes, revision: int) -> None:
        """An object that was there before the cache; keys come in order."""
        self._items[key] = Item(key, stamp(value, revision), revision)
        self._keys.append(key)

    def apply(self, key: str, value: bytes | None, revision: int) -> None:
        """A write of the store."""
        previous = self._items.get(key)
        item = Item(key, stamp(value, revision), revision) if value is not None else None
        if item is not None:
            self._items[key] = item
            if previous is None:
                insort(self._keys, key)
        elif previous is not None:
            del self._items[key]
            del self._keys[bisect_left(self._keys, key)]
        self.generation += 1
        change = Change(key, revision, item, previous)
        self._remember(change)
        for listener in tuple(self._listeners):
            listener(change)

    def _remember(self, change: Change) -> None:
        self._ring.append(change)
        self._ring_size += change.size
        while len(self._ring) > RING_EVENTS or self._ring_size > RING_BYTES:
            forgotten = self._ring.popleft()
            self._ring_size -= forgotten.size
            self._oldest = forgotten.revision

    def listen(self, listener: Listener) -> None:
        self._listeners[listener] = None

    def unlisten(self, listener: Listener) -> None:
        self._listeners.pop(listener, None)

    def since(self, revision: int) -> list[Change]:
        """The changes after `revision`. Raises TooOld."""
        if revision < self._oldest:
            raise TooOld(self._oldest)
        ring = self._ring
        if not ring or ring[-1].revision <= revision:
            return []
        return [change for change in ring if change.revision > revision]

    def range(self, prefix: str, start_after: str = "", revision: int | None = None) -> list[Item]:
        """The items behind `start_after`, in order, as of `revision` (None: now). Raises TooOld."""
        undone = self._undo(revision, prefix) if revision is not None else {}
        items = self._items
        keys = _between(self._keys, prefix, start_after)
        if not undone:
            return [items[key] for key in keys]
        back = [key for key, item in undone.items() if item is not None and key not in items and key > start_after]
        if back:
            keys = sorted([*keys, *back])
        found = (undone[key] if key in undone else items[key] for key in keys)
        return [item for item in found if item is not None]

    def _undo(self, revision: int, prefix: str) -> dict[str, Item | None]:
        """What the keys changed after `revision` held at it."""
        undone: dict[str, Item | None] = {}
        for change in self.since(revision):
            if change.key.startswith(prefix):
                undone.setdefault(change.key, change.previous)
        return undone


def _between(keys: list[str], prefix: str, start_after: str) -> list[str]:
    if not prefix and not start_after:
        return keys.copy()
    start = max(bisect_left(keys, prefix), bisect_right(keys, start_after))
    end = bisect_left(keys, prefix[:-1] + chr(ord(prefix[-1]) + 1)) if prefix else len(keys)
    return keys[start:end]
