"""One socket as a ByteStream: reads with back-pressure, writes coalesced per tick of the loop, half close, lingering close.

The HTTP server, the HTTP client and everything that takes a connection over (hijack, WebSocket, SPDY) share it.
"""

import asyncio
import contextlib
from collections import deque
from typing import cast

HIGH_WATER = 256 << 10
"""Bytes received and not yet read at which the socket is no longer read."""
LOW_WATER = 64 << 10
FLUSH_AT = 64 << 10
"""Bytes queued in one tick at which `drain` writes without waiting for the tick's end."""
LINGER_SECONDS = 2.0
"""How long a closed connection waits for the other side to take what was sent, and to close."""


class Wire(asyncio.Protocol):
    """A connected socket, TCP, unix or TLS. Implements `podling.aio.http.ByteStream`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._received: deque[bytes] = deque()
        self._received_size = 0
        self._reader: asyncio.Future[None] | None = None
        self._reading_paused = False
        self._eof = False
        self._queued: list[bytes] = []
        self._queued_size = 0
        self._writable = asyncio.Event()
        self._writable.set()
        self._closing = False
        self._wrote_eof = False
        self._gone = asyncio.Event()
        self._error: Exception | None = None

    # --- what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        self._received.append(data)
        self._received_size += len(data)
        if self._received_size > HIGH_WATER and not self._reading_paused:
            self._reading_paused = True
            self.transport.pause_reading()
        self._wake_reader()

    def eof_received(self) -> bool:
        """Keep the transport open for our half."""
        self._eof = True
        self._wake_reader()
        return not self._closing

    def connection_lost(self, error: Exception | None) -> None:
        self._error = error
        self._eof = True
        self._queued.clear()
        self._gone.set()
        self._writable.set()
        self._wake_reader()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # --- reading

    async def read(self, limit: int = 65536) -> bytes:
        """At least one byte, at most `limit`; b"" at the end. Raises ConnectionError where the connection broke."""
        while not self._received:
            if self._eof:
                if self._error is not None and not self._closing:
                    raise ConnectionResetError(f"the connection broke: {self._error}")
                return b""
            await self._wait_for_data()
        piece = self._received.popleft()
        if len(piece) > limit:
            self._received.appendleft(piece[limit:])
            piece = piece[:limit]
        self._received_size -= len(piece)
        if self._reading_paused and self._received_size <= LOW_WATER:
            self._resume_reading()
        return piece

    def unread(self, data: bytes) -> None:
        """Give back what was read too far: the next read gets it first."""
        if data:
            self._received.appendleft(data)
            self._received_size += len(data)

    async def _wait_for_data(self) -> None:
        """Return when something has come, or the end."""
        if self._reader is not None:
            raise RuntimeError("two tasks read the same connection")
        self._reader = self._loop.create_future()
        try:
            await self._reader
        finally:
            self._reader = None

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _resume_reading(self) -> None:
        self._reading_paused = False
        if not self._gone.is_set():
            self.transport.resume_reading()

    # --- writing

    def write(self, data: bytes) -> None:
        """Queue bytes; what is queued in one tick of the loop leaves in one write."""
        if self._closing or self._wrote_eof or not data:
            return
        if not self._queued:
            self._loop.call_soon(self.flush)
        self._queued.append(data)
        self._queued_size += len(data)

    def send(self, data: bytes) -> None:
        """Write now, behind what is queued."""
        if self._queued:
            self.write(data)
            self.flush()
        elif not (self._closing or self._wrote_eof or self._gone.is_set()):
            self.transport.write(data)

    def flush(self) -> None:
        """Hand what is queued to the socket now."""
        if self._queued and not self._gone.is_set():
            data = self._queued[0] if len(self._queued) == 1 else b"".join(self._queued)
            self._queued.clear()
            self._queued_size = 0
            self.transport.write(data)

    async def drain(self) -> None:
        """Wait until the other side has taken enough. Raises ConnectionResetError when it has gone."""
        if self._queued_size > FLUSH_AT:
            self.flush()
        if not self._writable.is_set():
            await self._writable.wait()
        if self._gone.is_set():
            raise ConnectionResetError("the connection is closed")

    def write_eof(self) -> None:
        """Close our half; reading goes on."""
        if self._wrote_eof or self._closing:
            return
        self.flush()
        self._wrote_eof = True
        if not self._gone.is_set():
            with contextlib.suppress(OSError):  # the other side was quicker
                self.transport.write_eof()

    # --- closing

    @property
    def transport(self) -> asyncio.Transport:
        assert self._transport is not None, "the connection isn't made yet"
        return self._transport

    @property
    def gone(self) -> bool:
        """True once the connection is closed or broken."""
        return self._gone.is_set()

    @property
    def quiet(self) -> bool:
        """Open both ways with nothing to read: what a pooled connection must be between two requests."""
        return not (self._gone.is_set() or self._closing or self._eof or self._received)

    async def wait_gone(self) -> None:
        await self._gone.wait()

    async def close(self) -> None:
        """Send what is queued, say that it ends, and wait until the other side has taken it (or doesn't in LINGER_SECONDS)."""
        self.start_close()
        await self._gone.wait()

    def start_close(self) -> None:
        """As `close`, without waiting.

        The socket is read on, and what comes is dropped: closing a socket with unread bytes makes the kernel send a reset,
        and a reset takes the answer from a client that hasn't read it yet.
        """
        if self._closing or self._transport is None:
            return
        self.write_eof()
        self._closing = True
        self._received.clear()
        self._received_size = 0
        if self._reading_paused:
            self._resume_reading()
        if self._eof:
            self.transport.close()
        self._loop.call_later(LINGER_SECONDS, self._give_up, -1)

    def _give_up(self, left_before: int) -> None:
        """Abort, unless the other side still takes bytes."""
        if self._gone.is_set():
            return
        left = self.transport.get_write_buffer_size()
        if left and left != left_before:
            self._loop.call_later(LINGER_SECONDS, self._give_up, left)
        else:
            self.transport.abort()

    def abort(self) -> None:
        """Close at once; what is queued is lost."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort()
