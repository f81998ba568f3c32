"""What must survive a restart of the agent: networks, endpoints, published ports, as JSON in SQLite.

A record is written in a fraction of a millisecond and survives `kill -9`; `flush` makes it survive a power cut too.
"""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class State:
    """Records by kind and key. Raises sqlite3.Error, with the file's name, when the disk is full or the file damaged."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = file
        self._db = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS records (kind TEXT, key TEXT, value TEXT, PRIMARY KEY (kind, key)) WITHOUT ROWID"
        )

    def put(self, kind: str, key: str, value: Any) -> None:
        self._db.execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", (kind, key, json.dumps(value)))

    def delete(self, kind: str, key: str) -> None:
        self._db.execute("DELETE FROM records WHERE kind = ? AND key = ?", (kind, key))

    def all(self, kind: str) -> Iterator[Any]:
        """All values of a kind, by key."""
        for (value,) in self._db.execute("SELECT value FROM records WHERE kind = ? ORDER BY key", (kind,)).fetchall():
            yield json.loads(value)

    def flush(self) -> None:
        """Write everything through to the disk. Waits for the disk: call it in a thread."""
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        self._db.close()
