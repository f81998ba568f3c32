"""The HTTP/1.1 client: pooled connections over TCP, TLS and unix sockets, streams both ways, upgrades. Source: RFC 9110, 9112.

Addresses are `http://host:port`, `https://host:port` and `unix:///path/of/the/socket`.
"""

import asyncio
import contextlib
import ssl
import weakref
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from urllib.parse import SplitResult, urljoin, urlsplit

from podling.aio.framing import BadMessage, BodyDecoder, Head, ResponseHeadParser, response_body
from podling.aio.http import HeaderList, Headers, frame_chunk
from podling.aio.tasks import Tasks
from podling.aio.tls import Tls
from podling.aio.wire import Wire
from podling.base.errors import Failed, InvalidInput, TimedOut, Unavailable

__all__ = ["ClientResponse", "ConnectionFailed", "HttpClient", "TimedOut", "UpgradeRefused"]

HEAD_LIMIT = 256 << 10
FIELD_LIMIT = 1000
LINE_LIMIT = 64 << 20
IDLE_SECONDS = 60.0
IDLE_PER_ORIGIN = 128  # a burst of requests must not end in a burst of handshakes
IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
REDIRECTS = frozenset({301, 302, 303, 307, 308})

_STEP = 256 << 10  # bytes of a streamed body whose departure is progress

Progress = Callable[[], None]
RequestBody = bytes | AsyncIterable[bytes] | None
Exchange = tuple[Wire, Head, asyncio.Task[None] | None]
"""A connection, the head of the answer that comes over it, and the task that still sends the request's body."""


class ConnectionFailed(Unavailable):
    """The other side cannot be reached, or left in the middle. The message names it, without secrets."""


class UpgradeRefused(Failed):
    """The server answered a request to take the connection over with something else."""

    def __init__(self, where: str, status: int, headers: Headers, body: bytes) -> None:
        text = body[:500].decode("utf-8", "replace").strip()
        super().__init__(f"{where} refused to upgrade the connection: {status} {text}".rstrip())
        self.status = status
        self.headers = headers
        self.body = body


class Broken(Exception):
    """The connection ended before the answer began."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who is at the other end of a connection; connections to the same origin are shared."""

    scheme: str
    host: str  # of `unix` the socket's path
    port: int

    @classmethod
    def of(cls, url: SplitResult) -> "Origin":
        """Raises InvalidInput for an address of another kind."""
        if url.scheme == "unix" and url.path:
            return cls("unix", url.path, 0)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise InvalidInput(f"not an address of an HTTP server: {redacted(url)}")
        try:
            return cls(url.scheme, url.hostname, url.port or (443 if url.scheme == "https" else 80))
        except ValueError:
            raise InvalidInput(f"no such port: {redacted(url)}") from None

    @property
    def authority(self) -> str:
        """For the Host field."""
        if self.scheme == "unix":
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.scheme == "https" else 80) else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"unix://{self.host}" if self.scheme == "unix" else f"{self.scheme}://{self.authority}"


def redacted(url: SplitResult) -> str:
    """The address without user, password and query: they may be secrets."""
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"


@dataclass(slots=True)
class Call:
    """One request on its way."""

    method: str
    origin: Origin
    target: str
    headers: HeaderList
    body: RequestBody

    @property
    def where(self) -> str:
        return f"{self.method} {self.origin}{self.target.partition('?')[0]}"

    @property
    def replayable(self) -> bool:
        """Whether sending it twice does no harm."""
        return self.method in IDEMPOTENT and (self.body is None or isinstance(self.body, bytes))

    def head(self) -> bytes:
        """Raises InvalidInput for what would break out of its line."""
        names = {name.lower() for name, _ in self.headers}
        fields = list(self.headers) if "host" in names else [("Host", self.origin.authority), *self.headers]
        if isinstance(self.body, bytes):
            fields.append(("Content-Length", str(len(self.body))))
        elif self.body is not None and "content-length" not in names:
            fields.append(("Transfer-Encoding", "chunked"))
        elif self.body is None and self.method in ("POST", "PUT", "PATCH"):
            fields.append(("Content-Length", "0"))
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
        if any("\r" in line or "\n" in line for line in lines) or " " in self.target:
            raise InvalidInput(f"{self.where}: blank or line end in the address or a header field")
        return "\r\n".join(lines).encode() + b"\r\n\r\n"

    @property
    def chunked(self) -> bool:
        return not any(name.lower() == "content-length" for name, _ in self.headers)


