"""Snapshots: a stack of read-only layers with, for a container or a build step, a writable one on top.

A layer is made by `prepare`, unpacking into the directory it gives, and `commit` under its chain id. A container is `prepare` on
the image's chain id and `mount`. Names are chosen by the caller; what is interrupted leaves nothing that can be seen.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from podling.base.errors import AlreadyExists, InvalidInput, NotFound

Kind = Literal["active", "view", "committed"]
Whiteouts = Literal["overlay", "delete"]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,199}")


@dataclass(frozen=True, slots=True)
class Info:
    """One snapshot; `created` in seconds since the epoch, `parent` empty for the lowest."""

    name: str
    kind: Kind
    parent: str
    created: float


@dataclass(frozen=True, slots=True)
class Usage:
    """What a snapshot itself takes on disk, without its parents."""

    size: int
    inodes: int


@dataclass(frozen=True, slots=True)
class Change:
    """A path (relative, "/"-separated) that differs from the parent; `hides` marks a directory that covers the parent's whole."""

    path: str
    kind: Literal["added", "modified", "deleted"]
    hides: bool = False


class Snapshotter(Protocol):
    """A driver. Calls block; an event loop makes the ones that touch whole trees through a thread.

    Unknown names raise NotFound, taken ones AlreadyExists, impossible ones InvalidInput.
    """

    whiteouts: Whiteouts
    """How unpacking writes a layer's deletions into the directory that `prepare` gives."""

    rebases: bool
    """Whether a layer can be prepared without its parent, which `commit` then names: layers unpack side by side."""

    def prepare(self, key: str, parent: str = "") -> Path:
        """Make a writable snapshot over the committed `parent`; gives the directory that holds its own content."""

    def view(self, key: str, parent: str) -> None:
        """Make a snapshot that shows the committed `parent` read-only."""

    def mount(self, key: str, target: Path) -> None:
        """Show an active snapshot or a view at the existing directory `target`. The caller unmounts."""

    def commit(self, name: str, key: str, parent: str | None = None) -> None:
        """Turn the active `key` into the read-only `name`, in one step; it must not be mounted.

        `parent` replaces the one given to `prepare` (only where `rebases`).
        """

    def sync(self) -> None:
        """Make all that was written to snapshots survive a power cut. Raises OSError where the disk refuses."""

    def remove(self, key: str) -> None:
        """Delete a snapshot; nothing if there is none. Raises Conflict while it is the parent of another."""

    def detach(self, key: str) -> Callable[[], None]:
        """As `remove`, at once however large it is; the space is free when the result has been called."""

    def stat(self, key: str) -> Info: ...

    def walk(self) -> Iterator[Info]:
        """Every snapshot, in no order."""

    def usage(self, key: str) -> Usage: ...

    def content(self, key: str) -> tuple[Path, Path | None]:
        """The directory of a snapshot's own content, and the one to compare it with: None where deletions are written in it
        as overlayfs does."""

    def changes(self, key: str) -> Iterator[Change]:
        """What differs from the parent, parents before their children."""


def check_name(name: str) -> str:
    """`name` if it can name a snapshot; raises InvalidInput."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"invalid snapshot name {name!r}")
    return name


def missing(name: str) -> NotFound:
    return NotFound(f"snapshot {name} does not exist")


def taken(name: str) -> AlreadyExists:
    return AlreadyExists(f"snapshot {name} already exists")
