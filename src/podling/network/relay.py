"""Connections carried from a published port by the agent itself, where the kernel can't send packets on.

That is [::1], from which IPv6 knows no way out of the machine, and a container without IPv6 behind an IPv6 address. The container
sees the host as the asker, and while the agent isn't there such a port is refused.
"""

import asyncio
import logging
import socket
from collections.abc import Callable

from podling.aio import pump
from podling.aio.tasks import Tasks
from podling.aio.wire import Wire

log = logging.getLogger(__name__)
_BACKLOG = 1024


class _Arrival(Wire):
    """A connection that somebody made to a published port."""

    def __init__(self, arrived: Callable[["_Arrival"], object]) -> None:
        super().__init__()
        self._arrived = arrived

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._arrived(self)


def listen(bound: socket.socket) -> None:
    """Take connections from now on. Raises OSError."""
    # Connections linger when their relay has ended: they must not keep the next one from the port.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.listen(_BACKLOG)


async def relay(listening: socket.socket, make: Callable[[int], socket.socket], target: str, port: int) -> None:
    """Carry every connection to the socket `listening` on to `target`, until cancelled.

    `make` makes a stream socket of a family in the namespace from which the target is reached.
    """
    async with Tasks("relay") as tasks:

        def carry(arrival: _Arrival) -> None:
            tasks.start(_carry(arrival, make, target, port), f"to {target}:{port}")

        server = await asyncio.get_running_loop().create_server(lambda: _Arrival(carry), sock=listening.dup(), backlog=_BACKLOG)
        try:
            await asyncio.Event().wait()
        finally:
            server.close()


async def _carry(arrival: Wire, make: Callable[[int], socket.socket], target: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    far = make(socket.AF_INET6 if ":" in target else socket.AF_INET)
    try:
        await loop.sock_connect(far, (target, port))
        _, wire = await loop.create_connection(Wire, sock=far)
    except BaseException as error:
        far.close()
        arrival.abort()
        if isinstance(error, OSError):
            log.debug("%s:%s: %s", target, port, error)
            return
        raise
    try:
        await pump.join(arrival, wire)
    finally:
        arrival.abort()
        wire.abort()
