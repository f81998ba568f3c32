"""What a client sends to be built: a tar of files with a Dockerfile among them.

A small one is looked at in memory, and unpacked when a step needs its files: a build whose steps are all known writes nothing.
"""

import asyncio
import contextlib
import os
import stat
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from podling.base.errors import InvalidInput
from podling.build import archives, memory
from podling.build.dockerfile import Dockerfile, parse
from podling.build.ignore import Ignore
from podling.build.look import OnDisk, Tree
from podling.build.memory import InMemory, Unusual
from podling.linux.inside import open_inside, read_inside
from podling.snapshots import trees
from podling.snapshots.unpack import UNLIMITED, Limits

T = TypeVar("T")
_LIMIT = 1 << 20  # bytes of a Dockerfile
_IGNORE = ".dockerignore"
SMALL = 4 << 20  # bytes of an archive that may stay in memory


class Context:
    """All of it root's, without what its .dockerignore leaves out. `place` is the build's directory, `file` the Dockerfile."""

    def __init__(self, place: Path, name: str, file: Dockerfile, held: "tuple[InMemory, bytes] | None", limits: Limits) -> None:
        self.place = place
        self.file = file
        self._name = name
        self._held = held
        self._limits = limits

    async def files(self) -> Path:
        """The directory that it is unpacked in."""
        folder = _folder(self.place)
        if self._held is not None:
            _, archive = self._held
            self._held = None
            await _unpack(_stream([archive]), folder, self._limits)
            await asyncio.to_thread(leave_out, folder, self._name)
        return folder

    async def look(self, work: Callable[[Tree], T]) -> T:
        """What `work`, which blocks, finds in the tree."""
        if self._held is not None:
            with contextlib.suppress(Unusual):
                return await asyncio.to_thread(work, self._held[0])
        return await asyncio.to_thread(work, OnDisk(await self.files()))


async def receive(
    source: AsyncIterable[bytes], place: Path, dockerfile: str, limits: Limits = UNLIMITED, small: int = SMALL
) -> Context:
    """Take the archive, which is unpacked below `place` now, or, if it has at most `small` bytes, when its files are asked for.

    Raises InvalidInput for a damaged or hostile archive, and for a Dockerfile that is not there or can't be read.
    """
    pieces = source.__aiter__()
    begun, ended = await _begin(pieces, small)
    archive = b"".join(begun) if ended else b""
    found = await asyncio.to_thread(_look, archive, dockerfile, limits) if ended else None
    if found is not None:
        tree, text = found
        return Context(place, dockerfile, _parsed(text, dockerfile), (tree, archive), limits)
    folder = _folder(place)
    await _unpack(_stream(begun, pieces), folder, limits)
    text = await asyncio.to_thread(_read, folder, dockerfile)
    await asyncio.to_thread(leave_out, folder, dockerfile)
    return Context(place, dockerfile, _parsed(text, dockerfile), None, limits)


def _folder(place: Path) -> Path:
    return place / "context"


async def _begin(pieces: AsyncIterator[bytes], small: int) -> tuple[list[bytes], bool]:
    """The beginning of a stream, and whether it is all of it."""
    begun: list[bytes] = []
    size = 0
    async for piece in pieces:
        begun.append(piece)
        size += len(piece)
        if size > small:
            return begun, False
    return begun, True


async def _stream(begun: Sequence[bytes], rest: AsyncIterator[bytes] | None = None) -> AsyncIterator[bytes]:
    for piece in begun:
        yield piece
    if rest is not None:
        async for piece in rest:
            yield piece


async def _unpack(source: AsyncIterable[bytes], folder: Path, limits: Limits) -> None:
    await asyncio.to_thread(folder.mkdir, 0o700, True)
    await trees.extract(archives.plain(source), folder, owner=(0, 0), limits=limits)


def _look(archive: bytes, dockerfile: str, limits: Limits) -> tuple[InMemory, bytes | None] | None:
    """The tree of an archive and its Dockerfile's text; None for one that has to be unpacked."""
    tree = memory.read(archive, limits)
    if tree is None:
        return None
    try:
        text = tree.read(dockerfile, _LIMIT)
        rules = tree.read(f"{dockerfile}{_IGNORE}", _LIMIT) or tree.read(_IGNORE, _LIMIT)
    except Unusual:
        return None
    if rules:
        tree.leave_out(_ignore(rules))
    return tree, text


def _read(folder: Path, name: str) -> bytes | None:
    """A regular file of the context; None where there is none."""
    try:
        fd = open_inside(folder, name, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    with open(fd, "rb") as file:
        return file.read(_LIMIT) if stat.S_ISREG(os.fstat(fd).st_mode) else None


def _parsed(text: bytes | None, name: str) -> Dockerfile:
    if text is None:
        raise InvalidInput(f"Cannot locate specified Dockerfile: {name}")
    try:
        return parse(text.decode())
    except UnicodeDecodeError as error:
        raise InvalidInput(f"dockerfile parse error: {name} is not UTF-8: {error.reason}") from None


def leave_out(folder: Path, dockerfile: str) -> None:
    """Delete what the context's own .dockerignore excludes. A Dockerfile may have one of its own, which wins."""
    rules = read_inside(folder, f"{dockerfile}{_IGNORE}") or read_inside(folder, _IGNORE)
    if not rules:
        return
    ignore = _ignore(rules)
    for directory, folders, files in os.walk(folder, topdown=False):
        for name in (*files, *folders):
            path = os.path.join(directory, name)
            if ignore.excludes(os.path.relpath(path, folder)):
                _delete(path)


def _ignore(rules: bytes) -> Ignore:
    return Ignore.parse(rules.decode(errors="replace"))


def _delete(path: str) -> None:
    """A directory stays if an exception keeps something in it."""
    if os.path.islink(path) or not os.path.isdir(path):
        os.unlink(path)
        return
    with contextlib.suppress(OSError):
        os.rmdir(path)
