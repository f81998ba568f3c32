"""Pull and push: what moves between the content store and a registry, several layers at a time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

import orjson

from podling.aio.client import ConnectionFailed
from podling.aio.clock import Clock
from podling.base import ids
from podling.base.errors import Failed, InvalidInput, NotFound
from podling.images import packing
from podling.images.content import ContentStore, Ingest
from podling.images.layers import Layers
from podling.images.metadata import Metadata
from podling.images.model import Image, Progress, Report
from podling.images.registry import Repository
from podling.oci import digest as digests
from podling.oci import platform as platforms
from podling.oci.image import INDEXES, MANIFESTS, Descriptor, Index, Manifest, chain_ids, parse_config, parse_manifest
from podling.oci.platform import Platform

_ATTEMPTS = 5
_PAUSE = 1.0  # seconds before the second attempt; each further one waits as much longer
_PIECE = 1 << 20
_DEPTH = 125  # layers of one image, as many as Docker has

Hold = Callable[[Iterable[str], Iterable[str]], None]
"""Told of blobs and chain ids before anybody could collect them."""


class Transfers:
    """The limits that all pulls and pushes share: how many layers move at once, and each layer once."""

    def __init__(self, content: ContentStore, layers: Layers, clock: Clock, concurrency: int) -> None:
        self.content = content
        self.layers = layers
        self.clock = clock
        self.slots = asyncio.Semaphore(concurrency)
        self._locks: dict[str, asyncio.Lock] = {}

    @asynccontextmanager
    async def only(self, digest: str) -> AsyncIterator[None]:
        """Whoever comes second for a blob waits, and finds it there."""
        lock = self._locks.setdefault(digest, asyncio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked():
                self._locks.pop(digest, None)


class Pull:
    """One pull from an open repository.

    `here` tells, and holds, the manifest by which an image (its id) is here with all its parts, or "".
    """

    def __init__(
        self, transfers: Transfers, repository: Repository, hold: Hold, here: Callable[[str], str], report: Report
    ) -> None:
        self._transfers = transfers
        self._content = transfers.content
        self._repository = repository
        self._hold = hold
        self._here = here
        self._report = report

    async def run(self, reference: str, platform: Platform) -> tuple[str, str]:
        """Fetch and unpack what a tag or digest means; gives the digests of (what it stood for, the manifest for `platform`)."""
        target, media_type, data = await self._document(reference)
        manifest = target
        if media_type in INDEXES:
            index: Index = orjson.loads(data)
            chosen = platforms.choose(index["manifests"], platform)
            if chosen is None:
                raise NotFound(f"no matching manifest for {platform} in the manifest list entries")
            manifest, media_type, data = await self._document(chosen["digest"])
        if media_type not in MANIFESTS:
            raise InvalidInput(f"unsupported media type {media_type}")
        return target, await self._image(parse_manifest(data)) or manifest

    async def _document(self, reference: str) -> tuple[str, str, bytes]:
        media_type, data = await self._repository.manifest(reference)
        await asyncio.to_thread(self._hold, [digests.of(data)], [])
        return await asyncio.to_thread(self._content.put, data), media_type, data

    async def _image(self, manifest: Manifest) -> str:
        """Bring all parts; gives the manifest that the image has here already, by which it needs no other parts."""
        blobs = [manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])]
        await asyncio.to_thread(self._check_fits, manifest)
        await asyncio.to_thread(self._hold, blobs, [])
        await self._blob(manifest["config"], quiet=True)
        config = parse_config(self._content.read(manifest["config"]["digest"]))
        diff_ids = config["rootfs"]["diff_ids"]
        await asyncio.to_thread(self._hold, [], chain_ids(diff_ids))
        if known := await asyncio.to_thread(self._here, manifest["config"]["digest"]):
            for layer in manifest["layers"]:
                self._say("Already exists", layer)
            return known
        for layer in manifest["layers"]:
            self._say("Already exists" if self._content.has(layer["digest"]) else "Pulling fs layer", layer)
        await self._transfers.layers.unpack(manifest["layers"], diff_ids, self._layer, self._unpacked)
        for layer in manifest["layers"]:  # those whose snapshot was there already
            await self._layer(layer)
        return ""

    def _check_fits(self, manifest: Manifest) -> None:
        """Refuse what the disk can't take before anything is on its way: blobs are held to the sizes that are said here."""
        if len(manifest["layers"]) > _DEPTH:
            raise InvalidInput("max depth exceeded")
        missing = {layer["digest"]: layer["size"] for layer in manifest["layers"] if not self._content.has(layer["digest"])}
        if (size := sum(missing.values())) > (free := self._content.free()):
            raise Failed(f"no space left on device: the image's layers are {size} bytes, {free} are free")

    async def _layer(self, layer: Descriptor) -> None:
        if not self._content.has(layer["digest"]):
            await self._blob(layer)
            self._say("Extracting", layer)

    def _unpacked(self, layer: Descriptor) -> None:
        self._say("Pull complete", layer, layer["size"])

    def _say(self, status: str, layer: Descriptor, current: int = 0) -> None:
        self._report(Progress(status, ids.short(layer["digest"]), current, layer["size"] if current else 0))

    async def _blob(self, blob: Descriptor, *, quiet: bool = False) -> None:
        """Fetch a blob that isn't there; a connection that breaks is taken up where it broke."""
        async with self._transfers.only(blob["digest"]), self._transfers.slots:
            if self._content.has(blob["digest"]):
                return
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    await self._attempt(blob, quiet)
                    return
                except ConnectionFailed:
                    if attempt == _ATTEMPTS:
                        raise
                    self._say(f"Retrying in {attempt * _PAUSE:g} seconds", blob)
                    await self._transfers.clock.sleep(attempt * _PAUSE)

    async def _attempt(self, blob: Descriptor, quiet: bool) -> None:
        digest = blob["digest"]
        opened = await asyncio.to_thread(self._content.ingest, digest, digest=digest, size=blob["size"])
        with opened as ingest:
            if ingest.offset < blob["size"] or not blob["size"]:
                await self._download(blob, ingest, quiet)
            if not quiet:
                self._say("Verifying Checksum", blob)
            await asyncio.to_thread(ingest.commit)
            if not quiet:
                self._say("Download complete", blob)

    async def _download(self, blob: Descriptor, ingest: Ingest, quiet: bool) -> None:
        async with self._repository.blob(blob, ingest.offset) as (begin, pieces):
            if begin != ingest.offset:
                ingest.restart()
            async for piece in pieces:
                await asyncio.to_thread(ingest.write, piece)
                if not quiet:
                    self._say("Downloading", blob, ingest.offset)


