"""Namespaces: made persistent by a bind mount, entered by threads that are used once.

Source: namespaces(7), unshare(2), setns(2).
"""

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from podling.linux.libc import function
from podling.linux.mount import bind, set_propagation, unmount_if_mounted
from podling.linux.thread import in_fresh_thread, run_in_fresh_thread

T = TypeVar("T")
Namespace = str | Path | int  # a path like /run/netns/x or /proc/1/ns/net, or an open descriptor

CLONE_FS = 0x00000200
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

KINDS = {
    "net": CLONE_NEWNET,
    "uts": CLONE_NEWUTS,
    "ipc": CLONE_NEWIPC,
    "mnt": CLONE_NEWNS,
    "cgroup": CLONE_NEWCGROUP,
    "pid": CLONE_NEWPID,
    "user": CLONE_NEWUSER,
}
PERSISTENT = ("net", "uts", "ipc")

_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1

_unshare = function("unshare", ctypes.c_int)
_setns = function("setns", ctypes.c_int, ctypes.c_int)


def unshare(flags: int) -> None:
    """unshare(2) for the calling thread. Only in a thread that ends afterwards."""
    _unshare(flags, about=f"unshare(0x{flags:x})")


def enter(namespace: Namespace, kind: str = "net") -> None:
    """setns(2) for the calling thread. Only in a thread that ends afterwards."""
    if isinstance(namespace, int):
        _setns(namespace, KINDS[kind], about=f"namespace behind descriptor {namespace}")
        return
    descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _setns(descriptor, KINDS[kind], about=str(namespace))
    finally:
        os.close(descriptor)


def create(paths: Mapping[str, str | Path], prepare: Callable[[], object] | None = None) -> None:
    """Make new namespaces and keep each at its path, {"net": path, "uts": path, "ipc": path}, until `remove`.

    `prepare` runs inside them, for example `loopback_up`. Leaves nothing behind when it fails. Raises OSError;
    FileExistsError where a path is taken.
    """

    def make() -> None:
        flags = 0
        for kind in paths:
            flags |= KINDS[kind]
        unshare(flags)
        if prepare is not None:
            prepare()
        made: list[str | Path] = []
        try:
            for kind, path in paths.items():
                os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444))
                made.append(path)
                bind(f"/proc/thread-self/ns/{kind}", path)
        except OSError:
            for path in made:
                remove(path)
            raise

    run_in_fresh_thread(make)


def remove(path: str | Path) -> None:
    """Let go of the namespace kept at `path`: the kernel frees it when nobody is inside. Nothing if it is gone."""
    unmount_if_mounted(path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def run_in(namespace: Namespace, work: Callable[[], T], kind: str = "net") -> T:
    """Run `work` in a thread inside `namespace` and give its result. A socket it opens stays in there wherever it is used."""

    def inside() -> T:
        enter(namespace, kind)
        return work()

    return run_in_fresh_thread(inside)


async def in_namespace(namespace: Namespace, work: Callable[[], T], kind: str = "net") -> T:
    """As `run_in`, without blocking the event loop; for work that may wait."""

    def inside() -> T:
        enter(namespace, kind)
        return work()

    return await in_fresh_thread(inside)


def private_mounts() -> None:
    """Give the calling thread a mount namespace of its own: mounts of the host still arrive, its own don't leave.

    Only in a thread that ends afterwards; made for `process.spawn(prepare=...)`.
    """
    unshare(CLONE_FS | CLONE_NEWNS)
    set_propagation("/", "rslave")


def in_private_mounts(work: Callable[[], T]) -> T:
    """Run `work` in a thread with a mount namespace of its own, and give its result."""

    def inside() -> T:
        private_mounts()
        return work()

    return run_in_fresh_thread(inside)


def loopback_up() -> None:
    """Bring `lo` up in the calling thread's network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh22x", b"lo", 0)
        flags = struct.unpack_from("h", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request), 16)[0]
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | _IFF_UP))


def identity(namespace: Namespace) -> tuple[int, int]:
    """Device and inode: two names of one namespace give the same."""
    status = os.fstat(namespace) if isinstance(namespace, int) else os.stat(namespace)
    return status.st_dev, status.st_ino
