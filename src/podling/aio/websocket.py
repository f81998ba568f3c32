"""WebSocket: frames as a pure codec, connections over any byte stream, both roles' handshakes. Source: RFC 6455.

No extensions are negotiated.
"""

import base64
import hashlib
import os
import struct
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from podling.aio.client import HttpClient
from podling.aio.http import ByteStream, HeaderList, Request
from podling.base.errors import Failed, InvalidInput

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MAX_MESSAGE = 16 << 20

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
NORMAL, PROTOCOL_ERROR, BAD_DATA, TOO_BIG = 1000, 1002, 1007, 1009
NO_STATUS = 1005


class WebSocketError(Exception):
    """The other side breaks the protocol; `code` is the status it is told."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(frozen=True, slots=True)
class Message:
    """A whole text or binary message; text is UTF-8, and has been checked to be."""

    data: bytes
    text: bool = False


@dataclass(frozen=True, slots=True)
class Ping:
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Pong:
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Close:
    """The other side ends the conversation; without a code it is NO_STATUS."""

    code: int = NO_STATUS
    reason: str = ""


Event = Message | Ping | Pong | Close


def mask(data: bytes, key: bytes) -> bytes:
    """XOR `data` with the four bytes of `key` over and over: as one operation on two large integers."""
    size = len(data)
    pad = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(pad, "little")).to_bytes(size, "little")


class Codec:
    """One end's view of the frames: bytes in, events out, and the other way round. A client masks what it sends."""

    def __init__(self, *, client: bool, max_message: int = MAX_MESSAGE, new_key: Callable[[], bytes] | None = None) -> None:
        self._client = client
        self._max = max_message
        self._new_key = new_key or (lambda: os.urandom(4))
        self._buffer = bytearray()
        self._fragments: list[bytes] = []
        self._fragments_size = 0
        self._opcode = CONTINUATION  # of the message whose fragments come in

    def encode(self, opcode: int, data: bytes = b"", *, final: bool = True) -> bytes:
        """One frame."""
        size = len(data)
        masked = 0x80 if self._client else 0
        first = opcode | (0x80 if final else 0)
        if size < 126:
            head = struct.pack("!BB", first, masked | size)
        elif size < 65536:
            head = struct.pack("!BBH", first, masked | 126, size)
        else:
            head = struct.pack("!BBQ", first, masked | 127, size)
        if not self._client:
            return head + data
        key = self._new_key()
        return head + key + mask(data, key)

    def encode_close(self, code: int = NORMAL, reason: str = "") -> bytes:
        if code == NO_STATUS:
            return self.encode(CLOSE)
        text = reason.encode()[:123].decode("utf-8", "ignore").encode()
        return self.encode(CLOSE, struct.pack("!H", code) + text)

    def feed(self, data: bytes) -> list[Event]:
        """The events that `data` completes. Raises WebSocketError; nothing may be fed after that."""
        self._buffer += data
        events: list[Event] = []
        at = 0
        while (frame := self._frame(at)) is not None:
            first, payload, at = frame
            event = self._event(first & 0x0F, bool(first & 0x80), payload)
            if event is not None:
                events.append(event)
        del self._buffer[:at]
        return events

    def _frame(self, at: int) -> tuple[int, bytes, int] | None:
        """The frame at `at`: (first byte, unmasked payload, index behind it); None while it isn't whole."""
        buffer = self._buffer
        if len(buffer) < at + 2:
            return None
        first, second = buffer[at], buffer[at + 1]
        size = self._check_start(first, second)
        start = at + 2
        if size >= 126:
            width = 2 if size == 126 else 8
            if len(buffer) < start + width:
                return None
            size = int.from_bytes(buffer[start : start + width], "big")
            start += width
        if size + self._fragments_size > self._max:
            raise WebSocketError(TOO_BIG, f"the message is larger than {self._max} bytes")
        if self._client:
            end = start + size
            return None if len(buffer) < end else (first, bytes(buffer[start:end]), end)
        end = start + 4 + size
        if len(buffer) < end:
            return None
        return first, mask(bytes(buffer[start + 4 : end]), bytes(buffer[start : start + 4])), end

    def _check_start(self, first: int, second: int) -> int:
        """The size field of a frame whose first two bytes are well-formed."""
        opcode, size = first & 0x0F, second & 0x7F
        if first & 0x70:
            raise WebSocketError(PROTOCOL_ERROR, "reserved bits are set")
        if opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise WebSocketError(PROTOCOL_ERROR, f"unknown opcode {opcode}")
        if bool(second & 0x80) == self._client:
            raise WebSocketError(PROTOCOL_ERROR, "a client's frames are masked, a server's are not")
        if opcode >= CLOSE and (not first & 0x80 or size > 125):
            raise WebSocketError(PROTOCOL_ERROR, "a control frame is fragmented or too long")
        return size

    def _event(self, opcode: int, final: bool, payload: bytes) -> Event | None:
        if opcode == PING:
            return Ping(payload)
        if opcode == PONG:
            return Pong(payload)
        if opcode == CLOSE:
            return parse_close(payload)
        if (opcode == CONTINUATION) != (self._opcode != CONTINUATION):
            raise WebSocketError(PROTOCOL_ERROR, "fragments of two messages are mixed")
        if opcode != CONTINUATION:
            self._opcode = opcode
        self._fragments.append(payload)
        self._fragments_size += len(payload)
        return self._whole_message() if final else None

    def _whole_message(self) -> Message:
        data = self._fragments[0] if len(self._fragments) == 1 else b"".join(self._fragments)
        text = self._opcode == TEXT
        self._fragments, self._fragments_size, self._opcode = [], 0, CONTINUATION
        if text:
            decode(data)
        return Message(data, text)


