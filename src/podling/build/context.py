"""What a client sends to be built: a tar of files with a Dockerfile among them."""

import asyncio
import contextlib
import os
import stat
from collections.abc import AsyncIterable
from pathlib import Path

from podling.base.errors import InvalidInput
from podling.build import archives
from podling.build.dockerfile import Dockerfile, parse
from podling.build.ignore import Ignore
from podling.linux.inside import open_inside, read_inside
from podling.snapshots import trees
from podling.snapshots.unpack import UNLIMITED, Limits

_LIMIT = 1 << 20  # bytes of a Dockerfile
_IGNORE = ".dockerignore"


async def receive(source: AsyncIterable[bytes], folder: Path, dockerfile: str, limits: Limits = UNLIMITED) -> Dockerfile:
    """Unpack the context into `folder`, all of it root's, without what its .dockerignore leaves out; the Dockerfile, parsed.

    Raises InvalidInput for a damaged or hostile archive, and for a Dockerfile that is not there or can't be read.
    """
    await asyncio.to_thread(folder.mkdir, 0o700, True)
    await trees.extract(archives.plain(source), folder, owner=(0, 0), limits=limits)
    text = await asyncio.to_thread(_read, folder, dockerfile)
    if text is None:
        raise InvalidInput(f"Cannot locate specified Dockerfile: {dockerfile}")
    await asyncio.to_thread(leave_out, folder, dockerfile)
    try:
        return parse(text.decode())
    except UnicodeDecodeError as error:
        raise InvalidInput(f"dockerfile parse error: {dockerfile} is not UTF-8: {error.reason}") from None


def _read(folder: Path, name: str) -> bytes | None:
    """A regular file of the context; None where there is none."""
    try:
        fd = open_inside(folder, name, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    with open(fd, "rb") as file:
        return file.read(_LIMIT) if stat.S_ISREG(os.fstat(fd).st_mode) else None


def leave_out(folder: Path, dockerfile: str) -> None:
    """Delete what the context's own .dockerignore excludes. A Dockerfile may have one of its own, which wins."""
    rules = read_inside(folder, f"{dockerfile}{_IGNORE}") or read_inside(folder, _IGNORE)
    if not rules:
        return
    ignore = Ignore.parse(rules.decode(errors="replace"))
    for directory, folders, files in os.walk(folder, topdown=False):
        for name in (*files, *folders):
            path = os.path.join(directory, name)
            if ignore.excludes(os.path.relpath(path, folder)):
                _delete(path)


def _delete(path: str) -> None:
    """A directory stays if an exception keeps something in it."""
    if os.path.islink(path) or not os.path.isdir(path):
        os.unlink(path)
        return
    with contextlib.suppress(OSError):
        os.rmdir(path)
