"""Mounts: mount(2), umount2(2), the mount API of Linux 5.2 for overlay, and /proc/thread-self/mountinfo.

Calls are synchronous; each takes well below a millisecond. Errors are OSError with errno and the paths in `filename`.
"""

import contextlib
import ctypes
import errno
import os
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from podling.linux.libc import (
    SYS_FSCONFIG,
    SYS_FSMOUNT,
    SYS_FSOPEN,
    SYS_MOUNT_SETATTR,
    SYS_MOVE_MOUNT,
    SYS_OPEN_TREE,
    function,
    syscall,
)

AnyPath = str | Path

# linux/mount.h
MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_SYNCHRONOUS = 0x10
MS_REMOUNT = 0x20
MS_DIRSYNC = 0x80
MS_NOATIME = 0x400
MS_NODIRATIME = 0x800
MS_BIND = 0x1000
MS_MOVE = 0x2000
MS_REC = 0x4000
MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MS_RELATIME = 1 << 21
MS_STRICTATIME = 1 << 24

MNT_DETACH = 0x2
UMOUNT_NOFOLLOW = 0x8

_FSOPEN_CLOEXEC = 0x1
_FSCONFIG_SET_FLAG = 0
_FSCONFIG_SET_STRING = 1
_FSCONFIG_CMD_CREATE = 6
_FSMOUNT_CLOEXEC = 0x1
_MOVE_MOUNT_F_EMPTY_PATH = 0x4
_OPEN_TREE_CLONE = 0x1
_OPEN_TREE_CLOEXEC = os.O_CLOEXEC
_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_AT_SYMLINK_NOFOLLOW = 0x100
_MOUNT_ATTR_RDONLY = 0x1
_STATX_ATTR_MOUNT_ROOT = 0x2000
_STATX_ATTRIBUTES_AT = 8  # offset of stx_attributes in struct statx

_FSCONFIG_STRING = 255  # fsconfig(2) takes no longer string
_OPTION_PAGE = 4095  # mount(2) takes no longer options
_UNBOUNDED = 1 << 20

PROPAGATION = {
    "private": MS_PRIVATE,
    "rprivate": MS_PRIVATE | MS_REC,
    "slave": MS_SLAVE,
    "rslave": MS_SLAVE | MS_REC,
    "shared": MS_SHARED,
    "rshared": MS_SHARED | MS_REC,
    "unbindable": MS_UNBINDABLE,
}

_mount = function("mount", ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
_umount2 = function("umount2", ctypes.c_char_p, ctypes.c_int)
_statx = function("statx", ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_char_p)


def mount(source: AnyPath, target: AnyPath, fstype: str = "", flags: int = 0, options: str = "") -> None:
    """mount(2). Raises OSError with "source on target"."""
    _mount(
        os.fsencode(source),
        os.fsencode(target),
        fstype.encode() or None,
        flags,
        options.encode() or None,
        about=f"{source} on {target}",
    )


def umount(target: AnyPath, *, detach: bool = False) -> None:
    """Unmount the topmost mount at `target`; `detach` takes the tree away now and frees it when unused."""
    _umount2(os.fsencode(target), UMOUNT_NOFOLLOW | (MNT_DETACH if detach else 0), about=str(target))


def unmount_if_mounted(target: AnyPath) -> None:
    """Take away whatever is mounted at `target`, as often as something is; nothing if nothing is, or if it is missing."""
    while True:
        try:
            umount(target, detach=True)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOENT):
                return
            raise


def bind(source: AnyPath, target: AnyPath, *, recursive: bool = False, readonly: bool = False) -> None:
    """Show `source` at `target` too. `readonly` covers with `recursive` the mounts below as well (Linux 5.12)."""
    mount(source, target, flags=MS_BIND | (MS_REC if recursive else 0))
    if readonly:
        try:
            set_readonly(target, recursive=recursive)
        except OSError:
            umount(target, detach=True)
            raise


def set_readonly(target: AnyPath, *, recursive: bool = False) -> None:
    """Make the mount at `target` read-only, by mount_setattr(2); its other flags stay."""
    attributes = struct.pack("=QQQQ", _MOUNT_ATTR_RDONLY, 0, 0, 0)
    flags = _AT_SYMLINK_NOFOLLOW | (_AT_RECURSIVE if recursive else 0)
    try:
        syscall(SYS_MOUNT_SETATTR, _AT_FDCWD, os.fsencode(target), flags, attributes, len(attributes), about=str(target))
    except OSError as error:
        if error.errno != errno.ENOSYS or recursive:
            raise
        mount("none", target, flags=MS_BIND | MS_REMOUNT | MS_RDONLY)


