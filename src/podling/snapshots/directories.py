"""Snapshots as directories, which all drivers share: what exists, its parents, and changes that happen in one rename.

    ROOT/committed/<name>/{fs/, parent}
    ROOT/active/<key>/{fs/, work/, parent}
    ROOT/view/<key>/{parent}
    ROOT/tmp/…        being made or being removed; emptied at start

`parent` is a symbolic link that holds the parent's name and leads nowhere.
"""

import contextlib
import errno
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from podling.base import ids
from podling.base.errors import Conflict, Failed, InvalidInput, NotFound
from podling.linux import disk
from podling.snapshots.base import Info, Kind, Usage, check_name, missing, taken

_KINDS: tuple[Kind, ...] = ("active", "committed", "view")
_TRIES, _PAUSE = 250, 0.02  # seconds


class Directories:
    """The tree below `root`. Each operation is visible wholly or not at all, also after a crash.

    Drivers derive from it: what `podling.snapshots.base.Snapshotter` says of remove, stat, walk, usage and view holds for all.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._temporary = f"{self._root}/tmp"
        shutil.rmtree(self._temporary, ignore_errors=True)
        for name in (*_KINDS, "tmp"):
            os.makedirs(f"{self._root}/{name}", mode=0o711, exist_ok=True)
        self._chains: dict[str, tuple[str, ...]] = {}
        self._usages: dict[str, Usage] = {}

    def path(self, kind: Kind, name: str) -> str:
        return f"{self._root}/{kind}/{check_name(name)}"

    def find(self, name: str) -> tuple[Kind, str]:
        """The kind and directory of a snapshot of any kind. Raises NotFound."""
        for kind in _KINDS:
            path = self.path(kind, name)
            if os.path.isdir(path):
                return kind, path
        raise missing(name)

    def parent(self, path: str) -> str:
        """The name of the parent of the snapshot at `path`; empty for the lowest."""
        try:
            return os.readlink(f"{path}/parent")
        except FileNotFoundError:
            return ""

    def chain(self, name: str) -> tuple[str, ...]:
        """The content directories of the committed `name` and all below it, uppermost first. Raises NotFound."""
        known = self._chains.get(name)
        if known is None:
            path = self.path("committed", name)
            if not os.path.isdir(path):
                raise missing(name)
            parent = self.parent(path)
            known = self._chains[name] = (f"{path}/fs", *(self.chain(parent) if parent else ()))
        return known

    def make(self, kind: Kind, key: str, parent: str, fill: Callable[[str], None]) -> str:
        """Make a snapshot whose directory `fill` furnishes before it can be seen; gives the directory. Raises AlreadyExists."""
        target = self.path(kind, key)
        if any(os.path.lexists(self.path(other, key)) for other in _KINDS):
            raise taken(key)
        made = f"{self._temporary}/{ids.suffix(12)}"
        os.mkdir(made, 0o711)
        try:
            fill(made)
            if parent:
                os.symlink(parent, f"{made}/parent")
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
        self._rename(made, target, key)
        return target

    def _rename(self, source: str, target: str, name: str) -> None:
        try:
            os.rename(source, target)
        except OSError as error:
            if not os.path.isdir(target):
                raise Failed(f"snapshot {name}: {error.strerror}") from error
            shutil.rmtree(source, ignore_errors=True)
            raise taken(name) from None

    def commit(self, name: str, key: str, parent: str | None = None) -> None:
        """Rename the active `key` to the committed `name`, below `parent` if that is given."""
        source, target = self.path("active", key), self.path("committed", name)
        if not os.path.isdir(source):
            raise missing(key)
        if os.path.isdir(target):
            raise taken(name)
        if parent:
            self.chain(parent)
        if parent is not None and parent != self.parent(source):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{source}/parent")
            if parent:
                os.symlink(parent, f"{source}/parent")
        shutil.rmtree(f"{source}/work", ignore_errors=True)
        os.rename(source, target)

    def sync(self) -> None:
        """One call for the whole file system: a layer has thousands of files."""
        disk.sync(self._root)

    def remove(self, key: str) -> None:
        """Take a snapshot away in one step, then free its space."""
        self.detach(key)()

    def detach(self, key: str) -> Callable[[], None]:
        """Take a snapshot away in one step; the result frees its space."""
        doomed = f"{self._temporary}/{ids.suffix(12)}"
        with contextlib.suppress(NotFound, FileNotFoundError):
            kind, path = self.find(key)
            if kind == "committed" and (child := next(self._children(key), None)):
                raise Conflict(f"snapshot {key} is the parent of {child}")
            self._chains.pop(key, None)
            self._usages.pop(key, None)
            os.rename(path, doomed)
        return lambda: _free(doomed)

    def _children(self, name: str) -> Iterator[str]:
        return (info.name for info in self.walk() if info.parent == name)

    def own_content(self, key: str) -> str:
        """The content directory of a snapshot that has content of its own. Raises InvalidInput for a view."""
        kind, path = self.find(key)
        if kind == "view":
            raise InvalidInput(f"snapshot {key} is a view and has no content of its own")
        return f"{path}/fs"

    def view(self, key: str, parent: str) -> None:
        """A snapshot without content of its own. Raises NotFound for the parent."""
        self.chain(parent)
        self.make("view", key, parent, lambda _: None)

    def mounted(self, key: str) -> tuple[str, tuple[str, ...]]:
        """(directory, or "" for a view; the content directories below) of a snapshot that can be mounted."""
        kind, path = self.find(key)
        if kind == "committed":
            raise InvalidInput(f"snapshot {key} is committed: mount a view of it")
        parent = self.parent(path)
        return ("" if kind == "view" else path), self.chain(parent) if parent else ()

    def stat(self, key: str) -> Info:
        kind, path = self.find(key)
        return self._info(kind, key, path)

    def _info(self, kind: Kind, name: str, path: str) -> Info:
        return Info(name, kind, self.parent(path), os.stat(path).st_ctime)

    def walk(self) -> Iterator[Info]:
        for kind in _KINDS:
            for name in os.listdir(f"{self._root}/{kind}"):
                with contextlib.suppress(FileNotFoundError):
                    yield self._info(kind, name, f"{self._root}/{kind}/{name}")

    def usage(self, key: str) -> Usage:
        """Disk space and inodes; of a committed snapshot it is counted once and remembered."""
        kind, path = self.find(key)
        if kind == "view":
            return Usage(0, 0)
        known = self._usages.get(key)
        if known is None:
            known = _measure(f"{path}/fs")
            if kind == "committed":
                self._usages[key] = known
        return known


def _free(doomed: str) -> None:
    """Blocks. Who still unpacks there for an engine that was killed ends soon, and makes files until then."""
    for left in reversed(range(_TRIES)):
        try:
            shutil.rmtree(doomed)
            return
        except OSError as error:
            if not os.path.exists(doomed):
                return
            if error.errno not in (errno.ENOTEMPTY, errno.ENOENT) or not left:
                raise
        time.sleep(_PAUSE)


def copy_attributes(source: str, target: str) -> None:
    """Give directory `target` the owner, mode and extended attributes of directory `source`."""
    status = os.stat(source)
    os.chown(target, status.st_uid, status.st_gid)
    os.chmod(target, stat.S_IMODE(status.st_mode))
    for name in os.listxattr(source):
        if not name.startswith("trusted.overlay."):
            os.setxattr(target, name, os.getxattr(source, name))


def _measure(top: str) -> Usage:
    """Disk space of a tree; a file with several links counts once."""
    seen: set[tuple[int, int]] = set()
    size = 0
    pending = [top]
    while pending:
        with contextlib.suppress(FileNotFoundError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                if (status.st_dev, status.st_ino) not in seen:
                    seen.add((status.st_dev, status.st_ino))
                    size += status.st_blocks * 512
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
    return Usage(size, len(seen))