class Push:
    """One push to an open repository. `elsewhere` tells another repository of the same registry that has a blob, or ""."""

    def __init__(
        self, transfers: Transfers, metadata: Metadata, repository: Repository, elsewhere: Callable[[str], str], report: Report
    ) -> None:
        self._transfers = transfers
        self._content = transfers.content
        self._metadata = metadata
        self._repository = repository
        self._elsewhere = elsewhere
        self._report = report

    async def run(self, image: Image, tag: str) -> bytes:
        """Bring the blobs that the registry lacks, then the manifest under `tag`; gives the manifest.

        It is the image's own where its layers are compressed, else the same with compressed ones.
        """
        data = self._content.read(image.manifest)
        manifest = parse_manifest(data)
        layers = await self._layers(manifest["layers"])
        if layers != manifest["layers"]:
            manifest = {**manifest, "layers": layers}
            data = orjson.dumps(manifest)
        await self._bring(manifest["config"])
        await self._repository.put_manifest(tag, manifest.get("mediaType") or MANIFESTS[0], data)
        return data

    async def _layers(self, layers: Sequence[Descriptor]) -> list[Descriptor]:
        tasks: dict[str, asyncio.Task[Descriptor]] = {}
        try:
            async with asyncio.TaskGroup() as group:
                for layer in layers:
                    if layer["digest"] not in tasks:
                        tasks[layer["digest"]] = group.create_task(self._layer(layer))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [tasks[layer["digest"]].result() for layer in layers]

    async def _layer(self, layer: Descriptor) -> Descriptor:
        """Bring one layer; gives its descriptor as the registry has it."""
        self._say("Preparing", layer)
        async with self._transfers.slots:
            if packing.is_packed(layer):
                self._say(await self._bring(layer, layer), layer)
                return layer
            return await self._pack(layer)

    async def _bring(self, blob: Descriptor, told: Descriptor | None = None) -> str:
        """Bring a blob as it is; gives what happened. Progress is told of the layer `told`."""
        if await self._repository.has_blob(blob["digest"]):
            return "Layer already exists"
        source = self._elsewhere(blob["digest"])
        mount = (blob["digest"], source) if source else None
        sent = await self._repository.upload(
            lambda: self._pieces(blob, told), lambda: blob["digest"], size=blob["size"], mount=mount
        )
        return "Pushed" if sent else f"Mounted from {source}"

    async def _pieces(self, blob: Descriptor, told: Descriptor | None) -> AsyncIterator[bytes]:
        position = 0
        with self._content.open(blob["digest"]) as file:
            while piece := await asyncio.to_thread(file.read, _PIECE):
                yield piece
                position += len(piece)
                if told:
                    self._say("Pushing", told, position)

    async def _pack(self, layer: Descriptor) -> Descriptor:
        """Bring a layer compressed. Which blob that gives is remembered, so that the next push needs to compress nothing."""
        known = self._metadata.packed(layer["digest"])
        source = ""
        if known is not None:
            described = packing.packed(layer, *known)
            if await self._repository.has_blob(described["digest"]):
                self._say("Layer already exists", layer)
                return described
            source = self._elsewhere(described["digest"])
        made = packing.Packing(self._content, layer)
        mount = (known[0], source) if known and source else None
        if not await self._repository.upload(lambda: self._packed_pieces(made, layer), lambda: made.digest, mount=mount):
            self._say(f"Mounted from {source}", layer)
            return described
        await asyncio.to_thread(self._metadata.set_packed, layer["digest"], made.digest, made.size)
        self._say("Pushed", layer)
        return packing.packed(layer, made.digest, made.size)

    async def _packed_pieces(self, made: packing.Packing, layer: Descriptor) -> AsyncIterator[bytes]:
        async for piece in made.pieces():
            yield piece
            self._say("Pushing", layer, made.position)

    def _say(self, status: str, layer: Descriptor, current: int = 0) -> None:
        self._report(Progress(status, ids.short(layer["digest"]), current, layer["size"] if current else 0))