def tmpfs(target: AnyPath, options: str = "", flags: int = MS_NOSUID | MS_NODEV, source: str = "tmpfs") -> None:
    """Mount an empty tmpfs; `options` as in tmpfs(5), for example "size=64m,mode=1777"."""
    mount(source, target, "tmpfs", flags, options)


def set_propagation(target: AnyPath, mode: str) -> None:
    """Set the propagation of the mount at `target`; `mode` is a key of PROPAGATION."""
    mount("none", target, flags=PROPAGATION[mode])


def share(place: AnyPath) -> None:
    """Make mounts below `place` come and go in the mount namespaces of processes that were started from here too.

    Where container runtimes are started in mount namespaces of their own, these hold copies of all mounts; without this what is
    unmounted here would live on there.
    """
    if not is_mountpoint(place):
        bind(place, place)
    set_propagation(place, "shared")


def is_mountpoint(path: AnyPath) -> bool:
    """Whether a mount has its root at `path`; sees bind mounts too. False where there is no such path."""
    buffer = ctypes.create_string_buffer(256)
    try:
        _statx(_AT_FDCWD, os.fsencode(path), _AT_SYMLINK_NOFOLLOW, 0, buffer, about=str(path))
    except FileNotFoundError:
        return False
    attributes: int = struct.unpack_from("=Q", buffer.raw, _STATX_ATTRIBUTES_AT)[0]
    return bool(attributes & _STATX_ATTR_MOUNT_ROOT)


def overlay(
    target: AnyPath,
    lower: Sequence[AnyPath],
    upper: AnyPath | None = None,
    work: AnyPath | None = None,
    options: Sequence[str] = (),
) -> None:
    """Mount `lower` (uppermost first) below a writable `upper` at `target`; without `upper` read-only (two layers at least).

    Uses fsopen(2) with one lowerdir+ per layer, so that the number of layers isn't bounded by a page (Linux 6.5);
    before that, one option string. `options` are further ones of overlayfs, "key=value" or a flag. Raises OSError with the
    kernel's errno, the target, and the kernel's own words where it has some.
    """
    try:
        _overlay_by_fsopen(target, lower, upper, work, options)
    except _NoLayerOption:
        _overlay_by_options(target, lower, upper, work, options)


class _NoLayerOption(Exception):
    """The kernel does not know fsopen(2) or lowerdir+."""


def _overlay_by_fsopen(
    target: AnyPath, lower: Sequence[AnyPath], upper: AnyPath | None, work: AnyPath | None, options: Sequence[str]
) -> None:
    about = f"overlay on {target}"
    with contextlib.ExitStack() as stack:
        try:
            context = syscall(SYS_FSOPEN, b"overlay", _FSOPEN_CLOEXEC, about=about)
        except OSError as error:
            if error.errno == errno.ENOSYS:
                raise _NoLayerOption from error
            raise
        stack.callback(os.close, context)
        try:
            _set(context, "source", "overlay", about)
            for number, layer in enumerate(lower):
                _set_layer(context, _short_path(layer, stack, _FSCONFIG_STRING), f"{layer} in {about}", first=number == 0)
            if upper is not None and work is not None:
                _set(context, "upperdir", _short_path(upper, stack, _FSCONFIG_STRING), f"{upper} in {about}")
                _set(context, "workdir", _short_path(work, stack, _FSCONFIG_STRING), f"{work} in {about}")
            for option in options:
                key, equals, value = option.partition("=")
                _set(context, key, value if equals else None, f"{option} in {about}")
            _create(context, about)
            mounted = syscall(SYS_FSMOUNT, context, _FSMOUNT_CLOEXEC, 0, about=about)
        except OSError as error:
            raise _with_kernel_words(error, context) from None
        stack.callback(os.close, mounted)
        move(mounted, target)


def _create(context: int, about: str) -> None:
    try:
        syscall(SYS_FSCONFIG, context, _FSCONFIG_CMD_CREATE, None, None, 0, about=about)
    except OSError as error:
        told = _with_kernel_words(error, context)
        # Before Linux 6.5 an unknown parameter is refused only here, and without words.
        if error.errno == errno.EINVAL and told is error:
            raise _NoLayerOption from error
        raise told from None


def _set(context: int, key: str, value: str | None, about: str) -> None:
    if value is None:
        syscall(SYS_FSCONFIG, context, _FSCONFIG_SET_FLAG, key.encode(), None, 0, about=about)
    else:
        syscall(SYS_FSCONFIG, context, _FSCONFIG_SET_STRING, key.encode(), os.fsencode(value), 0, about=about)


def _set_layer(context: int, layer: str, about: str, *, first: bool) -> None:
    try:
        _set(context, "lowerdir+", layer, about)
    except OSError as error:
        # An unknown parameter is EINVAL with these words; a bad layer has others.
        if first and error.errno == errno.EINVAL and "nknown parameter" in _kernel_words(context):
            raise _NoLayerOption from error
        raise


