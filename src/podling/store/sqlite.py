"""The store in one SQLite file: WAL, synchronous=FULL, group commit.

Writes queued in one tick of the loop are one transaction in the writer's thread, and while it is being made durable the next
group gathers. The live keys and their revisions are held in memory, so that a write is decided without a read.
Source: https://sqlite.org/wal.html, https://sqlite.org/pragma.html#pragma_synchronous.
"""

import asyncio
import fcntl
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

from podling.base.errors import Conflict, Unavailable
from podling.store.base import Compacted, Entry, Event, FutureRevision, Page, StoreError
from podling.store.commit import Row, Write, after_prefix, decide
from podling.store.watch import LogWatch

log = logging.getLogger(__name__)
T = TypeVar("T")

_SCHEMA = """
PRAGMA page_size = 8192;
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS log (revision INTEGER PRIMARY KEY, key TEXT NOT NULL, value BLOB, replaces INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS log_key ON log (key, revision);
CREATE TABLE IF NOT EXISTS compaction (oldest INTEGER NOT NULL);
INSERT INTO compaction SELECT 0 WHERE NOT EXISTS (SELECT * FROM compaction);
"""
_LATEST = "SELECT key, max(revision), value IS NULL FROM log GROUP BY key"
_RANGE = """
SELECT key, value, revision FROM log AS this
WHERE key {0} ? AND (key < ? OR ? = '') AND value IS NOT NULL
  AND revision = (SELECT max(revision) FROM log WHERE key = this.key AND revision <= ?)
ORDER BY key LIMIT ?
"""
_RANGE_FROM, _RANGE_BEHIND = _RANGE.format(">="), _RANGE.format(">")
# "+" keeps the planner on the order of revisions.
_HISTORY = """
SELECT key, value, revision FROM log
WHERE revision > ? AND revision <= ? AND +key >= ? AND (+key < ? OR ? = '')
ORDER BY revision LIMIT ?
"""
_GROUP = 64  # rows written in one statement
_FORGET_STEP = 1000  # revisions compacted in one transaction, so that writes get their turn
_Queued = tuple[Write, "asyncio.Future[int]"]


