"""What a snapshot changed becomes a layer archive. Source: OCI image-spec, layer.md, "Representing Changes"."""

import os
from collections.abc import AsyncIterator

from podling.snapshots.base import Snapshotter
from podling.snapshots.trees import packed


def layer(snapshots: Snapshotter, key: str) -> AsyncIterator[bytes]:
    """An uncompressed layer tar of the changes of `key` against its parent; the same bytes for the same changes.

    Nobody may write to the snapshot meanwhile. Raises NotFound for an unknown snapshot, Failed when the disk refuses.
    """
    upper, lower = (str(path) if path else None for path in snapshots.content(key))
    assert upper is not None
    root = os.path.commonpath([upper, lower]) if lower else upper
    job = {
        "kind": "layer",
        "root": root,
        "upper": upper[len(root) :],
        "lower": lower[len(root) :] if lower else "",
    }
    return packed(job)
