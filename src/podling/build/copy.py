"""Copying into an image's tree, as COPY and ADD do. Blocks.

Directories are merged, files replaced, links copied as links, hard links kept. Paths in both trees are resolved with the tree
as root, and what lies below is reached by descriptors: no link leads outside.
"""

import os
import posixpath
import stat
from pathlib import Path

from podling.base.errors import InvalidInput
from podling.linux.inside import make_directories_inside, open_inside

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PIECE = 1 << 24
Owner = tuple[int, int]


class Copier:
    """Copies into the tree `root`. `owner` and `mode` (of files and directories) replace those of what is copied."""

    def __init__(self, root: Path, owner: Owner | None = None, mode: int | None = None) -> None:
        self._root = root
        self._owner = owner
        self._mode = mode
        self._links: dict[tuple[int, int], tuple[int, str]] = {}

    def copy(self, tree: Path, path: str, destination: str) -> None:
        """`path` of `tree` to `destination`: a directory's content into it, a file into it if it is a directory."""
        handle = open_inside(tree, path, os.O_PATH)
        try:
            source = f"/proc/self/fd/{handle}"
            status = os.stat(source)
            if stat.S_ISDIR(status.st_mode):
                self._tree(source, status, destination)
            else:
                self._single(source, status, posixpath.basename(path), destination)
        finally:
            os.close(handle)

    def write(self, content: bytes, name: str, destination: str) -> None:
        """A file that stands in the Dockerfile."""
        folder, name = self._place(name, destination)
        try:
            _remove(folder, name)
            with open(os.open(name, _NEW, 0o644, dir_fd=folder), "wb") as file:
                file.write(content)
                os.fchown(file.fileno(), *(self._owner or (0, 0)))
                os.fchmod(file.fileno(), 0o644 if self._mode is None else self._mode)
        finally:
            os.close(folder)

    def directory(self, path: str) -> int:
        """The directory, made with its parents where they lack; its descriptor, which the caller closes."""
        if self._owner:
            reached = ""
            for part in (part for part in path.split("/") if part):
                reached = f"{reached}/{part}"
                self._own_if_new(reached)
        try:
            return make_directories_inside(self._root, path)
        except NotADirectoryError:
            raise InvalidInput(f"cannot copy to non-directory: {path}") from None

    def _own_if_new(self, path: str) -> None:
        try:
            os.close(open_inside(self._root, path, os.O_PATH))
        except FileNotFoundError:
            made = make_directories_inside(self._root, path)
            assert self._owner
            os.chown(f"/proc/self/fd/{made}", *self._owner)
            os.close(made)
        except NotADirectoryError:
            raise InvalidInput(f"cannot copy to non-directory: {path}") from None

    def _tree(self, source: str, status: os.stat_result, destination: str) -> None:
        folder = self.directory(destination)
        handle = os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._links.clear()
            self._children(handle, folder, folder, "")
        finally:
            os.close(handle)
            os.close(folder)

    def _single(self, source: str, status: os.stat_result, name: str, destination: str) -> None:
        folder, name = self._place(name, destination)
        try:
            _remove(folder, name)
            self._file(source, status, folder, name)
        finally:
            os.close(folder)

    def _place(self, name: str, destination: str) -> tuple[int, str]:
        """The directory and the name that a file gets."""
        if destination.endswith("/") or self._is_directory(destination):
            return self.directory(destination), name
        return self.directory(posixpath.dirname(destination)), posixpath.basename(destination)

    def _is_directory(self, path: str) -> bool:
        try:
            os.close(open_inside(self._root, path, os.O_PATH | os.O_DIRECTORY))
        except OSError:
            return False
        return True

    # -- below: `source` and `target` are descriptors of directories, `top` is the uppermost target, `path` leads from it

    def _children(self, source: int, target: int, top: int, path: str) -> None:
        for name in sorted(os.listdir(source)):
            self._entry(source, target, name, top, posixpath.join(path, name))

    def _entry(self, source: int, target: int, name: str, top: int, path: str) -> None:
        status = os.stat(name, dir_fd=source, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            self._directory(source, target, name, status, top, path)
            return
        _remove(target, name)
        if stat.S_ISREG(status.st_mode):
            self._file_or_link(source, target, name, status, top, path)
        elif stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
            os.chown(name, *self._owner_of(status), dir_fd=target, follow_symlinks=False)
            os.utime(name, ns=_times(status), dir_fd=target, follow_symlinks=False)
        elif not stat.S_ISSOCK(status.st_mode):
            os.mknod(name, status.st_mode, status.st_rdev, dir_fd=target)
            os.chown(name, *self._owner_of(status), dir_fd=target)
            os.chmod(name, self._mode_of(status), dir_fd=target)

    def _directory(self, source: int, target: int, name: str, status: os.stat_result, top: int, path: str) -> None:
        try:
            os.mkdir(name, 0o755, dir_fd=target)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(name, dir_fd=target, follow_symlinks=False).st_mode):
                raise InvalidInput(f"cannot copy to non-directory: {path}") from None
        inner, made = os.open(name, _DIRECTORY, dir_fd=source), os.open(name, _DIRECTORY, dir_fd=target)
        try:
            self._children(inner, made, top, path)
            os.fchown(made, *self._owner_of(status))
            os.fchmod(made, self._mode_of(status))
            os.utime(made, ns=_times(status))
        finally:
            os.close(inner)
            os.close(made)

    def _file_or_link(self, source: int, target: int, name: str, status: os.stat_result, top: int, path: str) -> None:
        known = self._links.get((status.st_dev, status.st_ino)) if status.st_nlink > 1 else None
        if known is not None:
            os.link(known[1], name, src_dir_fd=top, dst_dir_fd=target, follow_symlinks=False)
            return
        self._file(name, status, target, name, source)
        if status.st_nlink > 1:
            self._links[status.st_dev, status.st_ino] = (top, path)

    def _file(self, source: str, status: os.stat_result, folder: int, name: str, parent: int | None = None) -> None:
        reading = os.O_RDONLY | os.O_CLOEXEC | (os.O_NOFOLLOW if parent is not None else 0)
        handle = os.open(source, reading, dir_fd=parent)
        try:
            made = os.open(name, _NEW, 0o600, dir_fd=folder)
            try:
                while os.sendfile(made, handle, None, _PIECE):
                    pass
                os.fchown(made, *self._owner_of(status))
                os.fchmod(made, self._mode_of(status))
                _copy_capability(handle, made)
                os.utime(made, ns=_times(status))
            finally:
                os.close(made)
        finally:
            os.close(handle)

    def _owner_of(self, status: os.stat_result) -> Owner:
        return self._owner or (status.st_uid, status.st_gid)

    def _mode_of(self, status: os.stat_result) -> int:
        return stat.S_IMODE(status.st_mode) if self._mode is None else self._mode


def _times(status: os.stat_result) -> tuple[int, int]:
    return status.st_mtime_ns, status.st_mtime_ns


def _copy_capability(source: int, target: int) -> None:
    """setcap(8)'s: the one extended attribute that makes a program another."""
    if "security.capability" in os.listxattr(source):
        os.setxattr(target, "security.capability", os.getxattr(source, "security.capability"))


def _remove(folder: int, name: str) -> None:
    """Make room for a file. A directory does not give way."""
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return
    except IsADirectoryError:
        raise InvalidInput(f"cannot overwrite directory {name} with a file") from None
