"""Writing of image archives: an OCI layout that also has Docker's manifest.json, so that every tool can load it.

Source: OCI image-spec, image-layout.md; Docker image spec v1.2.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence

import orjson

from podling.images.content import ContentStore
from podling.images.model import Image
from podling.oci import image as oci
from podling.oci import reference
from podling.oci.image import Descriptor, Index
from podling.snapshots import pack, tar

_PIECE = 1 << 20


async def save(content: ContentStore, images: Sequence[tuple[Image, Sequence[str]]]) -> AsyncIterator[bytes]:
    """The archive of each image with the familiar tags that it shall have in it. Blobs that images share are in it once."""
    written: set[str] = set()
    for image, _ in images:
        for digest in (image.id, *(layer["digest"] for layer in image.layers), image.manifest):
            if digest not in written:
                written.add(digest)
                async for piece in _blob(content, digest):
                    yield piece
    yield _file("index.json", orjson.dumps(_index(content, images)))
    yield _file("manifest.json", orjson.dumps([_docker_entry(image, tags) for image, tags in images]))
    yield _file("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    yield bytes(2 * tar.BLOCK)


def _index(content: ContentStore, images: Sequence[tuple[Image, Sequence[str]]]) -> Index:
    manifests: list[Descriptor] = []
    for image, tags in images:
        data = content.read(image.manifest)
        described = oci.descriptor(orjson.loads(data).get("mediaType", oci.OCI_MANIFEST), data)
        manifests += [_annotated(described, tag) for tag in tags] or [described]
    return {"schemaVersion": 2, "mediaType": oci.OCI_INDEX, "manifests": manifests}


def _annotated(described: Descriptor, tag: str) -> Descriptor:
    name = reference.parse(tag)
    return {**described, "annotations": {oci.NAME_ANNOTATION: str(name), oci.REFERENCE_ANNOTATION: name.tag}}


def _docker_entry(image: Image, tags: Sequence[str]) -> dict[str, object]:
    layers = [_path(layer["digest"]) for layer in image.layers]
    return {"Config": _path(image.id), "RepoTags": list(tags) or None, "Layers": layers}


def _path(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")


async def _blob(content: ContentStore, digest: str) -> AsyncIterator[bytes]:
    size = content.size(digest)
    yield _header(_path(digest), size)
    with content.open(digest) as blob:
        while piece := await asyncio.to_thread(blob.read, _PIECE):
            yield piece
    yield bytes(-size % tar.BLOCK)


def _file(path: str, data: bytes) -> bytes:
    return _header(path, len(data)) + data + bytes(-len(data) % tar.BLOCK)


def _header(path: str, size: int) -> bytes:
    member = tar.Member(tar.REGULAR, path.encode())
    member.size = size
    return pack.encode(member)
