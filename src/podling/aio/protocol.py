"""The server's side of one HTTP/1.1 connection: one request after the other, each answered before the next is read.

One task serves a connection for as long as it lives, so that a request costs no task of its own. Source: RFC 9110, RFC 9112.
"""

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from ssl import SSLObject
from urllib.parse import unquote

from podling.aio.answer import Answer
from podling.aio.framing import BadMessage, BodyDecoder, Head, HeadParser, SizedBody, request_body
from podling.aio.http import BodyTooLarge, ByteStream, Handler, HeaderList, Peer, Query, Request, Response
from podling.aio.wire import Wire

log = logging.getLogger(__name__)

OnError = Callable[[Request, Exception], Response]
DISCARD_LIMIT = 256 << 10
"""Bytes of a request's body that its handler left unread and that are read over, to keep the connection."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may cost. The body's size is the handler's matter (`Request.body`).

    `stall_seconds` None is for clients that may wait for a person: at the other end of a pipe, or before a pager.
    """

    header_bytes: int = 64 << 10
    header_count: int = 128
    header_seconds: float = 20.0  # for a whole head, from its first byte; and for the TLS handshake
    idle_seconds: float = 120.0  # between two requests
    stall_seconds: float | None = 300.0  # without a byte of a body that is awaited, or without one taken of an answer
    connections: int = 10_000


@dataclass(frozen=True, slots=True)
class Service:
    """What all connections of a server have in common. `open` holds the connections themselves."""

    handler: Handler
    on_error: OnError
    limits: Limits
    open: "set[ServerConnection]"
    start: Callable[["ServerConnection"], "asyncio.Task[None]"]


