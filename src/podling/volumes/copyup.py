"""What an image has where an empty volume is mounted becomes the volume's first content, with owner, mode and attributes."""

import os
import shutil
from pathlib import Path

from podling.linux.inside import open_inside


def fill(volume: Path, root: Path, target: str) -> None:
    """Copy the directory `target` of the tree `root` into `volume` if that is empty; nothing where there is none."""
    if any(volume.iterdir()):
        return
    try:
        source = open_inside(root, target, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        _copy_directory(source, os.fspath(volume))
    finally:
        os.close(source)


def _copy_directory(source: int, target: str) -> None:
    """By descriptor: what is copied can't be replaced by a link that leads elsewhere."""
    with os.scandir(source) as entries:
        for entry in entries:
            _copy_entry(source, entry, os.path.join(target, entry.name))
    _copy_attributes(f"/proc/self/fd/{source}", target, follow=True)


def _copy_entry(parent: int, entry: "os.DirEntry[str]", target: str) -> None:
    if entry.is_symlink():
        os.symlink(os.readlink(entry.name, dir_fd=parent), target)
        status = entry.stat(follow_symlinks=False)
        os.chown(target, status.st_uid, status.st_gid, follow_symlinks=False)
    elif entry.is_dir():
        os.mkdir(target)
        inner = os.open(entry.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            _copy_directory(inner, target)
        finally:
            os.close(inner)
    elif entry.is_file(follow_symlinks=False):
        _copy_file(parent, entry.name, target)
    else:
        status = entry.stat(follow_symlinks=False)
        os.mknod(target, status.st_mode, status.st_rdev)
        os.chown(target, status.st_uid, status.st_gid)


def _copy_file(parent: int, name: str, target: str) -> None:
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    with os.fdopen(fd, "rb") as source, open(target, "xb") as copy:
        shutil.copyfileobj(source, copy)
        _copy_attributes(f"/proc/self/fd/{fd}", target, follow=True)


def _copy_attributes(source: str, target: str, *, follow: bool) -> None:
    status = os.stat(source, follow_symlinks=follow)
    os.chown(target, status.st_uid, status.st_gid)
    shutil.copystat(source, target)
