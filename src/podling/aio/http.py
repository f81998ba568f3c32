"""HTTP messages as the server hands them over and the client sends them.

A handler is `async (Request) -> Response`. Source: RFC 9110 (semantics), RFC 9112 (HTTP/1.1).
"""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import parse_qsl

HeaderList = list[tuple[str, str]]


@lru_cache(maxsize=512)
def _field_name(raw: bytes) -> str:
    """A field's name from the wire, in lower case; clients send the same few again and again."""
    return raw.decode("latin-1").lower()


class Headers:
    """Header fields in order; names compare without case. `get` gives the last value, `all` each of them."""

    __slots__ = ("_fields", "_last")

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields = [(name.lower(), value) for name, value in fields]
        self._last = dict(self._fields)

    @classmethod
    def decoded(cls, fields: Iterable[tuple[bytes, bytes]]) -> "Headers":
        """From the bytes on the wire. Values are Latin-1, so that none is refused and none lost (RFC 9110 section 5.5)."""
        headers = cls.__new__(cls)
        headers._fields = [(_field_name(name), value.decode("latin-1")) for name, value in fields]
        headers._last = dict(headers._fields)
        return headers

    def get(self, name: str, default: str = "") -> str:
        return self._last.get(name.lower(), default)

    def all(self, name: str) -> list[str]:
        name = name.lower()
        if name not in self._last:
            return []
        return [value for key, value in self._fields if key == name]

    def has(self, name: str, token: str) -> bool:
        """Whether a comma-separated field contains `token`, as in `Connection: keep-alive, Upgrade`."""
        wanted = token.lower()
        return any(part.strip().lower() == wanted for value in self.all(name) for part in value.split(","))

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._last

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._fields)


class Query:
    """Query parameters in order."""

    __slots__ = ("_pairs",)

    def __init__(self, raw: str = "") -> None:
        self._pairs = parse_qsl(raw, keep_blank_values=True) if raw else []

    def get(self, name: str, default: str = "") -> str:
        for key, value in self._pairs:
            if key == name:
                return value
        return default

    def all(self, name: str) -> list[str]:
        return [value for key, value in self._pairs if key == name]

    def __contains__(self, name: str) -> bool:
        return any(key == name for key, _ in self._pairs)

    def items(self) -> list[tuple[str, str]]:
        return list(self._pairs)


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end: an address for the log, and what the transport proved.

    `certificate` is the verified client certificate in DER, or None; `uid`/`pid` come from SO_PEERCRED on a unix socket.
    """

    address: str = ""
    certificate: bytes | None = None
    uid: int | None = None
    pid: int | None = None


class ByteStream(Protocol):
    """Raw bytes both ways: a hijacked connection, a WebSocket channel, one SPDY stream, a process's stdio."""

    async def read(self, limit: int = 65536) -> bytes:
        """At least one byte, at most `limit`; b"" when the other side has closed its half."""

    def write(self, data: bytes) -> None:
        """Queue bytes. Call `drain` after it, so that a slow reader slows the writer."""

    async def drain(self) -> None: ...

    def write_eof(self) -> None:
        """Close our half; reading goes on."""

    async def close(self) -> None: ...


class BodyWriter(Protocol):
    """What a streaming response writes to. Chunks queued in one tick of the loop leave in one write."""

    def write(self, chunk: bytes) -> None: ...

    def write_framed(self, framed: bytes) -> None:
        """Write bytes that already carry their chunk frame (`frame_chunk`): framed once, shared by many streams."""

    async def drain(self) -> None: ...

    @property
    def closed(self) -> bool:
        """True once the client has gone."""

    async def wait_closed(self) -> None:
        """Return when the client has gone."""


def frame_chunk(data: bytes) -> bytes:
    """`data` as one chunk of the chunked transfer coding (RFC 9112 section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


Producer = Callable[[BodyWriter], Awaitable[None]]
Body = bytes | AsyncIterable[bytes] | Producer


class Incoming(Protocol):
    """The connection's side of a request: its body, and the way to take the connection over."""

    def stream(self) -> AsyncIterator[bytes]: ...

    async def hijack(self, status: int, headers: HeaderList) -> ByteStream: ...


@dataclass(slots=True)
class Request:
    """One request. `path` is percent-decoded, `raw_path` is as sent, without the query."""

    method: str
    path: str
    query: Query
    headers: Headers
    incoming: Incoming
    peer: Peer = Peer()
    raw_path: str = ""
    raw_query: str = ""
    context: dict[str, Any] = field(default_factory=dict)

    def stream(self) -> AsyncIterator[bytes]:
        """The body in pieces as they arrive. Can be read once."""
        return self.incoming.stream()

    async def body(self, limit: int = 3 << 20) -> bytes:
        """The whole body; raises BodyTooLarge beyond `limit` bytes."""
        pieces: list[bytes] = []
        size = 0
        async for piece in self.incoming.stream():
            size += len(piece)
            if size > limit:
                raise BodyTooLarge(limit)
            pieces.append(piece)
        return b"".join(pieces)

    async def hijack(self, status: int = 101, headers: HeaderList | None = None) -> ByteStream:
        """Answer with `status` and take the connection over: from here on it carries raw bytes.

        What was received after the request is not lost: it is the first thing read. The handler returns None instead of a
        Response, and the connection closes when it returns, if the handler hasn't closed it before.
        """
        return await self.incoming.hijack(status, headers or [])


class BodyTooLarge(Exception):
    """The body is longer than the handler takes (413)."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"request body is larger than {limit} bytes")
        self.limit = limit


@dataclass(slots=True)
class Response:
    """One answer. `body` is bytes (sent with Content-Length), an async iterable or a Producer (sent chunked)."""

    status: int = 200
    body: Body = b""
    headers: HeaderList = field(default_factory=list)


Handler = Callable[[Request], Awaitable[Response | None]]
