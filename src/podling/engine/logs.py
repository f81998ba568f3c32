"""Reading a container's log: CRI's format, `TIME STREAM P|F DATA`, written by conmon. Follows by inotify, through rotation."""

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO, Literal, Self, cast

from podling.aio.tasks import Tasks
from podling.engine.logfiles import files
from podling.engine.types import LogRecord, StreamName
from podling.linux import inotify

_BLOCK = 1 << 17
_MARK = slice(35, 45)  # behind conmon's times, which are all of one length
_ZONE_AND_MARK = slice(29, 45)
_UTC = b"+00:00"
_WHOLE: dict[bytes, StreamName] = {b" stdout F ": "stdout", b" stderr F ": "stderr"}
_NANOSECONDS = 1_000_000_000
Ended = Callable[[], Awaitable[None]]
Joined = Literal["", "plain", "dated"]
Parser = Callable[[bytes], Iterator[LogRecord]]


def parse_line(line: bytes) -> LogRecord:
    """One line of the file, with or without its newline. Raises ValueError for what is none."""
    time, stream, tag, data = [*line.removesuffix(b"\n").split(b" ", 3), b""][:4]
    if stream not in (b"stdout", b"stderr") or tag[:1] not in (b"F", b"P"):
        raise ValueError(f"not a log line: {line[:80]!r}")
    partial = tag[:1] == b"P"
    return LogRecord(cast(StreamName, stream.decode()), parse_time(time.decode()), data if partial else data + b"\n", partial)


def parse_time(text: str) -> int:
    """RFC 3339 with up to nine digits of a second, as unix nanoseconds."""
    whole, _, rest = text.partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    zone = rest[len(digits) :] if rest else ""
    if not rest:
        whole, zone = (text[:-1], "Z") if text.endswith("Z") else (text[:-6], text[-6:])
    return _seconds(whole + (zone.replace("Z", "+00:00") or "+00:00")) * _NANOSECONDS + int(digits[:9].ljust(9, "0") or "0")


@lru_cache(maxsize=64)  # many lines are of the same second
def _seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp())


async def read_log(
    path: Path,
    streams: Collection[str],
    *,
    since: float | None = None,
    until: float | None = None,
    tail: int | None = None,
    ended: Ended | None = None,
    joined: Joined = "",
) -> AsyncGenerator[LogRecord, None]:
    """Records of `streams` between two times (unix seconds), the last `tail` lines, and on as they come until `ended` returns.

    `joined`: neighbouring whole lines may come as one record of time 0, which costs much less; "plain" without their times,
    "dated" with the time, in UTC, and a blank before each.
    """
    first = None if since is None else int(since * _NANOSECONDS)
    last = None if until is None else int(until * _NANOSECONDS)
    parsed = _PARSERS[joined if first is None and last is None else ""]
    async for record in _records(path, tail, ended, parsed):
        if last is not None and record.time > last:
            return
        if record.stream in streams and (first is None or record.time >= first):
            yield record


async def _records(path: Path, tail: int | None, ended: Ended | None, parsed: Parser) -> AsyncGenerator[LogRecord, None]:
    if ended is None:
        with _Tape(path, tail) as tape:
            async for record in _to_end(tape, parsed):
                yield record
        return
    async with Tasks(f"log {path.name}") as tasks:
        with inotify.Inotify() as watcher, _Tape(path, tail, watcher) as tape:
            over = tasks.start(_tell(ended), "end")
            finished = False
            while not finished:
                finished = over.done()
                async for record in _to_end(tape, parsed):
                    yield record
                if not finished:
                    await _event_or_end(watcher, over)


async def _tell(ended: Ended) -> None:
    await ended()


async def _event_or_end(watcher: inotify.Inotify, over: "asyncio.Task[None]") -> None:
    async with Tasks("log") as tasks:
        await asyncio.wait([tasks.start(watcher.next(), "event"), over], return_when=asyncio.FIRST_COMPLETED)


