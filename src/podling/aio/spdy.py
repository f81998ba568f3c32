"""A SPDY/3.1 connection over any byte stream, as kubectl and client-go use it: every stream is a ByteStream with headers.

Flow control. A WINDOW_UPDATE of the session opens the conversation, and what is read is acknowledged with more. The other
side's windows are kept to from its first WINDOW_UPDATE on: client-go's implementation never sends one and never counts, so
that keeping to them from the start would stop every transfer at 64 KiB. Towards such a side back-pressure is the connection's:
it isn't read on while one of its streams has STREAM_LIMIT bytes unread.
"""

import asyncio
import logging
from collections import deque
from types import TracebackType
from typing import Self

from podling.aio import spdy_frames as frames
from podling.aio.http import ByteStream, HeaderList, Headers
from podling.aio.tasks import Tasks

log = logging.getLogger(__name__)

INITIAL_WINDOW = 64 << 10
SESSION_WINDOW = 16 << 20
STREAM_LIMIT = 1 << 20
MAX_STREAMS = 1000
SETTING_INITIAL_WINDOW = 7


class SpdyStream:
    """One stream of a connection. Implements `podling.aio.http.ByteStream`."""

    def __init__(self, connection: "SpdyConnection", number: int, headers: Headers, window: int) -> None:
        self.id = number
        self.headers = headers
        self.reply: Headers | None = None  # what the other side answered to our opening
        self._connection = connection
        self._pieces: deque[bytes] = deque()
        self._unread = 0
        self._unacknowledged = 0
        self._window = window  # bytes that the other side still takes
        self._changed = asyncio.Event()
        self._eof = False
        self._wrote_eof = False
        self._reset = False

    # --- what the connection calls

    def _receive(self, data: bytes, fin: bool) -> None:
        if data and not self._eof:
            self._pieces.append(data)
            self._unread += len(data)
        self._eof = self._eof or fin
        self._changed.set()

    def _replied(self, headers: Headers) -> None:
        self.reply = headers
        self._changed.set()

    def _widen(self, delta: int) -> None:
        self._window += delta
        self._changed.set()

    def _end(self) -> None:
        """The stream was reset, or the connection ended."""
        self._eof = self._wrote_eof = self._reset = True
        self._changed.set()

    @property
    def _finished(self) -> bool:
        return self._eof and self._wrote_eof

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    # --- ByteStream

    async def read(self, limit: int = 65536) -> bytes:
        """At least one byte, at most `limit`; b"" when the other side has closed its half, or reset the stream."""
        while not self._pieces:
            if self._eof:
                return b""
            await self._change()
        piece = self._pieces.popleft()
        if len(piece) > limit:
            self._pieces.appendleft(piece[limit:])
            piece = piece[:limit]
        self._unread -= len(piece)
        self._acknowledge(len(piece))
        return piece

    def _acknowledge(self, size: int) -> None:
        self._unacknowledged += size
        if self._unacknowledged >= INITIAL_WINDOW // 2 and not self._reset:
            self._connection._acknowledge(self.id, self._unacknowledged)
            self._unacknowledged = 0
        self._connection._resume()

    def write(self, data: bytes) -> None:
        """Queue bytes. Call `drain` after it."""
        if data and not self._wrote_eof:
            self._window -= len(data)
            self._connection._send(frames.Data(self.id, data))

    async def drain(self) -> None:
        """Wait until the other side takes more. Raises ConnectionResetError when it doesn't want any."""
        await self._connection._drain()
        while self._window <= 0 and self._connection.peer_counts and not self._reset:
            await self._change()
        if self._reset:
            raise ConnectionResetError("the stream was reset")

    def write_eof(self) -> None:
        if not self._wrote_eof:
            self._wrote_eof = True
            self._connection._send(frames.Data(self.id, b"", fin=True))
            self._connection._forget_if_finished(self)

    async def close(self) -> None:
        """End our half; what the other side still sends is refused."""
        self.write_eof()
        if not self._eof:
            self._connection._send(frames.Reset(self.id))
            self._end()
        self._pieces.clear()
        self._unread = 0
        self._connection._forget_if_finished(self)
        self._connection._resume()

    def refuse(self) -> None:
        """Reset the stream as one that isn't wanted."""
        self._connection._send(frames.Reset(self.id, frames.REFUSED_STREAM))
        self._end()
        self._connection._forget_if_finished(self)


