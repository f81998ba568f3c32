"""Writing a tree, or the changes of a layer, as a tar stream: the same bytes for the same tree. Imported by workers.

Entries come in the order of names, parents first; times are whole seconds, as in Docker's layers; a hard link refers to the
first of its names. Source: POSIX pax; OCI image-spec, layer.md, "Whiteouts".
"""

import os
import stat
from collections.abc import Iterable

from podling.snapshots import tar
from podling.snapshots.extract import OPAQUE, WHITEOUT

_FLUSH = 1 << 18
_OCTAL_7, _OCTAL_11 = 0o7777777, 0o77777777777  # the largest numbers of the short and long fields
_KINDS = {
    stat.S_IFREG: tar.REGULAR,
    stat.S_IFDIR: tar.DIRECTORY,
    stat.S_IFLNK: tar.SYMLINK,
    stat.S_IFCHR: tar.CHARACTER,
    stat.S_IFBLK: tar.BLOCK_DEVICE,
    stat.S_IFIFO: tar.FIFO,
}


class Packer:
    """Writes to the descriptor `out`. Call `finish` at the end."""

    def __init__(self, out: int) -> None:
        self._out = out
        self._pending: list[bytes] = []
        self._size = 0
        self._links: dict[tuple[int, int], bytes] = {}

    def add(self, path: bytes, name: bytes) -> os.stat_result:
        """One file, directory or node under `name`; sockets are left out, as by every tar. Gives its status."""
        status = os.lstat(path)
        kind = _KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            return status
        member = _member(kind, name, status)
        if kind == tar.SYMLINK:
            member.link = os.readlink(path)
        elif kind == tar.REGULAR:
            if status.st_nlink > 1 and (first := self._links.setdefault((status.st_dev, status.st_ino), name)) != name:
                member.kind, member.link, member.size = tar.LINK, first, 0
            else:
                self._add_file(path, member)
                return status
        member.xattrs = _xattrs(path)
        self._write(encode(member))
        return status

    def _add_file(self, path: bytes, member: tar.Member) -> None:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            member.size = os.fstat(handle).st_size
            member.xattrs = _xattrs(handle)
            self._write(encode(member))
            self._copy(handle, member.size)
        finally:
            os.close(handle)
        self._write(bytes(-member.size % tar.BLOCK))

    def _copy(self, handle: int, size: int) -> None:
        """`size` bytes of a file, with zeros for what it has lost since it was measured."""
        position = 0
        if size > _FLUSH:
            self._flush()
            while position < size and (sent := os.sendfile(self._out, handle, position, size - position)):
                position += sent
        while position < size:
            piece = os.pread(handle, min(size - position, _FLUSH), position) or bytes(min(size - position, _FLUSH))
            self._write(piece)
            position += len(piece)

    def add_tree(self, path: bytes, name: bytes) -> None:
        """`path` and all below it, under `name`; an empty name makes `path` the archive's root."""
        pending = [(path, name)]
        while pending:
            path, name = pending.pop()
            if stat.S_ISDIR(self.add(path, name).st_mode):
                children = sorted(os.listdir(path), reverse=True)
                pending += [(os.path.join(path, child), os.path.join(name, child)) for child in children]

    def whiteout(self, name: bytes) -> None:
        """Say that `name` of the layers below is gone."""
        directory, slash, base = name.rpartition(b"/")
        self._write(encode(_marker(directory + slash + WHITEOUT + base)))

    def hide(self, name: bytes) -> None:
        """Say that nothing of the directory `name` in the layers below is to be seen."""
        self._write(encode(_marker(name + b"/" + OPAQUE)))

    def finish(self) -> None:
        self._write(bytes(2 * tar.BLOCK))
        self._flush()

    def _write(self, data: bytes) -> None:
        self._pending.append(data)
        self._size += len(data)
        if self._size >= _FLUSH:
            self._flush()

    def _flush(self) -> None:
        rest = memoryview(b"".join(self._pending))
        self._pending, self._size = [], 0
        while rest:
            rest = rest[os.write(self._out, rest) :]


def _member(kind: bytes, name: bytes, status: os.stat_result) -> tar.Member:
    member = tar.Member(kind, os.path.join(name or b".", b"") if kind == tar.DIRECTORY else name)
    member.mode = stat.S_IMODE(status.st_mode)
    member.uid, member.gid = status.st_uid, status.st_gid
    member.mtime = int(status.st_mtime) * 1_000_000_000
    if kind in (tar.CHARACTER, tar.BLOCK_DEVICE):
        member.major, member.minor = os.major(status.st_rdev), os.minor(status.st_rdev)
    return member


def _marker(name: bytes) -> tar.Member:
    member = tar.Member(tar.REGULAR, name)
    member.mode = 0
    return member


def _xattrs(path: int | bytes) -> dict[bytes, bytes]:
    """Those that belong into an archive: capabilities and the user's own, not what the kernel and this host keep there."""
    try:
        names = os.listxattr(path) if isinstance(path, int) else os.listxattr(path, follow_symlinks=False)
    except OSError:
        return {}
    wanted = [name for name in names if name == "security.capability" or name.startswith("user.")]
    if isinstance(path, int):
        return {os.fsencode(name): os.getxattr(path, name) for name in sorted(wanted)}
    return {os.fsencode(name): os.getxattr(path, name, follow_symlinks=False) for name in sorted(wanted)}


def encode(member: tar.Member) -> bytes:
    """The header of a member: ustar, with a PAX header before it where that is too narrow."""
    records = {tar.XATTR + name: value for name, value in member.xattrs.items()}
    if len(member.name) > 100 or not member.name.isascii():
        records[b"path"] = member.name
    if len(member.link) > 100 or not member.link.isascii():
        records[b"linkpath"] = member.link
    for key, value, limit in (
        (b"uid", member.uid, _OCTAL_7),
        (b"gid", member.gid, _OCTAL_7),
        (b"size", member.size, _OCTAL_11),
    ):
        if value > limit:
            records[key] = b"%d" % value
    header = _header(member)
    if not records:
        return header
    body = b"".join(_record(key, value) for key, value in sorted(records.items()))
    extended = tar.Member(b"x", b"PaxHeaders/" + member.name[:80])
    extended.size = len(body)
    return _header(extended) + body + bytes(-len(body) % tar.BLOCK) + header


def _record(key: bytes, value: bytes) -> bytes:
    """`length key=value` and a newline, where the length counts itself."""
    length = len(key) + len(value) + 3
    total = length + len(str(length))
    if len(str(total)) > len(str(length)):
        total += 1
    return b"%d %b=%b\n" % (total, key, value)


def _header(member: tar.Member) -> bytes:
    seconds = max(member.mtime // 1_000_000_000, 0)
    block = bytearray(
        tar.HEADER.pack(
            member.name[:100],
            b"%07o\0" % member.mode,
            b"%07o\0" % min(member.uid, _OCTAL_7),
            b"%07o\0" % min(member.gid, _OCTAL_7),
            b"%011o\0" % min(member.size, _OCTAL_11),
            b"%011o\0" % min(seconds, _OCTAL_11),
            b" " * 8,
            member.kind,
            member.link[:100],
            b"ustar\x0000",
            b"",
            b"",
            b"%07o\0" % member.major,
            b"%07o\0" % member.minor,
            b"",
            b"",
        )
    )
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def pack_trees(out: int, trees: Iterable[tuple[bytes, bytes]]) -> None:
    """Each (path, name in the archive) with all below it."""
    packer = Packer(out)
    for path, name in trees:
        packer.add_tree(path, name)
    packer.finish()
