"""emptyDir: a directory as long as the pod lives, on disk or in memory. Source: core/v1 EmptyDirVolumeSource."""

import asyncio
import os
from pathlib import Path

from podling.base import quantity
from podling.linux.mount import is_mountpoint, mount, tmpfs
from podling.node.pod.spec import Object
from podling.node.volumes.base import Context, Placed


class EmptyDir:
    async def set_up(self, spec: Object, path: Path, context: Context) -> Placed:
        await asyncio.to_thread(_make, spec, path, context.group)
        return Placed(path)

    def references(self, spec: Object) -> set[tuple[str, str]]:
        return set()


def _make(spec: Object, path: Path, group: int | None) -> None:
    path.mkdir(parents=True, exist_ok=True)
    medium, size = spec.get("medium") or "", quantity.whole(spec["sizeLimit"]) if spec.get("sizeLimit") else 0
    if medium == "Memory":
        mount_memory(path, size)
    elif medium.startswith("HugePages"):
        _mount_huge_pages(path, huge_page_options(medium, size))
    os.chmod(path, 0o777)
    if group is not None:
        os.chown(path, -1, group)
        os.chmod(path, 0o2777)


def huge_page_options(medium: str, size: int) -> str:
    """Options of hugetlbfs for a medium: HugePages has the machine's own page size, HugePages-1Gi says which."""
    page = medium.partition("-")[2]
    return ",".join([*([f"pagesize={page.removesuffix('i')}"] if page else []), *([f"size={size}"] if size else [])])


def _mount_huge_pages(path: Path, options: str) -> None:
    if not is_mountpoint(path):
        mount("hugetlbfs", path, "hugetlbfs", options=options)


def mount_memory(path: Path, size: int = 0, mode: int = 0o777) -> None:
    """A tmpfs at `path`, unless there is one; `size` in bytes, 0: half of the memory."""
    if not is_mountpoint(path):
        tmpfs(path, ",".join([f"mode={mode:o}", *([f"size={size}"] if size else [])]))
