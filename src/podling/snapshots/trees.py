"""Archives into and out of a directory tree that isn't trusted: a container's root, a build context.

A process of its own does the work with the tree as its root (chroot(2)), so that no name, symbolic link, or hard link in the
archive or in the tree leads outside.
"""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from podling.snapshots.unpack import UNLIMITED, Limits
from podling.snapshots.work import working

_PIECE = 1 << 18


async def extract(
    source: AsyncIterable[bytes],
    root: Path,
    into: str = "/",
    *,
    owner: tuple[int, int] | None = None,
    replace_directories: bool = True,
    limits: Limits = UNLIMITED,
) -> int:
    """Unpack a tar (gzip, zstd or plain) into the directory `into` of the tree `root`; gives the bytes of its files.

    `owner` (uid, gid) replaces the archive's. Without `replace_directories` a directory never gives way to a file, nor a file to
    a directory. Raises InvalidInput for a damaged or hostile archive, Failed when the disk refuses; what was written stays.
    """
    job = {
        "kind": "extract",
        "root": str(root),
        "into": into,
        "whiteouts": "keep",
        "owner": owner,
        "replace_directories": replace_directories,
        "bytes": limits.bytes,
        "entries": limits.entries,
    }
    theirs, ours = _pipe()
    try:
        async with working(job, stdin=theirs) as worker:
            os.close(theirs)
            theirs = -1
            feed, ours = ours, -1
            await _feed(source, feed)
            result = await worker.result()
    finally:
        for handle in (theirs, ours):
            if handle >= 0:
                os.close(handle)
    size: int = result["size"]
    return size


async def _feed(source: AsyncIterable[bytes], handle: int) -> None:
    """Write the stream and close the pipe; a reader that has gone reports for itself why."""
    try:
        async for piece in source:
            await asyncio.to_thread(_write_all, handle, piece)
    except BrokenPipeError:
        pass
    finally:
        os.close(handle)


def _write_all(handle: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(handle, rest) :]


def pack(root: Path, trees: Sequence[tuple[str, str]], *, follow: bool = False) -> AsyncIterator[bytes]:
    """A tar of each (path in the tree `root`, name in the archive) with all below it.

    With `follow` a path that is a symbolic link stands for its target. Raises NotFound for a path that isn't there.
    """
    return packed({"kind": "pack", "root": str(root), "trees": list(trees), "follow": follow})


async def packed(job: dict[str, Any]) -> AsyncIterator[bytes]:
    """The archive that a worker writes; its error, if any, comes at the end."""
    ours, theirs = _pipe()
    try:
        async with working(job, stdout=theirs) as worker:
            os.close(theirs)
            theirs = -1
            while piece := await asyncio.to_thread(os.read, ours, _PIECE):
                yield piece
            await worker.result()
    finally:
        os.close(ours)
        if theirs >= 0:
            os.close(theirs)


def _pipe() -> tuple[int, int]:
    """(read end, write end), wide enough that the two sides seldom wait for each other."""
    ends = os.pipe2(os.O_CLOEXEC)
    fcntl.fcntl(ends[0], fcntl.F_SETPIPE_SZ, _PIECE)
    return ends
