"""What is mounted in a container: its own files, shared memory, volumes, directories of the host."""

import asyncio
import os
import shutil
from pathlib import Path

from podling.base.errors import Conflict, InvalidInput
from podling.engine.network import network_of
from podling.engine.record import Record
from podling.engine.surroundings import Surroundings
from podling.engine.types import ContainerSpec, Mount
from podling.engine.undo import attempt
from podling.linux import mount as mounts
from podling.linux.inside import make_directories_inside, open_inside
from podling.runtime.spec import DEFAULT_SHM_SIZE, BindMount, TmpfsMount
from podling.volumes.copyup import fill

OWN_FILES = ("/etc/resolv.conf", "/etc/hostname", "/etc/hosts")
SHARED_MEMORY = "shm"
INIT_TARGET = "/sbin/docker-init"
_DIRECTORIES = ("/dev", "/proc", "/sys", "/etc")
_INIT_PROGRAMS = ("docker-init", "tini-static", "catatonit", "tini")


def mount_points(floor: Path) -> Path:
    """Make a tree of the places where every container has something mounted."""
    for directory in _DIRECTORIES:
        (floor / directory.lstrip("/")).mkdir(mode=0o755, parents=True, exist_ok=True)
    for file in OWN_FILES:
        (floor / file.lstrip("/")).touch(mode=0o644)
    return floor


async def bind(record: Record, around: Surroundings, root: Path) -> list[BindMount | TmpfsMount]:
    """The container's own files, unless something else is mounted there, and all mounts asked for."""
    directory = around.records.directory((network_of(record, around) or record).id)
    taken = {mount.target.rstrip("/") for mount in record.spec.mounts}
    own = [BindMount(str(directory / os.path.basename(path)), path) for path in OWN_FILES if path not in taken]
    asked = [await _resolve(mount, record, around, root) for mount in record.spec.mounts]
    shared = [] if "/dev/shm" in taken else _shared_memory(record, around)
    return [*own, *shared, *asked, *_init_mount(record.spec)]


def _shared_memory(record: Record, around: Surroundings) -> list[BindMount | TmpfsMount]:
    """/dev/shm where others may join it: a tmpfs of the engine's, the joined container's, or the host's."""
    mode = record.spec.namespaces.ipc
    if mode == "shareable":
        place = around.records.directory(record.id) / SHARED_MEMORY
        place.mkdir(exist_ok=True)
        if not mounts.is_mountpoint(place):
            flags = mounts.MS_NOSUID | mounts.MS_NODEV | mounts.MS_NOEXEC
            mounts.mount("shm", place, "tmpfs", flags, f"mode=1777,size={record.spec.shm_size or DEFAULT_SHM_SIZE}")
        return [BindMount(str(place), "/dev/shm")]
    if not mode.startswith("container:"):
        return []
    other = around.find(mode[10:])
    if other.spec.namespaces.ipc == "host":
        return [BindMount("/dev/shm", "/dev/shm")]
    if other.spec.namespaces.ipc != "shareable":
        raise Conflict(
            f"can't join IPC of container {other.id}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)"
        )
    return [BindMount(str(around.records.directory(other.id) / SHARED_MEMORY), "/dev/shm")]


async def _resolve(mount: Mount, record: Record, around: Surroundings, root: Path) -> BindMount | TmpfsMount:
    if mount.type == "tmpfs":
        return TmpfsMount(mount.target, _tmpfs_options(mount))
    if mount.type == "bind":
        return BindMount(
            _bind_source(mount),
            mount.target,
            mount.read_only,
            mount.propagation,
            recursive=not mount.options.get("non_recursive"),
            flags=tuple(mount.options.get("flags", ())),
        )
    path = await around.volumes.mount(mount.source, record.id)
    if not mount.options.get("no_copy"):
        await asyncio.to_thread(fill, path, root, mount.target)
    if subpath := mount.options.get("subpath"):
        path = await asyncio.to_thread(_below, path, subpath)
    return BindMount(str(path), mount.target, mount.read_only, mount.propagation)


async def show_mounts(record: Record, around: Surroundings, root: Path) -> None:
    """Show in the mounted root of a container that does not run what it would see there. Unmounting the root ends it."""
    for mount in sorted(record.spec.mounts, key=lambda mount: mount.target.count("/")):
        source = await around.volumes.mount(mount.source, record.id) if mount.type == "volume" else Path(mount.source)
        if mount.type != "tmpfs" and source.exists():
            await asyncio.to_thread(_show, source, root, mount)


async def hide_volumes(record: Record, around: Surroundings) -> None:
    """The root has been unmounted."""
    for mount in record.spec.mounts:
        if mount.type == "volume":
            await attempt(around.volumes.unmount(mount.source, record.id), record)


def _show(source: Path, root: Path, mount: Mount) -> None:
    place = _place(source, root, mount.target)
    try:
        path = os.readlink(f"/proc/self/fd/{place}")  # without links, and nobody who could make some runs in there
    finally:
        os.close(place)
    mounts.bind(source, path, recursive=True, readonly=mount.read_only)


def _place(source: Path, root: Path, target: str) -> int:
    """A descriptor of the mount point, made where it lacks: a directory, or a file for a file."""
    if source.is_dir():
        return make_directories_inside(root, target)
    os.close(make_directories_inside(root, os.path.dirname(target)))
    try:
        return open_inside(root, target, os.O_PATH)
    except FileNotFoundError:
        os.close(open_inside(root, target, os.O_CREAT | os.O_WRONLY, 0o644))
        return open_inside(root, target, os.O_PATH)


def _tmpfs_options(mount: Mount) -> tuple[str, ...]:
    options = [*mount.options.get("flags", ())]
    if size := mount.options.get("size"):
        options.append(f"size={size}")
    if (mode := mount.options.get("mode")) is not None:
        options.append(f"mode={mode:o}")
    return (*options, "ro") if mount.read_only else tuple(options)


def _bind_source(mount: Mount) -> str:
    if not os.path.lexists(mount.source):
        if not mount.options.get("create_source"):
            raise missing_source(mount.source)
        os.makedirs(mount.source, exist_ok=True)
    return mount.source


def missing_source(path: str) -> InvalidInput:
    return InvalidInput(f'invalid mount config for type "bind": bind source path does not exist: {path}')


def _below(path: Path, subpath: str) -> Path:
    """A directory of a volume; symlinks in it must not lead out of it."""
    found = (path / subpath).resolve()
    if not found.is_relative_to(path.resolve()) or not found.exists():
        raise InvalidInput(f"cannot access path {path / subpath}: no such directory in the volume")
    return found


def _init_mount(spec: ContainerSpec) -> list[BindMount]:
    if not spec.init:
        return []
    program = next((found for name in _INIT_PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        raise InvalidInput("exec: docker-init: executable file not found in $PATH: install tini to use an init process")
    return [BindMount(program, INIT_TARGET, read_only=True)]