def decode(data: bytes) -> str:
    """Text from UTF-8. Raises WebSocketError."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise WebSocketError(BAD_DATA, "text is not UTF-8") from None


def parse_close(payload: bytes) -> Close:
    """Raises WebSocketError for a status that may not be sent (RFC 6455 section 7.4)."""
    if not payload:
        return Close()
    code = int.from_bytes(payload[:2], "big")
    if len(payload) < 2 or not (1000 <= code <= 1014 or 3000 <= code <= 4999) or code in (1004, 1005, 1006):
        raise WebSocketError(PROTOCOL_ERROR, "malformed close frame")
    return Close(code, decode(payload[2:]))


class WebSocket:
    """Messages over a byte stream. One task receives; any may send."""

    def __init__(self, stream: ByteStream, codec: Codec, protocol: str = "") -> None:
        self.protocol = protocol
        self.closed: Close | None = None  # what the other side closed with
        self._stream = stream
        self._codec = codec
        self._events: deque[Event] = deque()
        self._said_close = False

    async def receive(self) -> Message | None:
        """The next message; None when the other side has closed or gone. Pings are answered on the way."""
        while self.closed is None:
            if not self._events and not await self._fill():
                self.closed = Close(1006)
                return None
            event = self._events.popleft() if self._events else None
            if isinstance(event, Message):
                return event
            if isinstance(event, Ping):
                self._send(self._codec.encode(PONG, event.data))
                await self._stream.drain()
            elif isinstance(event, Close):
                self.closed = event
                self._say_close(NORMAL if event.code == NO_STATUS else event.code)
        return None

    async def _fill(self) -> bool:
        """Read once; False at the end. What breaks the protocol is answered with its code, then ends the conversation."""
        data = await self._stream.read()
        try:
            self._events.extend(self._codec.feed(data))
        except WebSocketError as error:
            self._events.append(Close(error.code, str(error)))
        return bool(data)

    def send(self, data: bytes, *, text: bool = False) -> None:
        """Queue a message. Call `drain` after it, so that a slow reader slows the writer."""
        self._send(self._codec.encode(TEXT if text else BINARY, data))

    def ping(self, data: bytes = b"") -> None:
        self._send(self._codec.encode(PING, data))

    def _send(self, frame: bytes) -> None:
        if not self._said_close:
            self._stream.write(frame)

    async def drain(self) -> None:
        await self._stream.drain()

    def say_close(self, code: int = NORMAL, reason: str = "") -> None:
        """Tell the other side that nothing more comes; receiving goes on until it agrees."""
        self._say_close(code, reason)

    def _say_close(self, code: int, reason: str = "") -> None:
        self._send(self._codec.encode_close(code, reason))
        self._said_close = True

    async def close(self, code: int = NORMAL, reason: str = "") -> None:
        """End the conversation and the connection below."""
        self._say_close(code, reason)
        await self._stream.close()


class MessageStream:
    """A WebSocket's binary messages as one byte stream. Implements `podling.aio.http.ByteStream`."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._left = b""

    async def read(self, limit: int = 65536) -> bytes:
        while not self._left:
            message = await self._socket.receive()
            if message is None:
                return b""
            self._left = message.data
        piece, self._left = self._left[:limit], self._left[limit:]
        return piece

    def write(self, data: bytes) -> None:
        if data:
            self._socket.send(data)

    async def drain(self) -> None:
        await self._socket.drain()

    def write_eof(self) -> None:
        """WebSocket has no half close: this says goodbye, and the other side ends too."""
        self._socket.say_close()

    async def close(self) -> None:
        await self._socket.close()


