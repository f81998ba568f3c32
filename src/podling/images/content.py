"""The content store: blobs by digest, each verified while it is written and whole once it can be seen.

    ROOT/blobs/sha256/<hex>    a whole, verified blob; read-only
    ROOT/ingest/<key>          one that is being written; stays after a failure, so that the transfer can go on
    ROOT/ingest/tmp-<random>   one without a key; removed on failure and at start

All calls block: an event loop calls them through a thread.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from podling.base import ids
from podling.base.errors import Conflict, Failed, NotFound
from podling.oci import digest as digests

DOCUMENT_LIMIT = 4 << 20  # bytes of a manifest or configuration; what registries enforce too
_ANONYMOUS = "tmp-"
_COPY = 1 << 20


@dataclass(frozen=True, slots=True)
class Blob:
    """A stored blob; `size` in bytes, `written` in seconds since the epoch."""

    digest: str
    size: int
    written: float


class ContentStore:
    """Blobs below `root`. Several processes may share it; each blob appears by one rename."""

    def __init__(self, root: Path) -> None:
        self._blobs = root / "blobs"
        self._ingests = root / "ingest"
        for algorithm in ("sha256", "sha512"):
            (self._blobs / algorithm).mkdir(parents=True, exist_ok=True)
        self._ingests.mkdir(exist_ok=True)
        for left_over in self._ingests.glob(f"{_ANONYMOUS}*"):
            _remove_unlocked(left_over)

    def path(self, digest: str) -> Path:
        """Where the blob is, whether it exists or not. Raises InvalidInput for what is no digest."""
        algorithm, encoded = digests.parse(digest)
        return self._blobs / algorithm / encoded

    def has(self, digest: str) -> bool:
        return self.path(digest).exists()

    def free(self) -> int:
        """Bytes that the disk still takes."""
        place = os.statvfs(self._blobs)
        return place.f_bavail * place.f_frsize

    def size(self, digest: str) -> int:
        """Bytes. Raises NotFound."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            raise _missing(digest) from None

    def open(self, digest: str) -> BinaryIO:
        """The blob for reading, unbuffered. Raises NotFound."""
        try:
            return open(self.path(digest), "rb", buffering=0)
        except FileNotFoundError:
            raise _missing(digest) from None

    def read(self, digest: str, limit: int = DOCUMENT_LIMIT) -> bytes:
        """A whole small blob. Raises NotFound, and Failed beyond `limit` bytes."""
        with self.open(digest) as blob:
            data = blob.read(limit + 1)
        if len(data) > limit:
            raise Failed(f"content {digest} is larger than {limit} bytes")
        return data

    def put(self, data: bytes) -> str:
        """Store bytes that are at hand; gives their digest."""
        digest = digests.of(data)
        if not self.has(digest):
            with self.ingest(digest=digest, size=len(data)) as ingest:
                ingest.write(data)
                ingest.commit()
        return digest

    def ingest(self, key: str = "", *, digest: str = "", size: int | None = None) -> "Ingest":
        """Begin to write a blob, or go on with an earlier attempt under the same `key` (any text; empty for none).

        `digest` and `size` in bytes are checked where given. Raises Conflict while another writer has the key.
        """
        name = hashlib.sha256(key.encode()).hexdigest() if key else _ANONYMOUS + ids.suffix(12)
        return Ingest(self, self._ingests / name, digest, size)

    def delete(self, digest: str) -> None:
        """Remove a blob; nothing if it isn't there."""
        self.path(digest).unlink(missing_ok=True)

    def walk(self) -> Iterator[Blob]:
        """Every whole blob."""
        for algorithm in sorted(self._blobs.iterdir()):
            for name in os.listdir(algorithm):
                with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                    status = os.stat(algorithm / name)
                    yield Blob(f"{algorithm.name}:{name}", status.st_size, status.st_mtime)

    def drop_ingests(self, before: float) -> None:
        """Forget unfinished transfers that nobody has written to since `before` (seconds since the epoch)."""
        for path in self._ingests.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    _remove_unlocked(path)


class Ingest:
    """One blob being written. Use as a context manager; without `commit` nothing becomes visible.

    Leaving after an error keeps what a key names for a later attempt, except when it failed verification or the disk is full.
    """

    def __init__(self, store: ContentStore, path: Path, digest: str, size: int | None) -> None:
        self._store = store
        self._path = path
        self._expected_digest = digest
        self._expected_size = size
        self._hash = digests.hasher(digest) if digest else hashlib.sha256()
        self._file = _open_locked(path)
        self.offset = self._rehash()

    def _rehash(self) -> int:
        size = 0
        while piece := self._file.read(_COPY):
            self._hash.update(piece)
            size += len(piece)
        return size

    def restart(self) -> None:
        """Forget what earlier attempts wrote."""
        self._file.seek(0)
        self._file.truncate()
        self._hash = digests.hasher(self._expected_digest) if self._expected_digest else hashlib.sha256()
        self.offset = 0

    @property
    def digest(self) -> str:
        """The digest of what was written so far."""
        return f"{self._expected_digest.partition(':')[0] or 'sha256'}:{self._hash.hexdigest()}"

    def write(self, data: bytes | memoryview) -> None:
        """Append. Raises Failed when it grows beyond the expected size, or the disk is full."""
        if self._expected_size is not None and self.offset + len(data) > self._expected_size:
            raise self._refuse(f"more than the {self._expected_size} bytes that were announced")
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise self._write_failed(error) from error
        self._hash.update(data)
        self.offset += len(data)

    def commit(self) -> str:
        """Verify, make durable and show the blob; gives its digest. Raises Failed when digest or size are wrong."""
        if self._expected_size is not None and self.offset != self._expected_size:
            raise self._refuse(f"{self.offset} bytes instead of {self._expected_size}")
        digest = self.digest
        if self._expected_digest and digest != self._expected_digest:
            raise self._refuse(f"its digest is {digest}")
        try:
            os.fchmod(self._file.fileno(), 0o400)
            os.fsync(self._file.fileno())
            target = self._store.path(digest)
            os.rename(self._path, target)
            _sync_directory(target.parent)
        except OSError as error:
            raise self._write_failed(error) from error
        return digest

    def _refuse(self, reason: str) -> Failed:
        self._path.unlink(missing_ok=True)
        return Failed(f"filesystem layer verification failed for digest {self._expected_digest or '(none)'}: {reason}")

    def _write_failed(self, error: OSError) -> Failed:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            self._path.unlink(missing_ok=True)
        return Failed(f"write {self._path}: {(error.strerror or str(error)).lower()}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._path.name.startswith(_ANONYMOUS) or not self.offset:
            self._path.unlink(missing_ok=True)
        self._file.close()


def _open_locked(path: Path) -> BinaryIO:
    while True:
        file = open(path, "a+b", buffering=0)  # noqa: SIM115 - handed to the caller
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise Conflict(f"{path.name} is being written by another transfer") from None
        with contextlib.suppress(FileNotFoundError):
            if os.stat(path).st_ino == os.fstat(file.fileno()).st_ino:
                file.seek(0)
                return file
        file.close()  # its last writer finished between our open and our lock


def _remove_unlocked(path: Path) -> None:
    with contextlib.suppress(BlockingIOError, FileNotFoundError), open(path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _missing(digest: str) -> NotFound:
    return NotFound(f"content {digest}: not found")
