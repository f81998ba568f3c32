"""What was read, at one time. Times in unix seconds, CPU in nanoseconds, memory and disk in bytes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from podling.linux.cgroup import Stats


@dataclass(frozen=True, slots=True)
class Stall:
    """One line of a pressure file: shares in per cent, the whole in microseconds."""

    avg10: float = 0.0
    avg60: float = 0.0
    avg300: float = 0.0
    total_us: int = 0


@dataclass(frozen=True, slots=True)
class Pressure:
    """How long some, and all, had to wait for a resource."""

    some: Stall = Stall()
    full: Stall = Stall()


@dataclass(frozen=True, slots=True)
class Use:
    """What a control group, or the whole machine, uses. `limit` and `swap_limit` 0: none; swap None: not known.

    `detail` and what follows is read only when all is asked for; `pressure` is by resource: cpu, memory, io.
    """

    at: float
    cpu_ns: int
    memory: int = 0
    working_set: int = 0
    rss: int = 0
    limit: int = 0
    swap: int | None = None
    swap_limit: int = 0
    page_faults: int = 0
    major_faults: int = 0
    detail: Stats | None = None
    peak: int = 0
    limit_hits: int = 0
    processes: int = 0
    pressure: Mapping[str, Pressure] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Interface:
    """Counters of a network interface, as its own namespace sees them."""

    name: str
    rx_bytes: int = 0
    rx_packets: int = 0
    rx_errors: int = 0
    rx_dropped: int = 0
    tx_bytes: int = 0
    tx_packets: int = 0
    tx_errors: int = 0
    tx_dropped: int = 0


@dataclass(frozen=True, slots=True)
class Space:
    """A file system: statvfs(3)."""

    capacity: int
    available: int
    inodes: int
    inodes_free: int
    device: str = ""


@dataclass(frozen=True, slots=True)
class Disk:
    """What something takes on the file system that it is on."""

    space: Space
    used: int
    inodes_used: int


@dataclass(frozen=True, slots=True)
class ContainerReading:
    """A running container. `group` is its control group's path."""

    name: str
    id: str
    image: str
    started_at: float
    restarts: int
    group: str
    use: Use
    rootfs: Disk | None = None
    logs: Disk | None = None


@dataclass(frozen=True, slots=True)
class VolumeReading:
    """A volume of a pod. `claim` is the PersistentVolumeClaim behind it; `ephemeral`: it counts as the pod's local storage."""

    name: str
    disk: Disk
    claim: str = ""
    ephemeral: bool = True


@dataclass(frozen=True, slots=True)
class PodReading:
    name: str
    namespace: str
    uid: str
    started_at: float
    group: str
    use: Use | None
    containers: tuple[ContainerReading, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    volumes: tuple[VolumeReading, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeReading:
    """The machine, and by their names the control groups of the system: pods, kubelet. `images` is what they take on the disk."""

    name: str
    booted_at: float
    capacity: int
    use: Use
    system: Mapping[str, Use] = field(default_factory=dict)
    interfaces: tuple[Interface, ...] = ()
    default_interface: str = ""
    root: Disk | None = None
    images: Disk | None = None
    max_pids: int = 0
    processes: int = 0
    swap_capacity: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    node: NodeReading
    pods: tuple[PodReading, ...]

    def cpu(self) -> dict[str, tuple[float, int]]:
        """When and how much CPU each had used: by control group, the machine as "" and system groups by their names."""
        found = {f"system/{name}": use for name, use in self.node.system.items()} | {"": self.node.use}
        for pod in self.pods:
            if pod.use is not None:
                found[pod.group] = pod.use
            found |= {container.group: container.use for container in pod.containers}
        return {key: (use.at, use.cpu_ns) for key, use in found.items()}


def nano_cores(before: Mapping[str, tuple[float, int]], now: Mapping[str, tuple[float, int]]) -> dict[str, int]:
    """What each used on average between two readings, in billionths of a CPU; nothing for what is new or has begun anew."""
    rates: dict[str, int] = {}
    for key, (at, used) in now.items():
        since, base = before.get(key, (at, 0))
        if at > since and used >= base:
            rates[key] = int((used - base) / (at - since))
    return rates
