"""A directory of files that changes as a whole: readers see the old contents or the new, never a mixture.

The files live in a directory of their own; `..data` is a symbolic link to it, swapped by rename(2), and each visible name a
link through `..data`. Programs in pods watch for this layout. Source: Kubernetes, "Mounted ConfigMaps are updated automatically".
"""

import contextlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from podling.base.errors import InvalidInput
from podling.base.ids import suffix

_DATA = "..data"


@dataclass(frozen=True, slots=True)
class File:
    """One file's bytes and permission bits; `owner` is its uid, or None for root."""

    content: bytes = field(repr=False)
    mode: int = 0o644
    owner: int | None = None


Files = Mapping[str, File]


def check_path(path: str) -> str:
    """`path`, relative and inside; raises InvalidInput."""
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or path.startswith(".."):
        raise InvalidInput(f"invalid path {path!r} in a volume: it has to be relative and may not contain or begin with '..'")
    return path


def write(directory: Path, files: Files, group: int | None = None) -> None:
    """Make `directory` hold exactly these files. Does nothing where it does already."""
    directory.mkdir(parents=True, exist_ok=True)
    current = _current(directory)
    if current is not None and _read(current) == {check_path(name): (f.content, _mode(f, group)) for name, f in files.items()}:
        return
    fresh = directory / f"..{suffix(10)}"
    _fill(fresh, files, group)
    _swap(directory, fresh.name)
    _link_names(directory, {PurePosixPath(name).parts[0] for name in files})
    if current is not None:
        shutil.rmtree(current, ignore_errors=True)


def _current(directory: Path) -> Path | None:
    try:
        return directory / os.readlink(directory / _DATA)
    except FileNotFoundError:
        return None


def _mode(file: File, group: int | None) -> int:
    return file.mode | 0o040 if group is not None else file.mode


def _read(tree: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(tree)): (path.read_bytes(), path.stat().st_mode & 0o7777)
        for path in tree.rglob("*")
        if path.is_file()
    }


def _fill(tree: Path, files: Files, group: int | None) -> None:
    tree.mkdir(mode=0o755)
    for name, file in files.items():
        path = tree / check_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(file.content)
            os.fchown(descriptor, -1 if file.owner is None else file.owner, -1 if group is None else group)
            os.fchmod(descriptor, _mode(file, group))


def _swap(directory: Path, target: str) -> None:
    temporary = directory / "..data_tmp"
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    temporary.symlink_to(target)
    temporary.rename(directory / _DATA)


def _link_names(directory: Path, names: set[str]) -> None:
    present = {entry.name for entry in directory.iterdir() if not entry.name.startswith("..")}
    for name in names - present:
        (directory / name).symlink_to(f"{_DATA}/{name}")
    for name in present - names:
        (directory / name).unlink()
