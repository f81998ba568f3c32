"""Snapshots by the kernel's overlayfs: a layer is a directory, a container an upper directory over its image's layers.

Source: Linux, Documentation/filesystems/overlayfs.rst.
"""

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from podling.linux import mount
from podling.snapshots.base import Change, Whiteouts
from podling.snapshots.changes import overlay_changes
from podling.snapshots.directories import Directories, copy_attributes

# An upper layer must hold whole files and plain directories, so that it can become an image layer. `index` would bind an upper
# directory to the first set of lower ones it was mounted with.
_WANTED = {"index": "index=off", "redirect_dir": "redirect_dir=nofollow", "metacopy": "metacopy=off"}


class OverlaySnapshotter(Directories):
    """The driver over `root`, which must be on a file system that overlayfs can write to (ext4, xfs, btrfs, tmpfs).

    `floor` is seen below the lowest layer where a snapshot is mounted to be written to. It has places for mounts that an image
    may lack: made there, they are no change of the container's.
    """

    whiteouts: Whiteouts = "overlay"
    rebases = True

    def __init__(self, root: Path, floor: Path | None = None) -> None:
        super().__init__(root)
        self._floor = (str(floor),) if floor else ()

    def prepare(self, key: str, parent: str = "") -> Path:
        below = self.chain(parent)[0] if parent else ""
        return Path(self.make("active", key, parent, lambda path: _furnish(path, below)), "fs")

    def mount(self, key: str, target: Path) -> None:
        path, lower = self.mounted(key)
        if not path:
            _mount_view(target, lower)
        elif lower := (*lower, *self._floor):
            mount.overlay(target, lower, f"{path}/fs", f"{path}/work", _options())
        else:
            mount.bind(f"{path}/fs", target)

    def content(self, key: str) -> tuple[Path, Path | None]:
        return Path(self.own_content(key)), None

    def changes(self, key: str) -> Iterator[Change]:
        parent = self.stat(key).parent
        return overlay_changes(self.own_content(key), self.chain(parent) if parent else ())


def _furnish(path: str, below: str) -> None:
    """An upper and a work directory. The upper one's attributes are what a container sees as those of "/"."""
    for part in ("fs", "work"):
        os.mkdir(f"{path}/{part}")
        os.chmod(f"{path}/{part}", 0o755)  # whatever the umask
    if below:
        copy_attributes(below, f"{path}/fs")


def _mount_view(target: Path, lower: tuple[str, ...]) -> None:
    if len(lower) > 1:
        mount.overlay(target, lower, options=_options())
    else:
        mount.bind(lower[0], target, readonly=True)


@cache
def _options() -> list[str]:
    """Those of the wanted options that this kernel's overlayfs has."""
    return [option for name, option in _WANTED.items() if os.path.exists(f"/sys/module/overlay/parameters/{name}")]
