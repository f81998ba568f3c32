"""Reading a pipe without blocking the event loop."""

import asyncio
import os

_READ = 65536


async def read_to_end(fd: int, until: bytes = b"") -> bytes:
    """All bytes of a pipe up to its end, or up to where they end in `until`; takes the descriptor over."""
    loop = asyncio.get_running_loop()
    os.set_blocking(fd, False)
    data = bytearray()
    done = loop.create_future()

    def receive() -> None:
        try:
            piece = os.read(fd, _READ)
        except BlockingIOError:
            return
        data.extend(piece)
        if (not piece or (until and data.endswith(until))) and not done.done():
            done.set_result(None)

    loop.add_reader(fd, receive)
    try:
        await done
    finally:
        loop.remove_reader(fd)
        os.close(fd)
    return bytes(data)
