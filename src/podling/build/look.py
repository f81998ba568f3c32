"""Trees of files as COPY and ADD look at them: what is there, and what it consists of. Blocks."""

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from podling.linux.inside import open_inside

_PIECE = 1 << 20
CAPABILITY = "security.capability"


class Node(Protocol):
    """A file of any kind. `mode` is that of stat(2), with the kind; `owner` (uid, gid); `size` in bytes."""

    @property
    def mode(self) -> int: ...

    @property
    def owner(self) -> tuple[int, int]: ...

    @property
    def device(self) -> int: ...

    @property
    def size(self) -> int: ...

    def children(self) -> "Sequence[tuple[str, Node]]":
        """Of a directory, in the order of their names."""

    def target(self) -> bytes:
        """Of a symbolic link."""

    def pieces(self) -> Iterator[bytes | memoryview]:
        """Of a regular file."""

    def capability(self) -> bytes:
        """What setcap(8) has given a regular file."""


class Tree(Protocol):
    """Paths are relative to the top; symbolic links are followed with the tree as root."""

    def names(self, path: str) -> list[str]:
        """Of a directory, in order; of anything else none."""

    def exists(self, path: str) -> bool: ...

    def at(self, path: str) -> AbstractContextManager[Node]:
        """Raises OSError where there is nothing."""


class OnDisk:
    """The Tree of a directory. Nothing outside of it is ever seen."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self, path: str) -> list[str]:
        try:
            directory = open_inside(self._root, path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            return []
        try:
            return sorted(os.listdir(directory))
        finally:
            os.close(directory)

    def exists(self, path: str) -> bool:
        try:
            os.close(open_inside(self._root, path, os.O_PATH))
        except OSError:
            return False
        return True

    @contextmanager
    def at(self, path: str) -> Iterator[Node]:
        handle = open_inside(self._root, path, os.O_PATH)
        try:
            yield _File(f"/proc/self/fd/{handle}", os.stat(handle))
        finally:
            os.close(handle)


class _File:
    def __init__(self, path: str, status: os.stat_result) -> None:
        self._path = path
        self.mode = status.st_mode
        self.owner = (status.st_uid, status.st_gid)
        self.device = status.st_rdev
        self.size = status.st_size

    def children(self) -> Sequence[tuple[str, Node]]:
        paths = ((name, f"{self._path}/{name}") for name in sorted(os.listdir(self._path)))
        return [(name, _File(path, os.lstat(path))) for name, path in paths]

    def target(self) -> bytes:
        return os.fsencode(os.readlink(self._path))

    def pieces(self) -> Iterator[bytes]:
        with open(self._path, "rb", buffering=0) as file:
            while piece := file.read(_PIECE):
                yield piece

    def capability(self) -> bytes:
        return os.getxattr(self._path, CAPABILITY) if CAPABILITY in os.listxattr(self._path) else b""
