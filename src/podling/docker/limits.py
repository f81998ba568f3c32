"""The limits of a container, from JSON, checked against what this machine has.

Source: Docker Engine API, Resources; error texts and warnings are the daemon's. What the kernel lacks is left out with a warning.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from podling.base.errors import InvalidInput
from podling.linux.cgroup import Group
from podling.runtime.spec import Host
from podling.runtime.types import Device, DeviceRate, Resources, Ulimit

Json = Mapping[str, Any]

NANOSECONDS = 1_000_000_000
MINIMUM_MEMORY = 6 << 20
CPU_PERIOD_US = 100_000
_PERIODS = range(1000, 1_000_001)
_WEIGHTS = range(10, 1001)


@dataclass(frozen=True, slots=True)
class Kernel:
    """What can be limited here. `cpus` and `mems` are those that there are, as the kernel lists them: "0-3,7"."""

    cpus: str = "0-1023"
    mems: str = "0"
    swap: bool = True
    swappiness: bool = True
    oom_kill_disable: bool = True
    blkio_weight: bool = True

    @property
    def number_of_cpus(self) -> int:
        return len(_numbers(self.cpus))


def kernel(host: Host) -> Kernel:
    """Those of this machine. Blocks for a few reads."""
    root = Group("/")
    suffix = ".effective" if host.cgroup_v2 else ""
    return Kernel(
        cpus=root.read("cpuset", f"cpuset.cpus{suffix}").strip(),
        mems=root.read("cpuset", f"cpuset.mems{suffix}").strip(),
        swap=host.swap_limit,
        swappiness=not host.cgroup_v2,
        oom_kill_disable=not host.cgroup_v2,
        blkio_weight=host.cgroup_v2 or bool(root.read("blkio", "blkio.weight")),
    )


def resources(given: Json, here: Kernel, *, update: bool = False) -> tuple[Resources, list[str]]:
    """The limits of a HostConfig, or of an update, and what is to be said about them. Raises InvalidInput."""
    _check_memory(given, update)
    _check_cpu(given, here)
    _check_sets(given, here)
    _check_io(given)
    warnings: list[str] = []
    return _fitted(_resources(given, update), here, warnings), warnings


def _check_memory(given: Json, update: bool) -> None:
    memory, swap = given.get("Memory") or 0, given.get("MemorySwap") or 0
    reservation, swappiness = given.get("MemoryReservation") or 0, given.get("MemorySwappiness")
    if memory and memory < MINIMUM_MEMORY:
        raise InvalidInput("Minimum memory limit allowed is 6MB")
    if memory and 0 < swap < memory:
        raise InvalidInput("Minimum memoryswap limit should be larger than memory limit, see usage")
    if not memory and swap > 0 and not update:
        raise InvalidInput("You should always set the Memory limit when using Memoryswap limit, see usage")
    if swappiness not in (None, -1) and not 0 <= swappiness <= 100:
        raise InvalidInput(f"Invalid value: {swappiness}, valid memory swappiness range is 0-100")
    if 0 < reservation < MINIMUM_MEMORY:
        raise InvalidInput("Minimum memory reservation allowed is 6MB")
    if memory and memory < reservation:
        raise InvalidInput("Minimum memory limit can not be less than memory reservation limit, see usage")


def _check_cpu(given: Json, here: Kernel) -> None:
    quota, period, nano = given.get("CpuQuota") or 0, given.get("CpuPeriod") or 0, given.get("NanoCpus") or 0
    if nano > 0 and period > 0:
        raise InvalidInput("Conflicting options: Nano CPUs and CPU Period cannot both be set")
    if nano > 0 and quota > 0:
        raise InvalidInput("Conflicting options: Nano CPUs and CPU Quota cannot both be set")
    if not 0 <= nano <= here.number_of_cpus * NANOSECONDS:
        count = here.number_of_cpus
        raise InvalidInput(f"range of CPUs is from 0.01 to {count}.00, as there are only {count} CPUs available")
    if (given.get("CpuShares") or 0) < 0:
        raise InvalidInput(f"invalid CPU shares ({given['CpuShares']}): value must be a positive integer")
    if period and period not in _PERIODS:
        raise InvalidInput("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    if 0 < quota < _PERIODS.start:
        raise InvalidInput("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    for name in ("CpuRealtimePeriod", "CpuRealtimeRuntime"):
        if given.get(name):
            raise InvalidInput("Your kernel does not support CPU real-time scheduler")


def _check_sets(given: Json, here: Kernel) -> None:
    for name, word, what, there in (
        ("CpusetCpus", "cpus", "CPUs", here.cpus),
        ("CpusetMems", "mems", "memory nodes", here.mems),
    ):
        asked = given.get(name) or ""
        try:
            wanted = _numbers(asked)
        except ValueError:
            raise InvalidInput(f"Invalid value {asked} for cpuset {word}") from None
        if not wanted <= _numbers(there):
            raise InvalidInput(f"Requested {what} are not available - requested {asked}, available: {there}")


def _numbers(text: str) -> set[int]:
    """The members of "0-3,7". Raises ValueError."""
    found: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        first, dash, last = part.partition("-")
        numbers = range(int(first), int(last if dash else first) + 1)
        if not numbers or numbers.start < 0 or numbers.stop > 1 << 16:
            raise ValueError(text)
        found.update(numbers)
    return found


def _check_io(given: Json) -> None:
    weights = [each["Weight"] for each in given.get("BlkioWeightDevice") or ()]
    if any(weight and weight not in _WEIGHTS for weight in [given.get("BlkioWeight") or 0, *weights]):
        raise InvalidInput("Range of blkio weight is from 10 to 1000")
    if given.get("IOMaximumBandwidth") or given.get("IOMaximumIOps"):
        raise InvalidInput("Invalid QoS settings: linux does not support Maximum IO Bandwidth or Maximum IO IOps")


def _resources(given: Json, update: bool) -> Resources:
    quota, period, nano = given.get("CpuQuota") or 0, given.get("CpuPeriod") or 0, given.get("NanoCpus") or 0
    if nano:
        quota, period = nano * CPU_PERIOD_US // NANOSECONDS, CPU_PERIOD_US
    pids = given.get("PidsLimit") or 0
    swappiness = given.get("MemorySwappiness")
    return Resources(
        cpu_shares=given.get("CpuShares") or 0,
        cpu_quota_us=quota,
        cpu_period_us=period,
        nano_cpus=nano,
        cpuset_cpus=given.get("CpusetCpus") or "",
        cpuset_mems=given.get("CpusetMems") or "",
        memory=given.get("Memory") or 0,
        memory_swap=given.get("MemorySwap") or 0,
        memory_reservation=given.get("MemoryReservation") or 0,
        memory_swappiness=None if swappiness == -1 else swappiness,
        oom_kill_disable=bool(given.get("OomKillDisable")),
        pids_limit=max(pids, -1 if update else 0),
        ulimits=tuple(Ulimit(limit["Name"], limit["Soft"], limit["Hard"]) for limit in given.get("Ulimits") or ()),
        blkio_weight=given.get("BlkioWeight") or 0,
        blkio_weight_devices=_rates(given, "BlkioWeightDevice", "Weight"),
        read_bps=_rates(given, "BlkioDeviceReadBps"),
        write_bps=_rates(given, "BlkioDeviceWriteBps"),
        read_iops=_rates(given, "BlkioDeviceReadIOps"),
        write_iops=_rates(given, "BlkioDeviceWriteIOps"),
        devices=tuple(_device(device) for device in given.get("Devices") or ()),
        device_cgroup_rules=tuple(given.get("DeviceCgroupRules") or ()),
    )


def _rates(given: Json, key: str, word: str = "Rate") -> tuple[DeviceRate, ...]:
    return tuple(DeviceRate(each["Path"], each[word]) for each in given.get(key) or ())


def _device(device: Json) -> Device:
    source = device["PathOnHost"]
    return Device(source, device.get("PathInContainer") or source, device.get("CgroupPermissions") or "rwm")


def _fitted(wanted: Resources, here: Kernel, warnings: list[str]) -> Resources:
    """Without what the kernel can't do; `warnings` hears of it."""
    lacking = "or the cgroup is not mounted"
    if wanted.memory > 0 and wanted.memory_swap != -1 and not here.swap:
        warnings.append(f"Your kernel does not support swap limit capabilities {lacking}. Memory limited without swap.")
        wanted = replace(wanted, memory_swap=-1)
    if wanted.memory_swappiness is not None and not here.swappiness:
        warnings.append(f"Your kernel does not support memory swappiness capabilities {lacking}. Memory swappiness discarded.")
        wanted = replace(wanted, memory_swappiness=None)
    if wanted.oom_kill_disable and not here.oom_kill_disable:
        warnings.append("Your kernel does not support OomKillDisable. OomKillDisable discarded.")
        wanted = replace(wanted, oom_kill_disable=False)
    if wanted.oom_kill_disable and not wanted.memory:
        warnings.append(
            "OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out "
            "of resources."
        )
    if wanted.blkio_weight and not here.blkio_weight:
        warnings.append(f"Your kernel does not support Block I/O weight {lacking}. Weight discarded.")
        wanted = replace(wanted, blkio_weight=0)
    if wanted.blkio_weight_devices and not here.blkio_weight:
        warnings.append(f"Your kernel does not support Block I/O weight_device {lacking}. Weight-device discarded.")
        wanted = replace(wanted, blkio_weight_devices=())
    return wanted


def with_swap(wanted: Resources) -> Resources:
    """For a new container: as much swap again as memory, where nothing was said of it."""
    return replace(wanted, memory_swap=wanted.memory * 2) if wanted.memory > 0 and not wanted.memory_swap else wanted


def check_update(old: Resources, new: Resources) -> None:
    """Whether limits may take the place of others, or stand beside them. Raises InvalidInput."""
    for conflict in _conflicts(old, new):
        raise InvalidInput(conflict)


def _conflicts(old: Resources, new: Resources) -> Iterator[str]:
    own_period, own_quota = (0, 0) if old.nano_cpus else (old.cpu_period_us, old.cpu_quota_us)
    if new.nano_cpus and own_period:
        yield "Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set"
    if new.nano_cpus and own_quota:
        yield "Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set"
    if new.cpu_period_us and not new.nano_cpus and old.nano_cpus:
        yield "Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set"
    if new.cpu_quota_us and not new.nano_cpus and old.nano_cpus:
        yield "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set"
    if not new.memory_swap and 0 < old.memory_swap < new.memory:
        yield ("Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time")
