"""A small archive as a tree in memory: what a build finds in its cache is never written to the disk.

Only what plain contexts consist of is understood: directories, files, symbolic links that nothing leads through. Anything else
raises Unusual, and the archive has to be unpacked, by who has the kernel's help against what may be meant badly.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from podling.base.errors import InvalidInput
from podling.build.ignore import Ignore
from podling.build.look import Node
from podling.snapshots import tar
from podling.snapshots.unpack import Limits

_NAME_LIMIT = 255  # bytes, of most file systems
_PATH_LIMIT = 3500
_FIRST_MODE = 0o700  # of the top, if the archive does not tell


class Unusual(Exception):
    """Something that is for the file system to decide on."""


class _Node:
    """`nodes` are a directory's. Everything in a context is root's."""

    __slots__ = ("data", "mode", "nodes")
    owner = (0, 0)
    device = 0

    def __init__(self, mode: int, data: bytes | memoryview = b"") -> None:
        self.mode = mode
        self.data = data
        self.nodes: dict[str, _Node] = {}

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def size(self) -> int:
        return len(self.data)

    def children(self) -> Sequence[tuple[str, Node]]:
        return sorted(self.nodes.items())

    def target(self) -> bytes:
        return bytes(self.data)

    def pieces(self) -> Iterator[bytes | memoryview]:
        yield self.data

    def capability(self) -> bytes:
        return b""


class InMemory:
    """The Tree of a tar archive. Raises Unusual, InvalidInput for what is damaged or beyond `limits`."""

    def __init__(self, archive: bytes, limits: Limits) -> None:
        self._top = _Node(stat.S_IFDIR | _FIRST_MODE)
        pieces = iter((archive,))
        reader = tar.Reader(tar.Buffer(lambda: next(pieces, b"")))
        entries = size = 0
        for member in reader:
            entries, size = entries + 1, size + member.size
            limits.check(size, entries)
            self._add(member, reader)

    def _add(self, member: tar.Member, reader: tar.Reader) -> None:
        parts = [part for part in member.name.split(b"/") if part not in (b"", b".")]
        if b".." in parts or len(member.name) > _PATH_LIMIT or any(len(part) > _NAME_LIMIT or b"\0" in part for part in parts):
            raise Unusual
        made = _made(member, reader)
        if not parts:
            if not made.is_directory:
                raise Unusual
            self._top.mode = made.mode
            return
        *folders, name = map(os.fsdecode, parts)
        folder = self._folder(folders)
        known = folder.nodes.setdefault(name, made)
        if known is not made:
            if not (known.is_directory and made.is_directory):
                raise Unusual
            known.mode = made.mode

    def _folder(self, names: Sequence[str]) -> _Node:
        """Made with its parents where the archive leaves them out."""
        folder = self._top
        for name in names:
            if name not in folder.nodes and folder.mode & stat.S_ISGID:
                raise Unusual  # which passes on to what is made in it
            folder = folder.nodes.setdefault(name, _Node(stat.S_IFDIR | 0o755))
            if not folder.is_directory:
                raise Unusual
        return folder

    # -- a Tree

    def names(self, path: str) -> list[str]:
        node = self._find(path)
        return sorted(node.nodes) if node is not None else []

    def exists(self, path: str) -> bool:
        return self._find(path) is not None

    @contextmanager
    def at(self, path: str) -> Iterator[Node]:
        node = self._find(path)
        if node is None:
            raise FileNotFoundError(path)
        yield node

    def _find(self, path: str) -> _Node | None:
        """Raises Unusual for a link on the way."""
        node: _Node | None = self._top
        for name in path.split("/"):
            if name in ("", "."):
                continue
            if name == ".." or node is None:
                raise Unusual
            node = node.nodes.get(name) if node.is_directory else None
            if node is not None and stat.S_ISLNK(node.mode):
                raise Unusual
            if node is None:
                return None
        return node

    def read(self, path: str, limit: int) -> bytes | None:
        """At most `limit` bytes of a regular file; None where there is none."""
        node = self._find(path)
        return bytes(node.data[:limit]) if node is not None and stat.S_ISREG(node.mode) else None

    def leave_out(self, ignore: Ignore) -> None:
        """Forget what is excluded; a directory stays if an exception keeps something in it."""
        _leave_out(self._top, "", ignore)


def _made(member: tar.Member, reader: tar.Reader) -> _Node:
    if member.xattrs or member.extents is not None:
        raise Unusual
    match member.kind:
        case tar.REGULAR:
            pieces = list(reader.data(member))
            return _Node(stat.S_IFREG | member.mode, pieces[0] if len(pieces) == 1 else b"".join(pieces))
        case tar.DIRECTORY:
            return _Node(stat.S_IFDIR | member.mode)
        case tar.SYMLINK if member.link:
            return _Node(stat.S_IFLNK | 0o777, member.link)
    raise Unusual


def _leave_out(folder: _Node, path: str, ignore: Ignore) -> None:
    for name, node in list(folder.nodes.items()):
        inside = f"{path}{name}"
        _leave_out(node, f"{inside}/", ignore)
        if not node.nodes and ignore.excludes(inside):
            del folder.nodes[name]


def read(archive: bytes, limits: Limits) -> InMemory | None:
    """The tree; None for what has to be unpacked, by which what is wrong with it comes to light too."""
    try:
        return InMemory(archive, limits)
    except (Unusual, InvalidInput):
        return None
