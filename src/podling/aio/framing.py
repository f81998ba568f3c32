"""HTTP/1.1 heads and bodies on the wire, as pure parsers: bytes in, messages and what follows them out.

Heads go through httptools' parser; where a head ends and how long a body is, is decided here, so that the first byte after a
message is known exactly: pipelined requests and taken-over connections depend on it. Source: RFC 9112 sections 2 to 7.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import httptools

from podling.aio.http import Headers

CRLF = b"\r\n"
HEAD_END = b"\r\n\r\n"
MAX_CHUNK_LINE = 4096
MAX_TRAILER = 16 << 10


class BadMessage(Exception):
    """The other side doesn't speak HTTP/1.1 as it should; `status` is what a server answers."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(slots=True)
class Head:
    """The head of one request (`method`, `target`) or response (`status`)."""

    headers: Headers
    version: str
    keep_alive: bool
    method: str = ""
    target: bytes = b""
    status: int = 0


class HeadParser:
    """Reads one head, fed in any pieces. `size` and `count` bound it: bytes and fields."""

    def __init__(self, size: int, count: int) -> None:
        self._size = size
        self._count = count
        self._parser: Any = None
        self.reset()

    def reset(self) -> None:
        """Make ready for the next head."""
        self._size_left = self._size
        self._tail = self._url = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._complete = self._keep_alive = self._at_message_end = False
        self.started = False

    def _make_parser(self) -> Any:
        return httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> bytes | None:
        """What follows the head, once it is whole; None while it isn't. Raises BadMessage."""
        if not self.started:
            self._size_left -= len(data)
            data = data.lstrip(CRLF)  # RFC 9112 section 2.2: empty lines before a request are ignored
            self._size_left += len(data)
            self.started = bool(data)
        end = self._find_end(data)
        head = data if end < 0 else data[:end]
        self._size_left -= len(head)
        if self._size_left < 0 or len(self._fields) > self._count:
            raise BadMessage(431, "request header fields too large")
        self._parse(head)
        if self._complete != (end >= 0):
            raise BadMessage(400, "malformed line ends in the message's head")
        if len(self._fields) > self._count:
            raise BadMessage(431, "too many header fields")
        return data[end:] if end >= 0 else None

    def _find_end(self, data: bytes) -> int:
        """The index in `data` behind the empty line that ends the head, or -1."""
        if self._tail:
            joined = self._tail + data[:3]
            at = joined.find(HEAD_END)
            if at >= 0:
                return at + 4 - len(self._tail)
        at = data.find(HEAD_END)
        if at >= 0:
            return at + 4
        self._tail = (self._tail + data[-3:])[-3:]
        return -1

    def _parse(self, head: bytes) -> None:
        if self._parser is None:
            self._parser = self._make_parser()
        try:
            self._parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            self._at_message_end = False
        except httptools.HttpParserError as error:
            if not self._switches_protocols():
                raise BadMessage(400, str(error)) from None

    def _switches_protocols(self) -> bool:
        return False

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        self._complete = True
        self._keep_alive = self._parser.should_keep_alive()  # the parser forgets it with the message's end

    def on_message_complete(self) -> None:
        self._at_message_end = True

    def _take_parser(self) -> Any:
        """The parser; the next head gets a new one where this one waits for a body, or has been told to stop."""
        parser = self._parser
        if not self._at_message_end:
            self._parser = None
        return parser

    def head(self) -> Head:
        """The head that was read."""
        parser = self._take_parser()
        return Head(
            Headers.decoded(self._fields),
            parser.get_http_version(),
            self._keep_alive,
            method=parser.get_method().decode("ascii"),
            target=self._url,
        )


class ResponseHeadParser(HeadParser):
    """Reads the head of a response."""

    def _make_parser(self) -> Any:
        return httptools.HttpResponseParser(self)

    def _switches_protocols(self) -> bool:
        """The parser stops with an error behind a 101 that doesn't say to what it switches; Docker's clients take it."""
        return self._complete and self._parser.get_status_code() == 101

    def head(self) -> Head:
        parser = self._take_parser()
        return Head(
            Headers.decoded(self._fields),
            parser.get_http_version(),
            self._keep_alive,
            status=parser.get_status_code(),
        )


