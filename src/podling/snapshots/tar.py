"""Reading of tar streams: ustar, PAX and GNU headers, sparse files, extended attributes.

Source: POSIX pax, "ustar Interchange Format" and "pax Extended Header"; the GNU tar manual, "Sparse Formats". Names are bytes,
as the kernel takes them. This module is imported by short-lived workers: nothing but the fast-loading part of the library.
"""

import struct
from collections.abc import Callable, Iterator

from podling.base.errors import InvalidInput

BLOCK = 512
REGULAR, LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
XATTR = b"SCHILY.xattr."
_REGULAR_KINDS = {b"0", b"\0", b"7", b"S"}
_WITHOUT_DATA = {LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO}
HEADER = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s8s8s155s12s")
_ZERO = bytes(BLOCK)
_HEADER_LIMIT = 1 << 20  # bytes of one extended header; Linux paths and attributes fit in far less
_SPARSE_LIMIT = 1 << 20  # extents of one file


class Member:
    """One entry. `kind` is its type flag, `size` the bytes of data that follow, `length` the file's length, `mtime` in
    nanoseconds since the epoch; `extents` are (offset, bytes) of a sparse file, None for others."""

    __slots__ = ("extents", "gid", "kind", "length", "link", "major", "minor", "mode", "mtime", "name", "size", "uid", "xattrs")

    def __init__(self, kind: bytes, name: bytes) -> None:
        self.kind = kind
        self.name = name
        self.link = b""
        self.mode = 0o644
        self.uid = self.gid = self.size = self.length = self.mtime = self.major = self.minor = 0
        self.xattrs: dict[bytes, bytes] = {}
        self.extents: list[tuple[int, int]] | None = None


class Buffer:
    """A byte stream that arrives in pieces of any length, handed out in pieces as asked."""

    def __init__(self, read: Callable[[], bytes]) -> None:
        self._read = read
        self._piece = memoryview(b"")
        self._position = 0

    def take(self, size: int) -> bytes:
        """Exactly `size` bytes, or fewer at the end of the stream."""
        end = self._position + size
        if end <= len(self._piece):
            data = bytes(self._piece[self._position : end])
            self._position = end
            return data
        return b"".join(self.pieces(size, strict=False))

    def pieces(self, size: int, *, strict: bool = True) -> Iterator[memoryview]:
        """`size` bytes in pieces without copying. Raises InvalidInput when the stream ends before (if `strict`)."""
        while size:
            if self._position == len(self._piece):
                self._piece, self._position = memoryview(self._read()), 0
                if not self._piece:
                    if strict:
                        raise InvalidInput("unexpected EOF")
                    return
            piece = self._piece[self._position : self._position + size]
            self._position += len(piece)
            size -= len(piece)
            yield piece

    def skip(self, size: int) -> None:
        for _ in self.pieces(size):
            pass

    def drain(self) -> None:
        """Read to the end of the stream."""
        while self._read():
            pass


class Reader:
    """The members of a tar stream, in order. The data of one must be read (`data`) or is skipped before the next."""

    def __init__(self, buffer: Buffer) -> None:
        self._buffer = buffer
        self._globals: dict[bytes, bytes] = {}
        self._unread = 0

    def __iter__(self) -> Iterator[Member]:
        while (member := self._next()) is not None:
            yield member

    def data(self, member: Member) -> Iterator[memoryview]:
        """The bytes that are stored for a member, in pieces; of a sparse file its extents one after the other."""
        self._unread = -member.size % BLOCK
        return self._buffer.pieces(member.size)

    def _next(self) -> Member | None:
        extended: dict[bytes, bytes] = {}
        long_name = long_link = b""
        while True:
            self._buffer.skip(self._unread)
            self._unread = 0
            block = self._buffer.take(BLOCK)
            if not block or block == _ZERO:
                return None
            member = _parse(block)
            padded = member.size + -member.size % BLOCK
            if member.kind in (b"x", b"X"):
                extended = _records(self._document(member))
            elif member.kind == b"g":
                self._globals.update(_records(self._document(member)))
            elif member.kind == b"L":
                long_name = self._document(member).rstrip(b"\0")
            elif member.kind == b"K":
                long_link = self._document(member).rstrip(b"\0")
            else:
                break
        member.name = long_name or member.name
        member.link = long_link or member.link
        if self._globals or extended:
            _extend(member, {**self._globals, **extended})
            padded = member.size + -member.size % BLOCK
        self._unread = padded
        self._normalise(member, block, extended)
        return member

    def _document(self, member: Member) -> bytes:
        if member.size > _HEADER_LIMIT:
            raise InvalidInput("archive/tar: header field too long")
        data = self._buffer.take(member.size)
        if len(data) < member.size:
            raise InvalidInput("unexpected EOF")
        self._buffer.skip(-member.size % BLOCK)
        return data

    def _normalise(self, member: Member, block: bytes, extended: dict[bytes, bytes]) -> None:
        """Fold old type flags into the current ones, and read the map of a sparse file."""
        old_sparse = member.kind == b"S"
        if member.kind in _REGULAR_KINDS:
            member.kind = DIRECTORY if member.name.endswith(b"/") and not member.size else REGULAR
        if member.kind in _WITHOUT_DATA:
            member.size = self._unread = 0
        member.length = member.size
        if old_sparse:
            self._old_sparse(member, block)
        elif b"GNU.sparse.major" in extended or b"GNU.sparse.map" in extended or b"GNU.sparse.size" in extended:
            self._pax_sparse(member, extended)

    def _old_sparse(self, member: Member, block: bytes) -> None:
        fields, more = block[386:482], block[482]
        member.length = _number(block[483:495])
        extents = _extent_fields(fields)
        while more and len(extents) < _SPARSE_LIMIT:
            block = self._buffer.take(BLOCK)
            if len(block) < BLOCK:
                raise InvalidInput("unexpected EOF")
            extents += _extent_fields(block[:504])
            more = block[504]
        member.extents = _checked(extents, member)

    def _pax_sparse(self, member: Member, extended: dict[bytes, bytes]) -> None:
        member.name = extended.get(b"GNU.sparse.name", member.name)
        member.length = _decimal(extended.get(b"GNU.sparse.realsize") or extended.get(b"GNU.sparse.size") or b"0")
        if extended.get(b"GNU.sparse.major") == b"1":
            numbers = self._sparse_map(member)
        else:
            numbers = [_decimal(part) for part in extended.get(b"GNU.sparse.map", b"").split(b",") if part]
        member.extents = _checked(list(zip(numbers[::2], numbers[1::2], strict=False)), member)

    def _sparse_map(self, member: Member) -> list[int]:
        """The map in front of the data (format 1.0): a count, then offsets and sizes, a line each, padded to a block."""
        text, wanted = b"", 1
        lines: list[bytes] = []
        while len(lines) < wanted:
            block = self._buffer.take(BLOCK)
            if len(block) < BLOCK or member.size < BLOCK:
                raise InvalidInput("archive/tar: invalid tar header")
            member.size -= BLOCK
            self._unread -= BLOCK
            text += block
            lines = text.split(b"\n")[:-1]
            if lines:
                wanted = 1 + 2 * _decimal(lines[0])
            if wanted > 2 * _SPARSE_LIMIT:
                raise InvalidInput("archive/tar: invalid tar header")
        return [_decimal(line) for line in lines[1:wanted]]


