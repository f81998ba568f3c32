"""Reads what the node and its pods use. `brief` is CPU and memory, some 0.1 ms a container; `whole` is all, with the disks."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from podling.aio.clock import Clock
from podling.linux.cgroup import detect
from podling.node.kubelet.stats import machine
from podling.node.kubelet.stats.disks import Disks, Measured, space_of
from podling.node.kubelet.stats.groups import GroupReader
from podling.node.kubelet.stats.values import (
    ContainerReading,
    Disk,
    NodeReading,
    PodReading,
    Reading,
    Use,
    VolumeReading,
)
from podling.node.place import NodeConfig
from podling.node.pod.spec import Object, uid_of
from podling.node.pod.state import Container, Part, State
from podling.node.resources import cgroup_of

_EPHEMERAL = {"emptyDir", "configMap", "secret", "projected", "downwardAPI", "gitRepo"}
_UNMEASURED = {"hostPath", "image"}  # others' files

Layer = Callable[[str], Measured]
"""What the writable layer of a container takes. Blocks; raises OSError or PodlingError where it is gone."""


@dataclass(frozen=True, slots=True)
class Images:
    """What the images take on the disk at `place`."""

    place: Path
    size: int


class Reader:
    """Reads in threads, one `whole` at a time. `layer` measures a container's own files."""

    def __init__(self, config: NodeConfig, clock: Clock, layer: Layer) -> None:
        self._config = config
        self._clock = clock
        self._layer = layer
        self._groups = GroupReader(detect(), clock)
        self._disks = Disks(clock)

    def brief(self, states: Iterable[State]) -> Reading:
        """CPU and memory of what runs."""
        node = NodeReading(self._config.name, machine.booted_at(), self._config.memory, machine.machine_use(self._clock.now()))
        return Reading(node, tuple(self._pods(states, self._groups.brief)))

    def whole(self, states: Iterable[State], images: Images) -> Reading:
        """All there is to tell."""
        reading = Reading(self._node(images), tuple(map(self._with_disks, self._pods(states, self._groups.whole), states)))
        self._disks.forget_old()
        return reading

    def _pods(self, states: Iterable[State], read: Callable[[str], Use | None]) -> Iterator[PodReading]:
        return (self._pod(state, read) for state in states)

    def _pod(self, state: State, read: Callable[[str], Use | None]) -> PodReading:
        group, metadata = cgroup_of(state.pod, self._config.cgroup), state.pod["metadata"]
        containers = [self._container(group, one, read) for one in state.containers if one.alive]
        return PodReading(
            name=metadata["name"],
            namespace=metadata["namespace"],
            uid=metadata["uid"],
            started_at=state.started_at,
            group=group,
            use=read(group),
            containers=tuple(one for one in containers if one is not None),
        )

    def _container(self, pod: str, one: Container, read: Callable[[str], Use | None]) -> ContainerReading | None:
        group = self._groups.container(pod, one.id)
        if (use := read(group)) is None:
            return None  # it has just ended
        return ContainerReading(one.name, one.id, one.image, one.started_at, one.restarts, group, use)

    # Disks and networks

    def _with_disks(self, reading: PodReading, state: State) -> PodReading:
        logs = self._config.log_directory(state.pod)
        containers = [
            replace(one, rootfs=self._rootfs(one.id), logs=self._disks.tree(logs / one.name)) for one in reading.containers
        ]
        pid = self._first_pid(reading)
        return replace(
            reading,
            containers=tuple(containers),
            interfaces=machine.interfaces(pid) if pid else (),
            volumes=tuple(self._volumes(state.pod)),
        )

    def _rootfs(self, id: str) -> Disk | None:
        return self._disks.measured(f"layer of {id}", self._config.root, lambda: self._layer(id))

    def _first_pid(self, pod: PodReading) -> int:
        """A process that lives in the pod's network; 0 for none."""
        pids = (pid for one in pod.containers for pid in self._groups.group(one.group).pids())
        return next(pids, 0)

    def _volumes(self, pod: Object) -> Iterator[VolumeReading]:
        root = self._config.pods / uid_of(pod) / "volumes"
        for volume in pod["spec"].get("volumes") or []:
            kind = next((key for key in volume if key != "name"), "emptyDir")
            if kind in _UNMEASURED:
                continue
            place = next(root.glob(f"*/{volume['name']}"), None)
            disk = self._disks.tree(place) if place is not None else None
            if disk is not None:
                memory = kind == "emptyDir" and (volume[kind] or {}).get("medium", "") != ""
                claim = (volume.get("persistentVolumeClaim") or {}).get("claimName", "")
                yield VolumeReading(volume["name"], disk, claim, ephemeral=kind in _EPHEMERAL and not memory)

    def _node(self, images: Images) -> NodeReading:
        config, now = self._config, self._clock.now()
        pods = self._groups.whole(config.cgroup)
        system = {"kubelet": machine.own_use(now)} | ({"pods": pods} if pods is not None else {})
        return NodeReading(
            name=config.name,
            booted_at=machine.booted_at(),
            capacity=config.memory,
            use=machine.machine_use(now),
            system=system,
            interfaces=machine.interfaces(),
            default_interface=machine.default_interface(),
            root=_whole_disk(config.root),
            images=_images_disk(images),
            max_pids=machine.max_pids(),
            processes=machine.running_pids(),
            swap_capacity=machine.meminfo().get("SwapTotal", 0),
        )


def _whole_disk(path: Path) -> Disk | None:
    """The file system of `path` with all that is in it."""
    if (space := space_of(path)) is None:
        return None
    return Disk(space, max(0, space.capacity - space.available), space.inodes - space.inodes_free)


def _images_disk(images: Images) -> Disk | None:
    space = space_of(images.place)
    return None if space is None else Disk(space, images.size, 0)


def is_here(state: State) -> bool:
    """Whether a pod has something that can be measured."""
    return state.sandbox.part is Part.READY and any(container.alive for container in state.containers)
