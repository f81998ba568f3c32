"""The façade: everything that the engine, the Docker edge, the builder and the kubelet ask of images.

`get`, `all` and `history` answer at once from the local index; all that writes or moves data is asynchronous and does its
work in threads and processes.
"""

import asyncio
import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from podling.aio.clock import Clock
from podling.base import ids
from podling.base.errors import AlreadyExists, InvalidInput, NotFound, PodlingError
from podling.images import archive, collection, metadata, registry, removal
from podling.images import save as archive_writer
from podling.images.catalog import Catalog
from podling.images.content import ContentStore
from podling.images.distribution import Distribution, look_up
from podling.images.layers import Layers
from podling.images.metadata import Metadata, Named
from podling.images.model import (
    ANONYMOUS,
    Credentials,
    HistoryItem,
    Image,
    Loaded,
    Progress,
    Pushed,
    RegistrySettings,
    Removed,
    Report,
    User,
    silent,
)
from podling.images.registry import Repository
from podling.images.stream import consume
from podling.images.transfer import Pull, Push, Transfers
from podling.oci import digest as digests
from podling.oci import image as oci
from podling.oci import platform as platforms
from podling.oci import reference
from podling.oci.image import Descriptor, ExecutionConfig, ImageConfig, parse_manifest
from podling.oci.platform import Platform
from podling.oci.reference import Reference
from podling.snapshots import compression, diff
from podling.snapshots.base import Snapshotter
from podling.snapshots.unpack import Limits

LAYER_LIMITS = Limits(bytes=256 << 30, entries=10_000_000)
"""What one layer may unpack to: beyond all real ones, and an end to those made to fill a disk."""


