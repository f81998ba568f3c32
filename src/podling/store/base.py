"""What a store is: keys, opaque bytes, one global revision.

Every write takes the next revision; a key's revision is that of its last write, so that a writer can say which state it has
seen (compare-and-swap). History is kept until it is compacted: reads and watches may go back to any revision after that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

ABSENT = 0  # the revision of a key that does not exist


@dataclass(frozen=True, slots=True)
class Entry:
    """A key's value, and the revision that wrote it."""

    key: str
    value: bytes
    revision: int


@dataclass(frozen=True, slots=True)
class Event:
    """One write. `value` is None for a deletion."""

    key: str
    value: bytes | None
    revision: int


@dataclass(frozen=True, slots=True)
class Page:
    """Part of a range, in the order of keys. `revision` is the state it shows; `more` tells that the limit cut it."""

    entries: list[Entry]
    revision: int
    more: bool = False


class StoreError(Exception):
    """Base of what a store refuses."""


class KeyExists(StoreError):
    """A create met an existing key."""

    def __init__(self, key: str, revision: int) -> None:
        super().__init__(f"key {key!r} exists at revision {revision}")
        self.key, self.revision = key, revision


class RevisionMismatch(StoreError):
    """A compare-and-swap met another state: `current` is the key's revision, ABSENT when the key does not exist."""

    def __init__(self, key: str, expected: int | None, current: int) -> None:
        super().__init__(f"key {key!r} is at revision {current}, expected {expected if expected is not None else 'any'}")
        self.key, self.expected, self.current = key, expected, current


class Compacted(StoreError):
    """History before `oldest` is gone: list again and watch from there."""

    def __init__(self, asked: int, oldest: int) -> None:
        super().__init__(f"revision {asked} has been compacted; the oldest is {oldest}")
        self.asked, self.oldest = asked, oldest


class FutureRevision(StoreError):
    """A read or a watch names a revision that has not been written yet."""

    def __init__(self, asked: int, current: int) -> None:
        super().__init__(f"revision {asked} is larger than the current revision {current}")
        self.asked, self.current = asked, current


class Watch(Protocol):
    """An endless iterator over batches of events, in the order of revisions, none left out."""

    def __aiter__(self) -> Self: ...

    async def __anext__(self) -> Sequence[Event]:
        """The next events, at least one. Raises Compacted when history that it still needs is gone."""

    async def aclose(self) -> None: ...


class Store(Protocol):
    """Keys are printable ASCII and compare bytewise. A write returns its revision once it is durable and reads see it."""

    @property
    def revision(self) -> int:
        """The last durable revision; 0 when nothing was ever written."""

    async def get(self, key: str) -> Entry | None: ...

    async def range(self, prefix: str, *, start_after: str = "", limit: int = 0, revision: int | None = None) -> Page:
        """The keys that start with `prefix` and sort behind `start_after`, at most `limit` (0: all), as of `revision`.

        Raises Compacted, FutureRevision.
        """

    async def count(self, prefix: str) -> int: ...

    async def create(self, key: str, value: bytes) -> int:
        """Raises KeyExists."""

    async def put(self, key: str, value: bytes, *, expected: int | None = None) -> int:
        """Write whatever is there, or only if the key is at revision `expected` (ABSENT: not there). Raises RevisionMismatch."""

    async def delete(self, key: str, *, expected: int | None = None) -> int:
        """Raises RevisionMismatch, with current=ABSENT when there is nothing to delete."""

    def watch(self, prefix: str, *, after: int) -> Watch:
        """The events with a revision greater than `after`. Iterating raises Compacted when those are gone."""

    async def compact(self, revision: int) -> None:
        """Forget history before `revision`; the state at `revision` and later stays readable. Going back is no error."""

    async def close(self) -> None:
        """Wait for what was queued, then release everything. Safe to call twice."""
