"""SPDY/3.1 frames as a pure codec: bytes in, frames out, and the other way round. Source: the SPDY Protocol draft 3.1.

SPDY lives on in `kubectl exec, attach, port-forward`, which is what this serves.
"""

import struct
import zlib
from dataclasses import dataclass, field

from podling.aio.http import HeaderList, Headers

VERSION = 3
MAX_CONTROL = 1 << 20
MAX_HEADERS = 256 << 10
MAX_DATA = (1 << 24) - 1

SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9
FLAG_FIN, FLAG_UNIDIRECTIONAL = 0x01, 0x02
PROTOCOL_ERROR, INVALID_STREAM, REFUSED_STREAM, CANCEL = 1, 2, 3, 5

_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow "
    "authorization cache-control connection content-base content-encoding content-language content-length content-location "
    "content-md5 content-range content-type date etag expect expires from host if-match if-modified-since if-none-match "
    "if-range if-unmodified-since last-modified location max-forwards pragma proxy-authenticate proxy-authorization range "
    "referer retry-after server te trailer transfer-encoding upgrade user-agent vary via warning www-authenticate method get "
    "status 200_OK version HTTP/1.1 url public set-cookie keep-alive origin"
)
_TAIL = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden"
    "404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,"
    "publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = b"".join(struct.pack("!I", len(word)) + word.replace("_", " ").encode() for word in _WORDS.split()) + _TAIL.encode()
"""What both ends' compressors know before the first header (section 2.6.10.1); its Adler-32 is e3c6a7c2."""


class SpdyError(Exception):
    """The other side breaks the protocol; the connection can't go on."""


@dataclass(frozen=True, slots=True)
class SynStream:
    id: int
    headers: Headers
    fin: bool = False
    unidirectional: bool = False


@dataclass(frozen=True, slots=True)
class SynReply:
    id: int
    headers: Headers = field(default_factory=Headers)
    fin: bool = False


@dataclass(frozen=True, slots=True)
class MoreHeaders:
    id: int
    headers: Headers
    fin: bool = False


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes of a stream. One frame on the wire may come out as several, so that a long one isn't held back."""

    id: int
    data: bytes
    fin: bool = False


@dataclass(frozen=True, slots=True)
class Reset:
    id: int
    status: int = CANCEL


@dataclass(frozen=True, slots=True)
class Ping:
    id: int


@dataclass(frozen=True, slots=True)
class GoAway:
    last: int
    status: int = 0


@dataclass(frozen=True, slots=True)
class Settings:
    values: dict[int, int]


@dataclass(frozen=True, slots=True)
class WindowUpdate:
    """`id` 0 is the session's own window."""

    id: int
    delta: int


Frame = SynStream | SynReply | MoreHeaders | Data | Reset | Ping | GoAway | Settings | WindowUpdate


