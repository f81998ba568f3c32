"""What a volume and a volume driver are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Volume:
    """A named place for data. `path` is where it is seen on the host; `created` in unix seconds.

    `options` are the driver's: type, device and o (mount(8)'s words) for a local volume that is mounted when used.
    """

    name: str
    path: Path
    driver: str = "local"
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    created: float = 0.0
    anonymous: bool = False


class Driver(Protocol):
    """Where volumes of one kind live. Undoing is idempotent. Contract: `podling.testing.volume_contract`."""

    name: str

    def create(self, volume: Volume) -> Volume:
        """Make the volume's place; the volume with its `path`. Raises InvalidInput for options that make no sense."""

    def remove(self, volume: Volume) -> None:
        """Delete the volume with its data; nothing if it is gone."""

    def mount(self, volume: Volume) -> Path:
        """Make the data visible at the path that is given; again for every user."""

    def unmount(self, volume: Volume) -> None:
        """The last user has gone; nothing if it isn't mounted."""

    def list(self) -> "list[Volume]":
        """All volumes of this driver."""
