"""Changes of files as they happen. Source: inotify(7)."""

import asyncio
import ctypes
import errno
import os
import struct
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from podling.linux.libc import function

MODIFY = 0x2
ATTRIB = 0x4
CLOSE_WRITE = 0x8
MOVED_FROM = 0x40
MOVED_TO = 0x80
CREATE = 0x100
DELETE = 0x200
DELETE_SELF = 0x400
MOVE_SELF = 0x800
Q_OVERFLOW = 0x4000
IGNORED = 0x8000  # the watch is gone, with its file or by `remove`

_EVENT = struct.Struct("=iIII")  # watch, mask, cookie, length of the name
_READ = 65536

_init = function("inotify_init1", ctypes.c_int)
_add_watch = function("inotify_add_watch", ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)
_rm_watch = function("inotify_rm_watch", ctypes.c_int, ctypes.c_int)


@dataclass(frozen=True, slots=True)
class Event:
    """What happened: `watch` is what `add` gave (-1 with Q_OVERFLOW: events were lost), `name` the file in a directory."""

    watch: int
    mask: int
    name: str


class Inotify:
    """Watches of one reader.

    Use it as a context; `async for event in watcher` waits without polling.
    """

    def __init__(self) -> None:
        self._descriptor = _init(os.O_CLOEXEC | os.O_NONBLOCK)
        self._events: deque[Event] = deque()
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Future[None] | None = None
        self._loop.add_reader(self._descriptor, self._read)

    def add(self, path: str | Path, mask: int) -> int:
        """Watch `path` for the events in `mask`; the watch's number, the same for the same file. Raises OSError with the path."""
        return _add_watch(self._descriptor, os.fsencode(path), mask, about=str(path))

    def remove(self, watch: int) -> None:
        """Stop a watch; nothing if its file is gone already."""
        try:
            _rm_watch(self._descriptor, watch)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, _READ)
        except BlockingIOError:
            return
        self._events.extend(parse(data))
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def next(self) -> Event:
        """The next event; for one waiting caller. Raises StopAsyncIteration after `close`."""
        while not self._events:
            if self._descriptor < 0:
                raise StopAsyncIteration
            self._waiting = self._loop.create_future()
            await self._waiting
        return self._events.popleft()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        return await self.next()

    def close(self) -> None:
        """End all watches; who waits gets the end. Safe to call twice."""
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1
            self._wake()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class Shared(Inotify):
    """One instance for many who follow a directory each: the kernel allows a user 128 instances, and many more watches."""

    _of_loop: ClassVar[dict[asyncio.AbstractEventLoop, "Shared"]] = {}

    def __init__(self) -> None:
        super().__init__()
        self._followers: dict[int, list[Follower]] = {}

    def _read(self) -> None:
        super()._read()
        while self._events:
            event = self._events.popleft()
            for watch in [event.watch] if event.watch >= 0 else list(self._followers):
                for follower in self._followers.get(watch, ()):
                    follower.tell(event)

    def join(self, path: str | Path, mask: int, follower: "Follower") -> int:
        """Tell `follower` of what happens at `path`; all who follow the same path want the same `mask`. The watch's number."""
        try:
            watch = self.add(path, mask)
        except OSError:
            self._end_if_unused()
            raise
        self._followers.setdefault(watch, []).append(follower)
        return watch

    def leave(self, watch: int, follower: "Follower") -> None:
        self._followers[watch].remove(follower)
        if not self._followers[watch]:
            del self._followers[watch]
            self.remove(watch)
        self._end_if_unused()

    def _end_if_unused(self) -> None:
        if not self._followers:
            self.close()
            self._of_loop.pop(self._loop, None)

    @classmethod
    def of_this_loop(cls) -> "Shared":
        loop = asyncio.get_running_loop()
        if loop not in cls._of_loop:
            cls._of_loop[loop] = cls()
        return cls._of_loop[loop]


class Follower:
    """Follows one path by the loop's shared instance. Use it as a context; `async for event in follower` never polls."""

    def __init__(self, path: str | Path, mask: int) -> None:
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._shared = Shared.of_this_loop()
        self._watch = self._shared.join(path, mask, self)

    def tell(self, event: Event) -> None:
        self._events.put_nowait(event)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        return await self._events.get()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._shared.leave(self._watch, self)


def parse(data: bytes) -> list[Event]:
    """The events that one read(2) gives."""
    events = []
    position = 0
    while position < len(data):
        watch, mask, _, length = _EVENT.unpack_from(data, position)
        position += _EVENT.size
        events.append(Event(watch, mask, os.fsdecode(data[position : position + length].rstrip(b"\0"))))
        position += length
    return events