class ClientResponse:
    """An answer whose body is still to come. Read it to its end or `close` it; or use it as a context."""

    def __init__(self, client: "HttpClient", call: Call, exchange: Exchange, timeout: float | None) -> None:
        wire, head, sending = exchange
        self.status = head.status
        self.headers = head.headers
        self._client = client
        self._call = call
        self._wire = wire
        self._decoder: BodyDecoder = response_body(head, call.method)
        self._keep_alive = head.keep_alive
        self._sending = sending
        self._released = False
        self._timeout = timeout
        if self._decoder.done:
            self._release()

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    async def body(self, limit: int | None = None) -> bytes:
        """The whole body. Raises ConnectionFailed when it breaks off, Failed beyond `limit` bytes."""
        pieces: list[bytes] = []
        size = 0
        with self._client.naming(self._call):
            async with asyncio.timeout(self._timeout):
                async for piece in self.stream():
                    pieces.append(piece)
                    size += len(piece)
                    if limit is not None and size > limit:
                        raise Failed(f"{self._call.where}: the answer is larger than {limit} bytes")
        return b"".join(pieces)

    async def stream(self, silence: float | None = None) -> AsyncIterator[bytes]:
        """The body in pieces as they arrive. Raises ConnectionFailed when it breaks off or says nothing for `silence` seconds."""
        decoder = self._decoder
        try:
            while not decoder.done:
                data = await self._read(silence)
                if not data:
                    self._refuse_early_end()
                    break
                pieces = decoder.feed(data)
                self._wire.unread(decoder.rest())
                for piece in pieces:
                    yield piece
        except (BadMessage, ConnectionError) as error:
            raise ConnectionFailed(f"{self._call.where}: {error}") from error
        finally:
            self._release()

    async def _read(self, silence: float | None) -> bytes:
        try:
            async with asyncio.timeout(silence):
                return await self._wire.read()
        except TimeoutError as error:
            raise ConnectionError(str(error) or f"the answer stopped, nothing came for {silence:g} s") from error

    async def lines(self, limit: int = LINE_LIMIT) -> AsyncIterator[bytes]:
        """The lines of the body without their ends, each as soon as it is whole. Raises Failed for one beyond `limit` bytes."""
        parts: list[bytes] = []
        size = 0
        async for piece in self.stream():
            *whole, last = piece.split(b"\n")
            for line in whole:
                parts.append(line)
                yield b"".join(parts)
                parts.clear()
                size = 0
            parts.append(last)
            size += len(last)
            if size > limit:
                raise Failed(f"{self._call.where}: a line is longer than {limit} bytes")
        if size:
            yield b"".join(parts)

    def _refuse_early_end(self) -> None:
        if self.headers.has("transfer-encoding", "chunked") or "content-length" in self.headers:
            raise ConnectionFailed(f"{self._call.where}: the answer broke off")

    def close(self) -> None:
        """Leave the rest of the body unread."""
        self._release()

    def _release(self) -> None:
        """Give the connection back if it can carry another request, else close it."""
        if self._released:
            return
        self._released = True
        wire_free = self._decoder.done and self._keep_alive and (self._sending is None or self._sending.done())
        if self._sending is not None:
            self._sending.cancel()
        self._client.release(self._call.origin, self._wire, reusable=wire_free)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class HttpClient:
    """A client with its pool of connections. Paths are relative to `base`; `headers` go with every request to it.

    `tls` serves all https addresses; without it the system's authorities are trusted.
    """

    def __init__(
        self,
        base: str = "",
        *,
        tls: ssl.SSLContext | None = None,
        headers: HeaderList | None = None,
        server_name: str | None = None,
    ) -> None:
        self._base = base.rstrip("/")
        self._tls = tls
        self._headers = headers or []
        self._server_name = server_name
        self._idle: dict[Origin, list[tuple[Wire, float]]] = {}
        self._wires: weakref.WeakSet[Wire] = weakref.WeakSet()
        self._tasks = Tasks("http client")

    async def request(
        self,
        method: str,
        url: str,
        headers: HeaderList | None = None,
        body: RequestBody = None,
        timeout: float | None = 30.0,
    ) -> ClientResponse:
        """Send a request and wait for the head of its answer.

        `timeout` (seconds, None for ever) holds until the head is there, and again for `ClientResponse.body`; streams take
        their time, but a body that is streamed may not stand still that long. An idempotent request that meets a pooled
        connection just closed is sent again. Raises ConnectionFailed, TimedOut, InvalidInput.
        """
        call = self._call(method, url, headers, body)
        with self.naming(call):
            async with patience(timeout) as progress:
                exchange = await self._converse(call, progress=progress)
        return ClientResponse(self, call, exchange, timeout)

    async def get(
        self, url: str, headers: HeaderList | None = None, timeout: float | None = 30.0, redirects: int = 5
    ) -> ClientResponse:
        """GET, following up to `redirects` redirections; Authorization doesn't go to another host."""
        fields = list(headers or [])
        response = await self.request("GET", url, fields, timeout=timeout)
        for _ in range(redirects):
            location = response.headers.get("location")
            if response.status not in REDIRECTS or not location:
                return response
            response.close()
            here = self._absolute(url)
            url = urljoin(here, location)
            if Origin.of(urlsplit(url)) != Origin.of(urlsplit(here)):
                fields = [(name, value) for name, value in fields if name.lower() not in ("authorization", "cookie")]
            response = await self.request("GET", url, fields, timeout=timeout)
        if response.status in REDIRECTS:
            response.close()
            raise Failed(f"GET {redacted(urlsplit(url))}: more than {redirects} redirections")
        return response

    async def upgrade(
        self,
        method: str,
        url: str,
        headers: HeaderList | None = None,
        body: bytes | None = None,
        timeout: float | None = 30.0,
    ) -> tuple[int, Headers, Wire]:
        """Ask to take the connection over: (status, headers, the raw stream). The caller closes the stream.

        A status of 101 or 200 hands it over, Docker's servers use both; anything else raises UpgradeRefused.
        """
        call = self._call(method, url, headers, body)
        with self.naming(call):
            async with asyncio.timeout(timeout):
                exchange = await self._converse(call, fresh=True)
        wire, head, _ = exchange
        if head.status in (101, 200):
            return head.status, head.headers, wire
        response = ClientResponse(self, call, exchange, timeout)
        raise UpgradeRefused(call.where, head.status, head.headers, await response.body(limit=1 << 20))

    async def close(self) -> None:
        """Close all connections, those in use too."""
        await self._tasks.cancel()
        self._idle.clear()
        for wire in list(self._wires):
            wire.abort()
            await wire.wait_gone()
        self._wires.clear()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    # --- one request

    def _absolute(self, url: str) -> str:
        return self._base + url if url.startswith("/") and not self._base.startswith("unix:") else url

    def _call(self, method: str, url: str, headers: HeaderList | None, body: RequestBody) -> Call:
        relative = url.startswith("/")
        if relative and self._base.startswith("unix:"):
            origin, target = Origin.of(urlsplit(self._base)), url
        else:
            parts = urlsplit(self._absolute(url))
            origin = Origin.of(parts)
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        own = headers or []
        names = {name.lower() for name, _ in own}
        common = [field for field in self._headers if field[0].lower() not in names] if relative else []
        return Call(method, origin, target, [*common, *own], body)

    @contextlib.contextmanager
    def naming(self, call: Call) -> Iterator[None]:
        """Turn what goes wrong below into errors that name the request."""
        try:
            yield
        except TimeoutError:
            raise TimedOut(f"{call.where}: no answer in time") from None
        except Broken as error:
            raise ConnectionFailed(f"{call.where}: {error}") from error
        except BadMessage as error:
            raise ConnectionFailed(f"{call.where}: the answer is not HTTP: {error}") from error
        except OSError as error:
            raise ConnectionFailed(f"cannot reach {call.origin}: {error.strerror or error}") from error

    async def _converse(self, call: Call, fresh: bool = False, progress: Progress = lambda: None) -> Exchange:
        wire = None if fresh else self._pooled(call.origin)
        if wire is not None:
            try:
                return await self._exchange(wire, call, progress)
            except (Broken, ConnectionError):
                if not call.replayable:
                    raise
        return await self._exchange(await self._connect(call.origin), call, progress)

    async def _exchange(self, wire: Wire, call: Call, progress: Progress) -> Exchange:
        sending = None
        try:
            wire.write(call.head())
            if isinstance(call.body, bytes):
                wire.write(call.body)
            elif call.body is not None:
                sending = self._tasks.start(send_body(wire, call.body, call.chunked, progress), f"sending {call.where}")
            wire.flush()
            return wire, await read_head(wire), sending
        except BaseException:
            if sending is not None:
                sending.cancel()
            self.release(call.origin, wire, reusable=False)
            raise

    # --- connections

    def _pooled(self, origin: Origin) -> Wire | None:
        """The connection used last; those that were closed or have waited too long are dropped."""
        idle = self._idle.get(origin, [])
        while idle:
            wire, since = idle.pop()
            if wire.quiet and asyncio.get_running_loop().time() - since < IDLE_SECONDS:
                return wire
            self.release(origin, wire, reusable=False)
        return None

    def release(self, origin: Origin, wire: Wire, *, reusable: bool) -> None:
        """Take a connection back, or close it."""
        idle = self._idle.setdefault(origin, [])
        if reusable and wire.quiet and len(idle) < IDLE_PER_ORIGIN:
            idle.append((wire, asyncio.get_running_loop().time()))
        else:
            wire.abort()
            self._wires.discard(wire)

    async def _connect(self, origin: Origin) -> Wire:
        loop = asyncio.get_running_loop()
        if origin.scheme == "unix":
            _, wire = await loop.create_unix_connection(Wire, origin.host)
        elif origin.scheme == "http":
            _, wire = await loop.create_connection(Wire, origin.host, origin.port)
        else:
            wire = await self._secured(origin)
        self._wires.add(wire)
        return wire

    async def _secured(self, origin: Origin) -> Wire:
        loop = asyncio.get_running_loop()
        self._tls = self._tls or ssl.create_default_context()
        wire = Wire()
        tls = Tls(self._tls, wire, server_name=self._server_name or origin.host, ready=(ready := loop.create_future()))
        await loop.create_connection(lambda: tls, origin.host, origin.port)
        try:
            await ready
        except BaseException:
            tls.abort()
            raise
        return wire