class _Tape:
    """A log's files as one, from the last `tail` lines on. What makes it longer wakes `watcher`."""

    def __init__(self, path: Path, tail: int | None, watcher: inotify.Inotify | None = None) -> None:
        self._path = path
        self._watcher = watcher
        self._lines: _Lines | None = None
        if watcher is not None:
            # The directory tells of a file's making and renaming, the file of its growing.
            watcher.add(path.parent, inotify.CREATE | inotify.MOVED_TO)
        if tail is not None:
            self._begin(tail)

    def _begin(self, tail: int) -> None:
        """Open the file that holds the first wanted line, before that line."""
        for path in reversed(files(self._path)):
            if not self._open(path):
                continue
            assert self._lines is not None
            tail -= _seek_tail(self._lines.file, tail)
            if tail <= 0:
                return

    def _open(self, path: Path) -> bool:
        """Go on in another file; False if it has gone meanwhile."""
        self.close()
        try:
            self._lines = _Lines(path.open("rb"))
        except FileNotFoundError:
            self._lines = None
            return False
        if self._watcher is not None:
            self._watcher.add(f"/proc/self/fd/{self._lines.file.fileno()}", inotify.MODIFY)
        return True

    def read(self) -> bytes:
        """The next lines; none at the present end."""
        while True:
            following = self._following()  # looked up first: where there is one, this file is complete
            if self._lines is not None and (found := self._lines.read()):
                return found
            if following is None or not self._open(following):
                return b""

    def _following(self) -> Path | None:
        """The file after the present one; the oldest if that has gone."""
        paths = files(self._path)
        present = [number for number, path in enumerate(paths) if self._lines is not None and self._lines.is_of(path)]
        after = paths[present[-1] + 1 :] if present else paths
        return after[0] if after else None

    def close(self) -> None:
        if self._lines is not None:
            self._lines.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Lines:
    """Whole lines of a growing file; a line that has no newline yet waits for it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self._rest = b""

    def is_of(self, path: Path) -> bool:
        try:
            return os.path.samestat(path.stat(), os.fstat(self.file.fileno()))
        except FileNotFoundError:
            return False

    def read(self) -> bytes:
        """The next lines; none at the present end of the file."""
        while block := self.file.read(_BLOCK):
            lines, newline, self._rest = (self._rest + block).rpartition(b"\n")
            if newline:
                return lines + newline
        return b""


async def _to_end(tape: _Tape, parsed: Parser) -> AsyncGenerator[LogRecord, None]:
    while found := tape.read():
        for record in parsed(found):
            yield record
        await asyncio.sleep(0)  # a long log must not hold up the others


def _parsed(lines: bytes) -> Iterator[LogRecord]:
    yield from _each(lines[:-1].split(b"\n"))


def _each(lines: Iterable[bytes]) -> Iterator[LogRecord]:
    for line in lines:
        try:
            yield parse_line(line)
        except ValueError:
            continue  # cut short by a crash


def _plain(lines: bytes) -> Iterator[LogRecord]:
    for mark, run in groupby(lines[:-1].split(b"\n"), itemgetter(_MARK)):
        if (stream := _WHOLE.get(mark)) is not None:
            yield LogRecord(stream, 0, b"\n".join([line[_MARK.stop :] for line in run]) + b"\n")
        else:
            yield from _each(run)


def _dated(lines: bytes) -> Iterator[LogRecord]:
    for mark, run in groupby(lines[:-1].split(b"\n"), itemgetter(_ZONE_AND_MARK)):
        if mark.startswith(_UTC) and (stream := _WHOLE.get(mark[len(_UTC) :])) is not None:
            pieces = [b"%bZ %b\n" % (line[: _ZONE_AND_MARK.start], line[_MARK.stop :]) for line in run]
            yield LogRecord(stream, 0, b"".join(pieces))
        else:
            yield from _each(run)


_PARSERS: dict[Joined, Parser] = {"": _parsed, "plain": _plain, "dated": _dated}


def _seek_tail(file: BinaryIO, wanted: int) -> int:
    """Place the file before its last `wanted` lines, reading from its end backwards: how many there are, `wanted` at most.

    A line may stand in several pieces.
    """
    position = file.seek(0, os.SEEK_END)
    if wanted <= 0:
        return 0
    rest = b""
    begins: int = position
    counted = 0
    while position > 0:
        size = min(_BLOCK, position)
        position -= size
        file.seek(position)
        block = file.read(size) + rest
        offset = len(block)
        pieces = block.split(b"\n")
        rest = pieces[0]
        for piece in reversed(pieces[1:] if position else pieces):
            offset -= len(piece)
            if piece and _ends_line(piece, counted):
                if counted == wanted:
                    file.seek(begins)
                    return counted
                counted += 1
            if piece:
                begins = position + offset
            offset -= 1
    file.seek(0)
    return counted


def _ends_line(piece: bytes, counted: int) -> bool:
    """Whether this record ends a line: a full one, or at the very end of the log a partial one."""
    words = piece.split(b" ", 3)
    return counted == 0 or (len(words) > 2 and words[2][:1] == b"F")
