"""Control groups: v2, v1, and both side by side ("hybrid", where v1 has the controllers).

A group is named by its path below the root of the hierarchy, "/podling/pod-1/c-2"; on v1 it stands in each controller's
hierarchy. Source: cgroups(7), Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/.
"""

import contextlib
import errno
import os
import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from podling.linux.mount import Mount, mounts

Mode = Literal["v1", "hybrid", "v2"]
_CONTROLLERS = ("cpuset", "cpu", "io", "memory", "pids")  # what v2 hands down
_USER_HZ = os.sysconf("SC_CLK_TCK")
_V1_UNLIMITED = 1 << 62  # v1 says "no limit" with a number near 2^63


@dataclass(frozen=True, slots=True)
class Hierarchies:
    """Where the control groups are mounted. `controllers` maps a v1 controller to its mount; `unified` is cgroup2's or None."""

    mode: Mode
    controllers: Mapping[str, Path]
    unified: Path | None


def detect(table: Sequence[Mount] | None = None) -> Hierarchies:
    """The hierarchies of this host. Raises FileNotFoundError where none is mounted."""
    controllers: dict[str, Path] = {}
    unified = None
    for mount in mounts() if table is None else table:
        if mount.fstype == "cgroup2":
            unified = unified or Path(mount.target)
        elif mount.fstype == "cgroup":
            for option in mount.super_options.split(","):
                if option in _V1_NAMES or option == "name=systemd":
                    controllers.setdefault(option, Path(mount.target))
    if not controllers and unified is None:
        raise FileNotFoundError(errno.ENOENT, "no control groups are mounted", "/sys/fs/cgroup")
    mode: Mode = "v2" if not _V1_NAMES & controllers.keys() else "hybrid" if unified else "v1"
    return Hierarchies(mode, controllers, unified)


_V1_NAMES = {
    "cpu",
    "cpuacct",
    "cpuset",
    "memory",
    "devices",
    "freezer",
    "blkio",
    "pids",
    "net_cls",
    "net_prio",
    "perf_event",
    "hugetlb",
    "rdma",
}