async def read_head(wire: Wire) -> Head:
    """The head of the answer; interim ones (1xx, but 101) are read over. Raises Broken, BadMessage."""
    while True:
        parser = ResponseHeadParser(HEAD_LIMIT, FIELD_LIMIT)
        rest = None
        while rest is None:
            data = await wire.read()
            if not data:
                raise Broken("the connection was closed before the answer")
            rest = parser.feed(data)
        wire.unread(rest)
        head = parser.head()
        if head.status == 101 or head.status >= 200:
            return head


@contextlib.asynccontextmanager
async def patience(seconds: float | None) -> AsyncIterator[Progress]:
    """Raises TimeoutError in the block after so many seconds (None: never) without a call of the function that it gives."""
    loop = asyncio.get_running_loop()
    over = False
    async with asyncio.timeout(seconds) as limit:

        def progress() -> None:
            if seconds is not None and not over:
                limit.reschedule(loop.time() + seconds)

        try:
            yield progress
        finally:
            over = True


async def send_body(wire: Wire, body: AsyncIterable[bytes], chunked: bool, progress: Progress) -> None:
    """Send a body as it comes, telling of each step. A server that has answered and gone doesn't want the rest: that is no
    error here."""
    with contextlib.suppress(ConnectionError):
        async for piece in body:
            for start in range(0, len(piece), _STEP):
                step = piece[start : start + _STEP]
                wire.write(frame_chunk(step) if chunked else step)
                await wire.drain()
                progress()
        if chunked:
            wire.write(b"0\r\n\r\n")
