"""Datagrams carried from a published port by the agent itself, where the kernel can't send packets on (see `relay`).

Each asker has a socket of its own towards the container, so that answers find back; it is closed when nothing has passed for a
while.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass

IDLE_SECONDS = 90.0
_ASKERS = 1024  # at a time; the one that has been silent longest gives way
_AT_ONCE = 64  # before others of the loop have their turn
_LARGEST = 65535


@dataclass(slots=True)
class _Flow:
    far: socket.socket
    used: float


async def relay(bound: socket.socket, make: Callable[[int], socket.socket], target: str, port: int) -> None:
    """Carry every datagram that reaches the socket `bound` to `target`, and the answers back, until cancelled.

    `make` makes a datagram socket of a family in the namespace from which the target is reached.
    """
    own = bound.dup()
    carrier = _Carrier(own, make, target, port)
    try:
        await asyncio.Event().wait()
    finally:
        carrier.close()


class _Carrier:
    def __init__(self, near: socket.socket, make: Callable[[int], socket.socket], target: str, port: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._near = near
        self._make = make
        self._target = target
        self._port = port
        self._flows: dict[tuple[str, int], _Flow] = {}  # the one used last is the last
        self._loop.add_reader(near, self._arrived)
        self._timer = self._loop.call_later(IDLE_SECONDS, self._sweep)

    def _arrived(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                data, peer = self._near.recvfrom(_LARGEST)
            except OSError:
                return
            with contextlib.suppress(OSError):  # nobody there, or too much at once: it is lost, as datagrams are
                self._flow(peer).far.send(data)

    def _flow(self, peer: tuple[str, int]) -> _Flow:
        flow = self._flows.pop(peer, None)
        if flow is None:
            if len(self._flows) >= _ASKERS:
                self._drop(next(iter(self._flows)))
            far = self._make(socket.AF_INET6 if ":" in self._target else socket.AF_INET)
            far.connect((self._target, self._port))
            self._loop.add_reader(far, self._answered, far, peer)
            flow = _Flow(far, 0)
        flow.used = self._loop.time()
        self._flows[peer] = flow
        return flow

    def _answered(self, far: socket.socket, peer: tuple[str, int]) -> None:
        with contextlib.suppress(OSError):
            data = far.recv(_LARGEST)
            self._flow(peer)
            self._near.sendto(data, peer)

    def _sweep(self) -> None:
        """Close what was silent for too long, and look again when the next could be."""
        now = self._loop.time()
        for peer in [peer for peer, flow in self._flows.items() if now - flow.used >= IDLE_SECONDS]:
            self._drop(peer)
        oldest = next(iter(self._flows.values()), None)
        self._timer = self._loop.call_at((oldest.used if oldest else now) + IDLE_SECONDS, self._sweep)

    def _drop(self, peer: tuple[str, int]) -> None:
        far = self._flows.pop(peer).far
        self._loop.remove_reader(far)
        far.close()

    def close(self) -> None:
        self._timer.cancel()
        for peer in list(self._flows):
            self._drop(peer)
        self._loop.remove_reader(self._near)
        self._near.close()
