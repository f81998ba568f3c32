"""An image of what a container has changed, as `docker commit` makes it."""

from dataclasses import dataclass

from podling.images.images import Images, timestamp
from podling.images.model import Image
from podling.oci.image import ExecutionConfig, HistoryEntry, ImageConfig


@dataclass(frozen=True, slots=True)
class Commit:
    """`snapshot` is the container's, `base` the id of the image it stands on, `now` in unix seconds; `name` may be empty."""

    snapshot: str
    base: str
    config: ExecutionConfig
    command: str = ""
    author: str = ""
    comment: str = ""
    name: str = ""
    now: float = 0.0


async def commit(images: Images, given: Commit) -> Image:
    """Make the image. Nobody should write to the snapshot meanwhile. Raises NotFound for the base, InvalidInput for the name."""
    base = images.get(given.base)
    async with images.holding() as owner:
        layer = await images.write_layer(given.snapshot, owner)
        now = timestamp(given.now)
        entry: HistoryEntry = {"created": now, "created_by": given.command, "comment": given.comment}
        document: ImageConfig = {
            **base.config,
            "created": now,
            "config": given.config,
            "rootfs": {"type": "layers", "diff_ids": [*base.config["rootfs"]["diff_ids"], layer["digest"]]},
            "history": [*base.config.get("history", []), entry],
        }
        if given.author:
            document["author"] = given.author
        return await images.add(document, [*base.layers, layer], [given.name] if given.name else [], parent=base.id)