@dataclass(frozen=True, slots=True)
class DeviceRates:
    """What a group may do with one disk in a second: bytes read and written, requests to read and to write.

    None leaves a rate as it is, -1 lifts it.
    """

    read_bytes: int | None = None
    write_bytes: int | None = None
    reads: int | None = None
    writes: int | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What is to be set; None leaves a limit as it is, -1 lifts it.

    `cpu_quota` and `cpu_period` in microseconds; `cpu_shares` as v1 counts (1024 is one share; v2's weight follows from it);
    `memory` and `memory_swap` (memory plus swap, as Docker counts) in bytes; `pids` a number; `cpus` and `mems` as "0-3,7".
    `devices` maps a disk (major, minor; not a partition) to its rates. v1 holds direct writes back alone, v2 also those through
    the page cache.
    """

    cpu_quota: int | None = None
    cpu_period: int | None = None
    cpu_shares: int | None = None
    memory: int | None = None
    memory_swap: int | None = None
    pids: int | None = None
    cpus: str | None = None
    mems: str | None = None
    devices: Mapping[tuple[int, int], DeviceRates] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeviceUse:
    """What a group has done with one disk: bytes read and written, requests to read and to write."""

    major: int
    minor: int
    read_bytes: int = 0
    written_bytes: int = 0
    reads: int = 0
    writes: int = 0


@dataclass(frozen=True, slots=True)
class Stats:
    """What a group has used. CPU times in nanoseconds, memory in bytes; a limit of 0 is none; `memory` is memory.stat.

    Version 1 alone knows the time on each CPU, version 2 only since Linux 5.19 the most memory that was ever used.
    """

    cpu_total: int = 0
    cpu_each: tuple[int, ...] = ()
    cpu_user: int = 0
    cpu_system: int = 0
    cpu_periods: int = 0
    cpu_throttled_periods: int = 0
    cpu_throttled: int = 0
    memory_usage: int = 0
    memory_limit: int = 0
    memory: Mapping[str, int] = field(default_factory=dict)
    memory_peak: int = 0
    memory_failures: int = 0
    oom_kills: int = 0
    pids: int = 0
    pids_limit: int = 0
    io: tuple[DeviceUse, ...] = ()

    @property
    def io_read(self) -> int:
        """Bytes read from all disks."""
        return sum(each.read_bytes for each in self.io)

    @property
    def io_written(self) -> int:
        """Bytes written to all disks."""
        return sum(each.written_bytes for each in self.io)

    @property
    def working_set(self) -> int:
        """Memory that can't be reclaimed easily: what the kubelet and `docker stats` show."""
        inactive = self.memory.get("total_inactive_file", self.memory.get("inactive_file", 0))
        return max(0, self.memory_usage - inactive)


def weight_of_shares(shares: int) -> int:
    """cpu.weight (1-10000) for v1's cpu.shares (2-262144), by the linear map that OCI runtimes use."""
    return 1 + ((min(max(shares, 2), 262144) - 2) * 9999) // 262142


class Group:
    """One control group at `path`, on whatever the host has."""

    def __init__(self, path: str, hierarchies: Hierarchies | None = None) -> None:
        self.path = "/" + path.strip("/")
        self._host = hierarchies or detect()
        self._v2 = self._host.mode == "v2"

    def directory(self, controller: str = "") -> Path | None:
        """Where the group stands for a controller; None where the host lacks it."""
        root = self._host.unified if self._v2 else self._host.controllers.get(controller)
        return None if root is None else root / self.path.lstrip("/")

    def directories(self) -> list[Path]:
        """All directories of the group, one on v2."""
        roots = [self._host.unified] if self._v2 else [*self._host.controllers.values(), self._host.unified]
        return [root / self.path.lstrip("/") for root in dict.fromkeys(roots) if root is not None]

    def create(self) -> None:
        """Make the group and those above it, with all controllers; nothing if it is there."""
        for directory in self.directories():
            directory.mkdir(parents=True, exist_ok=True)
        if self._v2:
            self._delegate()
        else:
            self._fill_cpuset()

    def _delegate(self) -> None:
        """Hand the controllers down, from the root to the parent of the group."""
        assert self._host.unified is not None
        level = self._host.unified
        for name in self.path.strip("/").split("/"):
            available = (level / "cgroup.controllers").read_text().split()
            for controller in available:
                if controller in _CONTROLLERS:
                    # Refused where the level has processes of its own: then the group does without.
                    with contextlib.suppress(OSError):
                        _write(level / "cgroup.subtree_control", f"+{controller}")
            level = level / name

    def _fill_cpuset(self) -> None:
        """A v1 cpuset takes no process until it has CPUs and memory nodes: copy the parent's."""
        root = self._host.controllers.get("cpuset")
        if root is None:
            return
        level = root
        for name in self.path.strip("/").split("/"):
            parent, level = level, level / name
            for file in ("cpuset.cpus", "cpuset.mems"):
                if not (level / file).read_text().strip():
                    _write(level / file, (parent / file).read_text().strip())

    def remove(self) -> None:
        """Remove the group and the groups below it; nothing if it is gone. Raises OSError (EBUSY) while processes are in it."""
        for directory in self.directories():
            for level in [*reversed(_tree(directory)), directory]:
                with contextlib.suppress(FileNotFoundError):
                    level.rmdir()

    def exists(self) -> bool:
        return any(directory.is_dir() for directory in self.directories())

    def add(self, pid: int) -> None:
        """Move a process into the group."""
        for directory in self.directories():
            _write(directory / "cgroup.procs", str(pid))

    def pids(self) -> list[int]:
        """The processes in the group and the groups below it."""
        directory = self._main()
        found: set[int] = set()
        for level in [directory, *_tree(directory)] if directory else []:
            with contextlib.suppress(FileNotFoundError):
                found.update(int(line) for line in (level / "cgroup.procs").read_text().split())
        return sorted(found)

    def _main(self) -> Path | None:
        """The directory that stands for the group where one is enough."""
        return next((d for name in ("pids", "memory", "freezer", "cpu") if (d := self.directory(name))), None)

    def kill(self) -> None:
        """Send SIGKILL to every process in the group and below; a frozen group is thawed."""
        if self._v2 and (directory := self.directory()) and (directory / "cgroup.kill").exists():
            _write(directory / "cgroup.kill", "1")
            return
        with contextlib.suppress(OSError):
            self.freeze(True)
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            self.freeze(False)

    def freeze(self, on: bool) -> None:
        """Stop all processes of the group, or let them go on."""
        directory = self.directory("freezer")
        if directory is None:
            raise FileNotFoundError(errno.ENOENT, "the host has no freezer controller", self.path)
        if self._v2:
            _write(directory / "cgroup.freeze", str(int(on)))
        else:
            _write(directory / "freezer.state", "FROZEN" if on else "THAWED")

    def is_frozen(self) -> bool:
        """Whether `freeze` is in force, or about to be."""
        if self._v2:
            return self.read("freezer", "cgroup.freeze").strip() == "1"
        return self.read("freezer", "freezer.state").strip() in ("FROZEN", "FREEZING")

    def apply(self, limits: Limits) -> None:
        """Set the limits that are given. Raises OSError with the file; FileNotFoundError where the host lacks the controller."""
        for controller, file, value in _v2_files(limits) if self._v2 else _v1_files(limits):
            directory = self.directory(controller)
            if directory is None:
                raise FileNotFoundError(errno.ENOENT, f"the host has no {controller} controller", self.path)
            if file == "memory.limit_in_bytes":
                _set_v1_memory(directory, limits)
            else:
                _write(directory / file, value)

    def stats(self) -> Stats:
        """What the group has used so far; fields of controllers that the host lacks are 0."""
        return _v2_stats(self) if self._v2 else _v1_stats(self)

    def read(self, controller: str, file: str) -> str:
        """A file of the group, "" where it isn't."""
        root = self._host.unified if self._v2 else self._host.controllers.get(controller)
        return "" if root is None else _read(f"{root}{self.path}/{file}")

    def oom_kills(self) -> int:
        """How many processes of the group the kernel has killed for want of memory."""
        file = "memory.events" if self._v2 else "memory.oom_control"
        return _table(self.read("memory", file)).get("oom_kill", 0)

    def oom_events(self) -> int:
        """A descriptor that becomes readable when the group runs out of memory; the caller reads 8 bytes and closes it.

        On v1 an eventfd; on v2 use `inotify` on memory.events instead (this raises FileNotFoundError).
        """
        directory = self._host.controllers.get("memory")
        if directory is None:
            raise FileNotFoundError(errno.ENOENT, "the host has no v1 memory controller", self.path)
        here = directory / self.path.lstrip("/")
        event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        control = os.open(here / "memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _write(here / "cgroup.event_control", f"{event} {control}")
        except OSError:
            os.close(event)
            raise
        finally:
            os.close(control)
        return event


def expect_move(hierarchies: Hierarchies) -> None:
    """Say that a process is about to be moved into a group. Blocks for the time that the move then does not take.

    With version 1 the first move waits for a grace period of RCU (10 ms and more), those right after it don't: so this process is
    moved to where it is. Version 2 starts processes in their group, which waits for nothing.
    """
    if hierarchies.mode == "v2":
        return
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        root = hierarchies.controllers.get(controllers.split(",")[0])
        if root is not None:
            with contextlib.suppress(OSError):  # the path may be another namespace's
                _write(root / path.lstrip("/") / "cgroup.procs", str(os.getpid()))
            return


def _tree(directory: Path) -> list[Path]:
    """The groups below `directory`, parents first."""
    return [Path(level) / name for level, names, _ in os.walk(directory) for name in names]


def _write(file: Path, value: str) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, value.encode())
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror} (writing {value!r})", str(file)) from None
    finally:
        os.close(descriptor)


