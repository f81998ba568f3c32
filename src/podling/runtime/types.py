"""What a container may use and do, as plain values. Units: bytes, microseconds where the name says so; zero and empty: unset."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal


class _Nothing(Mapping[str, Any]):
    """The empty mapping. Unlike a mappingproxy it has a hash before Python 3.12, as a dataclass asks of a default."""

    __slots__ = ()

    def __getitem__(self, key: str) -> Any:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __hash__(self) -> int:
        return 0


EMPTY: Mapping[str, Any] = _Nothing()


@dataclass(frozen=True, slots=True)
class Device:
    """A host device node in the container; `permissions` are those of the device cgroup (r, w, m)."""

    source: str
    target: str
    permissions: str = "rwm"


@dataclass(frozen=True, slots=True)
class DeviceRate:
    """A bound for one block device of the host: bytes or operations a second, or a weight, as the field says that it is in."""

    path: str
    rate: int


@dataclass(frozen=True, slots=True)
class Ulimit:
    """One resource limit (setrlimit(2)); `name` without RLIMIT_, in lower case; -1 is unlimited."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class Resources:
    """Limits of one container. `cpu_shares` and `blkio_weight` are relative weights as cgroup v1 counts them.

    `memory_swappiness` is 0 to 100, None unset; it is cgroup v1's alone. `nano_cpus` is how quota and period were asked for, if
    so.
    """

    cpu_shares: int = 0
    cpu_quota_us: int = 0
    cpu_period_us: int = 0
    nano_cpus: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    memory: int = 0
    memory_swap: int = 0
    memory_reservation: int = 0
    memory_swappiness: int | None = None
    oom_kill_disable: bool = False
    pids_limit: int = 0
    ulimits: tuple[Ulimit, ...] = ()
    blkio_weight: int = 0
    blkio_weight_devices: tuple[DeviceRate, ...] = ()
    read_bps: tuple[DeviceRate, ...] = ()
    write_bps: tuple[DeviceRate, ...] = ()
    read_iops: tuple[DeviceRate, ...] = ()
    write_iops: tuple[DeviceRate, ...] = ()
    devices: tuple[Device, ...] = ()
    device_cgroup_rules: tuple[str, ...] = ()
    hugepages: Mapping[str, int] = EMPTY  # bytes by the kernel's name of the size: 2MB, 1GB


@dataclass(frozen=True, slots=True)
class Security:
    """Privileges. `seccomp`: None is the default profile, "unconfined" none, a mapping a profile in Docker's JSON shape.

    `masked_paths` and `read_only_paths`: None are Docker's defaults, an empty tuple is none.
    """

    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    privileged: bool = False
    no_new_privileges: bool = False
    seccomp: Mapping[str, Any] | Literal["unconfined"] | None = None
    read_only_root: bool = False
    masked_paths: tuple[str, ...] | None = None
    read_only_paths: tuple[str, ...] | None = None
    sysctls: Mapping[str, str] = EMPTY
