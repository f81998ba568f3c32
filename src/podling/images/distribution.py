"""What a registry has under a name, without fetching it."""

from dataclasses import dataclass

import orjson

from podling.base.errors import InvalidInput
from podling.images.content import DOCUMENT_LIMIT
from podling.images.registry import Repository
from podling.oci import digest as digests
from podling.oci.image import INDEXES, MANIFESTS, Descriptor, Index, PlatformObject, parse_config, parse_manifest

_PLATFORM = ("architecture", "os", "variant", "os.version", "os.features")


@dataclass(frozen=True, slots=True)
class Distribution:
    """The manifest or index that a name stands for, and for which platforms it has images."""

    descriptor: Descriptor
    platforms: tuple[PlatformObject, ...]


async def look_up(repository: Repository, reference: str) -> Distribution:
    """What is under a tag or digest. Raises as `Repository.manifest`; InvalidInput, Failed for what is no image."""
    media_type, data = await repository.manifest(reference)
    descriptor: Descriptor = {"mediaType": media_type, "digest": digests.of(data), "size": len(data)}
    if media_type in INDEXES:
        index: Index = orjson.loads(data)
        return Distribution(descriptor, tuple(entry["platform"] for entry in index["manifests"] if entry.get("platform")))
    if media_type not in MANIFESTS:
        raise InvalidInput(f"unsupported media type {media_type}")
    config = parse_config(await _small(repository, parse_manifest(data)["config"]))
    platform: PlatformObject = {name: config[name] for name in _PLATFORM if config.get(name)}  # type: ignore[literal-required, assignment]
    return Distribution(descriptor, (platform,))


async def _small(repository: Repository, blob: Descriptor) -> bytes:
    """A small blob, checked. Raises InvalidInput for another one than was named."""
    found = bytearray()
    async with repository.blob(blob) as (_, pieces):
        async for piece in pieces:
            found += piece
            if len(found) > min(blob["size"], DOCUMENT_LIMIT):
                break
    if digests.of(bytes(found)) != blob["digest"]:
        raise InvalidInput(f"verification failed for digest {blob['digest']}")
    return bytes(found)
