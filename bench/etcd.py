"""What etcd does of what the API server does: writes, reads and a range over all, by gRPC on its unix socket.

Messages are packed by hand, so that the client costs little.
Source: etcd API v3, service KV.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import grpc.aio

PREFIX, AFTER_PREFIX = b"/registry/pods/", b"/registry/pods0"
UNLIMITED = [("grpc.max_receive_message_length", -1)]


@dataclass(frozen=True, slots=True)
class Rates:
    """Writes and reads in a second by one client and by many, and the seconds that one range over all keys takes."""

    put_alone: float
    put: float
    get_alone: float
    get: float
    range: float


class Client:
    """A key-value client over one channel."""

    def __init__(self, channel: "grpc.aio.Channel") -> None:
        self._put, self._range = channel.unary_unary("/etcdserverpb.KV/Put"), channel.unary_unary("/etcdserverpb.KV/Range")

    async def put(self, number: int, value: bytes) -> None:
        await self._put(_field(1, PREFIX + b"%d" % number) + _field(2, value))

    async def get(self, number: int) -> None:
        await self._range(_field(1, PREFIX + b"%d" % number))

    async def range(self) -> None:
        """All that was put."""
        await self._range(_field(1, PREFIX) + _field(2, AFTER_PREFIX))


@asynccontextmanager
async def connected(path: Path) -> AsyncIterator[Client]:
    import grpc.aio

    async with grpc.aio.insecure_channel(f"unix:{path}", options=UNLIMITED) as channel:
        yield Client(channel)


async def measure(path: Path, value: bytes, alone: int, together: int, clients: int) -> Rates:
    """`alone` writes by one client, then `together` by `clients`; as many reads; the range is over what was written."""
    async with connected(path) as client:
        numbers = count()

        def write() -> Awaitable[None]:
            return client.put(next(numbers), value)

        def read() -> Awaitable[None]:
            return client.get(1)

        rates = [await rate(work, *load) for work in (write, read) for load in ((alone, 1), (together, clients))]
        started = time.perf_counter()
        await client.range()
        return Rates(*rates, time.perf_counter() - started)


async def rate(work: Callable[[], Awaitable[None]], total: int, clients: int) -> float:
    """Calls in a second by `clients` at once."""

    async def client() -> None:
        for _ in range(total // clients):
            await work()

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return total / (time.perf_counter() - started)


def _field(number: int, data: bytes) -> bytes:
    """A length-delimited field. Source: Protocol Buffers, "Encoding"."""
    length, head = len(data), bytearray((number << 3 | 2,))
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + data
