"""Copying between two real connections."""

import asyncio

from podling.aio import pump
from podling.aio.client import HttpClient
from podling.aio.http import Request


async def test_join_carries_both_ways_and_half_closes(serve):
    async def shout(request: Request) -> None:
        stream = await request.hijack(101, [])
        size = 0
        while data := await stream.read():
            size += len(data)
        stream.write(b"got %d" % size)
        await stream.close()

    back = await serve(shout)
    async with HttpClient(back.url) as behind, HttpClient() as before:

        async def proxy(request: Request) -> None:
            _, _, upstream = await behind.upgrade("POST", "/")
            await pump.join(await request.hijack(101, []), upstream)

        front = await serve(proxy)
        _, _, stream = await before.upgrade("POST", f"{front.url}/")
        for _ in range(100):
            stream.write(b"x" * 65536)
            await stream.drain()
        stream.write_eof()
        assert await asyncio.wait_for(stream.read(), 5) == b"got 6553600"
        assert await asyncio.wait_for(stream.read(), 5) == b""
        await stream.close()


async def test_a_broken_side_ends_the_other(serve):
    ended = asyncio.Event()

    async def wait(request: Request) -> None:
        stream = await request.hijack(101, [])
        try:
            while await stream.read():
                pass
        finally:
            ended.set()

    back = await serve(wait)
    async with HttpClient(back.url) as behind, HttpClient() as before:

        async def proxy(request: Request) -> None:
            _, _, upstream = await behind.upgrade("POST", "/")
            await pump.join(await request.hijack(101, []), upstream)

        front = await serve(proxy)
        _, _, stream = await before.upgrade("POST", f"{front.url}/")
        stream.write(b"x")
        await asyncio.sleep(0.05)
        stream.abort()
        await asyncio.wait_for(ended.wait(), 5)