class SqliteStore:
    """One file, one process: a lock file beside it keeps a second process out."""

    def __init__(self, path: Path) -> None:
        """Opens or creates `path` (mode 0600, with -wal, -shm and .lock beside it). Raises Conflict when it is in use.

        Blocks; from a running loop call `open`.
        """
        self._path = path
        self._lock = _locked(path)
        self._writing, self._reading = _connect(path), _connect(path)
        self._writing.executescript(_SCHEMA)
        self._writing.execute("PRAGMA synchronous = FULL")
        self._writer = ThreadPoolExecutor(1, "store-writer")
        self._reader = ThreadPoolExecutor(1, "store-reader")
        self._latest: dict[str, int] = {}
        self._read_state()
        self._queue: list[_Queued] = []
        self._flushing: asyncio.Future[None] | None = None
        self._watches: dict[LogWatch, None] = {}

    @classmethod
    async def open(cls, path: Path) -> Self:
        return await asyncio.to_thread(cls, path)

    def _read_state(self) -> None:
        last = self._oldest = int(self._writing.execute("SELECT oldest FROM compaction").fetchone()[0])
        for key, revision, deleted in self._writing.execute(_LATEST):
            last = max(last, revision)
            if not deleted:
                self._latest[key] = revision
        self._revision = last

    @property
    def revision(self) -> int:
        return self._revision

    # reads

    async def get(self, key: str) -> Entry | None:
        while (revision := self._latest.get(key)) is not None:
            rows = await self._read("SELECT value FROM log WHERE revision = ?", revision)
            if rows:
                return Entry(key, rows[0][0], revision)
            if self._latest.get(key) == revision:
                raise Unavailable(f"store {self._path}: the file has lost {key!r} of revision {revision}")
            # overwritten and compacted meanwhile: look again
        return None

    async def range(self, prefix: str, *, start_after: str = "", limit: int = 0, revision: int | None = None) -> Page:
        if revision is None:
            revision = self._revision
        self._check(revision)
        end = after_prefix(prefix)
        query, start = (_RANGE_FROM, prefix) if start_after < prefix else (_RANGE_BEHIND, start_after)
        rows = await self._read(query, start, end, end, revision, limit + 1 if limit else -1)
        self._check(revision)
        more = bool(limit) and len(rows) > limit
        return Page([Entry(*row) for row in (rows[:limit] if more else rows)], revision, more)

    def _check(self, revision: int) -> None:
        if revision > self._revision:
            raise FutureRevision(revision, self._revision)
        if revision < self._oldest:
            raise Compacted(revision, self._oldest)

    async def count(self, prefix: str) -> int:
        return sum(key.startswith(prefix) for key in self._latest)

    async def _read(self, query: str, *parameters: str | int) -> list[Any]:
        return await self._in(self._reader, lambda: self._reading.execute(query, parameters).fetchall())

    async def _in(self, executor: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(executor, work)
        except sqlite3.Error as error:
            raise Unavailable(f"store {self._path}: {error}") from error

    # writes

    async def create(self, key: str, value: bytes) -> int:
        return await self._submit(Write(key, value, create=True))

    async def put(self, key: str, value: bytes, *, expected: int | None = None) -> int:
        return await self._submit(Write(key, value, expected))

    async def delete(self, key: str, *, expected: int | None = None) -> int:
        return await self._submit(Write(key, None, expected))

    def _submit(self, write: Write) -> "asyncio.Future[int]":
        loop = asyncio.get_running_loop()
        result = loop.create_future()
        self._queue.append((write, result))
        if self._flushing is None:
            self._flushing = loop.create_future()
            loop.call_soon(self._flush)
        return result

    def _flush(self) -> None:
        """Hand what has gathered to the writer's thread; ends when nothing gathers any more."""
        if not self._queue:
            assert self._flushing is not None
            self._flushing.set_result(None)
            self._flushing = None
            return
        queue, self._queue = self._queue, []
        outcomes = decide([write for write, _ in queue], self._latest, self._revision)
        rows = [outcome for outcome in outcomes if isinstance(outcome, Row)]
        work = asyncio.get_running_loop().run_in_executor(self._writer, self._commit, rows)
        work.add_done_callback(partial(self._committed, queue, outcomes))

    def _commit(self, rows: Sequence[Row]) -> None:
        """In the writer's thread: make `rows` durable.

        A group is one statement, which is a transaction of its own: each statement gives the interpreter's lock away and has to
        wait for the loop to get it back.
        """
        if not rows:
            return
        if len(rows) <= _GROUP:
            _insert(self._writing, rows)
            return
        with _transaction(self._writing) as write:
            for start in range(0, len(rows), _GROUP):
                _insert(write, rows[start : start + _GROUP])

    def _committed(self, queue: list[_Queued], outcomes: list[Row | StoreError], work: "asyncio.Future[None]") -> None:
        if (error := work.exception()) is not None:
            # Refusals go the same way: they may rest on rows of this group that were not written.
            log.error("store %s: %s", self._path, error)
            failure = Unavailable(f"store {self._path}: {error}")
            _settle(queue, [failure] * len(queue))
        else:
            self._apply([Event(row.key, row.value, row.revision) for row in outcomes if isinstance(row, Row)])
            _settle(queue, [outcome.revision if isinstance(outcome, Row) else outcome for outcome in outcomes])
        self._flush()

    def _apply(self, events: list[Event]) -> None:
        for event in events:
            if event.value is None:
                del self._latest[event.key]
            else:
                self._latest[event.key] = event.revision
        if events:
            self._revision = events[-1].revision
            for watch in tuple(self._watches):
                watch.feed(events)

    # history

    def watch(self, prefix: str, *, after: int) -> LogWatch:
        watch = LogWatch(prefix, after, self._revision, self._history, self._watches.pop)
        self._watches[watch] = None
        return watch

    async def _history(self, prefix: str, after: int, limit: int) -> list[Event]:
        end = after_prefix(prefix)
        rows = await self._read(_HISTORY, after, self._revision, prefix, end, end, limit)
        if after < self._oldest:
            raise Compacted(after, self._oldest)
        return [Event(*row) for row in rows]

    async def compact(self, revision: int) -> None:
        if revision > self._revision:
            raise FutureRevision(revision, self._revision)
        start = self._oldest
        self._oldest = max(start, revision)  # before the first row goes, so that no reader takes a gap for history
        while start < revision:
            end = min(start + _FORGET_STEP, revision)
            await self._in(self._writer, partial(self._forget, start, end))
            start = end

    def _forget(self, start: int, end: int) -> None:
        """In the writer's thread: drop what the writes of (start, end] superseded, and those of them that are deletions."""
        window = (start, end)
        with _transaction(self._writing) as write:
            write.execute(
                "DELETE FROM log WHERE revision IN (SELECT replaces FROM log WHERE revision > ? AND revision <= ?)", window
            )
            write.execute("DELETE FROM log WHERE revision > ? AND revision <= ? AND value IS NULL", window)
            write.execute("UPDATE compaction SET oldest = ?", (end,))

    async def close(self) -> None:
        while self._flushing is not None:
            await self._flushing
        for watch in tuple(self._watches):
            await watch.aclose()
        await asyncio.to_thread(self._release)

    def _release(self) -> None:
        self._writer.shutdown()
        self._reader.shutdown()
        self._reading.close()
        self._writing.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _settle(queue: list[_Queued], results: Sequence[int | Exception]) -> None:
    for (_, waiting), result in zip(queue, results, strict=True):
        if waiting.done():  # its writer was cancelled; the write stands
            continue
        if isinstance(result, Exception):
            waiting.set_exception(result)
        else:
            waiting.set_result(result)


def _connect(path: Path) -> sqlite3.Connection:
    # a statement for each size of a group stays prepared
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=2 * _GROUP)


def _insert(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    values = [value for row in rows for value in (row.revision, row.key, row.value, row.replaces)]
    connection.execute(f"INSERT INTO log VALUES {', '.join(['(?, ?, ?, ?)'] * len(rows))}", values)  # noqa: S608


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Durable when the block has ended; undone when it failed."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _locked(path: Path) -> int:
    """Create `path` readable by its owner alone (it holds Secrets), and take the lock that lasts as long as this process."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise Conflict(f"store {path} is in use by another process") from error
    return lock