class Encoder:
    """Frames to bytes. Header blocks share one compressor, so frames must leave in the order of their encoding."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def encode(self, frame: Frame) -> bytes:
        match frame:
            case Data():
                return encode_data(frame)
            case SynStream():
                flags = (FLAG_FIN if frame.fin else 0) | (FLAG_UNIDIRECTIONAL if frame.unidirectional else 0)
                return control(SYN_STREAM, flags, struct.pack("!IIBB", frame.id, 0, 0, 0) + self._block(frame.headers))
            case SynReply() | MoreHeaders():
                kind = SYN_REPLY if isinstance(frame, SynReply) else HEADERS
                return control(kind, FLAG_FIN if frame.fin else 0, struct.pack("!I", frame.id) + self._block(frame.headers))
            case Reset():
                return control(RST_STREAM, 0, struct.pack("!II", frame.id, frame.status))
            case Ping():
                return control(PING, 0, struct.pack("!I", frame.id))
            case GoAway():
                return control(GOAWAY, 0, struct.pack("!II", frame.last, frame.status))
            case Settings():
                pairs = b"".join(struct.pack("!II", key, value) for key, value in frame.values.items())
                return control(SETTINGS, 0, struct.pack("!I", len(frame.values)) + pairs)
            case WindowUpdate():
                return control(WINDOW_UPDATE, 0, struct.pack("!II", frame.id, frame.delta))

    def _block(self, headers: Headers) -> bytes:
        merged: dict[str, list[str]] = {}
        for name, value in headers:
            merged.setdefault(name, []).append(value)
        block = struct.pack("!I", len(merged))
        for name, values in merged.items():
            for part in (name.encode("latin-1"), "\0".join(values).encode()):
                block += struct.pack("!I", len(part)) + part
        return self._deflate.compress(block) + self._deflate.flush(zlib.Z_SYNC_FLUSH)


def control(kind: int, flags: int, payload: bytes) -> bytes:
    return struct.pack("!HHI", 0x8000 | VERSION, kind, flags << 24 | len(payload)) + payload


def encode_data(frame: Data) -> bytes:
    """Data in as many frames as its length needs, FIN on the last."""
    parts = [frame.data[at : at + MAX_DATA] for at in range(0, len(frame.data), MAX_DATA)] or [b""]
    flags = [0] * (len(parts) - 1) + [FLAG_FIN if frame.fin else 0]
    return b"".join(struct.pack("!II", frame.id, flag << 24 | len(part)) + part for part, flag in zip(parts, flags, strict=True))


class Decoder:
    """Bytes to frames, fed in any pieces."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._buffer = b""
        self._data: tuple[int, int, bool] | None = None  # of the data frame coming in: stream, bytes to come, FIN

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes; unknown ones are skipped. Raises SpdyError; nothing may be fed after that."""
        self._buffer = self._buffer + data if self._buffer else data
        frames: list[Frame] = []
        at = 0
        while (step := self._data_piece(at) if self._data else self._frame(at)) is not None:
            frame, at = step
            if frame is not None:
                frames.append(frame)
        self._buffer = self._buffer[at:]
        return frames

    def _data_piece(self, at: int) -> tuple[Frame | None, int] | None:
        assert self._data is not None
        stream, left, fin = self._data
        piece = self._buffer[at : at + left]
        if not piece and left:
            return None
        left -= len(piece)
        self._data = (stream, left, fin) if left else None
        return Data(stream, piece, fin and not left), at + len(piece)

    def _frame(self, at: int) -> tuple[Frame | None, int] | None:
        """The control frame at `at` with the index behind it, or the start of a data frame; None while it isn't whole."""
        if len(self._buffer) < at + 8:
            return None
        first, second = struct.unpack_from("!II", self._buffer, at)
        flags, size = second >> 24, second & 0xFFFFFF
        if not first & 0x80000000:
            self._data = (first, size, bool(flags & FLAG_FIN))
            return None, at + 8
        if first >> 16 != 0x8000 | VERSION:
            raise SpdyError("not SPDY/3")
        if size > MAX_CONTROL:
            raise SpdyError(f"a control frame of {size} bytes")
        end = at + 8 + size
        if len(self._buffer) < end:
            return None
        try:
            return self._control(first & 0xFFFF, flags, self._buffer[at + 8 : end]), end
        except (struct.error, UnicodeDecodeError, zlib.error) as error:
            raise SpdyError(f"malformed control frame: {error}") from None

    def _control(self, kind: int, flags: int, payload: bytes) -> Frame | None:
        fin = bool(flags & FLAG_FIN)
        if kind == SYN_STREAM:
            stream = struct.unpack_from("!IIBB", payload)[0] & 0x7FFFFFFF
            return SynStream(stream, self._headers(payload[10:]), fin, bool(flags & FLAG_UNIDIRECTIONAL))
        if kind in (SYN_REPLY, HEADERS):
            (stream,) = struct.unpack_from("!I", payload)
            made = SynReply if kind == SYN_REPLY else MoreHeaders
            return made(stream & 0x7FFFFFFF, self._headers(payload[4:]), fin)
        if kind == SETTINGS:
            return parse_settings(payload)
        if kind == PING:
            return Ping(*struct.unpack("!I", payload))
        if kind in (RST_STREAM, GOAWAY, WINDOW_UPDATE):
            first, second = struct.unpack("!II", payload)
            first &= 0x7FFFFFFF
            if kind == WINDOW_UPDATE:
                return WindowUpdate(first, second & 0x7FFFFFFF)
            return Reset(first, second) if kind == RST_STREAM else GoAway(first, second)
        return None

    def _headers(self, block: bytes) -> Headers:
        plain = self._inflate.decompress(block, MAX_HEADERS)
        if self._inflate.unconsumed_tail:
            raise SpdyError(f"headers of more than {MAX_HEADERS} bytes")
        return Headers(parse_block(plain))


def parse_block(plain: bytes) -> HeaderList:
    """Names and values of an inflated header block; several values of one name are separated by NUL."""
    (count,) = struct.unpack_from("!I", plain)
    at = 4
    fields: HeaderList = []
    for _ in range(count):
        name, at = parse_text(plain, at)
        values, at = parse_text(plain, at)
        fields.extend((name, value) for value in values.split("\0"))
    return fields


def parse_text(plain: bytes, at: int) -> tuple[str, int]:
    (size,) = struct.unpack_from("!I", plain, at)
    end = at + 4 + size
    if end > len(plain):
        raise SpdyError("a header is longer than its block")
    return plain[at + 4 : end].decode(), end


def parse_settings(payload: bytes) -> Settings:
    (count,) = struct.unpack_from("!I", payload)
    if len(payload) != 4 + 8 * count:
        raise SpdyError("malformed SETTINGS")
    pairs = struct.iter_unpack("!II", payload[4:])
    return Settings({key & 0xFFFFFF: value for key, value in pairs})