class ServerConnection(Wire):
    """One client's connection."""

    def __init__(self, service: Service) -> None:
        super().__init__()
        self._service = service
        self._task: asyncio.Task[None] | None = None
        self._peer = Peer()
        self._busy = False  # a handler runs
        self._reading_head = False
        self._last = False  # no request is read after this one
        self._deadline = 0.0  # when the wait for a head ends; moved without touching the timer
        self._timer: asyncio.TimerHandle | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._head_parser = HeadParser(service.limits.header_bytes, service.limits.header_count)
        self.hijacked = False

    # --- what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if len(self._service.open) >= self._service.limits.connections:
            self._refuse(503, "too many connections")
            return
        self._service.open.add(self)
        self._peer = peer_of(self.transport)
        self._task = self._service.start(self)

    def eof_received(self) -> bool:
        """The end of what the client sends is, while its request is answered, the client's leaving; as in Go's server."""
        keep = super().eof_received()
        if self._busy and not self.hijacked:
            self._cancel()
        return keep

    def connection_lost(self, error: Exception | None) -> None:
        left_by_client = self._busy and not self._closing
        super().connection_lost(error)
        self._service.open.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        self._stop_stall_timer()
        if left_by_client:
            self._cancel()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_stall(-1)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_stall_timer()

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    # --- time

    def _expect_head(self, seconds: float) -> None:
        self._deadline = self._loop.time() + seconds
        if self._timer is None or self._timer.when() > self._deadline:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(self._deadline, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        if self._closing or self._busy:  # a request may take its time; the next wait arms the timer again
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._on_time)
        elif self._reading_head:
            self._refuse(408, "the request's head took too long")
        else:
            self.start_close()

    def _watch_stall(self, left_before: int) -> None:
        """Give a client up that takes nothing of its answer. What is taken over, and what is being closed, has its own rules."""
        left = self.transport.get_write_buffer_size()
        if self.hijacked or self._closing or self._service.limits.stall_seconds is None:
            return
        if left == left_before:
            log.info("%s takes nothing of its answer: given up", self._peer.address)
            self.transport.abort()
            return
        self._stall_timer = self._loop.call_later(self._service.limits.stall_seconds, self._watch_stall, left)

    def _stop_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    async def read_body(self) -> bytes:
        """Bytes of a request's body, or b"" at the connection's end. Raises BadMessage when none come in time."""
        if self._received:
            return await self.read()
        try:
            async with asyncio.timeout(self._service.limits.stall_seconds):
                return await self.read()
        except TimeoutError:
            raise BadMessage(408, "the request's body took too long") from None

    # --- serving

    async def serve(self) -> None:
        """Answer requests until the client or the server has had enough."""
        try:
            while not self._last and (head := await self._next_head()) is not None:
                await self._exchange(head)
        except BadMessage as error:
            self._busy = False
            self._refuse(error.status, str(error))
        except ConnectionError as error:
            log.debug("%s: %s", self._peer.address, error)
        finally:
            self._busy = False
            self.start_close()

    async def _next_head(self) -> Head | None:
        limits = self._service.limits
        parser = self._head_parser
        parser.reset()
        self._expect_head(limits.idle_seconds)
        while data := await self.read(limits.header_bytes + 4096):
            rest = parser.feed(data)
            if rest is not None:
                self.unread(rest)
                self._reading_head = False
                return parser.head()
            if parser.started and not self._reading_head:
                self._reading_head = True
                self._expect_head(limits.header_seconds)
        if parser.started:
            raise BadMessage(400, "the request ends in its head")
        return None

    async def _exchange(self, head: Head) -> None:
        check(head)
        incoming = IncomingBody(self, head)
        request = make_request(head, incoming, self._peer)
        self._busy = True
        response = await self._handle(request)
        if response is None:
            self._last = True
            return
        self._last = self._last or not head.keep_alive or head.version == "1.0" or not incoming.discardable
        answer = Answer(self, response, head, last=self._last)
        try:
            if isinstance(response.body, bytes):
                answer.send_bytes(response.body)
            else:
                await answer.send_stream(response.body)
            await self.drain()
        except ConnectionError:
            raise
        except Exception as error:
            log.error("%s %s: the answer broke off: %s", request.method, request.path, error, exc_info=error)
            self.abort()
            return
        self._busy = False
        if not self._last and not incoming.done:
            await incoming.discard()

    async def _handle(self, request: Request) -> Response | None:
        """The handler's response, or the error hook's; None when the connection was taken over."""
        try:
            response = await self._service.handler(request)
            if response is None and not self.hijacked:
                raise RuntimeError(f"the handler of {request.method} {request.path} gave no response")
        except BadMessage:
            raise
        except Exception as error:
            if self.hijacked:
                log_hijacked(request, error)
                return None
            return self._service.on_error(request, error)
        return None if self.hijacked else response

    def _refuse(self, status: int, reason: str) -> None:
        """Answer a client that can't be served, and close."""
        if not self.hijacked and not self._busy:
            self.write(plain_answer(status, reason))
        self.start_close()

    def finish(self) -> None:
        """Close now if idle, or after the request in flight."""
        self._last = True
        if not self._busy and not self._reading_head:
            self.start_close()


class IncomingBody:
    """The body of the request that is served now. Implements `podling.aio.http.Incoming`."""

    def __init__(self, connection: ServerConnection, head: Head) -> None:
        self._connection = connection
        self._decoder: BodyDecoder = request_body(head)
        self._continue = "expect" in head.headers
        self._taken = False

    def stream(self) -> AsyncIterator[bytes]:
        """Pieces of the body. Raises BadMessage when it is malformed or ends early."""
        if self._taken:
            raise RuntimeError("a request's body can be read once")
        self._taken = True
        return self._pieces()

    async def _pieces(self) -> AsyncIterator[bytes]:
        decoder = self._decoder
        if self._continue and not decoder.done:
            self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._continue = False
        while not decoder.done:
            data = await self._connection.read_body()
            if not data:
                raise BadMessage(400, "the request ends in its body")
            pieces = decoder.feed(data)
            self._connection.unread(decoder.rest())
            for piece in pieces:
                yield piece

    async def hijack(self, status: int, headers: HeaderList) -> ByteStream:
        """Send `status` and `headers`, without a body's; what comes after the request's body is the stream."""
        if self._connection.hijacked:
            raise RuntimeError("a connection can be taken over once")
        await self.discard()
        self._connection.hijacked = True
        self._connection.write(Answer.raw_head(status, headers))
        return self._connection

    @property
    def done(self) -> bool:
        """Whether the whole body has come."""
        return self._decoder.done

    @property
    def discardable(self) -> bool:
        """Whether what is left of the body is little enough to be read over. A client that waits for 100 never sends it."""
        decoder = self._decoder
        if decoder.done:
            return True
        return not self._continue and isinstance(decoder, SizedBody) and decoder.left <= DISCARD_LIMIT

    async def discard(self) -> None:
        """Read over what the handler left."""
        if not self._decoder.done:
            async for _ in self._pieces():
                pass


