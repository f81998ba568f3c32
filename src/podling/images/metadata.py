"""What is known of images: records, references and leases, in one SQLite file.

A write is durable when the call returns (WAL, synchronous=FULL): it blocks for a millisecond or so, and an event loop
makes it through a thread. A read takes microseconds. An image's id is the digest of its configuration.
"""

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from podling.base.errors import NotFound

_SCHEMA = """
CREATE TABLE IF NOT EXISTS image (
    id TEXT PRIMARY KEY, manifest TEXT NOT NULL, parent TEXT NOT NULL, added REAL NOT NULL, tagged REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS reference (
    name TEXT PRIMARY KEY, image TEXT NOT NULL REFERENCES image(id), target TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS reference_image ON reference(image);
CREATE TABLE IF NOT EXISTS lease (
    owner TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (owner, kind, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS layer (chain TEXT PRIMARY KEY, size INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS packed (layer TEXT PRIMARY KEY, digest TEXT NOT NULL, size INTEGER NOT NULL) STRICT;
"""

BLOB, IMAGE, SNAPSHOT = "blob", "image", "snapshot"
TRANSFER = "transfer:"  # owners that end with the process


@dataclass(frozen=True, slots=True)
class Record:
    """One image. `manifest` is the digest of its manifest, `parent` an image id or empty; times in seconds since the epoch."""

    id: str
    manifest: str
    parent: str
    added: float
    tagged: float


@dataclass(frozen=True, slots=True)
class Named:
    """A name for an image. `name` is normalised, with tag or digest; `target` is the manifest or index it stood for."""

    name: str
    image: str
    target: str


