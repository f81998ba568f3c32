"""podling and dockerd side by side, each with the image busybox, driven by the same docker command or by their API."""

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

import peers
import table
import timing
from podling.aio.client import HttpClient
from podling.testing.podling import running_podling
from podling.testing.registry import running_registry


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine: its socket, and how to run a command in its network namespace."""

    socket: Path
    inside: Callable[..., list[str]]
    environment: Mapping[str, str]

    def docker(self, *arguments: str, input: bytes | None = None) -> bytes:
        """The output of docker against it; raises RuntimeError with its stderr."""
        return peers.run(*peers.docker(self.socket, *arguments), input=input, environment=self.environment)

    def ask(self, work: Callable[["Api"], Awaitable[object]]) -> None:
        """Run `work` with its API."""

        async def run() -> None:
            async with HttpClient(f"unix://{self.socket}") as client:
                await work(Api(client))

        asyncio.run(run())

    def registry(self, root: Path) -> "Registry":
        """An empty docker-registry beside it."""
        return Registry(self, root)


@dataclass(frozen=True, slots=True)
class Api:
    """The Docker API without the docker command."""

    client: HttpClient

    async def __call__(self, method: str, path: str, body: Any = None) -> Any:
        """The answer, decoded where it is JSON. Raises RuntimeError with what the engine says."""
        fields = [("Content-Type", "application/json")]
        sent = orjson.dumps(body) if body is not None else None
        async with await self.client.request(method, path, fields, sent, timeout=120) as response:
            data = await response.body()
            if response.status >= 400:
                raise RuntimeError(f"{method} {path}: {response.status} {data.decode(errors='replace')}")
            return orjson.loads(data) if data.startswith((b"{", b"[")) else data


class Registry:
    """Gives the address of a docker-registry that its engine reaches, for the time of a `with`."""

    def __init__(self, engine: Engine, root: Path) -> None:
        self._running = running_registry(root, command=engine.inside)

    def __enter__(self) -> str:
        return self._running.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._running.__exit__(*error)


@contextmanager
def both() -> Iterator[dict[str, Engine | None]]:
    """podling and, where it is installed, dockerd."""
    timing.clean_up_on_signals()
    with ExitStack() as stack:
        config = stack.enter_context(tempfile.TemporaryDirectory(prefix="podling-bench-"))
        environment = {**os.environ, "DOCKER_CONFIG": config, "DOCKER_BUILDKIT": "0"}
        podling = stack.enter_context(running_podling())
        dockerd = stack.enter_context(peers.dockerd_with_busybox())
        yield {
            "podling": Engine(podling.socket, podling.command, environment),
            "dockerd": dockerd and Engine(dockerd.folder / "docker.sock", dockerd.command, environment),
        }


Seconds = dict[str, float | None]


def alternate(engines: Mapping[str, Engine | None], work: Callable[[Engine], object], rounds: int) -> Seconds:
    """Median seconds of `work` on each, in turn."""
    return timing.alternate({name: engine and (lambda engine=engine: work(engine)) for name, engine in engines.items()}, rounds)


def show(title: str, measured: Mapping[str, Seconds]) -> None:
    """One row for each thing measured: podling, dockerd, and their ratio."""
    rows = [
        (
            what,
            table.duration(taken["podling"]),
            table.duration(taken["dockerd"]),
            table.ratio(taken["podling"], taken["dockerd"]),
        )
        for what, taken in measured.items()
    ]
    table.show(title, ("", "podling", "dockerd", "ratio"), rows)
