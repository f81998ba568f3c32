"""An engine of its own for a test: real containers in a root, cgroup, network namespace and names that nobody else has.

At the end everything must be gone: processes, mounts, namespaces, cgroups.
"""

import hashlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from podling.base.ids import suffix
from podling.engine.container import Container
from podling.engine.engine import Engine
from podling.engine.types import ContainerSpec
from podling.linux import namespace
from podling.linux.cgroup import Group
from podling.linux.mount import mounts_below
from podling.testing.images import busybox_archive


def instance_of(root: Path) -> str:
    """A name for the instance at `root` that no other has."""
    return f"podling-{hashlib.sha256(os.fsencode(root)).hexdigest()[:6]}"


async def bytes_once(data: bytes) -> AsyncIterator[bytes]:
    """`data` as a stream."""
    yield data


async def load_busybox(engine: Engine) -> None:
    await engine.images.load(bytes_once(busybox_archive()))


@asynccontextmanager
async def running_engine(root: Path, netns: Path | None = None) -> AsyncIterator[Engine]:
    """An engine at `root`, without images; closed at the end, its containers left to run."""
    engine = Engine(root / "lib", root / "run", instance_of(root), netns=netns)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


@asynccontextmanager
async def engine_place(root: Path) -> AsyncIterator[Path]:
    """A network namespace that stands for the host's, for one or several engines at `root` in turn.

    The last one has to purge; then it is checked that nothing is left.
    """
    netns = root / f"host-{suffix()}"
    namespace.create({"net": netns}, namespace.loopback_up)
    try:
        yield netns
        assert_nothing_left(root)
    finally:
        namespace.remove(netns)


@asynccontextmanager
async def temporary_engine(root: Path) -> AsyncIterator[Engine]:
    """An engine with busybox in a network namespace of its own; purged at the end, and checked for what it left."""
    async with engine_place(root) as netns, running_engine(root, netns) as engine:
        await load_busybox(engine)
        try:
            yield engine
        finally:
            await engine.purge()


def assert_nothing_left(root: Path) -> None:
    """No process, mount or cgroup of the instance at `root` (network objects go with the namespace)."""
    name = str(root).encode()
    processes = [path.parent.name for path in Path("/proc").glob("[0-9]*/cmdline") if name in _read(path)]
    assert not processes, f"processes left: {processes}"
    mounts = [mount.target for mount in mounts_below(root) if "/host-" not in mount.target]
    assert not mounts, f"mounts left: {mounts}"
    assert not Group(instance_of(root)).exists(), "cgroups left"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


async def run(engine: Engine, *command: str, **fields: object) -> Container:
    """A busybox container that has been started; `fields` are those of ContainerSpec."""
    container = await engine.containers.create(ContainerSpec("busybox", command=command, **fields))  # type: ignore[arg-type]
    await container.start()
    return container


async def output_of(container: Container) -> tuple[str, int]:
    """What it wrote on both streams, and its exit code, once it has ended."""
    code = await container.wait()
    return b"".join([record.data async for record in container.logs()]).decode(), code
