"""The process that packs and unpacks trees: outside the interpreter's lock, and locked into the tree by chroot(2).

    argv[1]  one JSON object: the job
    stdin    the archive, when unpacking
    stdout   the archive, when packing
    fd 3     one JSON object: the result or {"error": "InvalidInput" | "Failed", "message": TEXT}

Paths of a job are absolute within its `root`. Kind "extract" has root, into, and the fields of `extract.Options`; "pack" has
root, trees: [[path, name]], and follow (a symbolic link given as path is resolved); "layer" has root, upper, and for drivers
without whiteouts lower.
"""

import hashlib
import json
import os
import queue
import sys
import threading
from collections.abc import Callable
from typing import Any

from podling.base.errors import InvalidInput, NotFound, PodlingError
from podling.snapshots import compression, extract, tar

RESULT = 3
_STDOUT = 1
_PIECE = 1 << 18
_AHEAD = 8  # decompressed pieces that may wait to be written
_END = b""

Job = dict[str, Any]


def main() -> None:
    """Do the job and report; exit code 1 after an error of any kind."""
    job: Job = json.loads(sys.argv[1])
    try:
        result = _KINDS[job["kind"]](job)
    except PodlingError as error:
        result = {"error": type(error).__name__, "message": error.message}
    except BrokenPipeError:
        result = {"error": "Failed", "message": "nobody reads the archive any more"}
    code = 1 if "error" in result else 0
    os.write(RESULT, json.dumps(result).encode())
    os._exit(code)  # a thread may still sit in a read


def _extract(job: Job) -> Job:
    options = extract.Options(
        whiteouts=job["whiteouts"],
        owner=tuple(job["owner"]) if job["owner"] else None,
        bytes=job["bytes"],
        entries=job["entries"],
        replace_directories=job["replace_directories"],
    )
    source = _Source(_read_stdin)
    os.chroot(job["root"])
    os.chdir("/")
    into = os.fsencode(job["into"])
    if not os.path.isdir(into):
        raise InvalidInput(f'"{job["into"]}" is not a directory')
    buffer = tar.Buffer(source.read)
    extractor = extract.Extractor(tar.Reader(buffer), into, options)
    extractor.run()
    buffer.drain()
    return {
        "diff_id": f"sha256:{source.hexdigest()}",
        "size": extractor.size,
        "entries": extractor.entries,
        "implied": [os.fsdecode(path) for path in extractor.implied],
    }


def _read_stdin() -> bytes:
    return os.read(0, _PIECE)


class _Source:
    """Reads ahead in a thread of its own: decompression and hashing are C code and run beside the writing."""

    def __init__(self, read: Callable[[], bytes]) -> None:
        self._read = compression.decompressed(read)
        self._read_first()
        self._hash = hashlib.sha256()
        self._pieces: queue.Queue[bytes | BaseException] = queue.Queue(_AHEAD)
        threading.Thread(target=self._run, daemon=True).start()

    def _read_first(self) -> None:
        """Have what decompresses loaded before the root is changed."""
        first = self._read()
        self._read = compression.prefixed(first, self._read)

    def _run(self) -> None:
        try:
            while piece := self._read():
                self._hash.update(piece)
                self._pieces.put(piece)
            self._pieces.put(_END)
        except BaseException as error:  # raised again where it is read
            self._pieces.put(error)

    def read(self) -> bytes:
        piece = self._pieces.get()
        if isinstance(piece, BaseException):
            raise piece
        if not piece:
            self._pieces.put(_END)  # an end stays the end
        return piece

    def hexdigest(self) -> str:
        """The SHA-256 of the whole decompressed stream, once `read` has given its end."""
        return self._hash.hexdigest()


def _pack(job: Job) -> Job:
    from podling.snapshots import pack

    os.chroot(job["root"])
    os.chdir("/")
    trees = [(os.path.realpath(path) if job["follow"] else path, name) for path, name in job["trees"]]
    try:
        pack.pack_trees(_STDOUT, [(os.fsencode(path), os.fsencode(name)) for path, name in trees])
    except FileNotFoundError as error:
        raise NotFound(f"{os.fsdecode(error.filename)}: no such file or directory") from error
    return {}


def _layer(job: Job) -> Job:
    from podling.snapshots import changes, pack

    os.chroot(job["root"])
    os.chdir("/")
    upper, lower = job["upper"], job["lower"]
    packer = pack.Packer(_STDOUT)
    for change in changes.tree_changes(lower, upper) if lower else changes.overlay_changes(upper):
        name = os.fsencode(change.path)
        if change.kind == "deleted":
            packer.whiteout(name)
        else:
            packer.add(os.fsencode(f"{upper}/{change.path}"), name)
        if change.hides:
            packer.hide(name)
    packer.finish()
    return {}


_KINDS: dict[str, Callable[[Job], Job]] = {"extract": _extract, "pack": _pack, "layer": _layer}

if __name__ == "__main__":
    main()