class Metadata:
    """The file at `path`. One connection writes and one reads, so that a read never waits for a disk; safe from any thread."""

    def __init__(self, path: Path) -> None:
        self._lock, self._read_lock = threading.RLock(), threading.Lock()
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;" + _SCHEMA)
        self._database.execute("DELETE FROM lease WHERE owner LIKE ?", (f"{TRANSFER}%",))
        self._reader = sqlite3.connect(path, isolation_level=None, check_same_thread=False)

    def close(self) -> None:
        self._reader.close()
        self._database.close()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """For a block no other thread's write: what is read in it stays true. Keep it short."""
        with self._lock:
            yield

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def _rows(self, query: str, *values: str) -> list[tuple[str, ...]]:
        with self._read_lock, closing(self._reader.execute(query, values)) as cursor:
            return cursor.fetchall()

    # -- images

    def images(self) -> list[Record]:
        """All of them, the newest first."""
        rows = self._rows("SELECT id, manifest, parent, added, tagged FROM image ORDER BY added DESC, id")
        return [Record(*row) for row in rows]  # type: ignore[arg-type]

    def image(self, identifier: str) -> Record | None:
        rows = self._rows("SELECT id, manifest, parent, added, tagged FROM image WHERE id = ?", identifier)
        return Record(*rows[0]) if rows else None  # type: ignore[arg-type]

    def ids(self, prefix: str) -> list[str]:
        """At most two image ids that start with `prefix` (`sha256:` and hexadecimal digits)."""
        rows = self._rows("SELECT id FROM image WHERE id >= ? AND id < ? ORDER BY id LIMIT 2", prefix, prefix + "~")
        return [row[0] for row in rows]

    def children(self, identifier: str) -> list[str]:
        return [row[0] for row in self._rows("SELECT id FROM image WHERE parent = ?", identifier)]

    def add(self, identifier: str, manifest: str, now: float, names: Iterable[tuple[str, str]] = (), parent: str = "") -> None:
        """Record an image and let each (name, target) mean it from now on, in one transaction.

        A known image keeps its manifest and the time it was added.
        """
        with self._transaction() as database:
            database.execute(
                "INSERT INTO image VALUES (?, ?, ?, ?, 0) ON CONFLICT(id) DO NOTHING", (identifier, manifest, parent, now)
            )
            _name(database, identifier, names, now)

    def name(self, identifier: str, names: Iterable[tuple[str, str]], now: float) -> None:
        """Let each (name, target) mean the image from now on. Raises NotFound for an image that has gone meanwhile."""
        try:
            with self._transaction() as database:
                _name(database, identifier, names, now)
        except sqlite3.IntegrityError:
            raise NotFound(f"No such image: {identifier}") from None

    def drop(self, names: Iterable[str], identifier: str = "") -> None:
        """Forget names, and the image `identifier` with all its names, in one transaction."""
        with self._transaction() as database:
            database.executemany("DELETE FROM reference WHERE name = ?", [(name,) for name in names])
            if identifier:
                database.execute("DELETE FROM reference WHERE image = ?", (identifier,))
                database.execute("DELETE FROM image WHERE id = ?", (identifier,))

    # -- references

    def names(self, identifier: str = "") -> list[Named]:
        """All references, or those of one image, by name."""
        where = "WHERE image = ?" if identifier else ""
        rows = self._rows(f"SELECT name, image, target FROM reference {where} ORDER BY name", *filter(None, [identifier]))  # noqa: S608 - no outside text
        return [Named(*row) for row in rows]

    def named(self, name: str) -> Named | None:
        rows = self._rows("SELECT name, image, target FROM reference WHERE name = ?", name)
        return Named(*rows[0]) if rows else None

    # -- layers

    def sizes(self) -> dict[str, int]:
        """The unpacked bytes of each layer that `set_sizes` told, by chain id."""
        return {row[0]: int(row[1]) for row in self._rows("SELECT chain, size FROM layer")}

    def set_sizes(self, sizes: Mapping[str, int]) -> None:
        """Record layers whose files are on the disk for good; their unpacked bytes by chain id."""
        with self._transaction() as database:
            database.executemany(
                "INSERT INTO layer VALUES (?, ?) ON CONFLICT(chain) DO UPDATE SET size=excluded.size", list(sizes.items())
            )

    def forget_sizes(self, chains: Iterable[str]) -> None:
        with self._transaction() as database:
            database.executemany("DELETE FROM layer WHERE chain = ?", [(chain,) for chain in chains])

    def packed(self, layer: str) -> tuple[str, int] | None:
        """(digest, bytes) of a layer's compressed form, where it was once made; `layer` is the digest of the plain one."""
        rows = self._rows("SELECT digest, size FROM packed WHERE layer = ?", layer)
        return (rows[0][0], int(rows[0][1])) if rows else None

    def set_packed(self, layer: str, digest: str, size: int) -> None:
        with self._transaction() as database:
            database.execute("INSERT OR REPLACE INTO packed VALUES (?, ?, ?)", (layer, digest, size))

    def forget_packed(self, layers: Iterable[str]) -> None:
        with self._transaction() as database:
            database.executemany("DELETE FROM packed WHERE layer = ?", [(layer,) for layer in layers])

    # -- leases

    def lease(self, owner: str, kind: str, keys: Iterable[str]) -> None:
        """Keep blobs, images or snapshots from collection until `release(owner)`."""
        with self._transaction() as database:
            database.executemany("INSERT OR IGNORE INTO lease VALUES (?, ?, ?)", [(owner, kind, key) for key in keys])

    def release(self, owner: str) -> None:
        """Let go of all that `owner` held; nothing if it held nothing."""
        with self._transaction() as database:
            database.execute("DELETE FROM lease WHERE owner = ?", (owner,))

    def leased(self, kind: str) -> set[str]:
        return {row[0] for row in self._rows("SELECT DISTINCT key FROM lease WHERE kind = ?", kind)}

    def owners(self) -> list[str]:
        """Who holds a lease."""
        return [row[0] for row in self._rows("SELECT DISTINCT owner FROM lease ORDER BY owner")]


def _name(database: sqlite3.Connection, identifier: str, names: Iterable[tuple[str, str]], now: float) -> None:
    rows = [(name, identifier, target) for name, target in names]
    database.executemany(
        "INSERT INTO reference VALUES (?, ?, ?) ON CONFLICT(name) DO UPDATE SET image=excluded.image, target=excluded.target",
        rows,
    )
    if rows:
        database.execute("UPDATE image SET tagged = ? WHERE id = ?", (now, identifier))
