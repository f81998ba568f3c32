"""The container engine: its parts, made in order, and found again after a restart."""

import asyncio
import contextlib
import hashlib
import os
import resource
from pathlib import Path

from podling.aio.clock import Clock, SystemClock
from podling.aio.tasks import Tasks
from podling.base.errors import Conflict, NotFound
from podling.engine.container import Container
from podling.engine.containers import Containers
from podling.engine.events import Events
from podling.engine.execution import Execs
from podling.engine.mounts import mount_points
from podling.engine.record import Records
from podling.engine.surroundings import Surroundings
from podling.images.images import LAYER_LIMITS, Images
from podling.images.model import RegistrySettings
from podling.linux import capabilities, cgroup, mount, process
from podling.network.base import Network
from podling.network.networks import Networks
from podling.oci.platform import of_machine
from podling.runtime import program
from podling.runtime.conmon import Conmon
from podling.runtime.spec import Host
from podling.snapshots.overlay import OverlaySnapshotter
from podling.snapshots.unpack import Limits
from podling.volumes.base import Volume
from podling.volumes.volumes import Volumes

DEFAULT_INSTANCE = "podling"
_LIMITS = {
    "as": resource.RLIMIT_AS,
    "core": resource.RLIMIT_CORE,
    "cpu": resource.RLIMIT_CPU,
    "data": resource.RLIMIT_DATA,
    "fsize": resource.RLIMIT_FSIZE,
    "memlock": resource.RLIMIT_MEMLOCK,
    "msgqueue": resource.RLIMIT_MSGQUEUE,
    "nice": resource.RLIMIT_NICE,
    "nofile": resource.RLIMIT_NOFILE,
    "nproc": resource.RLIMIT_NPROC,
    "rss": resource.RLIMIT_RSS,
    "rtprio": resource.RLIMIT_RTPRIO,
    "sigpending": resource.RLIMIT_SIGPENDING,
    "stack": resource.RLIMIT_STACK,
}


class Engine:
    """Containers, images, networks and volumes of one instance.

    `root` holds what survives a reboot, `run` what does not; both belong to this engine alone. `instance` names its kernel
    objects. `runtime` names the OCI runtime (empty: the best there is), `netns` the network namespace that stands for the host's.
    """

    def __init__(
        self,
        root: Path,
        run: Path,
        instance: str = DEFAULT_INSTANCE,
        *,
        clock: Clock | None = None,
        registries: RegistrySettings | None = None,
        layer_limits: Limits = LAYER_LIMITS,
        runtime: str = "",
        netns: Path | None = None,
    ) -> None:
        self.root = root
        self.run = run
        self.instance = instance
        self.clock = clock or SystemClock()
        self._tasks = Tasks("engine")
        root.mkdir(parents=True, exist_ok=True, mode=0o711)
        run.mkdir(parents=True, exist_ok=True, mode=0o711)
        self._program = program.find(runtime)
        if self._program.prepare is not None:
            mount.share(root)
            mount.share(run)
        self.events = Events(self.clock)
        self.snapshots = OverlaySnapshotter(root / "snapshots", floor=mount_points(root / "floor"))
        self.images = Images(root / "images", self.snapshots, self.clock, registries or RegistrySettings(), layer_limits)
        self.networks = Networks(
            root / "network", network_instance(instance), netns=netns, clock=self.clock, tell=self._tell_network
        )
        self.volumes = Volumes(root / "volumes", self.clock, tell=self._tell_volume)
        self.execs = Execs()
        self.containers = Containers()

    @property
    def runtime_name(self) -> str:
        """The OCI runtime of containers that name none."""
        return os.path.basename(self._program.path)

    async def start(self) -> None:
        """List what there is, and go on: running containers run on, ended ones learn how they ended, policies restart theirs."""
        self.host = _host()
        self.containers.open(
            Surroundings(
                images=self.images,
                networks=self.networks,
                volumes=self.volumes,
                runtime=Conmon(self.run, self._program),
                records=Records(self.root / "containers"),
                events=self.events,
                clock=self.clock,
                tasks=self._tasks,
                host=self.host,
                hierarchies=cgroup.detect(),
                run=self.run,
                cgroup_parent=f"/{self.instance}",
                execs=self.execs,
                find=self.containers.find,
                claim=self.containers.claim,
                started=self.containers.started,
                gone=self.containers.gone,
            )
        )
        await self.containers.recover()

    async def close(self) -> None:
        """Let go of everything. Containers go on running."""
        await self._tasks.cancel()
        await self.networks.close()
        self.images.close()

    def _tell_network(self, action: str, network: Network, sandbox: str) -> None:
        about = {"container": sandbox} if sandbox else {}
        self.events.publish("network", action, network.id, {"name": network.name, "type": network.driver, **about})

    def _tell_volume(self, action: str, volume: Volume, container: str) -> None:
        about = {"container": container} if container else {}
        with contextlib.suppress(NotFound):
            mounts = self.containers.find(container).spec.mounts if container else ()
            for place in (mounted for mounted in mounts if mounted.source == volume.name):
                access = "false" if place.read_only else "true"
                about |= {"destination": place.target, "propagation": "", "read/write": access}
        self.events.publish("volume", action, volume.name, {"driver": volume.driver, **about})

    async def purge(self) -> None:
        """Remove all containers and every kernel object of this instance, for good; then `close`. Files stay."""
        await asyncio.gather(*(_remove(container) for container in self.containers.list()))
        await self.networks.purge()
        with contextlib.suppress(FileNotFoundError):
            await asyncio.to_thread(_empty, cgroup.Group(self.instance))
        for place in (self.run, self.root):
            await asyncio.to_thread(_unshare, place)


def _empty(group: cgroup.Group) -> None:
    """Remove the group, with who is in it beside containers."""
    for pid in group.pids():
        process.end(pid)
    group.remove()


async def _remove(container: Container) -> None:
    """Remove it, or wait for who is at it."""
    with contextlib.suppress(Conflict):
        await container.remove(force=True)
    await container.wait("removed")


def network_instance(instance: str) -> str:
    """What tells the network objects of instances apart: four hexadecimal digits, none for the default."""
    if instance == DEFAULT_INSTANCE:
        return ""
    tail = instance.rpartition("-")[2][:4]
    if len(tail) == 4 and not set(tail) - set("0123456789abcdef"):
        return tail
    return hashlib.sha256(instance.encode()).hexdigest()[:4]


def _unshare(place: Path) -> None:
    for found in reversed(mount.mounts_below(place)):
        mount.unmount_if_mounted(found.target)


def _host() -> Host:
    hierarchies = cgroup.detect()
    group = cgroup.Group("/", hierarchies)
    return Host(
        architecture=of_machine(os.uname().machine).architecture,
        cgroup_v2=hierarchies.mode == "v2",
        swap_limit=hierarchies.mode == "v2" or bool(group.read("memory", "memory.memsw.limit_in_bytes")),
        capabilities=frozenset(f"CAP_{name}" for name in capabilities.bounding()),
        oom_score_adj=int(Path("/proc/self/oom_score_adj").read_text()),
        hard_limits={name: resource.getrlimit(number)[1] for name, number in _LIMITS.items()},
    )