def _kernel_words(context: int) -> str:
    """What the kernel logged to the file system context, "e overlay: ..." a message; reading takes it away."""
    words = []
    with contextlib.suppress(OSError):
        while message := os.read(context, 4096):
            words.append(message.decode(errors="replace").strip()[2:])
    return "; ".join(words)


def _with_kernel_words(error: OSError, context: int) -> OSError:
    words = _kernel_words(context)
    return OSError(error.errno, f"{error.strerror} ({words})", error.filename) if words else error


def _overlay_by_options(
    target: AnyPath, lower: Sequence[AnyPath], upper: AnyPath | None, work: AnyPath | None, options: Sequence[str]
) -> None:
    with contextlib.ExitStack() as stack:
        data = _option_string(*_short_paths(lower, upper, work, stack, _UNBOUNDED), options)
        if len(os.fsencode(data)) > _OPTION_PAGE:
            data = _option_string(*_short_paths(lower, upper, work, stack, 0), options)
        mount("overlay", target, "overlay", options=data)


def _short_paths(
    lower: Sequence[AnyPath], upper: AnyPath | None, work: AnyPath | None, stack: contextlib.ExitStack, limit: int
) -> tuple[list[str], str | None, str | None]:
    def short(path: AnyPath | None) -> str | None:
        return None if path is None else _short_path(path, stack, limit)

    return [_short_path(layer, stack, limit) for layer in lower], short(upper), short(work)


def _option_string(lower: Sequence[str], upper: str | None, work: str | None, options: Sequence[str]) -> str:
    parts = ["lowerdir=" + ":".join(_escape(layer) for layer in lower)]
    if upper and work:
        parts += [f"upperdir={_escape(upper)}", f"workdir={_escape(work)}"]
    return ",".join([*parts, *options])


def _escape(path: str) -> str:
    return re.sub(r"([\\:,])", r"\\\1", path)


def _short_path(path: AnyPath, stack: contextlib.ExitStack, limit: int) -> str:
    """`path`, or where it is longer than `limit` bytes a short name of it that holds as long as `stack`."""
    if len(os.fsencode(path)) <= limit:
        return str(path)
    held = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    stack.callback(os.close, held)
    return f"/proc/self/fd/{held}"


def open_tree(path: AnyPath, *, clone: bool = True, recursive: bool = False) -> int:
    """A descriptor of the mount at `path`; with `clone` a detached copy, to be placed by `move`. The caller closes it."""
    flags = _OPEN_TREE_CLOEXEC | (_OPEN_TREE_CLONE if clone else 0) | (_AT_RECURSIVE if recursive else 0)
    return syscall(SYS_OPEN_TREE, _AT_FDCWD, os.fsencode(path), flags, about=str(path))


def move(mounted: int, target: AnyPath) -> None:
    """Attach the mount behind the descriptor `mounted` at `target` (move_mount(2))."""
    syscall(SYS_MOVE_MOUNT, mounted, b"", _AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH, about=str(target))


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of /proc/[pid]/mountinfo. Source: proc_pid_mountinfo(5)."""

    id: int
    parent: int
    device: str  # "major:minor"
    root: str  # the directory of the file system that is seen at `target`
    target: str
    options: str
    propagation: tuple[str, ...]  # "shared:1", "master:2", ...
    fstype: str
    source: str
    super_options: str


def mounts(mountinfo: AnyPath = "/proc/thread-self/mountinfo") -> list[Mount]:
    """All mounts of the calling thread's mount namespace (or of another's mountinfo file), in mount order."""
    with open(mountinfo, encoding="utf-8", errors="surrogateescape") as lines:
        return [parse_mountinfo(line) for line in lines]


def mounts_below(path: AnyPath) -> list[Mount]:
    """The mounts at `path` and under it, in mount order (unmount them in reverse)."""
    root = os.path.normpath(path)
    return [m for m in mounts() if m.target == root or m.target.startswith(root.rstrip("/") + "/")]


def parse_mountinfo(line: str) -> Mount:
    """One line of mountinfo; raises ValueError for anything else."""
    left, separator, right = line.rstrip("\n").partition(" - ")
    fields = left.split(" ")
    if not separator or len(fields) < 6:
        raise ValueError(f"not a line of mountinfo: {line!r}")
    fstype, source, super_options = [*right.split(" ", 2), "", ""][:3]
    return Mount(
        int(fields[0]),
        int(fields[1]),
        fields[2],
        _unescape(fields[3]),
        _unescape(fields[4]),
        fields[5],
        tuple(fields[6:]),
        fstype,
        _unescape(source),
        super_options,
    )


def _unescape(text: str) -> str:
    """Undo the octal escapes for space, tab, newline, backslash and hash."""
    return re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), text) if "\\" in text else text
