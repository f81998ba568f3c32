"""The store in memory: deterministic, gone with the process. For tests and simulated time."""

from bisect import bisect_left, bisect_right, insort

from podling.store.base import Compacted, Entry, Event, FutureRevision, Page, StoreError
from podling.store.commit import Row, Write, after_prefix, decide
from podling.store.watch import LogWatch


class MemoryStore:
    """All of history in one list of events; the live state in a dict with its keys kept in order."""

    def __init__(self) -> None:
        self._revision = 0
        self._oldest = 0
        self._log: list[Event] = []
        self._live: dict[str, Entry] = {}
        self._keys: list[str] = []
        self._watches: dict[LogWatch, None] = {}  # in order: who watched first hears first

    @property
    def revision(self) -> int:
        return self._revision

    async def get(self, key: str) -> Entry | None:
        return self._live.get(key)

    async def range(self, prefix: str, *, start_after: str = "", limit: int = 0, revision: int | None = None) -> Page:
        if revision is None:
            revision = self._revision
        self._check(revision)
        live, keys = (self._live, self._keys) if revision == self._revision else self._state_at(revision)
        found = _between(keys, prefix, start_after)
        more = bool(limit) and len(found) > limit
        return Page([live[key] for key in (found[:limit] if more else found)], revision, more)

    def _check(self, revision: int) -> None:
        if revision > self._revision:
            raise FutureRevision(revision, self._revision)
        if revision < self._oldest:
            raise Compacted(revision, self._oldest)

    def _state_at(self, revision: int) -> tuple[dict[str, Entry], list[str]]:
        live = {
            event.key: Entry(event.key, event.value, event.revision) if event.value is not None else None
            for event in self._log
            if event.revision <= revision
        }
        there = {key: entry for key, entry in live.items() if entry is not None}
        return there, sorted(there)

    async def count(self, prefix: str) -> int:
        return len(_between(self._keys, prefix, ""))

    async def create(self, key: str, value: bytes) -> int:
        return self._write(Write(key, value, create=True))

    async def put(self, key: str, value: bytes, *, expected: int | None = None) -> int:
        return self._write(Write(key, value, expected))

    async def delete(self, key: str, *, expected: int | None = None) -> int:
        return self._write(Write(key, None, expected))

    def _write(self, write: Write) -> int:
        found = self._live.get(write.key)
        [outcome] = decide([write], {write.key: found.revision} if found else {}, self._revision)
        if isinstance(outcome, StoreError):
            raise outcome
        event = self._apply(outcome)
        for watch in tuple(self._watches):
            watch.feed((event,))
        return outcome.revision

    def _apply(self, row: Row) -> Event:
        previous = self._live.pop(row.key, None)
        if row.value is not None:
            self._live[row.key] = Entry(row.key, row.value, row.revision)
            if previous is None:
                insort(self._keys, row.key)
        else:
            del self._keys[bisect_left(self._keys, row.key)]
        self._revision = row.revision
        self._log.append(event := Event(row.key, row.value, row.revision))
        return event

    def watch(self, prefix: str, *, after: int) -> LogWatch:
        watch = LogWatch(prefix, after, self._revision, self._history, self._watches.pop)
        self._watches[watch] = None
        return watch

    async def _history(self, prefix: str, after: int, limit: int) -> list[Event]:
        if after < self._oldest:
            raise Compacted(after, self._oldest)
        start = bisect_right(self._log, after, key=lambda event: event.revision)
        return [event for event in self._log[start:] if event.key.startswith(prefix)][:limit]

    async def compact(self, revision: int) -> None:
        if revision > self._revision:
            raise FutureRevision(revision, self._revision)
        if revision <= self._oldest:
            return
        self._oldest = revision
        kept = {entry.revision for entry in self._state_at(revision)[0].values()}
        self._log = [event for event in self._log if event.revision > revision or event.revision in kept]

    async def close(self) -> None:
        for watch in tuple(self._watches):
            await watch.aclose()


def _between(keys: list[str], prefix: str, start_after: str) -> list[str]:
    start = max(bisect_left(keys, prefix), bisect_right(keys, start_after))
    end = bisect_left(keys, after_prefix(prefix)) if prefix else len(keys)
    return keys[start:end]