def _parse(block: bytes) -> Member:
    if len(block) < BLOCK:
        raise InvalidInput("unexpected EOF")
    name, mode, uid, gid, size, mtime, checksum, kind, link, magic, _, _, major, minor, prefix, _ = HEADER.unpack(block)
    if sum(block) - sum(checksum) + 8 * 32 != _number(checksum):
        raise InvalidInput("archive/tar: invalid tar header")
    member = Member(kind, name.partition(b"\0")[0])
    if magic == b"ustar\x0000" and prefix[0]:
        member.name = prefix.partition(b"\0")[0] + b"/" + member.name
    member.link = link.partition(b"\0")[0]
    member.mode = _number(mode) & 0o7777
    member.uid, member.gid, member.size = _number(uid), _number(gid), _number(size)
    member.mtime = _number(mtime) * 1_000_000_000
    if kind in (CHARACTER, BLOCK_DEVICE):
        member.major, member.minor = _number(major), _number(minor)
    if member.size < 0:
        raise InvalidInput("archive/tar: invalid tar header")
    return member


def _number(field: bytes) -> int:
    """An octal field, or GNU's base 256 where the first bit is set."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
        return value - (1 << (8 * len(field) - 1)) if field[0] & 0x40 else value
    text = field.partition(b"\0")[0].strip()
    try:
        return int(text, 8) if text else 0
    except ValueError:
        raise InvalidInput("archive/tar: invalid tar header") from None


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > 19:
        raise InvalidInput("archive/tar: invalid tar header")
    return int(text)


def _records(data: bytes) -> dict[bytes, bytes]:
    """The `length key=value` lines of an extended header. The repeated keys of sparse format 0.0 become a map of 0.1."""
    records: dict[bytes, bytes] = {}
    numbers: list[bytes] = []
    position = 0
    while position < len(data):
        space = data.find(b" ", position, position + 20)
        if space < 0:
            raise InvalidInput("archive/tar: invalid tar header")
        end = position + _decimal(data[position:space])
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if end > len(data) or end <= space + 1 or data[end - 1 : end] != b"\n" or not equals:
            raise InvalidInput("archive/tar: invalid tar header")
        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            numbers.append(value)
        else:
            records[key] = value
        position = end
    if numbers:
        records[b"GNU.sparse.map"] = b",".join(numbers)
    return records


def _extend(member: Member, records: dict[bytes, bytes]) -> None:
    for key, value in records.items():
        if key == b"path":
            member.name = value
        elif key == b"linkpath":
            member.link = value
        elif key == b"size":
            member.size = _decimal(value)
        elif key == b"uid":
            member.uid = _decimal(value)
        elif key == b"gid":
            member.gid = _decimal(value)
        elif key == b"mtime":
            member.mtime = _nanoseconds(value)
        elif key.startswith(XATTR):
            member.xattrs[key[len(XATTR) :]] = value


def _nanoseconds(text: bytes) -> int:
    whole, _, fraction = text.partition(b".")
    sign = -1 if whole.startswith(b"-") else 1
    nanoseconds = _decimal(whole.lstrip(b"-") or b"0") * 1_000_000_000 + _decimal(fraction[:9].ljust(9, b"0"))
    return sign * nanoseconds


def _extent_fields(fields: bytes) -> list[tuple[int, int]]:
    pairs = (fields[at : at + 24] for at in range(0, len(fields), 24))
    return [(_number(pair[:12]), _number(pair[12:])) for pair in pairs if pair[0]]


def _checked(extents: list[tuple[int, int]], member: Member) -> list[tuple[int, int]]:
    """Refuse a map that overlaps, leaves the file, or does not account for the data."""
    position = 0
    for offset, size in extents:
        if offset < position or size < 0 or offset + size > member.length:
            raise InvalidInput("archive/tar: invalid tar header")
        position = offset + size
    if sum(size for _, size in extents) != member.size:
        raise InvalidInput("archive/tar: invalid tar header")
    return extents
