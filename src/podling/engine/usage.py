"""What a container uses, and which processes it has: read from its cgroup and from /proc."""

import os
import pwd
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from podling.base.errors import InvalidInput
from podling.engine.types import InterfaceStats, ProcessTable, Stats
from podling.linux import process
from podling.linux.cgroup import Group

_TICKS = os.sysconf("SC_CLK_TCK")
_NANOSECONDS = 1_000_000_000
_PS_TIMEOUT = 10.0
TITLES = ("UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD")


def sample(group: Group, pid: int, now: float) -> Stats:
    """One sample of a running container whose first process is `pid`."""
    used = group.stats()
    return Stats(
        time=now,
        cpu_total_ns=used.cpu_total,
        cpu_user_ns=used.cpu_user,
        cpu_system_ns=used.cpu_system,
        system_cpu_ns=_system_cpu(),
        online_cpus=os.cpu_count() or 1,
        throttled_periods=used.cpu_throttled_periods,
        periods=used.cpu_periods,
        throttled_ns=used.cpu_throttled,
        memory_usage=used.memory_usage,
        memory_limit=used.memory_limit or total_memory(),
        memory_stats=used.memory,
        pids=used.pids,
        pids_limit=used.pids_limit,
        cpu_each_ns=used.cpu_each,
        memory_peak=used.memory_peak,
        memory_failures=used.memory_failures,
        devices=used.io,
        interfaces=dict(_interfaces(pid)),
    )


def _system_cpu() -> int:
    """All CPU time of the machine in nanoseconds, as Docker counts it: the first seven columns of /proc/stat."""
    with open("/proc/stat") as file:
        words = file.readline().split()[1:8]
    return sum(int(word) for word in words) * _NANOSECONDS // _TICKS


def total_memory() -> int:
    """Bytes of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _interfaces(pid: int) -> Iterator[tuple[str, InterfaceStats]]:
    """Counters of all but the loopback, from inside the namespace of `pid`."""
    try:
        lines = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
    except OSError:
        return
    for line in lines:
        name, _, rest = line.partition(":")
        numbers = [int(word) for word in rest.split()]
        if name.strip() != "lo" and len(numbers) >= 12:
            yield name.strip(), InterfaceStats(*numbers[0:4], *numbers[8:12])


@dataclass(frozen=True, slots=True)
class _Status:
    uid: int
    ppid: int
    tty: str
    cpu_seconds: float
    started: float  # unix seconds


def processes(pids: Sequence[int], now: float) -> ProcessTable:
    """`ps -ef` of these processes."""
    boot = now - time.clock_gettime(time.CLOCK_BOOTTIME)
    rows = [row for pid in pids if (row := _row(pid, boot, now)) is not None]
    return ProcessTable(TITLES, tuple(rows))


async def listed(arguments: Sequence[str], pids: Collection[int]) -> ProcessTable:
    """What the host's ps(1) says of these processes. Raises InvalidInput where it refuses, or its table has no PID."""
    done = await process.run(["ps", *arguments], timeout=_PS_TIMEOUT, check=False)
    if done.code != 0:
        raise InvalidInput(f"ps: {process.tail(done.stderr)}")
    return select(done.stdout.decode(errors="replace"), pids)


def select(text: str, pids: Collection[int]) -> ProcessTable:
    """The rows of ps(1)'s table that are about `pids`. The last column may hold spaces."""
    lines = text.splitlines()
    titles = lines[0].split() if lines else []
    if "PID" not in titles:
        raise InvalidInput("Couldn't find PID field in ps output")
    column = titles.index("PID")
    rows = [tuple(line.split(maxsplit=len(titles) - 1)) for line in lines[1:]]
    mine = [row for row in rows if len(row) > column and row[column].isdecimal() and int(row[column]) in pids]
    return ProcessTable(tuple(titles), tuple(mine))


def _row(pid: int, boot: float, now: float) -> tuple[str, ...] | None:
    """None for a process that has ended meanwhile."""
    try:
        status = _status(pid, boot)
        words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return None
    command = b" ".join(words).decode(errors="replace") or f"[{name}]"
    share = int(100 * status.cpu_seconds / max(now - status.started, 1))
    started = time.strftime("%H:%M" if now - status.started < 86400 else "%b%d", time.localtime(status.started))
    seconds = int(status.cpu_seconds)
    used = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return (_user_name(status.uid), str(pid), str(status.ppid), str(share), started, status.tty, used, command)


def _status(pid: int, boot: float) -> _Status:
    """Source: proc_pid_stat(5); the fields after the name, which is in parentheses and may hold anything."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    number = int(fields[4])
    return _Status(
        uid=os.stat(f"/proc/{pid}").st_uid,
        ppid=int(fields[1]),
        tty=_tty(number),
        cpu_seconds=(int(fields[11]) + int(fields[12])) / _TICKS,
        started=boot + int(fields[19]) / _TICKS,
    )


def _tty(number: int) -> str:
    if not number:
        return "?"
    major, minor = os.major(number), os.minor(number)
    return f"pts/{minor + (major - 136) * 256}" if 136 <= major <= 143 else f"tty{minor}"


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
