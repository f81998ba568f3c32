"""How requests travel: a Protocol, and the one way that needs no socket.

The direct transport calls the API server's handler in the same process, watches included, so that controllers beside the
server and whole simulated clusters pay for no TLS and no copies.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import quote, unquote, urlencode

from podling.aio.http import BodyWriter, ByteStream, Handler, HeaderList, Headers, Peer, Producer, Query, Request
from podling.aio.tasks import Tasks


class Reply:
    """A response: its body is read whole by `read`, or piece by piece by `stream`. Close it when you stop before its end."""

    def __init__(
        self,
        status: int,
        headers: Headers,
        body: bytes | AsyncIterator[bytes],
        close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.status = status
        self.headers = headers
        self._body = body
        self._close = close

    async def read(self) -> bytes:
        if isinstance(self._body, bytes):
            return self._body
        return b"".join([piece async for piece in self._body])

    async def stream(self) -> AsyncGenerator[bytes, None]:
        if isinstance(self._body, bytes):
            yield self._body
            return
        async for piece in self._body:
            yield piece

    async def close(self) -> None:
        if self._close is not None:
            await self._close()


class Transport(Protocol):
    async def request(
        self, method: str, path: str, query: Mapping[str, str] | None = None, headers: HeaderList | None = None, body: bytes = b""
    ) -> Reply:
        """Send one request. `path` is percent-encoded. Raises PodlingError or OSError where the server isn't reached."""

    async def close(self) -> None: ...


class DirectTransport:
    """Calls `handler` in this process. `context` and `peer` say who asks, as the handler's authenticators expect it."""

    def __init__(self, handler: Handler, *, context: Mapping[str, Any] | None = None, peer: Peer | None = None) -> None:
        self._handler = handler
        self._context = dict(context or {})
        self._peer = peer or Peer("in-process")
        self._tasks = Tasks("direct transport")

    async def request(
        self, method: str, path: str, query: Mapping[str, str] | None = None, headers: HeaderList | None = None, body: bytes = b""
    ) -> Reply:
        response = await self._handler(self._message(method, path, query, headers, body))
        if response is None:
            raise ConnectionError(f"{method} {path} wants the connection, which a call within the process doesn't have")
        fields = Headers(response.headers)
        if isinstance(response.body, bytes):
            return Reply(response.status, fields, response.body)
        if callable(response.body):
            pipe = _Pipe(response.body, self._tasks, path)
            return Reply(response.status, fields, pipe.pieces(), pipe.close)
        return Reply(response.status, fields, aiter(response.body))

    def _message(
        self, method: str, path: str, query: Mapping[str, str] | None, headers: HeaderList | None, body: bytes
    ) -> Request:
        raw_query = _encoded(tuple(query.items())) if query else ""
        return Request(
            method,
            unquote(path),
            Query(raw_query),
            Headers(headers or []),
            _Given(body),
            self._peer,
            raw_path=path,
            raw_query=raw_query,
            context=dict(self._context),
        )

    async def close(self) -> None:
        await self._tasks.cancel()


@lru_cache(256)
def _encoded(query: tuple[tuple[str, str], ...]) -> str:
    """Of the few that a client asks with again and again."""
    return urlencode(query, quote_via=quote)


class _Given:
    """The body of a request that is already here."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def stream(self) -> AsyncIterator[bytes]:
        if self._body:
            yield self._body

    async def hijack(self, status: int, headers: HeaderList) -> ByteStream:
        raise ConnectionError("a call within the process has no connection to take over")


class _Pipe:
    """Runs a streaming body's producer beside its reader; a slow reader slows it down in `drain`."""

    HIGH_WATER = 1 << 20  # bytes

    def __init__(self, producer: Producer, tasks: Tasks, name: str) -> None:
        self._writer = _PipeWriter(self.HIGH_WATER)
        self._task = tasks.start(self._produce(producer), name)

    async def _produce(self, producer: Producer) -> None:
        try:
            await producer(self._writer)
        finally:
            self._writer.end()

    async def pieces(self) -> AsyncIterator[bytes]:
        try:
            while pieces := await self._writer.take():
                yield b"".join(pieces)
        finally:
            await self.close()

    async def close(self) -> None:
        self._writer.end(gone=True)
        self._task.cancel()
        await asyncio.wait([self._task])


class _PipeWriter(BodyWriter):
    def __init__(self, high_water: int) -> None:
        self._high_water = high_water
        self._pieces: list[bytes] = []
        self._size = 0
        self._ended = False
        self._gone = asyncio.Event()
        self._filled = asyncio.Event()
        self._taken = asyncio.Event()

    def write(self, chunk: bytes) -> None:
        if chunk and not self._ended:
            self._pieces.append(chunk)
            self._size += len(chunk)
            self._filled.set()

    def write_framed(self, framed: bytes) -> None:
        self.write(unframe(framed))

    async def drain(self) -> None:
        while self._size > self._high_water and not self._ended:
            self._taken.clear()
            await self._taken.wait()

    @property
    def closed(self) -> bool:
        return self._gone.is_set()

    async def wait_closed(self) -> None:
        await self._gone.wait()

    def end(self, gone: bool = False) -> None:
        self._ended = True
        self._filled.set()
        self._taken.set()
        if gone:
            self._gone.set()

    async def take(self) -> list[bytes]:
        """What was written since; empty at the end."""
        while not self._pieces and not self._ended:
            self._filled.clear()
            await self._filled.wait()
        pieces, self._pieces, self._size = self._pieces, [], 0
        self._taken.set()
        return pieces


def unframe(framed: bytes) -> bytes:
    """The data of whole chunks in the chunked transfer coding (RFC 9112 section 7.1)."""
    pieces: list[bytes] = []
    position = 0
    while position < len(framed):
        line = framed.index(b"\r\n", position)
        size = int(framed[position:line].partition(b";")[0], 16)
        pieces.append(framed[line + 2 : line + 2 + size])
        position = line + 4 + size
    return b"".join(pieces)
