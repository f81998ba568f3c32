"""A stream of bytes from the event loop, read by blocking code in a thread."""

import asyncio
from collections.abc import AsyncIterable, Callable
from typing import TypeVar

T = TypeVar("T")


async def consume(source: AsyncIterable[bytes], work: Callable[[Callable[[], bytes]], T]) -> T:
    """Run `work(read)` in a thread, where `read()` gives the next piece of `source` and b"" at its end.

    Cancelling ends the source for `work`, which then fails with the CancelledError that `read` raises.
    """
    loop = asyncio.get_running_loop()
    iterator = aiter(source)
    ended = False

    async def following() -> bytes:
        async for piece in iterator:
            if piece:
                return piece
        return b""

    def read() -> bytes:
        if ended:
            raise asyncio.CancelledError
        return asyncio.run_coroutine_threadsafe(following(), loop).result()

    try:
        return await asyncio.to_thread(work, read)
    finally:
        ended = True