class Images:
    """The images below `root`, unpacked into `snapshots`. One instance owns the directory."""

    def __init__(
        self,
        root: Path,
        snapshots: Snapshotter,
        clock: Clock,
        registries: RegistrySettings = RegistrySettings(),  # noqa: B008 - frozen
        limits: Limits = LAYER_LIMITS,
    ) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.content = ContentStore(root / "content")
        self.snapshots = snapshots
        self.platform = platforms.of_machine(os.uname().machine)
        self._clock = clock
        self._registries = registries
        self._metadata = Metadata(root / "images.db")
        self._catalog = Catalog(self.content, self._metadata)
        self._limits = limits
        self._layers = Layers(self.content, self._metadata, snapshots, limits)
        self._transfers = Transfers(self.content, self._layers, clock, registries.concurrency)
        self._collecting = asyncio.Lock()
        self._layers.recover()

    def close(self) -> None:
        """Close the files. Nothing else of this instance may run any more."""
        self._metadata.close()

    # -- look up

    @property
    def registries(self) -> RegistrySettings:
        """How registries are reached."""
        return self._registries

    @property
    def limits(self) -> Limits:
        """What one archive may unpack to."""
        return self._limits

    def all(self) -> list[Image]:
        """All images, the newest first."""
        return self._catalog.all()

    def made_from(self, parent: str) -> list[Image]:
        """The images that were built upon the one with the id `parent`; empty: upon none."""
        return self._catalog.made_from(parent)

    def get(self, text: str) -> Image:
        """The image that a name, a digest, an id or the start of one means.

        Raises NotFound ("No such image: …"), InvalidInput for an ambiguous prefix or what can't be a name.
        """
        return self._catalog.get(text)

    def history(self, text: str) -> list[HistoryItem]:
        """The steps that made an image, the newest first. Raises as `get`."""
        return self._catalog.history(text)

    # -- names

    async def tag(self, source: str, target: str) -> None:
        """Let `target` (tag `latest` where it has none) name the image `source` too. Raises as `get`."""
        image = self._catalog.get(source)
        name = reference.parse(target)
        if name.digest:
            raise InvalidInput("refusing to create a tag with a digest reference")
        await self._name(image, [name.tagged()])

    async def _name(self, image: Image, names: Sequence[Reference]) -> None:
        pairs = [(str(name), image.manifest) for name in names]
        await asyncio.to_thread(self._metadata.name, image.id, pairs, self._clock.now())

    async def remove(self, text: str, users: Sequence[User] = (), *, force: bool = False, prune: bool = True) -> list[Removed]:
        """Remove a name and with its last one the image; by id, the image with its names. `prune` takes nameless parents too.

        `users` are the containers made from images. Raises NotFound, or Conflict in Docker's words.
        """
        image = self._catalog.get(text)
        names = [reference.parse(named.name) for named in self._metadata.names(image.id)]
        using = [user for user in users if user.image == image.id]
        children = bool(self._metadata.children(image.id))
        asked = None if _means_id(text, image.id) else reference.parse(text)
        if asked is None:
            plan = removal.plan_by_id(image.id, names, using, children, force)
        else:
            name = asked.with_digest(asked.digest) if asked.digest else asked.tagged()
            plan = removal.plan_by_name(image.id, text, name, names, using, children, force)
        removed = [Removed(untagged=name.familiar) for name in plan.untag]
        await asyncio.to_thread(self._metadata.drop, [str(name) for name in plan.untag], image.id if plan.delete else "")
        if plan.delete:
            self._catalog.forget(image.manifest)
            ancestors = await self._prune_parents(image.parent, users) if prune else []
            await self.collect()
            removed += self._deleted([image, *ancestors])
        return removed

    def _deleted(self, images: Sequence[Image]) -> list[Removed]:
        """The images that went, each with the layers that went with it, the uppermost first."""
        told: list[Removed] = []
        gone: set[str] = set()
        for image in reversed(images):  # an ancestor's layers are its own
            chains = [name for name in oci.chain_ids(image.config["rootfs"]["diff_ids"]) if name not in gone]
            layers = [Removed(layer=name) for name in reversed(chains) if not self._layers.has(name)]
            gone.update(chains)
            told = [Removed(deleted=image.id), *layers, *told]
        return told

    async def _prune_parents(self, identifier: str, users: Sequence[User]) -> list[Image]:
        """Docker removes the nameless ancestors that a build left, as far as nothing else needs them."""
        removed: list[Image] = []
        while identifier and self._metadata.image(identifier):
            used = any(user.image == identifier for user in users)
            if used or self._metadata.names(identifier) or self._metadata.children(identifier):
                break
            removed.append(self._catalog.get(identifier))
            await asyncio.to_thread(self._metadata.drop, [], identifier)
            self._catalog.forget(removed[-1].manifest)
            identifier = removed[-1].parent
        return removed

    # -- making

    async def add(
        self, config: ImageConfig, layers: Sequence[Descriptor], names: Iterable[str] = (), *, parent: str = ""
    ) -> Image:
        """Make an image of a configuration and layers whose blobs are in the content store; unpacks what isn't yet.

        `names` get the tag `latest` where they have none. `parent` is the id of the image it was built from.
        """
        data = orjson.dumps(config, option=orjson.OPT_SORT_KEYS)
        async with self.holding() as owner:
            return await self._add_document(data, layers, names, parent, owner)

    async def _add_document(
        self, config: bytes, layers: Sequence[Descriptor], names: Iterable[str], parent: str, owner: str
    ) -> Image:
        described = oci.descriptor(oci.OCI_CONFIG, config)
        manifest = orjson.dumps(oci.manifest(described, layers))
        digest = oci.descriptor(oci.OCI_MANIFEST, manifest)["digest"]
        held = [described["digest"], digest, *(layer["digest"] for layer in layers)]
        await asyncio.to_thread(self._metadata.lease, owner, metadata.BLOB, held)
        for data in (config, manifest):
            await asyncio.to_thread(self.content.put, data)
        return await self._register(digest, [str(reference.parse(name).tagged()) for name in names], owner, parent)

    async def _register(self, target: str, names: Sequence[str], owner: str, parent: str = "", manifest: str = "") -> Image:
        """Unpack `manifest` (if empty `target`, or the one for this machine where that is an index), and let `names` mean it."""
        manifest = manifest or self._choose(target, self.platform)
        document, config = self._catalog.documents(manifest)
        diff_ids = config["rootfs"]["diff_ids"]
        await asyncio.to_thread(self._metadata.lease, owner, metadata.SNAPSHOT, oci.chain_ids(diff_ids))
        await self._layers.unpack(document["layers"], diff_ids)
        pairs = [(name, target) for name in names]
        identifier = document["config"]["digest"]
        await asyncio.to_thread(self._metadata.add, identifier, manifest, self._clock.now(), pairs, parent)
        return self._catalog.get(identifier)

    def _choose(self, target: str, platform: Platform) -> str:
        """The manifest for `platform`: `target` itself, or the best of the index that it is."""
        document: dict[str, Any] = orjson.loads(self.content.read(target))
        if "manifests" not in document:
            return target
        present = [entry for entry in document["manifests"] if self.content.has(entry["digest"])]
        chosen = platforms.choose(present, platform)
        if chosen is None:
            raise NotFound(f"no matching manifest for {platform} in the manifest list entries")
        return self._choose(chosen["digest"], platform)

    async def write_layer(self, key: str, owner: str) -> Descriptor:
        """Store what the snapshot `key` changed as a layer, held by `owner` (of `holding`). Its digest is its diff id too."""

        def store(read: Callable[[], bytes]) -> Descriptor:
            digest, size = self._ingest(read, owner)
            return {"mediaType": oci.OCI_LAYER, "digest": digest, "size": size}

        return await consume(diff.layer(self.snapshots, key), store)

    async def seal(self, key: str, owner: str) -> tuple[Descriptor, str]:
        """Turn the active snapshot `key` into a layer: (its descriptor, the chain id that names the snapshot from now on)."""
        layer = await self.write_layer(key, owner)
        parent = self.snapshots.stat(key).parent
        chain = oci.stacked(parent, layer["digest"])
        await asyncio.to_thread(self._metadata.lease, owner, metadata.SNAPSHOT, [chain])
        try:
            await asyncio.to_thread(self.snapshots.commit, chain, key)
        except AlreadyExists:
            await asyncio.to_thread(self.snapshots.remove, key)
        return layer, chain

    def _ingest(self, read: Callable[[], bytes], owner: str) -> tuple[str, int]:
        """Store a stream as a blob; gives its digest and size. Blocks."""
        with self.content.ingest() as ingest:
            while piece := read():
                ingest.write(piece)
                self._limits.check(ingest.offset)
            self._metadata.lease(owner, metadata.BLOB, [ingest.digest])
            return ingest.commit(), ingest.offset

    async def unpack(self, image: Image) -> str:
        """Make sure that the image's snapshot exists; gives its name, empty for an image without layers."""
        if not self._layers.has(image.chain):
            await self._layers.unpack(image.layers, image.config["rootfs"]["diff_ids"])
        return image.chain

    # -- archives

    async def load(self, source: AsyncIterable[bytes], report: Report = silent) -> list[Loaded]:
        """Take in all images of a `docker save` archive or an OCI layout, compressed or not.

        Raises InvalidInput or Failed for a damaged one: then none of its names is set.
        """
        async with self.holding() as owner:
            hold = self._holder(owner)
            contents = await consume(source, lambda read: archive.store(read, self.content, hold, self._limits))
            entries = await asyncio.to_thread(archive.entries, contents, self.content, hold)
            loaded: list[Loaded] = []
            for entry in entries:
                image = await self._register(entry.target, entry.names, owner)
                names = [reference.parse(name).familiar for name in entry.names]
                loaded += [Loaded(image.id, name) for name in names] or [Loaded(image.id)]
                report(Progress("Loaded", ids.short(image.id)))
        return loaded

    def save(self, names: Sequence[str]) -> AsyncIterator[bytes]:
        """A tar of images with their tags, in OCI layout and for `docker load`. A repository without a tag means all its tags,
        an id an image without names. Raises as `get`, before the first byte.
        """
        wanted: dict[str, tuple[Image, list[str]]] = {}
        for text in names:
            image, tags = self._saved(text)
            for each in image:
                wanted.setdefault(each.id, (each, []))[1].extend(tag for tag in tags if tag in each.tags)
        return archive_writer.save(self.content, [(image, list(dict.fromkeys(tags))) for image, tags in wanted.values()])

    def _saved(self, text: str) -> tuple[list[Image], list[str]]:
        """The images that a word of `docker save` means, and the tags that it asks for."""
        try:
            name = reference.parse(text)
        except InvalidInput:
            return [self._catalog.get(text)], []
        if not name.tag and not name.digest:
            images = [image for image in self._catalog.all() if any(_is_of(tag, name) for tag in image.tags)]
            if images:
                return images, [tag for image in images for tag in image.tags if _is_of(tag, name)]
        image = self._catalog.get(text)
        return [image], [] if _means_id(text, image.id) or name.digest else [name.tagged().familiar]

    async def import_(
        self,
        source: AsyncIterable[bytes],
        name: str = "",
        config: ExecutionConfig | None = None,
        message: str = "",
        platform: str = "",
    ) -> Image:
        """Make a one-layer image of a root file system's tar (plain, gzip or zstd), as `docker import` does.

        `config` is what `--change` asks for. Raises InvalidInput for a damaged archive or a bad name.
        """
        names = [str(reference.parse(name).tagged())] if name else []
        wanted = platforms.parse(platform) if platform else self.platform
        async with self.holding() as owner:
            digest, size = await consume(source, lambda read: self._ingest(compression.decompressed(read), owner))
            now = timestamp(self._clock.now())
            document: ImageConfig = {
                "architecture": wanted.architecture,
                "os": wanted.os,
                "created": now,
                "config": config or {},
                "rootfs": {"type": "layers", "diff_ids": [digest]},
                "history": [{"created": now, "comment": message}],
            }
            if wanted.variant:
                document["variant"] = wanted.variant
            layer: Descriptor = {"mediaType": oci.OCI_LAYER, "digest": digest, "size": size}
            data = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
            return await self._add_document(data, [layer], names, "", owner)

    def _holder(self, owner: str) -> Callable[[str], None]:
        return lambda digest: self._metadata.lease(owner, metadata.BLOB, [digest])

    # -- registries

    async def pull(self, name: str, platform: str = "", credentials: Credentials = ANONYMOUS, report: Report = silent) -> Image:
        """Fetch an image (tag `latest` where `name` has neither tag nor digest) for `platform`, by default this machine's.

        Raises NotFound, Unauthorized, Unavailable or Failed in Docker's words; nothing half made is left to be seen.
        """
        wanted = reference.parse(name).tagged()
        known = self._catalog.named(wanted)
        fits = platforms.parse(platform) if platform else self.platform
        report(Progress(f"Pulling from {wanted.path if wanted.domain == reference.DEFAULT_DOMAIN else wanted.name}", wanted.tag))
        async with self.holding() as owner, Repository(wanted, credentials, self._registries) as repository:
            transfer = Pull(self._transfers, repository, self._keeper(owner), partial(self._here, owner), report)
            target, manifest = await transfer.run(wanted.digest or wanted.tag, fits)
            names = [str(wanted.with_digest(target)), *([] if wanted.digest else [str(wanted)])]
            image = await self._register(target, names, owner, manifest=manifest)
        report(Progress(f"Digest: {target}"))
        news = "Image is up to date" if known and known.image == image.id else "Downloaded newer image"
        report(Progress(f"Status: {news} for {wanted.familiar}"))
        return image

    def _here(self, owner: str, identifier: str) -> str:
        """The manifest of a known image, if all that it names is here; held by `owner`. Blocks."""
        record = self._metadata.image(identifier)
        if record is None:
            return ""
        document, config = self._catalog.documents(record.manifest)
        parts = [record.manifest, identifier, *(layer["digest"] for layer in document["layers"])]
        self._metadata.lease(owner, metadata.BLOB, parts)
        self._metadata.lease(owner, metadata.SNAPSHOT, oci.chain_ids(config["rootfs"]["diff_ids"]))
        whole = all(map(self.content.has, parts)) and self._layers.has(oci.chain_id(config["rootfs"]["diff_ids"]))
        return record.manifest if whole else ""

    async def push(self, name: str, credentials: Credentials = ANONYMOUS, report: Report = silent) -> Pushed:
        """Send the image that `name` means here to the registry in its name. Raises as `pull`."""
        wanted = reference.parse(name).tagged()
        report(Progress(f"The push refers to repository [{wanted.name}]"))
        if self._catalog.named(wanted) is None:
            raise NotFound(f"An image does not exist locally with the tag: {wanted.familiar_name}")
        image = self._catalog.get(str(wanted))
        async with self.holding() as owner, Repository(wanted, credentials, self._registries, push=True) as repository:
            transfer = Push(self._transfers, self._metadata, repository, partial(self._elsewhere, wanted), report)
            manifest = await transfer.run(image, wanted.tag or wanted.digest)
            digest = digests.of(manifest)
            await asyncio.to_thread(self._metadata.lease, owner, metadata.BLOB, [digest])
            await asyncio.to_thread(self.content.put, manifest)
            names = [(str(wanted.with_digest(digest)), digest)]
            await asyncio.to_thread(self._metadata.name, image.id, names, self._clock.now())
        report(Progress(f"{wanted.tag}: digest: {digest} size: {len(manifest)}"))
        return Pushed(wanted.tag, digest, len(manifest))

    def _elsewhere(self, wanted: Reference, digest: str) -> str:
        """Another repository of the same registry that is known to have a blob; empty for none."""
        for named in self._metadata.names():
            name = reference.parse(named.name)
            near = name.digest and name.domain == wanted.domain and name.path != wanted.path
            if near and any(layer["digest"] == digest for layer in self._layers_of(named)):
                return name.path
        return ""

    def _layers_of(self, named: Named) -> Sequence[Descriptor]:
        """The layers as the registry has them that gave the name; none where it stands for an index."""
        try:
            return parse_manifest(self.content.read(named.target))["layers"]
        except PodlingError:
            return ()

    async def login(self, domain: str, credentials: Credentials) -> None:
        """Check credentials with a registry, as `docker login` does. Raises Unauthorized, or Unavailable where none answers."""
        await registry.login(domain, credentials, self._registries)

    async def distribution(self, name: str, credentials: Credentials = ANONYMOUS) -> Distribution:
        """What the registry has under a name now. Raises as `pull`."""
        wanted = reference.parse(name).tagged()
        async with Repository(wanted, credentials, self._registries) as repository:
            return await look_up(repository, wanted.digest or wanted.tag)

    async def search(self, term: str, limit: int, credentials: Credentials = ANONYMOUS) -> list[dict[str, Any]]:
        """What a registry has by the word `term`, which may begin with the registry's host. Raises as `pull`."""
        domain, word = registry.split_term(term)
        async with Repository(Reference(domain, "", ""), credentials, self._registries) as repository:
            return await repository.search(word, limit)

    def _keeper(self, owner: str) -> Callable[[Iterable[str], Iterable[str]], None]:
        def keep(blobs: Iterable[str], chains: Iterable[str]) -> None:
            self._metadata.lease(owner, metadata.BLOB, blobs)
            self._metadata.lease(owner, metadata.SNAPSHOT, chains)

        return keep

    # -- leases

    async def lease(self, owner: str, images: Iterable[str] = (), snapshots: Iterable[str] = ()) -> None:
        """Keep images (ids) and snapshots (chain ids) from collection until `release(owner)`: a container does so."""
        await asyncio.to_thread(self._metadata.lease, owner, metadata.IMAGE, images)
        await asyncio.to_thread(self._metadata.lease, owner, metadata.SNAPSHOT, snapshots)

    async def release(self, owner: str) -> None:
        """Let go of what `owner` kept; nothing if it kept nothing."""
        await asyncio.to_thread(self._metadata.release, owner)

    @asynccontextmanager
    async def holding(self) -> AsyncIterator[str]:
        """A lease for the time of one transfer; gives its owner's name. It ends with the process, too."""
        owner = metadata.TRANSFER + ids.suffix(12)
        try:
            yield owner
        finally:
            await asyncio.shield(asyncio.to_thread(self._metadata.release, owner))

    async def collect(self) -> int:
        """Delete blobs and layers that nothing leads to; gives the bytes freed."""
        async with self._collecting:
            return await asyncio.to_thread(collection.collect, self.content, self._metadata, self.snapshots, self._clock.now())


def _means_id(text: str, identifier: str) -> bool:
    """Whether a person who typed `text` and got `identifier` meant its id."""
    encoded = text.removeprefix("sha256:")
    return len(encoded) > 0 and identifier.removeprefix("sha256:").startswith(encoded)


def _is_of(tag: str, repository: Reference) -> bool:
    return reference.parse(tag).name == repository.name


def timestamp(now: float) -> str:
    """RFC 3339 in UTC, as image configurations have it."""
    return datetime.fromtimestamp(now, UTC).isoformat().replace("+00:00", "Z")