def accept_key(key: str) -> str:
    """The proof that the handshake was understood (RFC 6455 section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key.encode() + GUID, usedforsecurity=False).digest()).decode()


def is_upgrade(request: Request) -> bool:
    """Whether the request asks for a WebSocket."""
    return request.headers.has("connection", "upgrade") and request.headers.has("upgrade", "websocket")


def offered(request: Request) -> list[str]:
    """The subprotocols that the client offers, in its order of preference."""
    return [name.strip() for value in request.headers.all("sec-websocket-protocol") for name in value.split(",") if name.strip()]


async def accept(request: Request, protocols: Sequence[str] = (), max_message: int = MAX_MESSAGE) -> WebSocket:
    """Answer a handshake: the first protocol offered that is one of ours is spoken.

    Raises InvalidInput, before anything is sent, for a malformed handshake or when protocols are offered and none is ours.
    """
    key = check_handshake(request)
    headers: HeaderList = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept_key(key))]
    names = offered(request)
    protocol = next((name for name in names if name in protocols), "")
    if names and protocols and not protocol:
        raise InvalidInput(f"none of the WebSocket subprotocols is spoken: {', '.join(names)}")
    if protocol:
        headers.append(("Sec-WebSocket-Protocol", protocol))
    stream = await request.hijack(101, headers)
    return WebSocket(stream, Codec(client=False, max_message=max_message), protocol)


def check_handshake(request: Request) -> str:
    """The client's key. Raises InvalidInput."""
    headers = request.headers
    key = headers.get("sec-websocket-key")
    if not is_upgrade(request) or request.method != "GET":
        raise InvalidInput("not a WebSocket handshake: GET with Connection: Upgrade and Upgrade: websocket is needed")
    if headers.get("sec-websocket-version") != "13":
        raise InvalidInput("only version 13 of the WebSocket protocol is spoken")
    try:
        valid = len(base64.b64decode(key, validate=True)) == 16
    except ValueError:
        valid = False
    if not valid:
        raise InvalidInput("malformed Sec-WebSocket-Key")
    return key


async def connect(
    client: HttpClient,
    url: str,
    headers: HeaderList | None = None,
    protocols: Sequence[str] = (),
    max_message: int = MAX_MESSAGE,
) -> WebSocket:
    """Open a WebSocket over `client`. Raises UpgradeRefused, Failed for a wrong answer, and what `HttpClient.request` raises."""
    key = base64.b64encode(os.urandom(16)).decode()
    fields = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", key)]
    if protocols:
        fields.append(("Sec-WebSocket-Protocol", ", ".join(protocols)))
    status, answer, stream = await client.upgrade("GET", url, [*fields, *(headers or [])])
    protocol = answer.get("sec-websocket-protocol")
    if status != 101 or answer.get("sec-websocket-accept") != accept_key(key) or (protocol and protocol not in protocols):
        await stream.close()
        raise Failed(f"{url.partition('?')[0]}: the answer to the WebSocket handshake is wrong")
    return WebSocket(stream, Codec(client=True, max_message=max_message), protocol)
