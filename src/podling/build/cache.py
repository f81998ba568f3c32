"""Earlier results of a step. The images themselves are the cache: one that was built from the same parent by the same words.

What a step's words don't say, the content of copied files, stands as a digest in them.
"""

from collections.abc import Sequence

from podling.images.model import Image
from podling.oci.image import ExecutionConfig


def find(
    images: Sequence[Image], parent: Image | None, history: str, config: ExecutionConfig, platform: tuple[str, str]
) -> Image | None:
    """The newest image that the step would make again. `platform` is (os, architecture)."""
    depth = len(parent.config.get("history") or ()) if parent else 0
    identifier = parent.id if parent else ""
    found = [
        image
        for image in images
        if image.parent == identifier
        and len(image.config.get("history") or ()) == depth + 1
        and image.config["history"][-1].get("created_by") == history
        and _same(image.config.get("config") or {}, config)
        and (image.config["os"], image.config["architecture"]) == platform
    ]
    return max(found, key=lambda image: image.added, default=None)


def _same(left: ExecutionConfig, right: ExecutionConfig) -> bool:
    """Members that are empty say nothing."""
    return {name: value for name, value in left.items() if value} == {name: value for name, value in right.items() if value}
