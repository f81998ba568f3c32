"""What a snapshot changed against its parent: read from an overlay's upper directory, or by comparing two trees.

Source: Linux, Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories". Imported by workers too.
"""

import os
import stat
from collections.abc import Iterator, Sequence

from podling.snapshots.base import Change

_OPAQUE = "trusted.overlay.opaque"


def overlay_changes(upper: str, lower: Sequence[str] = ()) -> Iterator[Change]:
    """The content of an upper directory. `lower` (uppermost first) tells what is new from what was changed."""
    for path, status in _tree(upper):
        if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
            yield Change(path, "deleted")
            continue
        hides = stat.S_ISDIR(status.st_mode) and _is_opaque(f"{upper}/{path}")
        below = any(os.path.lexists(f"{layer}/{path}") for layer in lower)
        yield Change(path, "modified" if below else "added", hides)


def tree_changes(lower: str, upper: str) -> Iterator[Change]:
    """The differences of two whole trees, each after the directories that lead to it.

    A file's time counts to the nanosecond, a directory's own does not.
    """
    shown = {""}
    for change in _differences(lower, upper):
        for parent in _ancestors(change.path):
            if parent not in shown:
                shown.add(parent)
                yield Change(parent, "modified")
        if change.path not in shown:
            shown.add(change.path)
            yield change


def _ancestors(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: length + 1]) for length in range(len(parts))]


def _differences(lower: str, upper: str) -> Iterator[Change]:
    for path, status in _tree(upper):
        try:
            old = os.lstat(f"{lower}/{path}")
        except (FileNotFoundError, NotADirectoryError):
            yield Change(path, "added")
            continue
        if stat.S_ISDIR(status.st_mode):
            if not stat.S_ISDIR(old.st_mode):
                yield Change(path, "modified")
                continue
            if _directory(status) != _directory(old):
                yield Change(path, "modified")
            yield from _deletions(lower, upper, path)
        elif not _same(f"{lower}/{path}", old, f"{upper}/{path}", status):
            yield Change(path, "modified")
    yield from _deletions(lower, upper, "")


def _tree(top: str, below: str = "") -> Iterator[tuple[str, os.stat_result]]:
    """Every path below `top`, relative to it, in the order of names, parents first."""
    pending = [below]
    while pending:
        path = pending.pop()
        if path:
            status = os.lstat(f"{top}/{path}")
            yield path, status
            if not stat.S_ISDIR(status.st_mode):
                continue
        names = sorted(os.listdir(f"{top}/{path}"), reverse=True)
        pending += [f"{path}/{name}" if path else name for name in names]


def _deletions(lower: str, upper: str, path: str) -> Iterator[Change]:
    old, new = (f"{tree}/{path}" for tree in (lower, upper))
    for name in sorted(set(os.listdir(old)) - set(os.listdir(new))):
        yield Change(f"{path}/{name}" if path else name, "deleted")


def _is_opaque(path: str) -> bool:
    try:
        return os.getxattr(path, _OPAQUE, follow_symlinks=False) == b"y"
    except OSError:
        return False


def _directory(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_mode, status.st_uid, status.st_gid


def _same(old: str, before: os.stat_result, new: str, after: os.stat_result) -> bool:
    if _directory(before) != _directory(after) or before.st_rdev != after.st_rdev:
        return False
    if stat.S_ISLNK(after.st_mode):
        return os.readlink(old) == os.readlink(new)
    return before.st_mtime_ns == after.st_mtime_ns and before.st_size == after.st_size
