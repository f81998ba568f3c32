"""The trees that a build reads and writes: snapshots, shown at a place of the build's own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from podling.base import ids
from podling.images.images import Images
from podling.linux.mount import unmount_if_mounted
from podling.oci.image import Descriptor

PREFIX = "build-"


class Trees:
    """Trees below `place`, of one build. What is sealed is held by `owner`, a lease of `Images.holding`."""

    def __init__(self, images: Images, place: Path, owner: str) -> None:
        self._images = images
        self._place = place
        self._owner = owner

    @asynccontextmanager
    async def reading(self, chain: str) -> AsyncIterator[Path]:
        """The tree of a stack of layers; an empty one for none."""
        async with self._snapshot() as (key, root):
            if chain:
                await asyncio.to_thread(self._images.snapshots.view, key, chain)
                await asyncio.to_thread(self._images.snapshots.mount, key, root)
            yield root

    @asynccontextmanager
    async def writing(self, chain: str) -> AsyncIterator["Layer"]:
        """A tree over a stack of layers that can be changed, and sealed as a layer afterwards."""
        async with self._snapshot() as (key, root):
            await asyncio.to_thread(self._images.snapshots.prepare, key, chain)
            await asyncio.to_thread(self._images.snapshots.mount, key, root)
            yield Layer(self, key, root)

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[tuple[str, Path]]:
        key = PREFIX + ids.suffix(12)
        root = self._place / key
        await asyncio.to_thread(root.mkdir)
        try:
            yield key, root
        finally:
            await asyncio.shield(asyncio.to_thread(self._remove, key, root))

    def _remove(self, key: str, root: Path) -> None:
        unmount_if_mounted(root)
        self._images.snapshots.remove(key)
        root.rmdir()

    def folder(self) -> Path:
        """A new directory, which goes with the build. Blocks."""
        made = self._place / ids.suffix(12)
        made.mkdir(mode=0o700)
        return made

    def write(self, content: bytes, mode: int) -> Path:
        """A new file, which goes with the build. Blocks."""
        path = self._place / ids.suffix(12)
        path.write_bytes(content)
        path.chmod(mode)
        return path

    async def seal(self, key: str, root: Path | None = None) -> Descriptor:
        """Turn an active snapshot into a layer."""
        if root is not None:
            await asyncio.to_thread(unmount_if_mounted, root)
        return (await self._images.seal(key, self._owner))[0]


class Layer:
    """A tree that is being written."""

    def __init__(self, trees: Trees, key: str, root: Path) -> None:
        self._trees = trees
        self._key = key
        self.root = root

    async def seal(self) -> Descriptor:
        """No more is written."""
        return await self._trees.seal(self._key, self.root)
