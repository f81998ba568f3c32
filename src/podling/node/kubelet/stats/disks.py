"""What files take on the disk. Walking them costs, so that what was measured serves for a while."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from podling.aio.clock import Clock
from podling.base.errors import PodlingError
from podling.linux.mount import mounts
from podling.node.kubelet.stats.values import Disk, Space

SERVES_SECONDS = 10.0
EFFORT = 0.01  # the most of its time that a thread may spend on measuring one tree again and again

Measured = tuple[int, int]
"""Bytes and inodes."""


class Disks:
    """Measures, and remembers for ten seconds, longer what took long. Calls block: use it in one thread at a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, tuple[float, Measured]] = {}  # until when it serves

    def tree(self, path: Path) -> Disk | None:
        """What the tree at `path` takes; None where it is gone."""
        return self.measured(str(path), path, lambda: walk(str(path)))

    def measured(self, key: str, place: Path, measure: Callable[[], Measured]) -> Disk | None:
        """What `measure` says, on the file system of `place`; None where it is gone."""
        found = self._taken(key, measure)
        return None if found is None or (space := space_of(place)) is None else Disk(space, *found)

    def _taken(self, key: str, measure: Callable[[], Measured]) -> Measured | None:
        now = self._clock.monotonic()
        known = self._known.get(key)
        if known is not None and now < known[0]:
            return known[1]
        try:
            measured = measure()
        except (OSError, PodlingError):
            self._known.pop(key, None)
            return None
        took = self._clock.monotonic() - now
        self._known[key] = (now + max(SERVES_SECONDS, took / EFFORT), measured)
        return measured

    def forget_old(self) -> None:
        """Let go of what nobody asks about any more."""
        limit = self._clock.monotonic() - 10 * SERVES_SECONDS
        self._known = {key: known for key, known in self._known.items() if known[0] > limit}


def walk(top: str) -> Measured:
    """What a tree takes, without what is mounted in it; a file of several names counts once. Raises OSError without the top."""
    root = os.lstat(top)
    seen = {root.st_ino}
    size = root.st_blocks * 512
    pending = [top]
    while pending:
        with contextlib.suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                if status.st_dev != root.st_dev or status.st_ino in seen:
                    continue
                seen.add(status.st_ino)
                size += status.st_blocks * 512
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
    return size, len(seen)


def space_of(path: Path) -> Space | None:
    """The file system that holds `path`; None where it is gone."""
    try:
        found = os.statvfs(path)
        device = _device(path)
    except OSError:
        return None
    return Space(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize, found.f_files, found.f_ffree, device)


_devices: dict[int, str] = {}


def _device(path: Path) -> str:
    """/dev/vda1: what its file system is mounted from."""
    number = os.stat(path).st_dev
    if number not in _devices:
        wanted = f"{os.major(number)}:{os.minor(number)}"
        _devices[number] = next((mount.source for mount in mounts() if mount.device == wanted), wanted)
    return _devices[number]
