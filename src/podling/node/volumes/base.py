"""What every kind of volume answers to."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from podling.base.errors import Unsupported
from podling.node.environment import Lookup
from podling.node.pod.spec import Object

# (pod, audiences, seconds) -> (token, unix seconds of when to ask for the next)
Tokens = Callable[[Object, tuple[str, ...], int], Awaitable[tuple[str, float]]]


async def _no_images(spec: Object, target: Path) -> None:
    raise Unsupported("this node has no images for volumes")


@dataclass(frozen=True, slots=True)
class Context:
    """What a volume's contents may come from. `node` as for `fields.field_value` and `fields.resource_value`; `show_image` mounts
    the image of an ImageVolumeSource at a directory.
    """

    pod: Object
    lookup: Lookup
    tokens: Tokens
    node: Mapping[str, str]
    show_image: Callable[[Object, Path], Awaitable[None]] = _no_images

    @property
    def group(self) -> int | None:
        """The group that shall own the volume (fsGroup)."""
        found: int | None = (self.pod["spec"].get("securityContext") or {}).get("fsGroup")
        return found


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a volume's contents are on this machine, and when (unix seconds) it has to be set up again though nothing changed.

    With `fixed` containers may neither write to it nor run what is in it.
    """

    path: Path
    refresh_at: float | None = None
    fixed: bool = False


class Volume(Protocol):
    """One kind of volume. `spec` is the member of the volume that names the kind, `path` the volume's directory on this node."""

    async def set_up(self, spec: Object, path: Path, context: Context) -> Placed:
        """Make it, or bring it up to date. Raises InvalidInput, OSError."""

    def references(self, spec: Object) -> set[tuple[str, str]]:
        """The ConfigMaps and Secrets that it is made of: {(kind, name)}."""
