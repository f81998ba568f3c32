"""Which compression a stream has, by its first bytes, and its decompression piece by piece. Imported by workers too.

Source: RFC 1952 (gzip), RFC 8878 (zstd).
"""

import zlib
from collections.abc import Callable
from typing import Any

from podling.base.errors import InvalidInput

GZIP, ZSTD, NONE = "gzip", "zstd", ""
MAGIC_LENGTH = 4
_MAGICS = {b"\x1f\x8b": GZIP, b"\x28\xb5\x2f\xfd": ZSTD}
_OTHERS = {b"BZh": "bzip2", b"\xfd7zX": "xz"}


def detect(start: bytes) -> str:
    """GZIP, ZSTD or NONE from the first MAGIC_LENGTH bytes. Raises InvalidInput for what is known and not read here."""
    for magic, name in _OTHERS.items():
        if start.startswith(magic):
            raise InvalidInput(f"compression {name} is not supported: use gzip or zstd")
    return next((name for magic, name in _MAGICS.items() if start.startswith(magic)), NONE)


def decompressor(name: str, read: Callable[[], bytes]) -> Callable[[], bytes]:
    """A `read` of decompressed pieces (b"" at the end) over a `read` of compressed ones."""
    if name == NONE:
        return read
    return _Members(read, _gzip if name == GZIP else _zstd).read


def decompressed(read: Callable[[], bytes]) -> Callable[[], bytes]:
    """A `read` of decompressed pieces of whatever compression the stream turns out to have."""
    start = read_start(read)
    return decompressor(detect(start), prefixed(start, read))


def read_start(read: Callable[[], bytes]) -> bytes:
    """The first pieces, until they tell the compression."""
    start = b""
    while len(start) < MAGIC_LENGTH and (piece := read()):
        start += piece
    return start


def prefixed(start: bytes, read: Callable[[], bytes]) -> Callable[[], bytes]:
    """A `read` that gives `start` first."""
    pending = [start] if start else []
    return lambda: pending.pop() if pending else read()


def _gzip() -> Any:
    return zlib.decompressobj(wbits=31)


def _zstd() -> Any:
    import zstandard  # C code of half a megabyte, which most workers don't need

    return zstandard.ZstdDecompressor().decompressobj()


class _Members:
    """One or more compressed members after one another. Raises InvalidInput where the stream is damaged or ends early."""

    def __init__(self, read: Callable[[], bytes], make: Callable[[], Any]) -> None:
        self._read = read
        self._make = make
        self._current = make()
        self._pending = b""
        self._clean = False  # at the end of a member

    def read(self) -> bytes:
        while True:
            piece = self._pending or self._read()
            self._pending = b""
            if not piece:
                if not self._clean:
                    raise InvalidInput("unexpected EOF")
                return b""
            data = self._feed(piece)
            if data:
                return data

    def _feed(self, piece: bytes) -> bytes:
        if self._clean:
            if not piece.strip(b"\0"):
                return b""  # padding
            self._current, self._clean = self._make(), False
        try:
            data: bytes = self._current.decompress(piece)
        except Exception as error:  # zlib.error, zstandard.ZstdError
            raise InvalidInput(f"layer is damaged: {error}") from error
        if self._current.eof:
            self._clean, self._pending = True, self._current.unused_data
        return data
