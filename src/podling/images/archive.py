"""Reading of image archives: what `docker save`, skopeo and buildx write, compressed or not, in one pass over the stream.

A docker-archive has `manifest.json` (before Docker 25 with a directory a layer, since then over an OCI layout); an OCI layout has
`oci-layout`, `index.json` and `blobs/`. Source: OCI image-spec, image-layout.md; Docker image spec v1.2,
"Combined Image JSON + Filesystem Changeset Format".
"""

import posixpath
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from podling.base.errors import InvalidInput, NotFound
from podling.images.content import DOCUMENT_LIMIT, ContentStore
from podling.oci import digest as digests
from podling.oci import image as oci
from podling.oci import reference
from podling.oci.image import Descriptor
from podling.snapshots import compression, tar
from podling.snapshots.unpack import Limits

_MANIFEST = "manifest.json"
_INDEX = "index.json"
_LAYER_TYPES = {
    compression.NONE: oci.OCI_LAYER,
    compression.GZIP: oci.OCI_LAYER_GZIP,
    compression.ZSTD: oci.OCI_LAYER_ZSTD,
}


@dataclass(slots=True)
class Contents:
    """An archive whose files are blobs now: path → (digest, bytes)."""

    files: dict[str, tuple[str, int]] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def find(self, path: str) -> tuple[str, int]:
        """The blob of a path, through links. Raises InvalidInput where the archive has none."""
        path = posixpath.normpath(path)
        for _ in range(len(self.links) + 1):
            if path not in self.links:
                break
            path = self.links[path]
        if path not in self.files:
            raise InvalidInput(f"invalid archive: {path} is missing")
        return self.files[path]


@dataclass(frozen=True, slots=True)
class Entry:
    """An image in an archive: its manifest or index, and the normalised names that it shall have."""

    target: str
    names: tuple[str, ...]


def store(read: Callable[[], bytes], content: ContentStore, hold: Callable[[str], None], limits: Limits) -> Contents:
    """Write each file of the archive to the content store, in one pass; `hold` is told each digest before anybody can delete it.

    Blocks. Raises InvalidInput for what is no tar, or ends early.
    """
    buffer = tar.Buffer(compression.decompressed(read))
    reader = tar.Reader(buffer)
    contents = Contents()
    for entries, member in enumerate(reader, 1):
        limits.check(member.size, entries)
        path = posixpath.normpath(member.name.decode(errors="replace"))
        if member.kind == tar.REGULAR and member.extents is None:
            contents.files[path] = _store_file(reader, member, content, hold)
        elif member.kind == tar.SYMLINK:
            target = posixpath.join(posixpath.dirname(path), member.link.decode(errors="replace"))
            contents.links[path] = posixpath.normpath(target)
        elif member.kind == tar.LINK:
            contents.links[path] = posixpath.normpath(member.link.decode(errors="replace"))
    buffer.drain()
    return contents


def _store_file(reader: tar.Reader, member: tar.Member, content: ContentStore, hold: Callable[[str], None]) -> tuple[str, int]:
    with content.ingest(size=member.size) as ingest:
        for piece in reader.data(member):
            ingest.write(piece)
        hold(ingest.digest)
        return ingest.commit(), member.size


def entries(contents: Contents, content: ContentStore, hold: Callable[[str], None]) -> list[Entry]:
    """The images of an archive; `hold` is told of the manifests that are made for it.

    Raises InvalidInput for one that has none, or lacks a part.
    """
    listed = _docker_images(contents, content) if _MANIFEST in contents.files else []
    if _INDEX in contents.files:
        return _layout_entries(contents, content, listed)
    if not listed:
        raise InvalidInput("invalid archive: does not contain a manifest.json or an index.json")
    return [_synthetic(contents, content, item, hold) for item in listed]


def _docker_images(contents: Contents, content: ContentStore) -> list[dict[str, Any]]:
    items = _document(content, contents.find(_MANIFEST)[0])
    if not isinstance(items, list) or not all(isinstance(item, dict) and "Config" in item for item in items):
        raise InvalidInput("invalid archive: manifest.json is malformed")
    return items


def _synthetic(contents: Contents, content: ContentStore, item: dict[str, Any], hold: Callable[[str], None]) -> Entry:
    """An OCI manifest for an image that the archive describes in Docker's older way."""
    digest, size = contents.find(item["Config"])
    config: Descriptor = {"mediaType": oci.OCI_CONFIG, "digest": digest, "size": size}
    layers = [_layer(content, *contents.find(path)) for path in item.get("Layers") or []]
    manifest = orjson.dumps(oci.manifest(config, layers))
    hold(digests.of(manifest))
    return Entry(content.put(manifest), _names(item.get("RepoTags") or []))


def _layer(content: ContentStore, digest: str, size: int) -> Descriptor:
    with content.open(digest) as blob:
        name = compression.detect(blob.read(compression.MAGIC_LENGTH))
    return {"mediaType": _LAYER_TYPES[name], "digest": digest, "size": size}


def _layout_entries(contents: Contents, content: ContentStore, listed: list[dict[str, Any]]) -> list[Entry]:
    """The entries of index.json, one a target; names from its annotations and from manifest.json where both are there."""
    tags = {contents.find(item["Config"])[0]: item.get("RepoTags") or [] for item in listed}
    found: dict[str, list[str]] = {}
    for descriptor in _document(content, contents.find(_INDEX)[0]).get("manifests") or []:
        target = descriptor["digest"]
        if not content.has(target):
            raise InvalidInput(f"invalid archive: blob {target} is missing or is not what its name says")
        names = found.setdefault(target, [])
        annotations = descriptor.get("annotations") or {}
        names += filter(None, [annotations.get(oci.NAME_ANNOTATION) or _full_name(annotations.get(oci.REFERENCE_ANNOTATION, ""))])
        document = _document(content, target)
        names += tags.get(document.get("config", {}).get("digest", ""), [])
    return [Entry(target, _names(names)) for target, names in found.items()]


def _full_name(text: str) -> str:
    """The annotation holds a whole name or a mere tag, which names nothing."""
    return text if "/" in text or ":" in text else ""


def _names(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(reference.parse(text).tagged()) for text in texts))


def _document(content: ContentStore, digest: str) -> Any:
    try:
        return orjson.loads(content.read(digest, DOCUMENT_LIMIT))
    except (orjson.JSONDecodeError, NotFound) as error:
        raise InvalidInput(f"invalid archive: {digest}: {error}") from error
