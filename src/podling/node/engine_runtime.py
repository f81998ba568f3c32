"""The pods' runtime over podling's own engine, in process."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import podling
from podling.aio.http import ByteStream
from podling.base.errors import AlreadyExists, Conflict, InvalidInput, NotFound, NotModified, TimedOut
from podling.engine.attach import Attachment
from podling.engine.container import Container
from podling.engine.engine import Engine
from podling.engine.execution import Exec
from podling.engine.types import ContainerSpec, ExecSpec, LogRecord, Mount, StreamName
from podling.images.model import ANONYMOUS, Credentials, Image
from podling.linux import mount
from podling.linux.cgroup import Group
from podling.node.dial import dial
from podling.node.network import PodNetwork
from podling.node.runtime import (
    POD_UID,
    Ended,
    Held,
    HeldImage,
    ImageFacts,
    Login,
    Output,
    SandboxSpec,
)
from podling.oci.reference import parse
from podling.runtime.types import Resources
from podling.snapshots.base import Snapshotter

_OUTPUT_MOST = 16 << 10
_SHARED_MEMORY = "/dev/shm"


class EngineRuntime:
    """Implements `podling.node.runtime.PodRuntime`."""

    name = "podling"
    version = podling.__version__

    def __init__(self, engine: Engine, network: PodNetwork) -> None:
        self._engine = engine
        self._network = network

    async def prepare(self) -> None:
        """The engine has been started before."""

    async def close(self) -> None:
        """The engine is closed by whoever started it."""

    # Sandboxes

    async def run_sandbox(self, spec: SandboxSpec) -> tuple[str, ...]:
        return await self._network.add(spec)

    async def remove_sandbox(self, uid: str) -> None:
        await self._network.remove(uid)

    async def sandboxes(self) -> dict[str, tuple[str, ...]]:
        return await self._network.listed()

    # Containers

    async def create(self, spec: ContainerSpec, sandbox: str) -> str:
        joined = {kind: self._join(sandbox, kind) for kind in ("net", "ipc", "uts", "pid")}
        processes = spec.namespaces.pid if joined["pid"] == "host" else joined["pid"]
        namespaces = replace(spec.namespaces, network=joined["net"], ipc=joined["ipc"], uts=joined["uts"], pid=processes)
        spec = replace(spec, namespaces=namespaces, mounts=spec.mounts + self._memory(sandbox, spec))
        try:
            return (await self._engine.containers.create(spec)).id
        except AlreadyExists:  # made by an agent that died before it could start it
            stale = self._engine.containers.find(spec.name)
            if stale.state.status != "created":
                raise
            await stale.remove(force=True)
            return (await self._engine.containers.create(spec)).id

    def _join(self, sandbox: str, kind: str) -> str:
        path = self._network.path(sandbox, kind)
        return f"ns:{path}" if path.exists() else "host"

    def _memory(self, sandbox: str, spec: ContainerSpec) -> tuple[Mount, ...]:
        """The pod's /dev/shm, unless a volume is mounted there."""
        path = self._network.path(sandbox, "shm")
        taken = any(each.target.rstrip("/") == _SHARED_MEMORY for each in spec.mounts)
        return () if taken or not path.exists() else (Mount("bind", str(path), _SHARED_MEMORY),)

    async def start(self, id: str) -> float:
        container = self._find(id)
        await container.start()
        return container.state.started_at

    async def stop(self, id: str, grace: float) -> None:
        with suppress(NotModified):
            if grace <= 0:
                await self._find(id).kill(signal.SIGKILL)
                await self._find(id).wait("not-running")
            else:
                await self._find(id).stop(grace=grace)

    async def resize(self, id: str, resources: Resources) -> None:
        container = self._find(id)
        group = Group(f"{container.spec.cgroup_parent}/{container.id}")
        used = (await asyncio.to_thread(group.stats)).memory_usage
        if 0 < resources.memory < used:  # the kernel would end processes until it fits
            raise Conflict(f"attempting to set pod memory limit ({resources.memory}) below current usage ({used})")
        await container.update(resources)

    async def wait(self, id: str) -> Ended:
        container = self._find(id)
        await container.wait("not-running")
        return _ended(container)

    async def remove(self, id: str) -> None:
        with suppress(NotFound):
            container = self._find(id)
            with suppress(Conflict):  # somebody is at it
                await container.remove(force=True, volumes=True)
            await container.wait("removed")

    async def containers(self) -> list[Held]:
        return [_held(container) for container in self._engine.containers.list() if POD_UID in container.spec.labels]

    def _find(self, id: str) -> Container:
        return self._engine.containers.find(id)

    # Streams

    async def run(self, id: str, command: tuple[str, ...], timeout: float) -> Output:
        execution = await self._find(id).exec(ExecSpec(command))
        try:
            async with asyncio.timeout(timeout):
                output, code = await execution.run(_OUTPUT_MOST)
        except TimeoutError:
            execution.kill()
            raise TimedOut(f"command {command[0]} timed out after {timeout:g}s") from None
        return Output(code, output)

    async def exec(self, id: str, spec: ExecSpec) -> "EngineSession":
        execution = await self._find(id).exec(spec)
        return EngineSession(await execution.start(), execution)

    async def attach(self, id: str) -> "EngineSession":
        container = self._find(id)
        return EngineSession(await container.attach(stdin=True, stdout=True, stderr=True, logs=False, stream=True), container)

    async def logs(self, id: str, *, follow: bool = False, since: float = 0, tail: int | None = None) -> AsyncIterator[LogRecord]:
        async for record in self._find(id).logs(follow=follow, since=since, tail=tail):
            yield record

    async def dial(self, sandbox: str, port: int) -> ByteStream:
        path = self._network.path(sandbox, "net")
        return await dial(path if path.exists() else None, port)

    # Images

    async def image(self, reference: str) -> ImageFacts | None:
        try:
            return _facts(self._engine.images.get(reference), reference)
        except NotFound:
            return None

    async def pull(self, reference: str, login: Login | None) -> ImageFacts:
        credentials = Credentials(login.username, login.password) if login else ANONYMOUS
        return _facts(await self._engine.images.pull(reference, credentials=credentials), reference)

    async def show_image(self, id: str, owner: str, target: Path) -> None:
        images = self._engine.images
        image = images.get(id)
        await images.lease(owner, [image.id])
        chain = await images.unpack(image)
        await asyncio.to_thread(_show, images.snapshots, f"{owner}.{target.name}", chain, target)

    async def hide_images(self, owner: str) -> None:
        snapshots = self._engine.images.snapshots

        def remove() -> None:
            for each in list(snapshots.walk()):
                if each.name.startswith(f"{owner}."):
                    snapshots.remove(each.name)

        await asyncio.to_thread(remove)
        await self._engine.images.release(owner)

    async def remove_image(self, id: str) -> None:
        if users := [container.name for container in self._engine.containers.list() if container.image_id == id]:
            raise Conflict(f"image {id} is used by container {users[0]}")
        for gone in await self._engine.images.remove(id, force=True):
            if name := gone.untagged or gone.deleted:
                self._engine.events.publish("image", "untag" if gone.untagged else "delete", name, {"name": name})

    async def images(self) -> list[HeldImage]:
        return [HeldImage(image.id, image.tags + image.digests, image.size) for image in self._engine.images.all()]