def log_hijacked(request: Request, error: Exception) -> None:
    if isinstance(error, ConnectionError):
        log.debug("%s %s: %s", request.method, request.path, error)
    else:
        log.error("%s %s failed after it took the connection over: %s", request.method, request.path, error, exc_info=error)


def check(head: Head) -> None:
    """Refuse what the parser lets through. Raises BadMessage."""
    if head.version not in ("1.1", "1.0"):
        raise BadMessage(505, "only HTTP/1.0 and HTTP/1.1 are spoken")
    hosts = len(head.headers.all("host"))
    if hosts != 1 and (hosts or head.version == "1.1"):
        raise BadMessage(400, "exactly one Host field is needed")
    expectation = head.headers.get("expect")
    if expectation and expectation.lower() != "100-continue":
        raise BadMessage(417, "the only expectation met is 100-continue")


def make_request(head: Head, incoming: IncomingBody, peer: Peer) -> Request:
    """The request for the handler. Raises BadMessage for a target that names no path (RFC 9112 section 3.2)."""
    raw_path, _, raw_query = path_of(head).partition("?")
    path = unquote(raw_path) if "%" in raw_path else raw_path
    return Request(head.method, path, Query(raw_query), head.headers, incoming, peer, raw_path, raw_query)


def path_of(head: Head) -> str:
    """Path and query of the target in origin form; of the absolute form what follows the authority; `*` of OPTIONS."""
    target = head.target.partition(b"#")[0].decode("latin-1")
    if target.startswith("/"):
        return target
    scheme, separator, rest = target.partition("://")
    if separator and scheme.lower() in ("http", "https"):
        slash = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
        return rest[slash:] if rest[slash : slash + 1] == "/" else "/" + rest[slash:]
    if target == "*" and head.method == "OPTIONS":
        return target
    raise BadMessage(400, "the request's target is no path")


def plain_answer(status: int, reason: str) -> bytes:
    body = f"{reason}\n".encode()
    fields = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body))), ("Connection", "close")]
    return Answer.raw_head(status, fields) + body


def plain_error(request: Request, error: Exception) -> Response:
    """The error hook of a server that wasn't given one."""
    log.error("%s %s: %s", request.method, request.path, error, exc_info=error)
    if isinstance(error, BodyTooLarge):
        return Response(413, f"{error}\n".encode())
    return Response(500, b"internal error\n")


def peer_of(transport: asyncio.Transport) -> Peer:
    """What the transport knows of the client."""
    certificate = None
    tls: SSLObject | None = transport.get_extra_info("ssl_object")
    if tls is not None:
        certificate = tls.getpeercert(binary_form=True)
    unix = transport.get_extra_info("socket")
    if unix is not None and unix.family == socket.AF_UNIX:
        pid, uid, _ = struct.unpack("3i", unix.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return Peer(f"uid={uid} pid={pid}", certificate, uid, pid)
    address = transport.get_extra_info("peername")
    return Peer(f"{address[0]}:{address[1]}" if address else "", certificate)