def _read(file: str) -> str:
    """The whole file, "" where it isn't. A third of what Path.read_text takes, and statistics are many files."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    try:
        return b"".join(iter(lambda: os.read(descriptor, 1 << 16), b"")).decode()
    except OSError as error:
        if error.errno == errno.ENODEV:  # the group has gone meanwhile
            return ""
        raise
    finally:
        os.close(descriptor)


def _v2_files(limits: Limits) -> Iterator[tuple[str, str, str]]:
    """(controller, file, value) in the order in which they are to be written."""
    if limits.cpu_quota is not None or limits.cpu_period is not None:
        quota = "max" if limits.cpu_quota is None or limits.cpu_quota < 0 else str(limits.cpu_quota)
        yield "cpu", "cpu.max", f"{quota} {limits.cpu_period or 100000}"
    if limits.cpu_shares is not None:
        yield "cpu", "cpu.weight", str(weight_of_shares(limits.cpu_shares))
    if limits.memory is not None:
        yield "memory", "memory.max", _or_max(limits.memory)
    if limits.memory_swap is not None:
        swap = limits.memory_swap if limits.memory_swap < 0 else limits.memory_swap - max(limits.memory or 0, 0)
        yield "memory", "memory.swap.max", _or_max(swap)
    for (major, minor), rates in limits.devices.items():
        given = {"rbps": rates.read_bytes, "wbps": rates.write_bytes, "riops": rates.reads, "wiops": rates.writes}
        words = [f"{key}={_or_max(value)}" for key, value in given.items() if value is not None]
        if words:
            yield "io", "io.max", f"{major}:{minor} {' '.join(words)}"
    yield from _common_files(limits)


def _v1_files(limits: Limits) -> Iterator[tuple[str, str, str]]:
    if limits.cpu_period is not None:
        yield "cpu", "cpu.cfs_period_us", str(limits.cpu_period)
    if limits.cpu_quota is not None:
        yield "cpu", "cpu.cfs_quota_us", str(limits.cpu_quota)
    if limits.cpu_shares is not None:
        yield "cpu", "cpu.shares", str(limits.cpu_shares)
    if limits.memory is not None or limits.memory_swap is not None:
        yield "memory", "memory.limit_in_bytes", str(limits.memory)
    for (major, minor), rates in limits.devices.items():
        given = {
            "read_bps": rates.read_bytes,
            "write_bps": rates.write_bytes,
            "read_iops": rates.reads,
            "write_iops": rates.writes,
        }
        for key, value in given.items():
            if value is not None:
                yield "blkio", f"blkio.throttle.{key}_device", f"{major}:{minor} {max(value, 0)}"
    yield from _common_files(limits)


def _common_files(limits: Limits) -> Iterator[tuple[str, str, str]]:
    if limits.pids is not None:
        yield "pids", "pids.max", _or_max(limits.pids)
    if limits.cpus is not None:
        yield "cpuset", "cpuset.cpus", limits.cpus
    if limits.mems is not None:
        yield "cpuset", "cpuset.mems", limits.mems


def _or_max(value: int) -> str:
    return "max" if value < 0 else str(value)


def _set_v1_memory(directory: Path, limits: Limits) -> None:
    """Memory must never be above memory plus swap, so which goes first depends on the direction."""
    memory, both = directory / "memory.limit_in_bytes", directory / "memory.memsw.limit_in_bytes"
    writes = [(memory, limits.memory)]
    if limits.memory_swap is not None and both.exists():
        raised = limits.memory_swap < 0 or limits.memory_swap > int(both.read_text())
        writes.insert(0 if raised else 1, (both, limits.memory_swap))
    for file, value in writes:
        if value is not None:
            _write(file, str(value))


def _table(text: str) -> dict[str, int]:
    """Lines of "name number"."""
    return {name: int(value) for name, value in _LINES(text)}


_LINES = re.compile(r"^(\S+) (\d+)$", re.MULTILINE).findall


def _integer(text: str) -> int:
    """A number; 0 for "max", for v1's "no limit" and for nothing."""
    value = int(text) if text.strip().isdecimal() else 0
    return 0 if value >= _V1_UNLIMITED else value


