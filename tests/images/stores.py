"""Image stores for tests, and what is said of them."""

import hashlib
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

from podling.aio.clock import SystemClock
from podling.images.images import LAYER_LIMITS, Images
from podling.images.model import RegistrySettings
from podling.snapshots.overlay import OverlaySnapshotter
from podling.snapshots.unpack import Limits


class Quick(SystemClock):
    """The machine's clock, without its patience."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds / 100)


def open_images(root: Path, settings: RegistrySettings | None = None, limits: Limits = LAYER_LIMITS) -> Images:
    snapshots = OverlaySnapshotter(root / "snapshots")
    return Images(root / "images", snapshots, Quick(), settings or RegistrySettings(), limits)


async def stream(data: bytes, piece: int = 50_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), piece):
        yield data[start : start + piece]


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def is_empty(images: Images) -> bool:
    """Whether nothing at all is there: no image, blob, snapshot or half-written file."""
    root = images.content._ingests
    return not (images.all() or list(images.content.walk()) or list(images.snapshots.walk()) or list(root.iterdir()))


def skopeo(*arguments: object) -> str:
    command = ["skopeo", "--insecure-policy", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
