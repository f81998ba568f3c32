"""The client's side of exec and attach: stdin, stdout, stderr, the terminal's size and the final status as channels.

Over WebSocket each message begins with its channel (`v5.channel.k8s.io` and older, also in base64 text); over SPDY/3.1 each
channel is a stream (`v4.channel.k8s.io`). Source: k8s.io/kubelet's remotecommand; KEP-4006.
"""

import asyncio
import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any, Protocol

from podling.aio.http import Request
from podling.aio.spdy import SpdyConnection, SpdyStream
from podling.aio.tasks import Tasks
from podling.aio.websocket import WebSocket
from podling.base.errors import InvalidInput
from podling.engine.types import StreamName

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255

WEBSOCKET_PROTOCOLS = (
    "v5.channel.k8s.io",
    "v4.channel.k8s.io",
    "v4.base64.channel.k8s.io",
    "channel.k8s.io",
    "base64.channel.k8s.io",
)
SPDY_PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io")
_STREAMS_SECONDS = 30.0  # for the client to open its streams
_QUEUED = 64  # pieces of stdin that are read ahead

Status = dict[str, Any]
Size = tuple[int, int]  # rows, columns


class Remote(Protocol):
    """A client of exec or attach. A client that has gone ends stdin and raises ConnectionResetError where it is written to."""

    async def read_stdin(self) -> bytes:
        """The next piece; b"" at the end."""

    async def read_size(self) -> Size | None:
        """The next size of the terminal; None when there will be none."""

    async def write(self, stream: StreamName, data: bytes) -> None: ...

    async def finish(self, status: Status) -> None:
        """Tell how it ended, and close."""

    async def wait_gone(self) -> None:
        """Return when the client has gone."""


def parse_size(data: bytes) -> Size | None:
    """{"Width": 80, "Height": 24}; None for anything else."""
    try:
        size = json.loads(data)
        return int(size["Height"]), int(size["Width"])
    except (ValueError, KeyError, TypeError):
        return None


class WebSocketRemote:
    """Use it as a context: inside it, messages are read and sorted."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._text = "base64" in socket.protocol
        self._has_status = socket.protocol.startswith(("v4.", "v5."))
        self._stdin: asyncio.Queue[bytes] = asyncio.Queue(_QUEUED)
        self._sizes: asyncio.Queue[Size | None] = asyncio.Queue()
        self._tasks = Tasks("websocket of exec")
        self._gone = asyncio.Event()

    async def __aenter__(self) -> "WebSocketRemote":
        self._tasks.start(self._sort(), "reader")
        self._send(STDOUT, b"")  # clients wait for this
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._tasks.cancel()
        await self._socket.close()

    async def _sort(self) -> None:
        try:
            while (message := await self._socket.receive()) is not None:
                await self._take(self._decode(message.data))
        except ConnectionError:
            pass
        finally:
            self._gone.set()
            self._sizes.put_nowait(None)
        await self._stdin.put(b"")

    async def _take(self, data: bytes) -> None:
        if not data:
            return
        channel, payload = data[0], data[1:]
        if channel == STDIN and payload:
            await self._stdin.put(payload)
        elif channel == RESIZE and (size := parse_size(payload)):
            self._sizes.put_nowait(size)
        elif channel == CLOSE and payload[:1] == bytes([STDIN]):
            await self._stdin.put(b"")

    def _decode(self, data: bytes) -> bytes:
        if not self._text:
            return data
        try:
            return bytes([int(data[:1])]) + base64.b64decode(data[1:])
        except (ValueError, binascii.Error):
            return b""

    async def read_stdin(self) -> bytes:
        return await self._stdin.get()

    async def read_size(self) -> Size | None:
        return await self._sizes.get()

    async def write(self, stream: StreamName, data: bytes) -> None:
        if self._gone.is_set():
            raise ConnectionResetError("the client has gone")
        self._send(STDOUT if stream == "stdout" else STDERR, data)
        await self._socket.drain()

    def _send(self, channel: int, data: bytes) -> None:
        if self._text:
            self._socket.send(str(channel).encode() + base64.b64encode(data), text=True)
        else:
            self._socket.send(bytes([channel]) + data)

    async def finish(self, status: Status) -> None:
        if self._has_status:
            self._send(ERROR, json.dumps(status).encode())
        elif status["status"] != "Success":
            self._send(ERROR, status["message"].encode())
        self._socket.say_close()
        await self._socket.drain()

    async def wait_gone(self) -> None:
        await self._gone.wait()


class SpdyRemote:
    """The streams that a client has opened, by `streamtype`."""

    def __init__(self, connection: SpdyConnection, protocol: str, streams: dict[str, SpdyStream]) -> None:
        self.wait_gone = connection.wait_ended
        self._has_status = protocol.startswith(("v4.", "v5."))
        self._streams = streams
        self._sizes = b""

    async def read_stdin(self) -> bytes:
        stream = self._streams.get("stdin")
        return await stream.read() if stream else b""

    async def read_size(self) -> Size | None:
        stream = self._streams.get("resize")
        while stream is not None:
            line, newline, rest = self._sizes.partition(b"\n")
            if newline:
                self._sizes = rest
                if size := parse_size(line):
                    return size
                continue
            data = await stream.read()
            if not data:
                return None
            self._sizes += data
        return None

    async def write(self, stream: StreamName, data: bytes) -> None:
        target = self._streams.get(stream)
        if target is not None:
            target.write(data)
            await target.drain()

    async def finish(self, status: Status) -> None:
        error = self._streams.get("error")
        if error is not None and (self._has_status or status["status"] != "Success"):
            error.write(json.dumps(status).encode() if self._has_status else status["message"].encode())
        for stream in self._streams.values():
            stream.write_eof()


def is_spdy(request: Request) -> bool:
    """Whether the request asks for SPDY."""
    return request.headers.has("connection", "upgrade") and request.headers.has("upgrade", "spdy/3.1")


async def accept_spdy(request: Request, ours: Sequence[str]) -> tuple[SpdyConnection, str]:
    """Answer the handshake with the first of our protocols that the client speaks. Raises InvalidInput if there is none."""
    offered = [name.strip() for value in request.headers.all("x-stream-protocol-version") for name in value.split(",")]
    protocol = next((name for name in ours if name in offered), "")
    if not protocol:
        raise InvalidInput(f"unable to upgrade: none of the stream protocols is spoken: {', '.join(offered)}")
    headers = [("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1"), ("X-Stream-Protocol-Version", protocol)]
    return SpdyConnection(await request.hijack(101, headers), server=True), protocol


async def gather_streams(connection: SpdyConnection, wanted: set[str]) -> dict[str, SpdyStream]:
    """The streams of these types, in whatever order they are opened. Raises TimeoutError, ConnectionResetError."""
    streams: dict[str, SpdyStream] = {}
    async with asyncio.timeout(_STREAMS_SECONDS):
        while streams.keys() != wanted:
            stream = await connection.accept()
            if stream is None:
                raise ConnectionResetError("the client has gone before it opened its streams")
            kind = stream.headers.get("streamtype")
            if kind in wanted:
                streams[kind] = stream
            else:
                stream.refuse()
    return streams