def _v2_stats(group: Group) -> Stats:
    cpu = _table(group.read("cpu", "cpu.stat"))
    return Stats(
        cpu_total=cpu.get("usage_usec", 0) * 1000,
        cpu_user=cpu.get("user_usec", 0) * 1000,
        cpu_system=cpu.get("system_usec", 0) * 1000,
        cpu_periods=cpu.get("nr_periods", 0),
        cpu_throttled_periods=cpu.get("nr_throttled", 0),
        cpu_throttled=cpu.get("throttled_usec", 0) * 1000,
        memory_usage=_integer(group.read("memory", "memory.current")),
        memory_limit=_integer(group.read("memory", "memory.max")),
        memory=_table(group.read("memory", "memory.stat")),
        memory_peak=_integer(group.read("memory", "memory.peak")),
        memory_failures=_table(group.read("memory", "memory.events")).get("max", 0),
        oom_kills=group.oom_kills(),
        pids=_integer(group.read("pids", "pids.current")),
        pids_limit=_integer(group.read("pids", "pids.max")),
        io=tuple(_v2_io(group.read("io", "io.stat"))),
    )


def _v2_io(text: str) -> Iterator[DeviceUse]:
    """Lines of "8:0 rbytes=1 wbytes=2 ..."."""
    for line in text.splitlines():
        device, *words = line.split()
        values = {key: _integer(value) for key, _, value in (word.partition("=") for word in words)}
        major, _, minor = device.partition(":")
        yield DeviceUse(int(major), int(minor), *(values.get(key, 0) for key in ("rbytes", "wbytes", "rios", "wios")))


