"""Garbage collection: what no image, reference or lease leads to goes. Mark from the roots, then sweep."""

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

import orjson

from podling.base.errors import Conflict, Failed, NotFound
from podling.images.content import ContentStore
from podling.images.metadata import BLOB, IMAGE, SNAPSHOT, Metadata
from podling.oci.image import chain_ids
from podling.snapshots.base import Snapshotter

_ABANDONED = 24 * 3600.0  # seconds after which an unfinished transfer is forgotten


def collect(content: ContentStore, metadata: Metadata, snapshots: Snapshotter, now: float) -> int:
    """Delete unreachable blobs and committed snapshots; gives the bytes of blobs and layers freed. Blocks.

    Who brings something leases it first and looks whether it is there second. Both wait while we mark and sweep, so that nothing
    vanishes between the two.
    """
    with metadata.frozen():
        freed, detached = _sweep_snapshots(metadata, snapshots, _live_chains(content, metadata))
        freed += _sweep_blobs(content, metadata, _live_blobs(content, metadata))
    for free in detached:
        free()
    content.drop_ingests(now - _ABANDONED)
    return freed


def _sweep_blobs(content: ContentStore, metadata: Metadata, live: set[str]) -> int:
    doomed = [blob for blob in content.walk() if blob.digest not in live]
    for blob in doomed:
        content.delete(blob.digest)
    metadata.forget_packed(blob.digest for blob in doomed)
    return sum(blob.size for blob in doomed)


def _live_blobs(content: ContentStore, metadata: Metadata) -> set[str]:
    live = metadata.leased(BLOB)
    pending = [record.manifest for record in metadata.images()] + [named.target for named in metadata.names()] + list(live)
    seen: set[str] = set()
    while pending:
        digest = pending.pop()
        if digest not in seen:
            seen.add(digest)
            pending += _children(content, digest)
    return live | seen


def _children(content: ContentStore, digest: str) -> Iterable[str]:
    """What a manifest or an index refers to; nothing for every other blob."""
    document = _document(content, digest)
    parts = [document.get("config"), *(document.get("layers") or []), *(document.get("manifests") or [])]
    return [part["digest"] for part in parts if isinstance(part, dict) and "digest" in part]


def _document(content: ContentStore, digest: str) -> dict[str, Any]:
    """The manifest, index or configuration; empty for a layer, and for what is gone.

    Raises OSError: what can't be read now may well lead to something, and must not cost it its life.
    """
    try:
        with content.open(digest) as blob:
            if blob.read(1) != b"{":
                return {}
        document = orjson.loads(content.read(digest))
    except (NotFound, Failed, orjson.JSONDecodeError):  # gone, too large for a document, no document
        return {}
    return document if isinstance(document, dict) else {}


def _live_chains(content: ContentStore, metadata: Metadata) -> set[str]:
    live = metadata.leased(SNAPSHOT)
    identifiers = {record.id for record in metadata.images()} | metadata.leased(IMAGE)
    for identifier in identifiers:
        diff_ids = _document(content, identifier).get("rootfs", {}).get("diff_ids") or []
        live.update(chain_ids(diff_ids))
    return live


def _sweep_snapshots(metadata: Metadata, snapshots: Snapshotter, live: set[str]) -> tuple[int, list[Callable[[], None]]]:
    """Take committed snapshots away, children before parents; one that a container stands on stays by itself.

    Gives the bytes of their files, and what frees their space.
    """
    doomed = {info.name: info.parent for info in snapshots.walk() if info.kind == "committed" and info.name not in live}
    known = metadata.sizes()
    freed, detached = 0, []
    while doomed:
        for name in set(doomed) - set(doomed.values()):
            with contextlib.suppress(Conflict):
                detached.append(snapshots.detach(name))
                freed += known.get(name, 0)
                metadata.forget_sizes([name])
            del doomed[name]
    return freed, detached
