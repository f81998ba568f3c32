"""A server on a free port of loopback, and raw conversations with it; on asyncio's loop and on uvloop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
import uvloop

from podling.aio.http import Handler
from podling.aio.server import HttpServer

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, LoopFactory]:
    """Each test of this folder on asyncio's loop and on uvloop."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@dataclass
class Served:
    server: HttpServer
    host: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.host, self.port)

    async def talk(self, *pieces: bytes, seconds: float = 5.0) -> bytes:
        """Send the pieces one by one, and give all that comes until the server closes."""
        reader, writer = await self.connect()
        try:
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(0.005)
            return await asyncio.wait_for(reader.read(), seconds)
        except ConnectionError:
            return b""
        finally:
            writer.close()


Serve = Callable[..., Awaitable[Served]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """`await serve(handler, limits=..., on_error=...)`."""
    servers: list[HttpServer] = []

    async def start(handler: Handler, **options: Any) -> Served:
        server = HttpServer(handler, **options)
        servers.append(server)
        return Served(server, *await server.listen_tcp("127.0.0.1", 0))

    yield start
    for server in servers:
        await server.close(0)
