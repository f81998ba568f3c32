"""Layers as registries keep them: gzip-compressed. What is built or loaded here lies uncompressed in the content store."""

import asyncio
import hashlib
import zlib
from collections.abc import AsyncIterator

from podling.images.content import ContentStore
from podling.oci import image as oci
from podling.oci.image import Descriptor

_PIECE = 1 << 20
# Of 43 MB of shared libraries level 4 makes 40 %, at 54 MB/s; level 6 39 %, at 23 MB/s.
_LEVEL = 4
_WITH_GZIP_HEADER = 31
_COMPRESSED = {oci.OCI_LAYER: oci.OCI_LAYER_GZIP, oci.DOCKER_LAYER: oci.DOCKER_LAYER_GZIP}


def is_packed(layer: Descriptor) -> bool:
    """Whether a registry gets the layer as it is."""
    return layer["mediaType"] not in _COMPRESSED


def packed(layer: Descriptor, digest: str, size: int) -> Descriptor:
    """The descriptor of a layer's compressed form, which has that digest and size."""
    return {**layer, "mediaType": _COMPRESSED[layer["mediaType"]], "digest": digest, "size": size}


class Packing:
    """A layer's blob, compressed as it is read.

    `digest` and `size` are those of what was given so far, `position` how far the blob was read. The same blob
    gives the same bytes: no name, no time.
    """

    def __init__(self, content: ContentStore, layer: Descriptor) -> None:
        self._content = content
        self._layer = layer
        self._restart()

    def _restart(self) -> None:
        self._hash = hashlib.sha256()
        self._packer = zlib.compressobj(_LEVEL, wbits=_WITH_GZIP_HEADER)
        self.size = self.position = 0

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    async def pieces(self) -> AsyncIterator[bytes]:
        """The compressed bytes, from the beginning."""
        self._restart()
        with self._content.open(self._layer["digest"]) as blob:
            while raw := await asyncio.to_thread(blob.read, _PIECE):
                self.position += len(raw)
                if piece := await asyncio.to_thread(self._pack, raw):
                    yield piece
        yield self._take(self._packer.flush())

    def _pack(self, raw: bytes) -> bytes:
        return self._take(self._packer.compress(raw))

    def _take(self, piece: bytes) -> bytes:
        self._hash.update(piece)
        self.size += len(piece)
        return piece
