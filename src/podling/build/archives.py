"""Which files ADD unpacks, and their bytes. Source: the Dockerfile reference, "ADD": tar, plain or compressed, by content."""

import asyncio
import bz2
import contextlib
import lzma
import os
import tarfile
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Callable
from pathlib import Path
from typing import IO

from podling.base.errors import InvalidInput
from podling.linux.inside import open_inside
from podling.snapshots import compression

_PIECE = 1 << 18
_OTHERS: dict[bytes, Callable[[IO[bytes]], IO[bytes]]] = {b"BZh": bz2.BZ2File, b"\xfd7zXZ": lzma.LZMAFile}
_DECOMPRESSORS = {b"BZh": bz2.BZ2Decompressor, b"\xfd7zXZ": lzma.LZMADecompressor}
_MAGIC = 5
_DAMAGED = (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError)


def is_archive(root: Path, path: str) -> bool:
    """Whether a file of a tree is a tar archive that we can read. Blocks."""
    with _open(root, path) as file:
        start = file.read(compression.MAGIC_LENGTH)
        file.seek(0)
        if start.startswith(b"\x28\xb5\x2f\xfd"):
            return _is_tar(compression.decompressed(lambda: file.read(_PIECE))()[: tarfile.BLOCKSIZE])
        try:
            with tarfile.open(fileobj=file) as archive:
                return archive.next() is not None
        except _DAMAGED:
            return False


def _is_tar(block: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


async def pieces(root: Path, path: str) -> AsyncIterator[bytes]:
    """The archive's bytes; without the compressions that unpacking does not know."""
    with _open(root, path) as raw:
        start = raw.read(compression.MAGIC_LENGTH + 2)
        raw.seek(0)
        unpack = next((unpack for magic, unpack in _OTHERS.items() if start.startswith(magic)), None)
        with contextlib.nullcontext(raw) if unpack is None else unpack(raw) as file:
            while piece := await asyncio.to_thread(file.read, _PIECE):
                yield piece


async def plain(source: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """A stream without bzip2 or xz around it, which unpacking does not know; any other comes as it is. Raises InvalidInput."""
    pieces = source.__aiter__()
    start = b""
    async for piece in pieces:
        start += piece
        if len(start) >= _MAGIC:
            break
    new = next((new for magic, new in _DECOMPRESSORS.items() if start.startswith(magic)), None)
    unpack = _Unpacking(new) if new else None
    if start:
        yield await asyncio.to_thread(unpack, start) if unpack else start
    async for piece in pieces:
        yield await asyncio.to_thread(unpack, piece) if unpack else piece


class _Unpacking:
    """Decompresses one stream after another, as these formats may be put together."""

    def __init__(self, new: "Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor]") -> None:
        self._new = new
        self._stream = new()

    def __call__(self, data: bytes) -> bytes:
        out = []
        try:
            while data:
                if self._stream.eof:
                    self._stream = self._new()
                out.append(self._stream.decompress(data))
                data = self._stream.unused_data
        except _DAMAGED as error:
            raise InvalidInput(f"damaged archive: {error}") from None
        return b"".join(out)


def _open(root: Path, path: str) -> IO[bytes]:
    return open(open_inside(root, path, os.O_RDONLY | os.O_NONBLOCK), "rb")
