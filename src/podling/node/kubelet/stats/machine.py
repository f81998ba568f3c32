"""What the whole machine uses: /proc. Source: proc(5), proc_stat(5), proc_meminfo(5), proc_vmstat(5)."""

import os
from collections.abc import Iterator
from pathlib import Path

from podling.node.kubelet.stats.groups import machine_pressure, number, table
from podling.node.kubelet.stats.values import Interface, Use

_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_BUSY = (0, 1, 2, 5, 6, 7)  # user, nice, system, irq, softirq, steal; guests are in user


def machine_use(at: float) -> Use:
    """The whole machine at this moment, which is `at`."""
    memory = meminfo()
    faults = table(Path("/proc/vmstat").read_text())
    used = memory["MemTotal"] - memory["MemFree"]
    return Use(
        at=at,
        cpu_ns=busy_ns(Path("/proc/stat").read_text()),
        memory=used,
        working_set=max(0, used - memory.get("Inactive(file)", 0)),
        rss=memory.get("AnonPages", 0),
        swap=memory.get("SwapTotal", 0) - memory.get("SwapFree", 0),
        page_faults=faults.get("pgfault", 0),
        major_faults=faults.get("pgmajfault", 0),
        pressure=machine_pressure(),
    )


def busy_ns(stat: str) -> int:
    """The time in which some CPU did something, of /proc/stat."""
    columns = [int(word) for word in stat.split("\n", 1)[0].split()[1:]]
    return sum(columns[index] for index in _BUSY if index < len(columns)) * _TICK_NS


def meminfo() -> dict[str, int]:
    """/proc/meminfo in bytes."""
    pairs = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in pairs if len(words) == 3}


def own_use(at: float) -> Use:
    """This process: it is the node's agent and its container runtime in one."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    status = Path("/proc/self/statm").read_text().split()
    page = os.sysconf("SC_PAGE_SIZE")
    resident, shared = int(status[1]) * page, int(status[2]) * page
    return Use(
        at=at,
        cpu_ns=(int(fields[11]) + int(fields[12])) * _TICK_NS,
        memory=resident,
        working_set=resident,
        rss=resident - shared,
        page_faults=int(fields[7]),
        major_faults=int(fields[9]),
        processes=1,
    )


def interfaces(process: int | str = "self") -> tuple[Interface, ...]:
    """All but the loopback, in the network namespace of a process; () when it has ended."""
    try:
        return tuple(_interfaces(Path(f"/proc/{process}/net/dev").read_text()))
    except OSError:
        return ()


def _interfaces(text: str) -> Iterator[Interface]:
    for line in text.splitlines()[2:]:
        name, _, rest = line.partition(":")
        numbers = [int(word) for word in rest.split()]
        if name.strip() != "lo" and len(numbers) >= 12:
            yield Interface(name.strip(), *numbers[0:4], *numbers[8:12])


def default_interface() -> str:
    """Where packets to the world leave; "" without such a route."""
    try:
        lines = Path("/proc/net/route").read_text().splitlines()[1:]
    except OSError:
        return ""
    return next((words[0] for words in map(str.split, lines) if len(words) > 1 and words[1] == "00000000"), "")


def max_pids() -> int:
    """How many processes and threads the machine may have."""
    values = [number(Path(f"/proc/sys/kernel/{name}").read_text()) for name in ("pid_max", "threads-max")]
    return min(values)


def running_pids() -> int:
    """How many processes and threads there are: the fourth word of /proc/loadavg."""
    return int(Path("/proc/loadavg").read_text().split()[3].partition("/")[2])


def booted_at() -> float:
    """Unix seconds."""
    return float(table(Path("/proc/stat").read_text()).get("btime", 0))
