"""The HTTP/1.1 server: listens on TCP, TLS and unix sockets, and stops gracefully. The conversation itself is in protocol.py."""

import asyncio
import contextlib
import errno
import os
import shutil
import socket
from functools import partial
from pathlib import Path
from ssl import SSLContext

from podling.aio.http import Handler
from podling.aio.protocol import Limits, OnError, ServerConnection, Service, plain_error
from podling.aio.tasks import Tasks
from podling.aio.tls import Tls

__all__ = ["HttpServer", "Limits"]

BACKLOG = 1024
DEFAULT_LIMITS = Limits()
IP_FREEBIND = 15  # linux/in.h; not in the socket module


class HttpServer:
    """Serves `handler` on any number of sockets.

    `on_error` makes the response for what a handler raises, BodyTooLarge too; the default answers 500 and 413 as plain text.
    """

    def __init__(self, handler: Handler, *, limits: Limits = DEFAULT_LIMITS, on_error: OnError = plain_error) -> None:
        self._tasks = Tasks("http server")
        self._service = Service(handler, on_error, limits, set(), self._start)
        self._listeners: list[asyncio.Server] = []
        self._unix: list[tuple[Path, int]] = []  # path and inode, so that only what is ours is removed

    async def listen_tcp(
        self, host: str, port: int, ssl: SSLContext | None = None, *, free_bind: bool = False
    ) -> tuple[str, int]:
        """Listen; `port` 0 takes a free one. Gives the address listened on. Raises OSError with the address in it.

        With `free_bind` the address need not be this machine's yet (ip(7), IP_FREEBIND).
        """
        loop = asyncio.get_running_loop()
        factory = self._connection if ssl is None else partial(self._secured, ssl)
        listener = await loop.create_server(factory, sock=bind_tcp(host, port, free_bind), backlog=BACKLOG)
        self._listeners.append(listener)
        address = listener.sockets[0].getsockname()
        return address[0], address[1]

    async def listen_unix(self, path: str | Path, mode: int = 0o660, group: str | None = None) -> None:
        """Listen on a unix socket that is never seen with another mode or group.

        A socket that nobody listens on any more is replaced; raises OSError (EADDRINUSE) if somebody does, LookupError for an
        unknown group.
        """
        path = Path(path)
        listening = bind_unix(path, mode, group)
        loop = asyncio.get_running_loop()
        self._listeners.append(await loop.create_unix_server(self._connection, sock=listening, backlog=BACKLOG))
        self._unix.append((path, path.stat().st_ino))

    def _connection(self) -> ServerConnection:
        return ServerConnection(self._service)

    def _secured(self, context: SSLContext) -> Tls:
        return Tls(context, self._connection(), handshake_seconds=self._service.limits.header_seconds)

    def _start(self, connection: ServerConnection) -> "asyncio.Task[None]":
        return self._tasks.start(connection.serve(), "connection")

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._service.open)

    async def close(self, grace: float = 10.0) -> None:
        """Stop listening, close idle connections, give requests in flight `grace` seconds, then abort them."""
        for listener in self._listeners:
            listener.close()
        self._remove_unix()
        for connection in list(self._service.open):
            connection.finish()
        await self._wait_for_connections(grace)
        for connection in list(self._service.open):
            connection.abort()
        await self._tasks.cancel()
        await self._wait_for_connections(1.0)

    async def _wait_for_connections(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for connection in list(self._service.open):
                    await connection.wait_gone()

    def _remove_unix(self) -> None:
        for path, inode in self._unix:
            if path.exists() and path.stat().st_ino == inode:
                path.unlink()
        self._unix.clear()


def bind_tcp(host: str, port: int, free_bind: bool) -> socket.socket:
    """A bound TCP socket. Raises OSError with the address in it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if free_bind:
            bound.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise OSError(error.errno, f"{host}:{port}: {error.strerror}") from None
    return bound


def bind_unix(path: Path, mode: int, group: str | None) -> socket.socket:
    """A socket bound beside `path` and renamed onto it when it has its mode and group."""
    refuse_live(path)
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listening.bind(str(fresh))
        os.chmod(fresh, mode)
        if group is not None:
            shutil.chown(fresh, group=group)
        listening.listen(BACKLOG)
        os.rename(fresh, path)
    except BaseException:
        listening.close()
        fresh.unlink(missing_ok=True)
        raise
    return listening


def refuse_live(path: Path) -> None:
    """Raise EADDRINUSE if somebody listens at `path`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(str(path))
        except BlockingIOError:  # its backlog is full: it lives
            pass
        except OSError:
            return
    raise OSError(errno.EADDRINUSE, "another server listens on this socket", str(path))
