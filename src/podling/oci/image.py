"""Image manifests, indexes and configurations as plain dicts, in OCI's and Docker's media types.

Source: OCI image-spec (manifest.md, image-index.md, config.md); Docker image manifest V2, schema 2.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any, Required, TypedDict, cast

from podling.base.errors import InvalidInput

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = OCI_LAYER + "+gzip"
OCI_LAYER_ZSTD = OCI_LAYER + "+zstd"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_GZIP = DOCKER_LAYER + ".gzip"
DOCKER_FOREIGN_LAYER = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"

MANIFESTS = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEXES = (OCI_INDEX, DOCKER_LIST)
REFERENCE_ANNOTATION = "org.opencontainers.image.ref.name"
NAME_ANNOTATION = "io.containerd.image.name"


class PlatformObject(TypedDict, total=False):
    """`platform` of an index entry; `os.version` and `os.features` concern Windows alone."""

    architecture: str
    os: str
    variant: str


class Descriptor(TypedDict, total=False):
    """What a blob is, how long and by which digest (descriptor.md)."""

    mediaType: Required[str]
    digest: Required[str]
    size: Required[int]
    platform: PlatformObject
    annotations: dict[str, str]
    urls: list[str]


class Manifest(TypedDict, total=False):
    """One image: its configuration and its layers, lowest first."""

    schemaVersion: Required[int]
    mediaType: str
    config: Required[Descriptor]
    layers: Required[list[Descriptor]]
    annotations: dict[str, str]


class Index(TypedDict, total=False):
    """Several images under one name, one a platform."""

    schemaVersion: Required[int]
    mediaType: str
    manifests: Required[list[Descriptor]]
    annotations: dict[str, str]


class RootFS(TypedDict):
    """`rootfs` of a configuration: digests of the uncompressed layers, lowest first."""

    type: str
    diff_ids: list[str]


class HistoryEntry(TypedDict, total=False):
    """One build step; `empty_layer` marks those that changed only the configuration."""

    created: str
    created_by: str
    author: str
    comment: str
    empty_layer: bool


class HealthConfig(TypedDict, total=False):
    """HEALTHCHECK, durations in nanoseconds (a Docker extension)."""

    Test: list[str]
    Interval: int
    Timeout: int
    StartPeriod: int
    StartInterval: int
    Retries: int


class ExecutionConfig(TypedDict, total=False):
    """`config` of a configuration: the defaults of a container."""

    User: str
    ExposedPorts: dict[str, dict[str, Any]]
    Env: list[str]
    Entrypoint: list[str] | None
    Cmd: list[str] | None
    Volumes: dict[str, dict[str, Any]] | None
    WorkingDir: str
    Labels: dict[str, str] | None
    StopSignal: str
    Healthcheck: HealthConfig
    OnBuild: list[str] | None
    Shell: list[str]
    ArgsEscaped: bool


class ImageConfig(TypedDict, total=False):
    """An image configuration; its digest is the image's id."""

    architecture: Required[str]
    os: Required[str]
    variant: str
    created: str
    author: str
    config: ExecutionConfig
    rootfs: Required[RootFS]
    history: list[HistoryEntry]


def descriptor(media_type: str, data: bytes) -> Descriptor:
    """The descriptor of a blob held in memory."""
    return {"mediaType": media_type, "digest": f"sha256:{hashlib.sha256(data).hexdigest()}", "size": len(data)}


def manifest(config: Descriptor, layers: Sequence[Descriptor]) -> Manifest:
    """An OCI image manifest."""
    return {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": list(layers)}


def parse_manifest(data: bytes) -> Manifest:
    """The manifest in `data`. Raises InvalidInput for anything that doesn't have its shape."""
    document = _object(data, "manifest")
    descriptors = [document.get("config"), *_list(document.get("layers"), "manifest")]
    if not all(_is_descriptor(one) for one in descriptors):
        raise InvalidInput("invalid image manifest")
    return cast(Manifest, document)


def parse_config(data: bytes) -> ImageConfig:
    """The image configuration in `data`. Raises InvalidInput for anything that doesn't have its shape."""
    document = _object(data, "configuration")
    rootfs = document.get("rootfs")
    diff_ids = _list(rootfs.get("diff_ids"), "configuration") if isinstance(rootfs, dict) else [None]
    if not all(isinstance(diff_id, str) for diff_id in diff_ids):
        raise InvalidInput("invalid image configuration")
    return cast(ImageConfig, document)


def _object(data: bytes, what: str) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except ValueError as error:
        raise InvalidInput(f"invalid image {what}: {error}") from error
    if not isinstance(document, dict):
        raise InvalidInput(f"invalid image {what}")
    return document


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidInput(f"invalid image {what}")
    return value


def _is_descriptor(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("digest"), str) and isinstance(value.get("size"), int)


def chain_ids(diff_ids: Iterable[str]) -> list[str]:
    """For each layer the digest that names it together with all below it (config.md, "Layer ChainID")."""
    chain: list[str] = []
    for diff_id in diff_ids:
        chain.append(stacked(chain[-1] if chain else "", diff_id))
    return chain


def stacked(chain: str, diff_id: str) -> str:
    """The chain id of a layer on top of `chain`, which is empty below the lowest."""
    return f"sha256:{hashlib.sha256(f'{chain} {diff_id}'.encode()).hexdigest()}" if chain else diff_id


def chain_id(diff_ids: Sequence[str]) -> str:
    """The name of the whole stack of layers; empty for an image without any."""
    chain = chain_ids(diff_ids)
    return chain[-1] if chain else ""
