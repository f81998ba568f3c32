"""What is kept of a container: one directory each, `container.json` in it is the container.

A directory without it is half made or half removed, and goes at the next start of the engine.
"""

import logging
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from podling.base.files import write_atomic
from podling.engine.codec import decode, encode
from podling.engine.lifecycle import Life
from podling.engine.types import ContainerSpec

log = logging.getLogger(__name__)
_FILE = "container.json"
_VOLUMES = "volumes.json"
_LOG = "container.log"


@dataclass(frozen=True, slots=True)
class Record:
    """One container. `spec` has the image's defaults filled in; `snapshot` of the image it stands on; unix seconds."""

    id: str
    name: str
    created: float
    image_id: str
    snapshot: str
    spec: ContainerSpec
    life: Life = field(default_factory=Life)


class Records:
    """All containers' directories below `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True, mode=0o710)

    def directory(self, container: str) -> Path:
        return self._root / container

    def log_path(self, record: Record) -> Path:
        """The container's log file."""
        return Path(record.spec.log_path) if record.spec.log_path else self.directory(record.id) / _LOG

    def prepare(self, container: str) -> Path:
        """An empty directory for a container to be."""
        directory = self.directory(container)
        (directory / "rootfs").mkdir(parents=True, mode=0o710)
        return directory

    def claim(self, container: str, volumes: Sequence[str]) -> None:
        """These volumes go with the container, should it never come to be (or, after `revoke`, not go to the end)."""
        if volumes:
            write_atomic(self.directory(container) / _VOLUMES, orjson.dumps(list(volumes)))

    def claimed(self, container: str) -> list[str]:
        """What `claim` was told last."""
        try:
            names: list[str] = orjson.loads((self.directory(container) / _VOLUMES).read_bytes())
        except FileNotFoundError:
            return []
        return names

    def save(self, record: Record) -> None:
        """Durable when it returns."""
        write_atomic(self.directory(record.id) / _FILE, orjson.dumps(encode(record)), 0o600)

    def revoke(self, container: str, volumes: Sequence[str] = ()) -> None:
        """From now on there is no such container; its directory is to be deleted, and `volumes` with it."""
        (self.directory(container) / _VOLUMES).unlink(missing_ok=True)
        self.claim(container, volumes)
        (self.directory(container) / _FILE).unlink(missing_ok=True)

    def delete(self, container: str) -> None:
        shutil.rmtree(self.directory(container), ignore_errors=True)

    def load(self) -> Iterator[Record]:
        """All containers. One that can't be read is logged and left where it is."""
        for file in sorted(self._root.glob(f"*/{_FILE}")):
            try:
                yield decode(Record, orjson.loads(file.read_bytes()))
            except (OSError, ValueError, TypeError, KeyError) as error:
                log.error("%s can't be read: %s", file, error)

    def half_made(self) -> list[str]:
        """Directories that hold no container."""
        return [entry.name for entry in self._root.iterdir() if entry.is_dir() and not (entry / _FILE).exists()]
