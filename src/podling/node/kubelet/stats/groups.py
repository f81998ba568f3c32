"""What a control group uses, on v1, v2 and both side by side. Source: cgroup-v2.rst, cgroup-v1/memory.rst, accounting/psi.rst."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from podling.aio.clock import Clock
from podling.linux.cgroup import Group, Hierarchies
from podling.node.kubelet.stats.values import Pressure, Stall, Use

_UNLIMITED = 1 << 62
_RESOURCES = ("cpu", "memory", "io")


class GroupReader:
    """Reads groups of one host. Calls block for some ten microseconds a file."""

    def __init__(self, hierarchies: Hierarchies, clock: Clock) -> None:
        self._hierarchies = hierarchies
        self._clock = clock
        self._v2 = hierarchies.mode == "v2"

    def group(self, path: str) -> Group:
        return Group(path, self._hierarchies)

    def container(self, pod: str, id: str) -> str:
        """The path of a container's group: its id below the pod's, or what a runtime makes of it (`crio-ID.scope`)."""
        plain = f"{pod}/{id}"
        above = next((d for d in self.group(pod).directories() if d.is_dir()), None)
        if above is None or (above / id).is_dir():
            return plain
        return next((f"{pod}/{entry.name}" for entry in above.iterdir() if id in entry.name), plain)

    def brief(self, path: str) -> Use | None:
        """CPU and memory; None where the group is gone."""
        group, at = self.group(path), self._clock.now()
        cpu = self._cpu_ns(group)
        if cpu is None:
            return None
        usage, limit, swap, swap_limit = self._memory(group)
        stat = table(group.read("memory", "memory.stat"))
        return Use(
            at=at,
            cpu_ns=cpu,
            memory=usage,
            working_set=max(0, usage - stat.get("total_inactive_file", stat.get("inactive_file", 0))),
            rss=stat.get("total_rss", stat.get("anon", 0)),
            limit=limit,
            swap=stat.get("total_swap") if swap is None else swap,
            swap_limit=swap_limit,
            page_faults=stat.get("total_pgfault", stat.get("pgfault", 0)),
            major_faults=stat.get("total_pgmajfault", stat.get("pgmajfault", 0)),
        )

    def whole(self, path: str) -> Use | None:
        """All that the kernel tells; None where the group is gone."""
        found, group = self.brief(path), self.group(path)
        if found is None:
            return None
        peak, hits = ("memory.peak", "") if self._v2 else ("memory.max_usage_in_bytes", "memory.failcnt")
        events = table(group.read("memory", "memory.events")).get("max", 0) if self._v2 else number(group.read("memory", hits))
        return replace(
            found,
            detail=group.stats(),
            peak=number(group.read("memory", peak)),
            limit_hits=events,
            processes=len(group.pids()),
            pressure=self._pressure(group),
        )

    def _cpu_ns(self, group: Group) -> int | None:
        if self._v2:
            text = group.read("cpu", "cpu.stat")
            return table(text).get("usage_usec", 0) * 1000 if text else None
        text = group.read("cpuacct", "cpuacct.usage")
        return int(text) if text.strip() else None

    def _memory(self, group: Group) -> tuple[int, int, int | None, int]:
        """Usage, limit, swap (None: see memory.stat), limit of swap."""

        def read(file: str) -> int:
            return number(group.read("memory", file))

        if self._v2:
            swap = group.read("memory", "memory.swap.current")
            return read("memory.current"), read("memory.max"), number(swap) if swap else None, read("memory.swap.max")
        limit, both = read("memory.limit_in_bytes"), read("memory.memsw.limit_in_bytes")
        return read("memory.usage_in_bytes"), limit, None, max(0, both - limit) if limit and both else 0

    def _pressure(self, group: Group) -> Mapping[str, Pressure]:
        if not self._v2:
            return {}
        texts = {name: group.read(name, f"{name}.pressure") for name in _RESOURCES}
        return {name: pressure(text) for name, text in texts.items() if text}


def machine_pressure() -> Mapping[str, Pressure]:
    """That of the whole machine; nothing where the kernel doesn't measure it."""
    found: dict[str, Pressure] = {}
    for name in _RESOURCES:
        try:
            found[name] = pressure(Path(f"/proc/pressure/{name}").read_text())
        except OSError:
            continue
    return found


def pressure(text: str) -> Pressure:
    """Lines of "some avg10=0.00 avg60=0.00 avg300=0.00 total=0"."""
    lines = {line.split()[0]: dict(word.split("=") for word in line.split()[1:]) for line in text.splitlines() if line}
    stalls = {
        name: Stall(float(words["avg10"]), float(words["avg60"]), float(words["avg300"]), int(words["total"]))
        for name, words in lines.items()
    }
    return Pressure(stalls.get("some", Stall()), stalls.get("full", Stall()))


def table(text: str) -> dict[str, int]:
    """Lines of "name number"."""
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def number(text: str) -> int:
    """A number; 0 for "max", for v1's "no limit" and for nothing."""
    value = int(text) if text.strip().isdecimal() else 0
    return 0 if value >= _UNLIMITED else value
