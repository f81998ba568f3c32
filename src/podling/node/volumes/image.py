"""image: the files of an image, read-only. Source: core/v1 ImageVolumeSource; KEP-4639."""

import asyncio
from pathlib import Path

from podling.linux.mount import is_mountpoint
from podling.node.pod.spec import Object
from podling.node.volumes.base import Context, Placed


class Image:
    async def set_up(self, spec: Object, path: Path, context: Context) -> Placed:
        await asyncio.to_thread(path.mkdir, parents=True, exist_ok=True)
        if not is_mountpoint(path):  # a running pod keeps the image that it began with
            await context.show_image(spec, path)
        return Placed(path, fixed=True)

    def references(self, spec: Object) -> set[tuple[str, str]]:
        return set()
