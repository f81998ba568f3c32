"""The Docker API of an engine of its own, for the real docker CLI and docker-py.

def test_hello(docker):
    assert docker("run", "--rm", "busybox", "echo", "hello").stdout == "hello\\n"
"""

import asyncio
import contextlib
import http.client
import json
import os
import socket
import subprocess
import tempfile
import threading
from collections.abc import Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from podling.aio.clock import SystemClock
from podling.aio.server import HttpServer
from podling.base.errors import Conflict, NotFound
from podling.base.ids import container_id
from podling.build.builder import Builder
from podling.docker.runner import EngineRunner
from podling.docker.server import DockerApi
from podling.engine.engine import Engine
from podling.images.model import RegistrySettings
from podling.linux import namespace
from podling.snapshots.unpack import Limits
from podling.testing.images import busybox_archive
from podling.testing.leaks import Leftovers

T = TypeVar("T")
_TIMEOUT = 60.0
LIMITS = Limits(bytes=24 << 20, entries=20_000)
"""What an archive may unpack to: enough for tests."""


class Docker:
    """A daemon in a thread of its own, in a network namespace of its own. Calling it runs the docker CLI against it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.instance = f"podling-{container_id()[:4]}"
        self.netns = folder / "netns"
        self.socket = folder / "docker.sock"
        namespace.create({"net": self.netns}, namespace.loopback_up)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="docker daemon", daemon=True)
        self._thread.start()

    # -- the daemon

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the daemon's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_TIMEOUT)

    def start(self) -> None:
        """Bring the daemon up; again after `stop`, over what was left."""
        self.do(self._start())

    async def _start(self) -> None:
        self.engine = Engine(
            self.folder / "root",
            self.folder / "run",
            self.instance,
            netns=self.netns,
            registries=RegistrySettings(insecure=("127.0.0.0/8",)),
            layer_limits=LIMITS,
        )
        await self.engine.start()
        self.builder = Builder(self.engine.images, EngineRunner(self.engine), self.engine.root / "build", SystemClock())
        await self.builder.start()
        self._api = DockerApi(self.engine, self.builder)
        self._server = HttpServer(self._api.handle)
        await self._server.listen_unix(self.socket)

    def stop(self) -> None:
        """End the daemon; containers go on."""
        self.do(self._stop())

    async def _stop(self) -> None:
        await self._server.close(0.5)
        await self._api.close()
        await self.engine.close()

    def purge(self) -> str:
        """End the daemon and all that it made; what is left nevertheless, as text."""
        self.do(self.engine.purge())
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_TIMEOUT)
        self._loop.close()
        left = str(Leftovers.of(self.instance, self.folder / "root", self.netns))
        namespace.remove(self.netns)
        return left

    # -- its clients

    def environment(self) -> dict[str, str]:
        """The variables that make docker mean this daemon."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
        return {**kept, "HOME": str(self.folder), "DOCKER_CONFIG": str(self.folder / "config"), "DOCKER_HOST": self.url}

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def command(self, *argv: str) -> list[str]:
        """The argument list that runs `argv` in the daemon's network namespace."""
        return ["nsenter", f"--net={self.netns}", *argv]

    def __call__(
        self, *arguments: str, input: str | bytes | None = None, check: bool = True, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run docker; output as text. With `check` a failure raises AssertionError with what it said."""
        given = input.encode() if isinstance(input, str) else input
        done = subprocess.run(
            self.command("docker", *arguments),
            input=given,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            timeout=_TIMEOUT,
            env=self.environment(),
            cwd=cwd,
            check=False,
        )
        stdout, stderr = (text.decode(errors="replace") for text in (done.stdout, done.stderr))
        if check and done.returncode != 0:
            raise AssertionError(f"docker {' '.join(arguments)}: exit code {done.returncode}\n{stdout}{stderr}")
        return subprocess.CompletedProcess(arguments, done.returncode, stdout, stderr)

    def popen(self, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start docker and hold it; its streams are pipes unless `options` say otherwise."""
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(self.command("docker", *arguments), env=self.environment(), **{**streams, **options})

    def api(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """One request to the API itself: (status, header fields, body). A `body` that is no bytes is sent as JSON."""
        connection = _UnixConnection(str(self.socket))
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        try:
            connection.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def clean(self) -> None:
        """Remove all containers, volumes and networks, and all images but busybox."""
        self.do(self._clean())

    async def _clean(self) -> None:
        engine = self.engine
        for container in engine.containers.list():
            await container.remove(force=True, volumes=True)
        for volume in engine.volumes.list():
            await engine.volumes.remove(volume.name, force=True)
        for network in engine.networks.all():
            if not network.builtin:
                await engine.networks.remove(network.id)
        for image in engine.images.all():
            for name in image.tags:
                if name != "busybox:latest":
                    await engine.images.remove(name, force=True)
        for image in sorted(engine.images.all(), key=lambda image: image.added, reverse=True):
            if "busybox:latest" not in image.tags:
                with contextlib.suppress(NotFound, Conflict):  # went with another; a parent of busybox
                    await engine.images.remove(image.id, force=True)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("docker", timeout=_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@contextlib.contextmanager
def running_docker() -> Iterator[Docker]:
    """A daemon with the image `busybox:latest`; at the end nothing of it may be left."""
    with tempfile.TemporaryDirectory(prefix="podling-docker-") as folder:
        docker = Docker(Path(folder))
        try:
            docker.start()
            docker("load", input=busybox_archive())
            yield docker
        finally:
            left = docker.purge()
        assert not left, left
