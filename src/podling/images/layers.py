"""An image's layers become snapshots, once each, named by chain id; several unpack side by side.

A snapshot is there as soon as it is renamed into place, and its files are on the disk some time later. All new ones of an image
are synced together; then the metadata say so, and what they don't say at the next start is not trusted.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from podling.base import ids
from podling.base.errors import AlreadyExists, Conflict, Failed, InvalidInput, NotFound
from podling.images.content import ContentStore
from podling.images.metadata import Metadata
from podling.oci.image import Descriptor, chain_ids
from podling.snapshots.base import Snapshotter
from podling.snapshots.unpack import Limits, adopt, apply

Done = Callable[[Descriptor], None]
Fetch = Callable[[Descriptor], Awaitable[None]]


async def _present(_: Descriptor) -> None:
    """The Fetch for layers that are in the content store."""


_SIDE_BY_SIDE = 3
_UNPACKING = "unpack-"


class Layers:
    """Unpacks from `content` into `snapshots`. Two callers that want the same layer share the work."""

    def __init__(self, content: ContentStore, metadata: Metadata, snapshots: Snapshotter, limits: Limits) -> None:
        self._content = content
        self._metadata = metadata
        self._snapshots = snapshots
        self._limits = limits
        self._slots = asyncio.Semaphore(_SIDE_BY_SIDE)
        self._locks: dict[str, asyncio.Lock] = {}

    def recover(self) -> None:
        """Forget what a crash has left half made: unpacked in part, or not known to be on the disk. Blocks."""
        sizes = self._metadata.sizes()
        found = list(self._snapshots.walk())
        committed = {info.name for info in found if info.kind == "committed"}
        for info in found:
            if info.kind == "active" and info.name.startswith(_UNPACKING):
                self._snapshots.remove(info.name)
        self._drop(committed - sizes.keys())
        self._metadata.forget_sizes(sizes.keys() - committed)

    def _drop(self, doomed: set[str]) -> None:
        """Remove snapshots, children before parents; what others stand on stays."""
        parents = {name: self._snapshots.stat(name).parent for name in doomed}
        while parents:
            for name in set(parents) - set(parents.values()):
                with contextlib.suppress(Conflict):
                    self._snapshots.remove(name)
                del parents[name]

    def has(self, chain: str) -> bool:
        """Whether the snapshot exists; the empty chain always does."""
        if not chain:
            return True
        try:
            return self._snapshots.stat(chain).kind == "committed"
        except NotFound:
            return False

    async def unpack(
        self, layers: Sequence[Descriptor], diff_ids: Sequence[str], fetch: Fetch = _present, done: Done = lambda _: None
    ) -> str:
        """Make sure that the snapshot of the whole stack exists; gives its name.

        `fetch` brings a layer's blob, `done` hears of each layer that is unpacked. Raises InvalidInput
        or Failed for a layer that can't be unpacked or is not what the configuration says.
        """
        if len(layers) != len(diff_ids):
            raise InvalidInput(f"invalid manifest, layers length mismatch: expected {len(diff_ids)}, got {len(layers)}")
        chain = chain_ids(diff_ids)
        parents = ["", *chain]
        sizes: dict[str, int] = {}
        below: asyncio.Future[None] | None = None
        try:
            async with asyncio.TaskGroup() as group:
                for layer, diff_id, name, parent in zip(layers, diff_ids, chain, parents, strict=False):
                    if not self.has(name):
                        below = group.create_task(self._layer(layer, diff_id, name, parent, below, fetch, done, sizes))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        known = self._metadata.sizes()
        sizes.update({name: layer["size"] for name, layer in zip(chain, layers, strict=False) if name not in known | sizes})
        if sizes:
            await asyncio.to_thread(self._settle, sizes)
        return parents[-1]

    def _settle(self, sizes: Mapping[str, int]) -> None:
        try:
            self._snapshots.sync()
        except OSError as error:
            self._drop(set(sizes))
            raise Failed(f"layers cannot be written to the disk: {(error.strerror or str(error)).lower()}") from error
        self._metadata.set_sizes(sizes)

    async def _layer(
        self,
        layer: Descriptor,
        diff_id: str,
        name: str,
        parent: str,
        below: asyncio.Future[None] | None,
        fetch: Fetch,
        done: Done,
        sizes: dict[str, int],
    ) -> None:
        await fetch(layer)
        if below is not None and not self._snapshots.rebases:
            await below
        async with self._only(name):
            if self.has(name):
                return
            key = _UNPACKING + ids.suffix(12)
            try:
                implied, sizes[name] = await self._fill(layer, diff_id, key, parent)
                if below is not None:
                    await below
                await asyncio.to_thread(self._finish, name, key, parent, implied)
            except BaseException:
                await asyncio.shield(asyncio.to_thread(self._snapshots.remove, key))
                raise
        done(layer)

    async def _fill(self, layer: Descriptor, diff_id: str, key: str, parent: str) -> tuple[list[str], int]:
        async with self._slots:
            directory = await asyncio.to_thread(self._snapshots.prepare, key, "" if self._snapshots.rebases else parent)
            with self._content.open(layer["digest"]) as blob:
                applied = await apply(blob, directory, whiteouts=self._snapshots.whiteouts, diff_id=diff_id, limits=self._limits)
        return applied.implied, applied.size

    def _finish(self, name: str, key: str, parent: str, implied: list[str]) -> None:
        if implied and parent and self._snapshots.rebases:
            adopt(self._snapshots.content(key)[0], implied, self._below(parent))
        try:
            self._snapshots.commit(name, key, parent if self._snapshots.rebases else None)
        except AlreadyExists:
            self._snapshots.remove(key)

    def _below(self, parent: str) -> tuple[Path, ...]:
        """The content directories of a committed snapshot and its parents, uppermost first."""
        found = []
        while parent:
            found.append(self._snapshots.content(parent)[0])
            parent = self._snapshots.stat(parent).parent
        return tuple(found)

    @asynccontextmanager
    async def _only(self, name: str) -> AsyncIterator[None]:
        lock = self._locks.setdefault(name, asyncio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked() and self._locks.get(name) is lock:
                del self._locks[name]
