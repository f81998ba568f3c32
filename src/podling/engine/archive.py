"""Files in and out of a container: `docker cp`, `export`, `diff`. Paths never lead out of its root."""

import os
import stat
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Literal

from podling.base.errors import InvalidInput, NotFound
from podling.engine.types import Change, PathStat
from podling.linux.inside import open_inside, read_inside
from podling.runtime.user import lookup
from podling.snapshots import base as snapshots
from podling.snapshots import trees

Root = Callable[[], AbstractAsyncContextManager[Path]]
_KINDS: dict[str, Literal["A", "C", "D"]] = {"added": "A", "modified": "C", "deleted": "D"}
# What the runtime needs as mount points is not the container's doing.
_PLACES = ("etc/resolv.conf", "etc/hostname", "etc/hosts", "dev", "proc", "sys")


class Files:
    """The files of one container. `root` gives its root for the time of one operation, `bare` the same without its mounts."""

    def __init__(self, container: str, root: Root, bare: Root, check_writable: Callable[[str], None]) -> None:
        self._container = container
        self._root = root
        self._bare = bare
        self._check_writable = check_writable

    async def stat(self, path: str) -> PathStat:
        """Raises NotFound."""
        async with self._root() as root:
            return _stat(root, path, self._container)

    async def get(self, path: str) -> tuple[PathStat, AsyncIterator[bytes]]:
        """A tar of `path` and all below it, under its last name; the last link is not followed. Raises NotFound."""
        found = await self.stat(path)
        return found, self._pack(path)

    async def _pack(self, path: str) -> AsyncIterator[bytes]:
        name = os.path.basename(path.rstrip("/"))
        async with self._root() as root:
            async for piece in trees.pack(root, [(f"/{path.lstrip('/')}", "" if name in (".", "") else name)]):
                yield piece

    async def put(self, path: str, source: AsyncIterable[bytes], *, overwrite: bool = True, user: str = "") -> None:
        """Unpack a tar (gzip, zstd or plain) into the directory `path`. All becomes `user`'s (of its passwd), where given.

        Without `overwrite` a directory never gives way to a file, nor the other way about. Raises NotFound, InvalidInput,
        Forbidden where the container may not write.
        """
        self._check_writable(path)
        async with self._root() as root:
            if not _is_directory(root, path, self._container):
                raise InvalidInput("extraction point is not a directory")
            owner = _owner(root, user) if user else None
            await trees.extract(source, root, f"/{path.lstrip('/')}", owner=owner, replace_directories=overwrite)

    async def export(self) -> AsyncIterator[bytes]:
        """A tar of the whole root, without what is mounted in it."""
        async with self._bare() as root:
            async for piece in trees.pack(root, [("/", "")]):
                yield piece


def _open(root: Path, path: str, flags: int, container: str) -> int:
    try:
        return open_inside(root, path, flags)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"Could not find the file {path} in container {container}") from None


def _stat(root: Path, path: str, container: str) -> PathStat:
    follow = path.endswith(("/", "/."))
    fd = _open(root, path, os.O_PATH | (0 if follow else os.O_NOFOLLOW), container)
    try:
        status = os.fstat(fd)
        target = os.readlink("", dir_fd=fd) if stat.S_ISLNK(status.st_mode) else ""
    finally:
        os.close(fd)
    if target:
        target = os.path.normpath(os.path.join("/", os.path.dirname(path), target))
    name = os.path.basename(os.path.normpath(path)) or "/"
    return PathStat(name, status.st_size, status.st_mode, status.st_mtime, target)


def _owner(root: Path, user: str) -> tuple[int, int]:
    passwd, group = (read_inside(root, path).decode(errors="replace") for path in ("etc/passwd", "etc/group"))
    found = lookup(user, passwd, group)
    return found.uid, found.gid


def _is_directory(root: Path, path: str, container: str) -> bool:
    fd = _open(root, path, os.O_PATH, container)
    try:
        return stat.S_ISDIR(os.fstat(fd).st_mode)
    finally:
        os.close(fd)


def visible_changes(changes: Iterable[snapshots.Change]) -> list[Change]:
    """The changes that are the container's own: mount points go, and the directories that changed only for them."""
    all_changes = list(changes)
    kept = [change for change in all_changes if not _is_place(change.path)]
    implied = {parent for place in _PLACES for parent in _parents(place)}
    needed = {parent for change in kept if change.path not in implied for parent in _parents(change.path)}
    return [
        Change(_KINDS[change.kind], f"/{change.path}")
        for change in kept
        if change.path not in implied or change.kind != "modified" or change.path in needed
    ]


def _is_place(path: str) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in _PLACES)


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:length]) for length in range(1, len(parts))]
