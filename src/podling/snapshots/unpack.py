"""A layer archive becomes the content of a snapshot. Source: OCI image-spec, layer.md, "Applying Changesets".

Decompression, untar and the digest run in a process of their own; several layers run side by side.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from podling.base.errors import Failed, InvalidInput
from podling.snapshots.base import Whiteouts
from podling.snapshots.directories import copy_attributes
from podling.snapshots.work import working


@dataclass(frozen=True, slots=True)
class Applied:
    """A layer that was unpacked. `diff_id` is the digest of the uncompressed archive, `size` the bytes of its files, `implied`
    the directories (absolute in the layer) that it needed and did not describe."""

    diff_id: str
    size: int
    implied: list[str]


@dataclass(frozen=True, slots=True)
class Limits:
    """What an archive may unpack to; 0 for no limit."""

    bytes: int = 0
    entries: int = 0

    def check(self, size: int, entries: int = 0) -> None:
        """Raises InvalidInput beyond the limits."""
        if self.bytes and size > self.bytes:
            raise InvalidInput(f"archive unpacks to more than {self.bytes} bytes")
        if self.entries and entries > self.entries:
            raise InvalidInput(f"archive has more than {self.entries} entries")


UNLIMITED = Limits()


async def apply(
    layer: BinaryIO, directory: Path, *, whiteouts: Whiteouts = "overlay", diff_id: str = "", limits: Limits = UNLIMITED
) -> Applied:
    """Unpack the open file `layer` (gzip, zstd or plain tar) into `directory`, and check its `diff_id` where given.

    Raises InvalidInput for a damaged or hostile archive, Failed for a wrong digest and when the disk refuses; the caller then
    removes the snapshot.
    """
    job = {
        "kind": "extract",
        "root": str(directory),
        "into": "/",
        "whiteouts": whiteouts,
        "owner": None,
        "replace_directories": True,
        "bytes": limits.bytes,
        "entries": limits.entries,
    }
    async with working(job, stdin=layer.fileno()) as worker:
        result = await worker.result()
    if diff_id and result["diff_id"] != diff_id:
        raise Failed(f"wrong diff id calculated on extraction {result['diff_id']}, expected {diff_id}")
    return Applied(result["diff_id"], result["size"], result["implied"])


def adopt(directory: Path, implied: list[str], below: tuple[Path, ...]) -> None:
    """Give the directories that a layer only implied the attributes they have `below` (uppermost first), where they exist."""
    for path in implied:
        for layer in below:
            source = layer / path.lstrip("/")
            if source.is_dir() and not source.is_symlink():
                copy_attributes(str(source), f"{directory}{path}")
                break