def _show(snapshots: Snapshotter, key: str, chain: str, target: Path) -> None:
    with suppress(AlreadyExists):  # by an agent that died before it could mount it
        snapshots.view(key, chain)
    snapshots.mount(key, target)
    mount.set_readonly(target)


def _facts(image: Image, reference: str) -> ImageFacts:
    return ImageFacts(image.id, image.config.get("config", {}).get("User", ""), _is_local(image, reference))


def _is_local(image: Image, reference: str) -> bool:
    """Whether the image has come from, or gone to, no registry under this name."""
    try:
        repository = parse(reference).familiar_name
    except InvalidInput:  # the whole id of an image
        return True
    return all(digest.partition("@")[0] != repository for digest in image.digests)


def _ended(container: Container) -> Ended:
    state = container.state
    return Ended(state.exit_code, state.finished_at, state.oom_killed)


def _held(container: Container) -> Held:
    running = container.state.status in ("running", "paused")
    return Held(
        id=container.id,
        image_id=container.image_id,
        labels=container.spec.labels,
        started_at=container.state.started_at,
        running=running,
        ended=None if running or not container.state.finished_at else _ended(container),
    )


class EngineSession:
    """An engine's attachment, with what it belongs to for its size and its end."""

    def __init__(self, attachment: Attachment, owner: Container | Exec) -> None:
        self._attachment = attachment
        self._owner = owner

    async def read(self) -> tuple[StreamName, bytes] | None:
        return await self._attachment.read()

    def write(self, data: bytes) -> None:
        self._attachment.write(data)

    async def drain(self) -> None:
        await self._attachment.drain()

    def close_stdin(self) -> None:
        self._attachment.close_stdin()

    async def resize(self, rows: int, columns: int) -> None:
        with suppress(Conflict):  # it has ended in this moment
            if isinstance(self._owner, Exec):
                self._owner.resize(rows, columns)
            else:
                await self._owner.resize(rows, columns)

    async def wait(self) -> int:
        return await self._owner.wait()

    async def close(self) -> None:
        await self._attachment.close()
