"""hostPath: a path of this machine, checked or made as its type asks. Source: core/v1 HostPathVolumeSource."""

import asyncio
import stat
from collections.abc import Callable
from pathlib import Path

from podling.base.errors import InvalidInput
from podling.node.pod.spec import Object
from podling.node.volumes.base import Context, Placed

_CHECKS: dict[str, tuple[Callable[[int], bool], str]] = {
    "Directory": (stat.S_ISDIR, "a directory"),
    "File": (stat.S_ISREG, "a file"),
    "Socket": (stat.S_ISSOCK, "a socket file"),
    "CharDevice": (stat.S_ISCHR, "a character device"),
    "BlockDevice": (stat.S_ISBLK, "a block device"),
    "DirectoryOrCreate": (stat.S_ISDIR, "a directory"),
    "FileOrCreate": (stat.S_ISREG, "a file"),
}


class HostPath:
    async def set_up(self, spec: Object, path: Path, context: Context) -> Placed:
        source = Path(spec["path"])
        await asyncio.to_thread(_check, source, spec.get("type") or "")
        return Placed(source)

    def references(self, spec: Object) -> set[tuple[str, str]]:
        return set()


def _check(source: Path, kind: str) -> None:
    if kind == "DirectoryOrCreate":
        source.mkdir(mode=0o755, parents=True, exist_ok=True)
    elif kind == "FileOrCreate" and not source.exists():
        source.touch(0o644)
    elif not kind:
        if not source.exists():
            source.mkdir(mode=0o755, parents=True, exist_ok=True)
        return
    if kind not in _CHECKS:
        raise InvalidInput(f"unknown hostPath type {kind!r}")
    fits, words = _CHECKS[kind]
    if not source.exists() or not fits(source.stat().st_mode):
        raise InvalidInput(f"hostPath type check failed: {source} is not {words}")
