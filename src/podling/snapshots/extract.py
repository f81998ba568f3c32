"""Writing the members of a tar stream below one directory, never a byte outside it.

The caller has made that directory the root of this process (chroot(2)): an absolute name, `..`, or a symbolic link can lead
no further than its top. What exists is never written through: files are created anew or replaced. Imported by workers only.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Callable

from podling.base.errors import Failed, InvalidInput
from podling.snapshots import tar

WHITEOUT = b".wh."
OPAQUE = b".wh..wh..opq"
_AUFS = b".wh..wh."
_OVERLAY_XATTRS = (b"trusted.overlay.", b"user.overlay.")  # an archive must not direct the overlay
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Options:
    """How to write.

    `whiteouts`: "overlay" turns `.wh.` names into overlayfs's form, "delete" carries them out, "keep" makes them plain files.
    `owner`: (uid, gid) for all, or None for the archive's. `bytes`, `entries`: limits of what is written, 0 for none.
    `replace_directories`: whether a file may take the place of a directory and the other way about.
    """

    __slots__ = ("bytes", "entries", "owner", "replace_directories", "whiteouts")

    def __init__(
        self,
        whiteouts: str = "keep",
        owner: tuple[int, int] | None = None,
        bytes: int = 0,
        entries: int = 0,
        replace_directories: bool = True,
    ) -> None:
        self.whiteouts = whiteouts
        self.owner = owner
        self.bytes = bytes
        self.entries = entries
        self.replace_directories = replace_directories


class Extractor:
    """Writes below `into` (an absolute path). After `run`, `implied` are the directories that the archive did not describe."""

    def __init__(self, reader: tar.Reader, into: bytes, options: Options) -> None:
        self._reader = reader
        self._into = into.rstrip(b"/")
        self._options = options
        self._directory_times: dict[bytes, int] = {}
        self._written: set[bytes] = set()
        self._track = options.whiteouts != "keep"
        self._makers: dict[bytes, Callable[[tar.Member, bytes], None]] = {
            tar.REGULAR: self._file,
            tar.DIRECTORY: self._directory,
            tar.LINK: self._link,
            tar.SYMLINK: self._symlink,
            tar.CHARACTER: self._device,
            tar.BLOCK_DEVICE: self._device,
            tar.FIFO: self._device,
        }
        self.implied: dict[bytes, None] = {}
        self.entries = self.size = 0

    def run(self) -> None:
        """Write all members. Raises InvalidInput for what is wrong with the archive, Failed for what the disk refused."""
        os.umask(0)
        for member in self._reader:
            self._count(member)
            try:
                self._write(member)
            except OSError as error:
                name = os.fsdecode(member.name)
                raise Failed(f"{name}: {(error.strerror or str(error)).lower()}") from error
        for path, mtime in reversed(self._directory_times.items()):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                os.utime(path, ns=(mtime, mtime), follow_symlinks=False)

    def _count(self, member: tar.Member) -> None:
        self.entries += 1
        self.size += member.size
        if self._options.entries and self.entries > self._options.entries:
            raise InvalidInput(f"archive has more than {self._options.entries} entries")
        if self._options.bytes and self.size > self._options.bytes:
            raise InvalidInput(f"archive unpacks to more than {self._options.bytes} bytes")

    def _write(self, member: tar.Member) -> None:
        relative = clean(member.name)
        path = self._into + b"/" + relative if relative else self._into or b"/"
        if not relative and member.kind != tar.DIRECTORY:
            raise InvalidInput(f'"{os.fsdecode(member.name)}" names the root and is no directory')
        base = relative.rpartition(b"/")[2]
        if base.startswith(WHITEOUT) and self._options.whiteouts != "keep":
            self._whiteout(path, base)
            return
        make = self._makers.get(member.kind)
        if make is None:
            raise InvalidInput(f"unhandled tar header type {ord(member.kind)}")
        try:
            make(member, path)
        except FileNotFoundError:
            if member.kind == tar.LINK and os.path.lexists(os.path.dirname(path)):
                raise
            self._make_parents(path)
            make(member, path)
        self._remember(path)
        self.implied.pop(path, None)

    def _remember(self, path: bytes) -> None:
        """Keep what this archive brings from its own whiteouts, with the directories that lead there."""
        if self._track:
            self._written.add(path)
        if self._options.whiteouts == "delete":
            while (path := os.path.dirname(path)) not in self._written and path != b"/":
                self._written.add(path)

    # -- one kind of entry each

    def _file(self, member: tar.Member, path: bytes) -> None:
        handle = self._create(path, member.mode)
        try:
            if member.extents is None:
                for piece in self._reader.data(member):
                    _write_all(handle, piece)
            else:
                self._extents(member, handle)
            self._own(member, handle)
            if self._options.owner or member.uid or member.gid:
                os.fchmod(handle, member.mode)  # chown(2) has cleared the set-id bits
            _set_xattrs(handle, member.xattrs)
            os.utime(handle, ns=(member.mtime, member.mtime))
        finally:
            os.close(handle)

    def _create(self, path: bytes, mode: int) -> int:
        try:
            return os.open(path, _NEW_FILE, mode)
        except FileExistsError:
            self._clear(path)
            return os.open(path, _NEW_FILE, mode)

    def _extents(self, member: tar.Member, handle: int) -> None:
        buffered = self._reader.data(member)
        piece = memoryview(b"")
        for offset, size in member.extents or []:
            os.lseek(handle, offset, os.SEEK_SET)
            while size:
                piece = piece or next(buffered)
                part, piece = piece[:size], piece[size:]
                _write_all(handle, part)
                size -= len(part)
        os.ftruncate(handle, member.length)

    def _directory(self, member: tar.Member, path: bytes) -> None:
        try:
            os.mkdir(path, member.mode)
        except FileExistsError:
            self._directory_over(path, member.mode)
        self._own(member, path)
        os.chmod(path, member.mode)
        _set_xattrs(path, member.xattrs)
        self._directory_times.pop(path, None)
        self._directory_times[path] = member.mtime

    def _directory_over(self, path: bytes, mode: int) -> None:
        old = os.lstat(path)
        if stat.S_ISDIR(old.st_mode):
            return
        self._clear(path, for_directory=True)
        os.mkdir(path, mode)
        if self._options.whiteouts == "overlay" and _is_whiteout(old):
            self._make_opaque(path)  # deleted and made anew: it hides all that lies below

    def _link(self, member: tar.Member, path: bytes) -> None:
        target = self._into + b"/" + clean(member.link)
        if target == path:
            return
        try:
            os.link(target, path, follow_symlinks=False)
        except FileExistsError:
            self._clear(path)
            os.link(target, path, follow_symlinks=False)

    def _symlink(self, member: tar.Member, path: bytes) -> None:
        try:
            os.symlink(member.link, path)
        except FileExistsError:
            self._clear(path)
            os.symlink(member.link, path)
        self._own(member, path)
        _set_xattrs(path, member.xattrs)
        os.utime(path, ns=(member.mtime, member.mtime), follow_symlinks=False)

    def _device(self, member: tar.Member, path: bytes) -> None:
        kind = {tar.CHARACTER: stat.S_IFCHR, tar.BLOCK_DEVICE: stat.S_IFBLK}.get(member.kind, stat.S_IFIFO)
        number = os.makedev(member.major, member.minor)
        try:
            os.mknod(path, kind | member.mode, number)
        except FileExistsError:
            self._clear(path)
            os.mknod(path, kind | member.mode, number)
        self._own(member, path)
        os.chmod(path, member.mode)
        _set_xattrs(path, member.xattrs)
        os.utime(path, ns=(member.mtime, member.mtime), follow_symlinks=False)

    def _own(self, member: tar.Member, path: int | bytes) -> None:
        uid, gid = self._options.owner or (member.uid, member.gid)
        if isinstance(path, int):
            if uid or gid:
                os.fchown(path, uid, gid)
        elif uid or gid or member.kind == tar.DIRECTORY:
            os.lchown(path, uid, gid)

    # -- deletions

    def _whiteout(self, path: bytes, base: bytes) -> None:
        """OCI image-spec, layer.md, "Whiteouts": they concern what lies below, never what this layer itself has brought."""
        parent = os.path.dirname(path)
        if base == OPAQUE:
            self._make_opaque(parent)
            return
        if base.startswith(_AUFS):
            return  # bookkeeping of aufs
        if base in (WHITEOUT, WHITEOUT + b".", WHITEOUT + b".."):
            raise InvalidInput(f'invalid whiteout "{os.fsdecode(base)}"')
        target = parent.rstrip(b"/") + b"/" + base[len(WHITEOUT) :]
        if self._options.whiteouts == "delete":
            self._remove_foreign(target)
            return
        if target in self._written:
            return
        if not os.path.lexists(parent):
            self._make_parents(path)
        if not os.path.lexists(target):
            os.mknod(target, stat.S_IFCHR, 0)

    def _make_opaque(self, directory: bytes) -> None:
        if not os.path.lexists(directory):
            self._make_parents(directory + b"/x")
        if self._options.whiteouts == "overlay":
            os.setxattr(directory, b"trusted.overlay.opaque", b"y", follow_symlinks=False)
            return
        for name in os.listdir(directory):
            self._remove_foreign(directory.rstrip(b"/") + b"/" + name)

    def _remove_foreign(self, path: bytes) -> None:
        """Delete `path` except for what this archive has written."""
        if path not in self._written:
            _remove(path)
        elif stat.S_ISDIR(os.lstat(path).st_mode):
            for name in os.listdir(path):
                self._remove_foreign(path + b"/" + name)

    # -- making room

    def _make_parents(self, path: bytes) -> None:
        missing = []
        parent = os.path.dirname(path)
        while parent not in (b"/", b"") and not os.path.lexists(parent):
            missing.append(parent)
            parent = os.path.dirname(parent)
        for directory in reversed(missing):
            os.mkdir(directory, 0o755)
            self.implied[directory] = None
            if self._options.owner:
                os.lchown(directory, *self._options.owner)

    def _clear(self, path: bytes, *, for_directory: bool = False) -> None:
        is_directory = stat.S_ISDIR(os.lstat(path).st_mode)
        if not self._options.replace_directories and is_directory != for_directory:
            old, new = ("directory", "non-directory") if is_directory else ("non-directory", "directory")
            raise InvalidInput(f'cannot overwrite {old} "{os.fsdecode(path)}" with {new}')
        _remove(path)


def clean(name: bytes) -> bytes:
    """`name` relative to the root, without `.` and `..`. Raises InvalidInput when it leads outside."""
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part in (b"", b"."):
            continue
        if part == b"..":
            if not parts:
                raise InvalidInput(f'"{os.fsdecode(name)}" is outside of the root')
            parts.pop()
        else:
            parts.append(part)
    return b"/".join(parts)


def _write_all(handle: int, piece: memoryview) -> None:
    while piece:
        piece = piece[os.write(handle, piece) :]


def _set_xattrs(path: int | bytes, xattrs: dict[bytes, bytes]) -> None:
    for name, value in xattrs.items():
        if name.startswith(_OVERLAY_XATTRS):
            continue
        try:
            if isinstance(path, int):
                os.setxattr(path, name, value)
            else:
                os.setxattr(path, name, value, follow_symlinks=False)
        except OSError as error:
            # Not every file system has them, and user.* exists on files and directories alone.
            if error.errno != errno.ENOTSUP and not (error.errno == errno.EPERM and name.startswith(b"user.")):
                raise


def _is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _remove(path: bytes) -> None:
    """Delete what is at `path`, a whole tree too; nothing if it isn't there."""
    try:
        os.unlink(path)
        return
    except FileNotFoundError:
        return
    except IsADirectoryError:
        pass
    pending, emptied = [path], []
    while pending:
        directory = pending.pop()
        emptied.append(directory)
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                else:
                    os.unlink(entry.path)
    for directory in reversed(emptied):
        os.rmdir(directory)
