"""Standard streams of a container or an exec, as the event loop sees them: pipes, a pseudo-terminal, or conmon's attach socket.

Both directions hold back: a slow reader stops the process that writes, a process that does not read stops `drain`.
"""

import asyncio
import contextlib
import os
import socket
from collections import deque
from collections.abc import Callable, Iterable
from typing import Literal, Protocol

StreamName = Literal["stdout", "stderr"]
Chunk = tuple[StreamName, bytes]

_READ = 65536
_HELD = 1 << 20  # bytes read ahead of the caller, and queued for the process, before the other side waits
# conmon 2.1 reads packets of 8192 bytes at most, and sends one byte of stream number before the data.
_PACKET = 8192
_STREAM_NUMBERS: dict[int, StreamName] = {2: "stdout", 3: "stderr"}


class Stdio(Protocol):
    """The streams of one process. One reader, one writer."""

    async def read(self) -> Chunk | None:
        """The next piece of output; None when all of it has been read."""

    def write(self, data: bytes) -> None:
        """Queue bytes for stdin. Call `drain` after it."""

    async def drain(self) -> None: ...

    def close_stdin(self) -> None:
        """End of input, once what is queued has been written."""

    def ignore_output(self) -> None:
        """Nobody will read: what comes is thrown away, and holds nobody up."""

    async def close(self) -> None:
        """Let go of the streams; the process goes on."""


class _Outlet:
    """One descriptor that is read; `receive` gives a piece, None at the end, or raises BlockingIOError."""

    def __init__(self, fd: int, receive: Callable[[], Chunk | None]) -> None:
        self.fd = fd
        self.receive = receive


class _Inlet:
    """One descriptor that is written; `send` takes a piece and tells how much of it went."""

    def __init__(self, fd: int, send: Callable[[memoryview], int], finish: Callable[[], None]) -> None:
        self.fd = fd
        self.send = send
        self.finish = finish


class DescriptorStdio:
    """Stdio over descriptors, which it owns: `close` closes each of `owned`."""

    def __init__(self, outlets: Iterable[_Outlet], inlet: _Inlet | None, owned: Iterable[Callable[[], object]]) -> None:
        self._loop = asyncio.get_running_loop()
        self._outlets = {outlet.fd: outlet for outlet in outlets}
        self._inlet = inlet
        self._owned = list(owned)
        self._chunks: deque[Chunk] = deque()
        self._held = 0
        self._readable = asyncio.Event()
        self._paused = False
        self._ignoring = False
        self._queue: deque[memoryview] = deque()
        self._queued = 0
        self._writable = asyncio.Event()
        self._writable.set()
        self._finishing = False
        for outlet in self._outlets.values():
            self._loop.add_reader(outlet.fd, self._receive, outlet)

    def _receive(self, outlet: _Outlet) -> None:
        try:
            chunk = outlet.receive()
        except BlockingIOError:
            return
        except OSError:  # EIO of a terminal whose other side is closed, ECONNRESET of a socket
            chunk = None
        if chunk is None:
            self._loop.remove_reader(outlet.fd)
            del self._outlets[outlet.fd]
        elif chunk[1] and not self._ignoring:
            self._chunks.append(chunk)
            self._held += len(chunk[1])
            if self._held > _HELD:
                self._pause()
        self._readable.set()

    def _pause(self) -> None:
        self._paused = True
        for fd in self._outlets:
            self._loop.remove_reader(fd)

    def _resume(self) -> None:
        self._paused = False
        for outlet in self._outlets.values():
            self._loop.add_reader(outlet.fd, self._receive, outlet)

    async def read(self) -> Chunk | None:
        while not self._chunks:
            if not self._outlets:
                return None
            self._readable.clear()
            await self._readable.wait()
        chunk = self._chunks.popleft()
        self._held -= len(chunk[1])
        if self._paused and self._held <= _HELD // 2:
            self._resume()
        return chunk

    def ignore_output(self) -> None:
        self._ignoring = True
        self._chunks.clear()
        self._held = 0
        if self._paused:
            self._resume()

    def write(self, data: bytes) -> None:
        if self._inlet is None or self._finishing or not data:
            return
        self._queue.append(memoryview(data))
        self._queued += len(data)
        if len(self._queue) == 1:
            self._loop.add_writer(self._inlet.fd, self._send)
        if self._queued > _HELD:
            self._writable.clear()

    def _send(self) -> None:
        assert self._inlet is not None
        piece = self._queue[0]
        try:
            sent = self._inlet.send(piece)
        except BlockingIOError:
            return
        except OSError:  # EPIPE: the process does not want the rest
            self._abandon()
            return
        self._queued -= sent
        if sent == len(piece):
            self._queue.popleft()
        else:
            self._queue[0] = piece[sent:]
        if self._queued <= _HELD:
            self._writable.set()
        if not self._queue:
            self._loop.remove_writer(self._inlet.fd)
            if self._finishing:
                self._finish()

    def _abandon(self) -> None:
        assert self._inlet is not None
        self._loop.remove_writer(self._inlet.fd)
        self._queue.clear()
        self._queued = 0
        self._writable.set()
        self._finish()

    async def drain(self) -> None:
        await self._writable.wait()

    def close_stdin(self) -> None:
        if self._finishing or self._inlet is None:
            return
        self._finishing = True
        if not self._queue:
            self._finish()

    def _finish(self) -> None:
        if self._inlet is not None:
            self._finishing = True
            inlet, self._inlet = self._inlet, None
            with contextlib.suppress(OSError):
                inlet.finish()

    async def close(self) -> None:
        for fd in self._outlets:
            self._loop.remove_reader(fd)
        self._outlets.clear()
        if self._inlet is not None:
            self._loop.remove_writer(self._inlet.fd)
            self._finish()
        self._queue.clear()
        self._writable.set()
        self._readable.set()
        owned, self._owned = self._owned, []
        for close in owned:
            with contextlib.suppress(OSError):
                close()