class SpdyConnection:
    """Streams over one byte stream. Use it as a context: inside it, the connection is read; on leaving, closed.

    The server's side takes streams by `accept`, the client's makes them by `open`.
    """

    def __init__(self, transport: ByteStream, *, server: bool) -> None:
        self.peer_counts = False  # the other side takes part in flow control
        self._transport = transport
        self._server = server
        self._encoder = frames.Encoder()
        self._decoder = frames.Decoder()
        self._streams: dict[int, SpdyStream] = {}
        self._accepted: asyncio.Queue[SpdyStream | None] = asyncio.Queue()
        self._next = 2 if server else 1
        self._last_accepted = 0
        self._initial_window = INITIAL_WINDOW
        self._room = asyncio.Event()
        self._going_away = False
        self._ended = asyncio.Event()
        self._tasks = Tasks("spdy")

    async def __aenter__(self) -> Self:
        self._send(frames.WindowUpdate(0, SESSION_WINDOW))
        self._tasks.start(self._read_all(), "reader")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def accept(self) -> SpdyStream | None:
        """The next stream that the other side opened, already answered; None when it opens no more."""
        stream = await self._accepted.get()
        if stream is None:
            self._accepted.put_nowait(None)
        return stream

    async def open(self, headers: HeaderList) -> SpdyStream:
        """Open a stream and wait for its reply. Raises ConnectionResetError when it is refused or the connection has ended."""
        if self._ended.is_set() or self._going_away:
            raise ConnectionResetError("the connection has ended")
        stream = self._add(self._next, Headers(headers))
        self._next += 2
        self._send(frames.SynStream(stream.id, stream.headers))
        while stream.reply is None and not stream._reset:
            await stream._change()
        if stream._reset:
            raise ConnectionResetError("the stream was refused")
        return stream

    async def wait_ended(self) -> None:
        """Return when the other side has gone."""
        await self._ended.wait()

    async def close(self) -> None:
        """Say goodbye and close the byte stream below."""
        if not self._ended.is_set():
            self._send(frames.GoAway(self._last_accepted))
        await self._tasks.cancel()
        self._end()
        await self._transport.close()

    # --- reading

    async def _read_all(self) -> None:
        try:
            while data := await self._transport.read():
                for frame in self._decoder.feed(data):
                    self._take(frame)
                await self._wait_for_room()
        except frames.SpdyError as error:
            log.debug("closing a SPDY connection: %s", error)
            self._send(frames.GoAway(self._last_accepted, frames.PROTOCOL_ERROR))
        except ConnectionError as error:
            log.debug("a SPDY connection broke: %s", error)
        finally:
            self._end()

    async def _wait_for_room(self) -> None:
        while any(stream._unread > STREAM_LIMIT for stream in self._streams.values()):
            self._room.clear()
            await self._room.wait()

    def _resume(self) -> None:
        self._room.set()

    def _take(self, frame: frames.Frame) -> None:
        match frame:
            case frames.SynStream():
                self._take_stream(frame)
            case frames.Data():
                self._take_data(frame)
            case frames.SynReply() if stream := self._streams.get(frame.id):
                stream._replied(frame.headers)
                stream._receive(b"", frame.fin)
            case frames.Reset() if stream := self._streams.pop(frame.id, None):
                stream._end()
            case frames.WindowUpdate():
                self._take_window(frame)
            case frames.Settings() if SETTING_INITIAL_WINDOW in frame.values:
                self._initial_window = frame.values[SETTING_INITIAL_WINDOW]
            case frames.Ping() if frame.id % 2 == (1 if self._server else 0):
                self._send(frame)
            case frames.GoAway():
                self._going_away = True
                self._accepted.put_nowait(None)

    def _take_stream(self, frame: frames.SynStream) -> None:
        parity = 1 if self._server else 0
        if frame.id % 2 != parity or frame.id <= self._last_accepted:
            raise frames.SpdyError(f"stream {frame.id} out of order")
        self._last_accepted = frame.id
        if len(self._streams) >= MAX_STREAMS:
            self._send(frames.Reset(frame.id, frames.REFUSED_STREAM))
            return
        stream = self._add(frame.id, frame.headers)
        stream._eof = frame.fin
        if frame.unidirectional:
            stream._wrote_eof = True
        else:
            self._send(frames.SynReply(frame.id))
        self._accepted.put_nowait(stream)

    def _take_data(self, frame: frames.Data) -> None:
        stream = self._streams.get(frame.id)
        if stream is None:  # just closed by us: what was on its way is acknowledged and dropped
            self._acknowledge(0, len(frame.data))
            return
        stream._receive(frame.data, frame.fin)
        self._forget_if_finished(stream)

    def _take_window(self, frame: frames.WindowUpdate) -> None:
        self.peer_counts = True
        if stream := self._streams.get(frame.id):
            stream._widen(frame.delta)

    # --- what the streams call

    def _add(self, number: int, headers: Headers) -> SpdyStream:
        stream = self._streams[number] = SpdyStream(self, number, headers, self._initial_window)
        return stream

    def _send(self, frame: frames.Frame) -> None:
        if not self._ended.is_set():
            self._transport.write(self._encoder.encode(frame))

    async def _drain(self) -> None:
        if self._ended.is_set():
            raise ConnectionResetError("the connection has ended")
        await self._transport.drain()

    def _acknowledge(self, number: int, size: int) -> None:
        if size:
            for target in {number, 0}:
                self._send(frames.WindowUpdate(target, size))

    def _forget_if_finished(self, stream: SpdyStream) -> None:
        if stream._finished:
            self._streams.pop(stream.id, None)

    def _end(self) -> None:
        if self._ended.is_set():
            return
        self._ended.set()
        for stream in self._streams.values():
            stream._end()
        self._streams.clear()
        self._accepted.put_nowait(None)
