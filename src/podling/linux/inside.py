"""Paths inside a foreign root, by openat2(2): no symlink, ".." or magic link leads out of it, whoever changes the tree.

Source: openat2(2), Linux 5.6.
"""

import os
import stat
import struct
from pathlib import Path

from podling.linux.libc import syscall

_SYS_OPENAT2 = 437
_AT_FDCWD = -100
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_IN_ROOT = 0x10


def open_inside(root: str | Path | int, path: str, flags: int = os.O_RDONLY, mode: int = 0) -> int:
    """Open `path` as a process whose root directory is `root` (a path or a directory's descriptor) would. The caller closes it.

    Raises OSError with errno and the path.
    """
    if not isinstance(root, int):
        top = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return open_inside(top, path, flags, mode)
        finally:
            os.close(top)
    how = struct.pack("=QQQ", flags | os.O_CLOEXEC, mode, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
    return syscall(_SYS_OPENAT2, root, os.fsencode(path.lstrip("/") or "."), how, len(how), about=path)


def read_inside(root: str | Path | int, path: str, limit: int = 1 << 20) -> bytes:
    """At most `limit` bytes of a regular file; b"" where there is none."""
    try:
        fd = open_inside(root, path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        return os.read(fd, limit) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    finally:
        os.close(fd)


def make_directories_inside(root: str | Path, path: str, mode: int = 0o755) -> int:
    """The directory `path`, made with its parents where they lack; its descriptor, which the caller closes."""
    current = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    top = os.dup(current)
    reached = ""
    try:
        for name in (part for part in os.path.normpath("/" + path).split("/") if part):
            reached = f"{reached}/{name}"
            try:
                following = open_inside(top, reached, os.O_PATH | os.O_DIRECTORY)
            except FileNotFoundError:
                os.mkdir(name, mode, dir_fd=current)
                following = open_inside(top, reached, os.O_PATH | os.O_DIRECTORY)
            os.close(current)
            current = following
    except BaseException:
        os.close(current)
        raise
    finally:
        os.close(top)
    return current
