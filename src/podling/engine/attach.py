"""Streams of a container or an exec, as a client holds them."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING

from podling.base.errors import NotFound
from podling.engine.types import LogRecord, StreamName
from podling.runtime.base import Runtime
from podling.runtime.stdio import Stdio

if TYPE_CHECKING:
    from podling.engine.container import Container

Chunk = tuple[StreamName, bytes]


class Attachment:
    """What comes from a process and goes to it. Made before the process runs, it waits for it, and loses nothing.

    `read` must be called to the end even by who only writes: a process whose output nobody takes stands still.
    """

    def __init__(self, *, stdin: bool = True, stdout: bool = True, stderr: bool = True) -> None:
        self._wanted = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
        self._stdio: asyncio.Future[Stdio | None] = asyncio.get_running_loop().create_future()
        self._early: deque[bytes] = deque()
        self._input_ended = False
        self._log: AsyncGenerator[LogRecord, None] | None = None
        self._last_words: Callable[[], Awaitable[bytes]] | None = None
        self._closed = False

    @property
    def wants_stdin(self) -> bool:
        return self._wanted["stdin"]

    def begin(
        self,
        stdio: Stdio | None,
        log: AsyncGenerator[LogRecord, None] | None = None,
        last_words: Callable[[], Awaitable[bytes]] | None = None,
    ) -> None:
        """The process is there (None: there will be none).

        `log` stands for its streams: what it has written, and what follows, each byte once. `last_words` are read after them.
        """
        self._log, self._last_words = log, last_words
        if self._stdio.done():
            return
        if stdio is not None and log is not None:
            stdio.ignore_output()
        self._stdio.set_result(stdio)
        if stdio is not None:
            for data in self._early:
                stdio.write(data)
            if self._input_ended:
                stdio.close_stdin()
        self._early.clear()

    @property
    def pending(self) -> bool:
        """Whether it still waits for the process."""
        return not self._stdio.done() and not self._closed

    def _now(self) -> Stdio | None:
        return self._stdio.result() if self._stdio.done() else None

    async def read(self) -> Chunk | None:
        """The next piece of a wanted stream; None when all have ended."""
        stdio = await asyncio.shield(self._stdio)
        if self._log is not None:
            async for record in self._log:
                if self._wanted[record.stream]:
                    return record.stream, record.data
            return await self._end()
        while stdio is not None and not self._closed:
            chunk = await stdio.read()
            if chunk is None:
                break
            if self._wanted[chunk[0]]:
                return chunk
        return await self._end()

    async def _end(self) -> Chunk | None:
        words, self._last_words = self._last_words, None
        data = await words() if words is not None and not self._closed else b""
        return ("stderr", data) if data else None

    def write(self, data: bytes) -> None:
        """Queue bytes for stdin; dropped where stdin was not asked for."""
        if not self._wanted["stdin"]:
            return
        if (stdio := self._now()) is not None:
            stdio.write(data)
        elif not self._stdio.done():
            self._early.append(data)

    async def drain(self) -> None:
        stdio = await asyncio.shield(self._stdio)
        if stdio is not None:
            await stdio.drain()

    def close_stdin(self) -> None:
        """End of input."""
        self._input_ended = True
        if self._wanted["stdin"] and (stdio := self._now()) is not None:
            stdio.close_stdin()

    async def close(self) -> None:
        """Let go; the process goes on."""
        self._closed = True
        if self._log is not None:
            await self._log.aclose()
        if not self._stdio.done():
            self._stdio.set_result(None)
        elif (stdio := self._stdio.result()) is not None:
            await stdio.close()


class Attachments:
    """Those of one container: they are connected while it runs, and wait for its next start while it does not."""

    def __init__(self, container: "Container", runtime: Runtime) -> None:
        self._container = container
        self._runtime = runtime
        self._waiting: list[tuple[Attachment, bool]] = []  # and whether with the past

    def add(self, attachment: Attachment, *, logs: bool) -> None:
        """`logs` gives the past first."""
        if self._container.running:
            self._begin(attachment, logs=logs)
        else:
            self._waiting.append((attachment, logs))

    def _begin(self, attachment: Attachment, *, logs: bool) -> None:
        attachment.begin(self._streams(attachment), self._container.logs(follow=True, joined="plain") if logs else None)

    def _streams(self, attachment: Attachment) -> Stdio | None:
        try:
            return self._runtime.attach(self._container.id, stdin=attachment.wants_stdin)
        except NotFound:
            return None  # it has ended in this moment

    def connect(self) -> None:
        """The container is there."""
        for attachment, logs in self._waiting:
            if attachment.pending:
                self._begin(attachment, logs=logs)
        self._waiting.clear()

    def give_up(self) -> None:
        """It won't start."""
        for attachment, _ in self._waiting:
            attachment.begin(None)
        self._waiting.clear()
