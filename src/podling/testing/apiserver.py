"""An API server alone, without agents or controllers: in this process without a socket, or served for real clients."""

import asyncio
import subprocess
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from podling.aio.http import Headers, Request
from podling.aio.server import HttpServer
from podling.apiserver.identity import Attributes, Decision, User
from podling.apiserver.server import ApiServer
from podling.client.client import lines
from podling.client.transport import DirectTransport
from podling.store.memory import MemoryStore
from podling.store.sqlite import SqliteStore
from podling.testing.clock import ManualClock

Object = dict[str, Any]
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
ADMIN = User("admin", ("system:masters", "system:authenticated"))


class AllowAll:
    def authorize(self, attributes: Attributes) -> Decision:
        return Decision(True)

    def rules(self, user: User, namespace: str) -> list[Object]:
        return [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, {"nonResourceURLs": ["*"], "verbs": ["*"]}]


class Admin:
    async def authenticate(self, request: Request) -> User | None:
        return ADMIN


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Any
    headers: Headers

    @property
    def message(self) -> str:
        return str(self.body["message"])


class Stream:
    """The events of one watch."""

    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        self._events = events

    async def next(self) -> tuple[str, Object]:
        async with asyncio.timeout(5):
            event = orjson.loads(await anext(self._events))
        return event["type"], event["object"]

    async def names(self, count: int) -> list[tuple[str, str]]:
        """The types and names of the next events."""
        events = [await self.next() for _ in range(count)]
        return [(kind, obj["metadata"]["name"]) for kind, obj in events]

    async def ended(self) -> bool:
        try:
            await self.next()
        except StopAsyncIteration:
            return True
        return False


class Api:
    """Requests to an API server in this process."""

    def __init__(self, server: ApiServer, clock: ManualClock) -> None:
        self.server = server
        self.clock = clock
        self.transport = DirectTransport(server.handle)

    async def __call__(
        self, method: str, path: str, body: Any = None, *, type: str = "application/json", accept: str = "", **query: str
    ) -> Answer:
        data = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        headers = [("content-type", type)] if data else []
        headers += [("accept", accept)] if accept else []
        reply = await self.transport.request(method, path, query, headers, data)
        text = await reply.read()
        try:
            parsed = orjson.loads(text)
        except ValueError:
            parsed = text
        return Answer(reply.status, parsed, reply.headers)

    async def create(self, path: str, obj: Object) -> Object:
        answer = await self("POST", path, obj)
        assert answer.status == 201, answer.body
        created: Object = answer.body
        return created

    async def watch(self, path: str, accept: str = "", **query: str) -> Stream:
        headers = [("accept", accept)] if accept else []
        reply = await self.transport.request("GET", path, {"watch": "true", **query}, headers)
        assert reply.status == 200, await reply.read()
        return Stream(lines(reply))


@asynccontextmanager
async def in_process() -> AsyncIterator[Api]:
    """A server over a store in memory, at a time that stands still. No controllers: the account of pods is made here."""
    store, clock = MemoryStore(), ManualClock()
    server = ApiServer(store, authorizer=AllowAll(), authenticators=(Admin(),), clock=clock)
    await server.start()
    api = Api(server, clock)
    try:
        await api.create("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
        yield api
    finally:
        await server.close()
        await api.transport.close()
        await store.close()


class Served:
    """A server on a port of its own, with its loop in a thread; `kubectl` and `url` reach it. `parts` go to the ApiServer."""

    def __init__(self, folder: Path, **parts: Any) -> None:
        self._folder = folder
        self._parts: dict[str, Any] = {"authorizer": AllowAll(), "authenticators": (Admin(),), **parts}
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        store = await SqliteStore.open(self._folder / "state.db")
        server = ApiServer(store, **self._parts)
        await server.start()
        http = HttpServer(server.handle)
        _, self._port = await http.listen_tcp("127.0.0.1", 0)
        self._ready.set()
        await self._stop.wait()
        server.drain()
        await http.close(1.0)
        await server.close()
        await store.close()

    def __enter__(self) -> "Served":
        self._thread.start()
        assert self._ready.wait(10)
        self.url = f"http://127.0.0.1:{self._port}"
        cluster = {"clusters": [{"name": "c", "cluster": {"server": self.url}}], "users": [{"name": "u", "user": {"token": "t"}}]}
        context = {"contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}], "current-context": "c"}
        self.kubeconfig = self._folder / "kubeconfig"
        self.kubeconfig.write_bytes(orjson.dumps({"apiVersion": "v1", "kind": "Config", **cluster, **context}))
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def command(self, *arguments: str) -> list[str]:
        return ["kubectl", f"--kubeconfig={self.kubeconfig}", f"--cache-dir={self._folder / 'cache'}", *arguments]

    def run(self, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(self.command(*arguments), input=stdin, capture_output=True, text=True, timeout=30)

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """Its output; fails with its words when it failed."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout
