"""The API server under measurement: one process, its load another, without TLS and access control."""

import asyncio
import contextlib
import gc
import multiprocessing
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import uvloop

CONNECTIONS = 64
START_TIMEOUT = 120.0
PODS = "/api/v1/namespaces/default/pods"

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"generateName": "pod-", "labels": {"app": "web", "tier": "front"}, "annotations": {"note": "x" * 400}},
    "spec": {
        "containers": [
            {
                "name": "main",
                "image": "registry.example/web:1.2.3",
                "command": ["/bin/server", "--port=8080"],
                "env": [{"name": f"VARIABLE_{number}", "value": "value"} for number in range(10)],
                "ports": [{"containerPort": 8080, "name": "http"}],
                "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
            }
        ]
    },
}


def serve(folder: Path, port: int, ready: Any, took: Any) -> None:
    from podling.aio.server import HttpServer
    from podling.apiserver.identity import Attributes, Decision
    from podling.apiserver.server import ApiServer
    from podling.store.sqlite import SqliteStore

    class AllowAll:
        def authorize(self, attributes: Attributes) -> Decision:
            return Decision(True)

    async def main() -> None:
        started = time.perf_counter()
        store = await SqliteStore.open(folder / "state.db")
        api = ApiServer(store, authorizer=AllowAll())
        await api.start()
        server = HttpServer(api.handle)
        await server.listen_tcp("127.0.0.1", port)
        took.value = time.perf_counter() - started
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)  # as podling's processes do
        ready.set()
        await asyncio.Event().wait()

    uvloop.run(main())


class Connection:
    """A keep-alive connection that asks and reads one answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> "Connection":
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 26))

    async def ask(self, method: str, path: str, body: bytes = b"", media: str = "application/json", accept: str = "*/*") -> bytes:
        fields = f"Host: x\r\nContent-Length: {len(body)}\r\nContent-Type: {media}\r\nAccept: {accept}\r\n"
        head = f"{method} {path} HTTP/1.1\r\n{fields}\r\n"
        self.writer.write(head.encode() + body)
        answer = await self.reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        data = await self.reader.readexactly(length)
        assert answer[9:10] == b"2", data
        return data

    async def prepare(self) -> None:
        """What a pod of the namespace default needs."""
        account = orjson.dumps({"metadata": {"name": "default"}})
        await self.ask("POST", "/api/v1/namespaces/default/serviceaccounts", account)


@contextlib.asynccontextmanager
async def connections(port: int, count: int) -> AsyncIterator[list[Connection]]:
    opened = [await Connection.open(port) for _ in range(count)]
    try:
        yield opened
    finally:
        for connection in opened:
            connection.writer.close()


async def rate(port: int, total: int, count: int, ask: Callable[[Connection], Awaitable[object]]) -> float:
    """Requests in a second over `count` connections."""

    async def work(connection: Connection) -> None:
        for _ in range(total // count):
            await ask(connection)

    async with connections(port, count) as opened:
        started = time.perf_counter()
        await asyncio.gather(*map(work, opened))
        return total / (time.perf_counter() - started)


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: where it listens, its process, and how long it took from its start until it was ready."""

    port: int
    pid: int
    seconds: float


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """A server over the store in `folder`, from when it is ready."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    ready, took = context.Event(), context.Value("d")
    process = context.Process(target=serve, args=(folder, port, ready, took), daemon=True)
    process.start()
    try:
        assert ready.wait(START_TIMEOUT)
        assert process.pid is not None
        yield Server(port, process.pid, took.value)
    finally:
        process.terminate()
        process.join()


def loaded(server: Server, work: Callable[[int], Awaitable[Any]]) -> Any:
    """What `work(port)` gives, in this process."""

    async def main() -> Any:
        return await work(server.port)

    return uvloop.run(main())
