"""What a control group uses, on v1, v2 and both side by side. Source: cgroup-v2.rst, cgroup-v1/memory.rst, accounting/psi.rst."""

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from podling.aio.clock import Clock
from podling.linux.cgroup import Group, Hierarchies
from podling.node.kubelet.stats.values import Pressure, Stall, Use

_UNLIMITED = 1 << 62
_PLAIN_LINKS = 2  # of a directory without directories
_NAMES = {
    False: {
        "usage": "memory.usage_in_bytes",
        "limit": "memory.limit_in_bytes",
        "peak": "memory.max_usage_in_bytes",
        "hits": "memory.failcnt",
    },
    True: {"usage": "memory.current", "limit": "memory.max", "peak": "memory.peak", "hits": "memory.events"},
}
# Of memory.stat, which has some hundred lines on v1.
_WANTED = re.compile(
    r"^(total_inactive_file|total_rss|total_swap|total_pgfault|total_pgmajfault|inactive_file|anon|pgfault|pgmajfault) (\d+)$",
    re.MULTILINE,
).findall
_RESOURCES = ("cpu", "memory", "io")


class GroupReader:
    """Reads groups of one host. Calls block for some ten microseconds a file."""

    def __init__(self, hierarchies: Hierarchies, clock: Clock) -> None:
        self._hierarchies = hierarchies
        self._clock = clock
        self._v2 = hierarchies.mode == "v2"
        self._root = str(hierarchies.unified if self._v2 else hierarchies.controllers.get("memory", ""))

    def group(self, path: str) -> Group:
        return Group(path, self._hierarchies)

    def container(self, pod: str, id: str) -> str:
        """The path of a container's group: its id below the pod's, or what a runtime makes of it (`crio-ID.scope`)."""
        plain = f"{pod}/{id}"
        if os.path.isdir(f"{self._root}{plain}"):
            return plain
        try:
            return next((f"{pod}/{name}" for name in os.listdir(f"{self._root}{pod}") if id in name), plain)
        except OSError:
            return plain

    def brief(self, path: str) -> Use | None:
        """CPU and memory; None where the group is gone."""
        group, at = self.group(path), self._clock.now()
        cpu = self._cpu_ns(group)
        if cpu is None:
            return None
        usage, limit = _NAMES[self._v2]["usage"], _NAMES[self._v2]["limit"]
        stat = {name: int(value) for name, value in _WANTED(group.read("memory", "memory.stat"))}
        return self._use(group, at, cpu, number(group.read("memory", usage)), number(group.read("memory", limit)), stat)

    def whole(self, path: str) -> Use | None:
        """All that the kernel tells; None where the group is gone."""
        group, at = self.group(path), self._clock.now()
        if self._cpu_ns(group) is None:
            return None
        detail = group.stats()
        found = self._use(group, at, detail.cpu_total, detail.memory_usage, detail.memory_limit, detail.memory)
        hits = group.read("memory", _NAMES[self._v2]["hits"])
        return replace(
            found,
            detail=detail,
            peak=number(group.read("memory", _NAMES[self._v2]["peak"])),
            limit_hits=table(hits).get("max", 0) if self._v2 else number(hits),
            processes=self._processes(group),
            pressure=self._pressure(group),
        )

    def _use(self, group: Group, at: float, cpu: int, usage: int, limit: int, stat: Mapping[str, int]) -> Use:
        """What `stat` (memory.stat) tells on v2 of the group, on v1 with those below it."""
        swap, swap_limit = self._swap(group, limit)
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

    def _processes(self, group: Group) -> int:
        """How many; most groups of containers have no groups below them."""
        here = group.directory("pids" if "pids" in self._hierarchies.controllers else "memory")
        try:
            if here is None or here.stat().st_nlink > _PLAIN_LINKS:
                return len(group.pids())
        except OSError:
            return 0
        return group.read("pids", "cgroup.procs").count("\n")

    def _cpu_ns(self, group: Group) -> int | None:
        if self._v2:
            text = group.read("cpu", "cpu.stat")
            return table(text).get("usage_usec", 0) * 1000 if text else None
        text = group.read("cpuacct", "cpuacct.usage")
        return int(text) if text.strip() else None

    def _swap(self, group: Group, limit: int) -> tuple[int | None, int]:
        """Swap (None: see memory.stat), and its limit; v1 limits memory and swap together."""
        if self._v2:
            swap = group.read("memory", "memory.swap.current")
            return number(swap) if swap else None, number(group.read("memory", "memory.swap.max"))
        both = number(group.read("memory", "memory.memsw.limit_in_bytes")) if limit else 0
        return None, max(0, both - limit)

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
    return {name: int(value) for name, value in _LINES(text)}


_LINES = re.compile(r"^(\S+) (\d+)$", re.MULTILINE).findall


def number(text: str) -> int:
    """A number; 0 for "max", for v1's "no limit" and for nothing."""
    value = int(text) if text.strip().isdecimal() else 0
    return 0 if value >= _UNLIMITED else value
