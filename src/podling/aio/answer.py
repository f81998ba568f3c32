"""How a response leaves: its head, then bytes, an async iterable's pieces or a Producer's. Source: RFC 9112 section 6."""

from collections.abc import AsyncIterable
from functools import lru_cache
from http import HTTPStatus

from podling.aio.framing import ChunkedBody, Head
from podling.aio.http import HeaderList, Producer, Response, frame_chunk
from podling.aio.wire import Wire

JOIN_LIMIT = 64 << 10
"""Bodies up to this size are copied behind their head, to leave in one write."""

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}" for status in HTTPStatus}


class Answer:
    """One response on its way over one connection."""

    def __init__(self, wire: Wire, response: Response, head: Head, *, last: bool) -> None:
        self._wire = wire
        self._response = response
        self._old_client = head.version == "1.0"
        self._bodiless = head.method == "HEAD" or response.status in (204, 304)
        self._last = last

    def send_bytes(self, body: bytes) -> None:
        """Write the response with `body`, at once."""
        fields = self._fields()
        if self._bodiless:
            if body and self._response.status != 204 and not self._declares("content-length"):
                fields.append(("Content-Length", str(len(body))))
            self._wire.send(self.raw_head(self._response.status, fields))
            return
        head = _sized_head(self._response.status, tuple(fields)) % len(body)
        if len(body) <= JOIN_LIMIT:
            self._wire.send(head + body)
        else:
            self._wire.send(head)
            self._wire.send(body)

    async def send_stream(self, body: AsyncIterable[bytes] | Producer) -> None:
        """Write the response as its body comes. Raises ConnectionError when the client has gone, and what the source raises."""
        writer = self._open_stream()
        if self._bodiless:
            return
        if isinstance(body, AsyncIterable):
            async for piece in body:
                writer.write(piece)
                await writer.drain()
        else:
            await body(writer)
        writer.finish()

    def _open_stream(self) -> "StreamWriter":
        fields = self._fields()
        if self._declares("content-length"):
            length = int(next(value for name, value in fields if name.lower() == "content-length"))
            self._wire.write(self.raw_head(self._response.status, fields))
            return SizedWriter(self._wire, length)
        if not self._old_client:
            fields.append(("Transfer-Encoding", "chunked"))
        self._wire.write(self.raw_head(self._response.status, fields))
        return UnframedWriter(self._wire) if self._old_client else ChunkedWriter(self._wire)

    def _fields(self) -> HeaderList:
        return [*self._response.headers, ("Connection", "close")] if self._last else list(self._response.headers)

    def _declares(self, name: str) -> bool:
        return any(key.lower() == name for key, _ in self._response.headers)

    @staticmethod
    def raw_head(status: int, headers: HeaderList) -> bytes:
        """A response's head on the wire. Raises ValueError for a field that would break out of its line."""
        lines = [f"{name}: {value}" for name, value in headers]
        text = "\r\n".join([_STATUS_LINES.get(status) or f"HTTP/1.1 {status} Status", *lines])
        if text.count("\n") != len(headers) or text.count("\r") != len(headers):
            raise ValueError("a header field contains a line end")
        try:
            return text.encode("latin-1") + b"\r\n\r\n"
        except UnicodeEncodeError:
            return text.encode() + b"\r\n\r\n"


@lru_cache(maxsize=256)
def _sized_head(status: int, fields: tuple[tuple[str, str], ...]) -> bytes:
    """A head of which only the body's length is missing; most answers have one of a few."""
    head = Answer.raw_head(status, [field for field in fields if field[0].lower() != "content-length"])
    return head.removesuffix(b"\r\n").replace(b"%", b"%%") + b"Content-Length: %d\r\n\r\n"


class StreamWriter:
    """Base of the body writers. Implements `podling.aio.http.BodyWriter`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def write(self, chunk: bytes) -> None:
        raise NotImplementedError

    def write_framed(self, framed: bytes) -> None:
        for chunk in ChunkedBody().feed(framed):
            self.write(chunk)

    def finish(self) -> None:
        """Mark the body's end."""

    async def drain(self) -> None:
        await self._wire.drain()

    @property
    def closed(self) -> bool:
        return self._wire.gone

    async def wait_closed(self) -> None:
        await self._wire.wait_gone()


class ChunkedWriter(StreamWriter):
    """Each write is one chunk."""

    def write(self, chunk: bytes) -> None:
        if chunk:  # an empty chunk would end the body
            self._wire.write(frame_chunk(chunk))

    def write_framed(self, framed: bytes) -> None:
        self._wire.write(framed)

    def finish(self) -> None:
        self._wire.write(b"0\r\n\r\n")


class UnframedWriter(StreamWriter):
    """For HTTP/1.0: the connection's end is the body's."""

    def write(self, chunk: bytes) -> None:
        self._wire.write(chunk)


class SizedWriter(StreamWriter):
    """A body of a length told before."""

    def __init__(self, wire: Wire, length: int) -> None:
        super().__init__(wire)
        self._left = length

    def write(self, chunk: bytes) -> None:
        self._left -= len(chunk)
        if self._left < 0:
            raise ValueError("the body is longer than its Content-Length")
        self._wire.write(chunk)

    def finish(self) -> None:
        if self._left:
            raise ValueError(f"the body is {self._left} bytes shorter than its Content-Length")
