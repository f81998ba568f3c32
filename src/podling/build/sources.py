"""The files that COPY and ADD name: found by patterns in a tree, and summed up for the cache. Blocks.

Nothing outside the tree is ever seen: paths are resolved with the tree as root. Patterns are Go's filepath.Match.
"""

import hashlib
import os
import posixpath
import stat
from collections.abc import Sequence
from pathlib import Path

from podling.base.errors import InvalidInput
from podling.build.ignore import compile_pattern
from podling.linux.inside import open_inside

_PIECE = 1 << 20
_WILD = frozenset("*?[")


class NoSource(InvalidInput):
    """A path that is not there."""

    def __init__(self, path: str) -> None:
        super().__init__(f"stat {path}: file does not exist")


def find(root: Path, patterns: Sequence[str]) -> list[str]:
    """The paths, relative to the tree, in order. Raises InvalidInput for one that leads outside, NoSource."""
    return [path for pattern in patterns for path in _find(root, pattern)]


def _find(root: Path, pattern: str) -> list[str]:
    parts = posixpath.normpath(pattern.lstrip("/") or ".").split("/")
    if parts[0] == "..":
        raise InvalidInput(f"forbidden path outside the build context: {pattern} ()")
    found = ["."]
    for part in parts:
        if not _WILD & set(part):
            found = [posixpath.normpath(f"{path}/{part}") for path in found]
        else:
            shape = compile_pattern(part)
            found = [posixpath.normpath(f"{path}/{name}") for path in found for name in _names(root, path) if shape.match(name)]
    existing = [path for path in found if _exists(root, path)]
    if existing:
        return existing
    if _WILD & set(pattern):
        raise InvalidInput("no source files were specified")
    raise NoSource(pattern.lstrip("/"))


def _names(root: Path, path: str) -> list[str]:
    try:
        directory = open_inside(root, path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return []
    try:
        return sorted(os.listdir(directory))
    finally:
        os.close(directory)


def _exists(root: Path, path: str) -> bool:
    try:
        os.close(open_inside(root, path, os.O_PATH))
    except OSError:
        return False
    return True


def digest(root: Path, paths: Sequence[str], *, owners: bool) -> str:
    """`file:`, `dir:` or `multi:` and a SHA-256 over names, kinds, modes, contents and, if they count, `owners`."""
    total = hashlib.sha256()
    kind = "multi"
    for path in paths:
        handle = open_inside(root, path, os.O_PATH)
        try:
            status = os.stat(handle)
            if len(paths) == 1:
                kind = "dir" if stat.S_ISDIR(status.st_mode) else "file"
            name = "" if stat.S_ISDIR(status.st_mode) else posixpath.basename(path)
            _Summing(total, owners).add(f"/proc/self/fd/{handle}", name, status)
        finally:
            os.close(handle)
    return f"{kind}:{total.hexdigest()}"


def text_digest(parts: Sequence[str]) -> str:
    """Twelve digits that stand for some texts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


class _Summing:
    """Feeds a tree, in the order of names, to a hash. Each item is closed by a zero byte or preceded by its length."""

    def __init__(self, total: "hashlib._Hash", owners: bool) -> None:
        self._total = total
        self._owners = owners

    def add(self, path: str, name: str, status: os.stat_result) -> None:
        owner = (status.st_uid, status.st_gid) if self._owners else ()
        self._total.update(f"{name}\0{status.st_mode:o} {owner} {status.st_rdev}\0".encode("utf-8", "surrogateescape"))
        if stat.S_ISDIR(status.st_mode):
            for child in sorted(os.listdir(path)):
                below = f"{path}/{child}"
                self.add(below, f"{name}/{child}", os.lstat(below))
        elif stat.S_ISLNK(status.st_mode):
            self._total.update(os.fsencode(os.readlink(path)) + b"\0")
        elif stat.S_ISREG(status.st_mode):
            self._file(path, status.st_size)

    def _file(self, path: str, size: int) -> None:
        self._total.update(b"%d\0" % size)
        with open(path, "rb", buffering=0) as file:
            while piece := file.read(_PIECE):
                self._total.update(piece)
        capability = b""
        if "security.capability" in os.listxattr(path):
            capability = os.getxattr(path, "security.capability")
        self._total.update(capability + b"\0")
