"""The volumes of all pods on this node: set up, brought up to date, torn down; and what containers see of them."""

import asyncio
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from podling.base.errors import InvalidInput, PodlingError
from podling.client.errors import FAILURES
from podling.engine.types import Mount
from podling.linux.mount import mounts_below, unmount_if_mounted
from podling.node.environment import expand
from podling.node.pod.spec import Object, uid_of
from podling.node.volumes.base import Context, Placed, Volume
from podling.node.volumes.empty_dir import EmptyDir
from podling.node.volumes.host_path import HostPath
from podling.node.volumes.image import Image
from podling.node.volumes.projected import Projected

KINDS: Mapping[str, Volume] = {
    "emptyDir": EmptyDir(),
    "hostPath": HostPath(),
    "configMap": Projected("configMap", memory=False),
    "secret": Projected("secret"),
    "image": Image(),
    "downwardAPI": Projected("downwardAPI"),
    "projected": Projected(),
}
_PROPAGATION = {"None": "rprivate", "HostToContainer": "rslave", "Bidirectional": "rshared"}


class Failure(PodlingError):
    """A volume could not be set up; in the words of the event about it."""


def kind_of(volume: Object) -> str:
    """Which kind a member of spec.volumes is; a volume without a source is an emptyDir. Raises InvalidInput."""
    kinds = [key for key in volume if key != "name"]
    if not kinds:
        return "emptyDir"
    if kinds[0] not in KINDS:
        raise InvalidInput(f"volumes of kind {kinds[0]} are not supported")
    return kinds[0]


def references(pod: Object) -> set[tuple[str, str]]:
    """The ConfigMaps and Secrets that the pod's volumes are made of."""
    found: set[tuple[str, str]] = set()
    for volume in pod["spec"].get("volumes") or []:
        kind = next((key for key in volume if key in KINDS), None)
        if kind is not None:
            found |= KINDS[kind].references(volume[kind] or {})
    return found


class Volumes:
    """Under `root`, one directory a pod: `<uid>/volumes/<kind>/<name>`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def directory(self, uid: str) -> Path:
        return self._root / uid

    async def set_up(self, context: Context) -> dict[str, Placed]:
        """All volumes of the pod, by name. Raises Failure for the first that fails."""
        placed: dict[str, Placed] = {}
        for volume in context.pod["spec"].get("volumes") or []:
            placed[volume["name"]] = await self._set_up(volume, context)
        return placed

    async def _set_up(self, volume: Object, context: Context) -> Placed:
        try:
            kind = kind_of(volume)
            path = self.directory(uid_of(context.pod)) / "volumes" / kind / volume["name"]
            return await KINDS[kind].set_up(volume.get(kind) or {}, path, context)
        except FAILURES as error:
            raise Failure(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}') from error

    async def tear_down(self, uid: str) -> None:
        """Unmount and remove the pod's volumes; nothing if there are none."""
        await asyncio.to_thread(_clear, self.directory(uid) / "volumes")

    async def remove(self, uid: str) -> None:
        """Remove all that this node keeps of the pod."""
        await asyncio.to_thread(_clear, self.directory(uid))

    def uids(self) -> set[str]:
        """The pods that have a directory here."""
        return {entry.name for entry in self._root.iterdir()} if self._root.is_dir() else set()


def _clear(directory: Path) -> None:
    for mounted in reversed(mounts_below(directory)):
        unmount_if_mounted(mounted.target)
    if directory.exists():
        shutil.rmtree(directory)


def mounts_of(container: Object, placed: Mapping[str, Placed], variables: Mapping[str, str]) -> tuple[Mount, ...]:
    """The mounts of one container. `variables` is its environment, for subPathExpr. Raises InvalidInput."""
    return tuple(_mount(mount, placed, variables) for mount in container.get("volumeMounts") or [])


def _mount(mount: Object, placed: Mapping[str, Placed], variables: Mapping[str, str]) -> Mount:
    if mount["name"] not in placed:
        raise InvalidInput(f'volume "{mount["name"]}" is not among the pod\'s volumes')
    volume = placed[mount["name"]]
    source = volume.path
    sub_path = mount.get("subPath") or expand(mount.get("subPathExpr") or "", variables)
    return Mount(
        "bind",
        str(_inside(source, sub_path) if sub_path else source),
        mount["mountPath"],
        read_only=volume.fixed or bool(mount.get("readOnly")),
        propagation=_PROPAGATION[mount.get("mountPropagation") or "None"],
        options={"flags": ("noexec", "nosuid", "nodev")} if volume.fixed else {},
    )


def _inside(base: Path, sub_path: str) -> Path:
    """`sub_path` below `base`, made as a directory if there is nothing; no link leads out of the volume."""
    root = os.path.realpath(base)
    path = os.path.realpath(os.path.join(root, sub_path))
    if path != root and not path.startswith(root + "/"):
        raise InvalidInput(f"subPath {sub_path!r} leads out of the volume")
    if not os.path.lexists(path):
        os.makedirs(path, mode=0o750)
        os.chmod(path, os.stat(root).st_mode & 0o7777)
    return Path(path)
