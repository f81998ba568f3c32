"""Copying between byte streams, with back-pressure and half close."""

from podling.aio.http import ByteStream
from podling.aio.tasks import Tasks


async def copy(source: ByteStream, target: ByteStream) -> int:
    """Copy until `source` ends, then close that half of `target`. Gives the number of bytes; raises ConnectionError."""
    size = 0
    while data := await source.read():
        target.write(data)
        await target.drain()
        size += len(data)
    target.write_eof()
    return size


async def join(left: ByteStream, right: ByteStream) -> None:
    """Copy both ways until both sides have ended, or one of them broke; then close both."""
    async with Tasks("pump") as tasks:
        directions = [tasks.start(_carry(left, right), "left to right"), tasks.start(_carry(right, left), "right to left")]
        try:
            for direction in directions:
                await direction
        finally:
            await left.close()
            await right.close()


async def _carry(source: ByteStream, target: ByteStream) -> None:
    """One direction; when it breaks, the other one has nobody to talk to."""
    try:
        await copy(source, target)
    except ConnectionError:
        await source.close()
        await target.close()