class BodyDecoder(Protocol):
    """Takes the body's bytes out of a connection's."""

    done: bool

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces of the body in `data`. Raises BadMessage."""

    def rest(self) -> bytes:
        """What was fed beyond the body's end; b"" before it."""


class SizedBody:
    """A body of a known length."""

    def __init__(self, length: int) -> None:
        self.left = length
        self.done = length == 0
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        piece, self._rest = (data, b"") if len(data) <= self.left else (data[: self.left], data[self.left :])
        self.left -= len(piece)
        self.done = self.left == 0
        return [piece] if piece else []

    def rest(self) -> bytes:
        return self._rest


NO_BODY = SizedBody(0)


class EndlessBody:
    """A body that ends with the connection."""

    done = False

    def feed(self, data: bytes) -> list[bytes]:
        return [data]

    def rest(self) -> bytes:
        return b""


class ChunkedBody:
    """A body in the chunked transfer coding (RFC 9112 section 7.1), strictly: hexadecimal sizes, CRLF line ends.

    Chunk extensions and trailers are read over.
    """

    def __init__(self) -> None:
        self.done = False
        self._buffer = b""
        self._left = 0  # data bytes of the current chunk to come
        self._at_data_end = False
        self._in_trailer = False
        self._trailer_left = MAX_TRAILER

    def feed(self, data: bytes) -> list[bytes]:
        data = self._buffer + data if self._buffer else data
        pieces = []
        at = 0
        while at < len(data) and not self.done:
            if self._left:
                piece = data[at : at + self._left]
                at += len(piece)
                self._left -= len(piece)
                self._at_data_end = self._left == 0
                pieces.append(piece)
                continue
            end = data.find(b"\n", at, at + MAX_CHUNK_LINE)
            if end < 0:
                self._refuse_unfinished(data[at:])
                break
            self._line(data[at : end + 1])
            at = end + 1
        self._buffer = data[at:]
        return pieces

    def _refuse_unfinished(self, line: bytes) -> None:
        if len(line) >= MAX_CHUNK_LINE or (self._at_data_end and not CRLF.startswith(line)):
            raise BadMessage(400, "malformed chunk")

    def _line(self, line: bytes) -> None:
        if not line.endswith(CRLF):
            raise BadMessage(400, "malformed chunk: a line doesn't end with CR LF")
        line = line[:-2]
        if self._at_data_end:
            if line:
                raise BadMessage(400, "malformed chunk: longer than its size")
            self._at_data_end = False
        elif self._in_trailer:
            self._trailer_left -= len(line)
            if self._trailer_left < 0:
                raise BadMessage(431, "trailer too large")
            self.done = not line
        else:
            self._left = chunk_size(line)
            self._in_trailer = self._left == 0

    def rest(self) -> bytes:
        return self._buffer if self.done else b""


def chunk_size(line: bytes) -> int:
    """The size in the line that opens a chunk. Raises BadMessage for signs, blanks, underscores, 0x."""
    digits = line.partition(b";")[0].rstrip(b" \t")
    if not digits or len(digits) > 16 or digits.strip(b"0123456789abcdefABCDEF"):
        raise BadMessage(400, f"malformed chunk size {line[:32]!r}")
    return int(digits, 16)


def request_body(head: Head) -> BodyDecoder:
    """The decoder of a request's body (RFC 9112 section 6.3). The parser has refused what contradicts itself."""
    headers = head.headers
    if "transfer-encoding" in headers:
        if headers.get("transfer-encoding").strip().lower() != "chunked":
            raise BadMessage(501, "only the chunked transfer coding is understood")
        if head.version == "1.0":
            raise BadMessage(400, "HTTP/1.0 has no transfer codings")
        return ChunkedBody()
    length = headers.get("content-length")
    return SizedBody(int(length)) if length else NO_BODY


def response_body(head: Head, method: str) -> BodyDecoder:
    """The decoder of the body of the response to a `method` request (RFC 9112 section 6.3)."""
    headers = head.headers
    if method == "HEAD" or head.status < 200 or head.status in (204, 304):
        return NO_BODY
    if headers.has("transfer-encoding", "chunked"):
        return ChunkedBody()
    length = headers.get("content-length")
    return SizedBody(int(length)) if length else EndlessBody()