def _v1_stats(group: Group) -> Stats:
    throttling = _table(group.read("cpu", "cpu.stat"))
    times = _table(group.read("cpuacct", "cpuacct.stat"))
    sizes, requests = (group.read("blkio", f"blkio.throttle.io_{name}_recursive") for name in ("service_bytes", "serviced"))
    return Stats(
        cpu_total=_integer(group.read("cpuacct", "cpuacct.usage")),
        cpu_each=tuple(int(word) for word in group.read("cpuacct", "cpuacct.usage_percpu").split()),
        cpu_user=times.get("user", 0) * 1_000_000_000 // _USER_HZ,
        cpu_system=times.get("system", 0) * 1_000_000_000 // _USER_HZ,
        cpu_periods=throttling.get("nr_periods", 0),
        cpu_throttled_periods=throttling.get("nr_throttled", 0),
        cpu_throttled=throttling.get("throttled_time", 0),
        memory_usage=_integer(group.read("memory", "memory.usage_in_bytes")),
        memory_limit=_integer(group.read("memory", "memory.limit_in_bytes")),
        memory=_table(group.read("memory", "memory.stat")),
        memory_peak=_integer(group.read("memory", "memory.max_usage_in_bytes")),
        memory_failures=_integer(group.read("memory", "memory.failcnt")),
        oom_kills=group.oom_kills(),
        pids=_integer(group.read("pids", "pids.current")),
        pids_limit=_integer(group.read("pids", "pids.max")),
        io=tuple(_v1_io(sizes, requests)),
    )


def _v1_io(sizes: str, requests: str) -> Iterator[DeviceUse]:
    """Lines of "8:0 Read 1", and in the end "Total 2"."""
    found: dict[str, dict[str, int]] = {}
    for text, names in ((sizes, ("read_bytes", "written_bytes")), (requests, ("reads", "writes"))):
        for line in text.splitlines():
            device, *rest = line.split()
            if len(rest) == 2 and rest[0] in ("Read", "Write"):
                found.setdefault(device, {})[names[rest[0] == "Write"]] = int(rest[1])
    for device, values in found.items():
        major, _, minor = device.partition(":")
        yield DeviceUse(int(major), int(minor), **values)
