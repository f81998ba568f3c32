"""The files that COPY and ADD name: found by patterns in a tree, and summed up for the cache. Blocks.

Patterns are Go's filepath.Match.
"""

import hashlib
import posixpath
import stat
from collections.abc import Sequence

from podling.base.errors import InvalidInput
from podling.build.ignore import compile_pattern
from podling.build.look import Node, Tree

_WILD = frozenset("*?[")


class NoSource(InvalidInput):
    """A path that is not there."""

    def __init__(self, path: str) -> None:
        super().__init__(f"stat {path}: file does not exist")


def find(tree: Tree, patterns: Sequence[str]) -> list[str]:
    """The paths, relative to the tree, in order. Raises InvalidInput for one that leads outside, NoSource."""
    return [path for pattern in patterns for path in _find(tree, pattern)]


def _find(tree: Tree, pattern: str) -> list[str]:
    parts = posixpath.normpath(pattern.lstrip("/") or ".").split("/")
    if parts[0] == "..":
        raise InvalidInput(f"forbidden path outside the build context: {pattern} ()")
    found = ["."]
    for part in parts:
        if not _WILD & set(part):
            found = [posixpath.normpath(f"{path}/{part}") for path in found]
        else:
            shape = compile_pattern(part)
            found = [posixpath.normpath(f"{path}/{name}") for path in found for name in tree.names(path) if shape.match(name)]
    existing = [path for path in found if tree.exists(path)]
    if existing:
        return existing
    if _WILD & set(pattern):
        raise InvalidInput("no source files were specified")
    raise NoSource(pattern.lstrip("/"))


def digest(tree: Tree, paths: Sequence[str], *, owners: bool) -> str:
    """`file:`, `dir:` or `multi:` and a SHA-256 over names, kinds, modes, contents and, if they count, `owners`."""
    total = hashlib.sha256()
    kind = "multi"
    for path in paths:
        with tree.at(path) as node:
            is_directory = stat.S_ISDIR(node.mode)
            if len(paths) == 1:
                kind = "dir" if is_directory else "file"
            _Summing(total, owners).add("" if is_directory else posixpath.basename(path), node)
    return f"{kind}:{total.hexdigest()}"


def text_digest(parts: Sequence[str]) -> str:
    """Twelve digits that stand for some texts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


class _Summing:
    """Feeds a tree, in the order of names, to a hash. Each item is closed by a zero byte or preceded by its length."""

    def __init__(self, total: "hashlib._Hash", owners: bool) -> None:
        self._total = total
        self._owners = owners

    def add(self, name: str, node: Node) -> None:
        owner = node.owner if self._owners else ()
        self._total.update(f"{name}\0{node.mode:o} {owner} {node.device}\0".encode("utf-8", "surrogateescape"))
        if stat.S_ISDIR(node.mode):
            for child, below in node.children():
                self.add(f"{name}/{child}", below)
        elif stat.S_ISLNK(node.mode):
            self._total.update(node.target() + b"\0")
        elif stat.S_ISREG(node.mode):
            self._file(node)

    def _file(self, node: Node) -> None:
        self._total.update(b"%d\0" % node.size)
        for piece in node.pieces():
            self._total.update(piece)
        self._total.update(node.capability() + b"\0")
