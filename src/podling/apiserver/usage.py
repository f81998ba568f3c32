"""What a node told of its use, twice, as rates: the heart of the metrics API. Pure.

Source: Kubernetes documentation "Resource metrics pipeline"; metrics-server, "How is CPU usage calculated".
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

LONGEST_WINDOW = 90.0  # seconds over which a rate still says something
YOUNGEST = 10.0  # seconds that a new container has to have run, where the resolution isn't finer

Name = tuple[str, str, str]
"""namespace, pod, container"""


@dataclass(frozen=True, slots=True)
class Counter:
    """CPU in seconds since the start of what is measured, memory in bytes, times in unix seconds."""

    at: float
    cpu: float
    memory: int
    started_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Scrape:
    """What a node told at one time."""

    node: Counter | None
    containers: Mapping[Name, Counter] = field(default_factory=dict)

    @property
    def at(self) -> float:
        return self.node.at if self.node else 0.0


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU in nanoseconds a second, memory in bytes, over `window` seconds until `at`."""

    at: float
    window: float
    cpu: int
    memory: int


@dataclass(frozen=True, slots=True)
class Used:
    """`pods` by (namespace, name): of each container. A pod of which one container isn't known is left out."""

    node: Usage | None = None
    pods: Mapping[tuple[str, str], Mapping[str, Usage]] = field(default_factory=dict)


_LINE = re.compile(r"^(\w+)(?:\{([^}]*)\})? (\S+)(?: (\d+))?$")
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_WANTED = {
    "container_cpu_usage_seconds_total": "cpu",
    "container_memory_working_set_bytes": "memory",
    "container_start_time_seconds": "started_at",
    "node_cpu_usage_seconds_total": "cpu",
    "node_memory_working_set_bytes": "memory",
}


def parse(text: str) -> Scrape:
    """The answer to /metrics/resource. What has no CPU or no memory is left out. Raises ValueError for what is no number."""
    found: dict[Name, dict[str, float]] = {}
    for line in text.splitlines():
        match = None if line.startswith("#") else _LINE.match(line)
        if match is None or (member := _WANTED.get(match[1])) is None:
            continue
        labels = dict(_LABEL.findall(match[2] or ""))
        values = found.setdefault((labels.get("namespace", ""), labels.get("pod", ""), labels.get("container", "")), {})
        values[member] = float(match[3])
        if member == "cpu" and match[4]:
            values["at"] = int(match[4]) / 1000
    counters = {name: counter for name, values in found.items() if (counter := _counter(values)) is not None}
    return Scrape(counters.pop(("", "", ""), None), counters)


def _counter(values: Mapping[str, float]) -> Counter | None:
    if not {"at", "cpu", "memory"} <= values.keys():
        return None
    return Counter(values["at"], values["cpu"], int(values["memory"]), values.get("started_at", 0.0))


def base(scrapes: Sequence[Scrape], latest: Scrape, shortest: float) -> Scrape | None:
    """From which of the earlier ones, the oldest first, rates are counted: the last that is old enough; None for none."""
    fitting = [one for one in scrapes if shortest <= latest.at - one.at <= LONGEST_WINDOW]
    return fitting[-1] if fitting else None


def used(before: Scrape, now: Scrape, resolution: float) -> Used:
    """What was used between two times."""
    youngest = min(YOUNGEST, resolution)
    pods: dict[tuple[str, str], dict[str, Usage]] = {}
    unknown: set[tuple[str, str]] = set()
    for (namespace, pod, container), counter in now.containers.items():
        usage = _usage(before.containers.get((namespace, pod, container)), counter, before.at, youngest)
        if usage is None:
            unknown.add((namespace, pod))
        else:
            pods.setdefault((namespace, pod), {})[container] = usage
    node = _usage(before.node, now.node, before.at, youngest) if now.node else None
    return Used(node, {key: usages for key, usages in pods.items() if key not in unknown})


def _usage(old: Counter | None, new: Counter, since: float, youngest: float) -> Usage | None:
    """None where the CPU's rate can't be told: too young, or begun anew unseen."""
    if new.started_at > since:  # it began in between
        old = Counter(new.started_at, 0.0, 0)
        if new.at - new.started_at < youngest:
            return None
    if old is None or new.cpu < old.cpu or new.at <= old.at:
        return None
    window = new.at - old.at
    return Usage(new.at, window, round((new.cpu - old.cpu) * 1e9 / window), new.memory)