def over_pipes(stdin: int | None, stdout: int, stderr: int, is_noise: Callable[[], bool] = lambda: False) -> DescriptorStdio:
    """Stdio over our ends of three pipes; takes them over. What comes on stderr while `is_noise` is dropped."""
    for fd in (stdin, stdout, stderr):
        if fd is not None:
            os.set_blocking(fd, False)
    inlet = None if stdin is None else _Inlet(stdin, lambda piece: os.write(stdin, piece), lambda: os.close(stdin))
    outlets = (_pipe_outlet(stdout, "stdout"), _pipe_outlet(stderr, "stderr"))
    return DescriptorStdio(outlets, inlet, [lambda: os.close(stdout), lambda: os.close(stderr)])


def _pipe_outlet(fd: int, stream: StreamName) -> _Outlet:
    def receive() -> Chunk | None:
        data = os.read(fd, _READ)
        return (stream, data) if data else None

    return _Outlet(fd, receive)


def over_terminal(master: int, *, stdin: bool) -> DescriptorStdio:
    """Stdio over the master side of a pseudo-terminal; takes it over. A terminal has no end of input."""
    os.set_blocking(master, False)
    inlet = _Inlet(master, lambda piece: os.write(master, piece), lambda: None) if stdin else None
    return DescriptorStdio([_pipe_outlet(master, "stdout")], inlet, [lambda: os.close(master)])


def over_socket(conmon: socket.socket, *, stdin: bool) -> DescriptorStdio:
    """Stdio over conmon's attach socket (SOCK_SEQPACKET); takes it over."""
    conmon.setblocking(False)

    def receive() -> Chunk | None:
        packet = conmon.recv(_READ)
        return (_STREAM_NUMBERS.get(packet[0], "stdout"), packet[1:]) if packet else None

    def send(piece: memoryview) -> int:
        return conmon.send(piece[:_PACKET])

    inlet = _Inlet(conmon.fileno(), send, lambda: conmon.shutdown(socket.SHUT_WR)) if stdin else None
    return DescriptorStdio([_Outlet(conmon.fileno(), receive)], inlet, [conmon.close])
