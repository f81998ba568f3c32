"""Snapshots as whole copies, for hosts without overlayfs: each has the full content of its parents. Slow, and right.

Files share their blocks where the file system can (cp --reflink).
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

from podling.base.errors import Failed, InvalidInput
from podling.linux import mount
from podling.snapshots.base import Change, Whiteouts
from podling.snapshots.changes import tree_changes
from podling.snapshots.directories import Directories

_COPY_SECONDS = 600.0


class CopySnapshotter(Directories):
    """The driver over `root`, on any file system."""

    whiteouts: Whiteouts = "delete"
    rebases = False

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._empty = root / "empty"
        self._empty.mkdir(exist_ok=True)

    def prepare(self, key: str, parent: str = "") -> Path:
        source = self.chain(parent)[0] if parent else str(self._empty)
        return Path(self.make("active", key, parent, lambda path: _copy(source, f"{path}/fs")), "fs")

    def mount(self, key: str, target: Path) -> None:
        path, lower = self.mounted(key)
        mount.bind(f"{path}/fs" if path else lower[0], target, readonly=not path)

    def commit(self, name: str, key: str, parent: str | None = None) -> None:
        if parent is not None and parent != self.stat(key).parent:
            raise InvalidInput("this driver cannot change a snapshot's parent")
        super().commit(name, key)

    def content(self, key: str) -> tuple[Path, Path | None]:
        parent = self.stat(key).parent
        return Path(self.own_content(key)), Path(self.chain(parent)[0]) if parent else self._empty

    def changes(self, key: str) -> Iterator[Change]:
        upper, lower = self.content(key)
        return tree_changes(str(lower), str(upper))


def _copy(source: str, target: str) -> None:
    command = ["cp", "-a", "--reflink=auto", source, target]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_COPY_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise Failed(f"cp: no end within {_COPY_SECONDS:g} s") from None
    if done.returncode:
        raise Failed(f"cp: {done.stderr.strip()}")
