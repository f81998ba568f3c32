"""/metrics and /metrics/probes: what the node agent tells of itself. Pure. Source: Kubernetes Metrics Reference."""

import os
import resource
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from podling.node.kubelet.stats.exposition import Family, Sample
from podling.node.kubelet.stats.values import Disk, Reading
from podling.node.tally import BUCKETS, Tally


@dataclass(frozen=True, slots=True)
class Process:
    """The agent's process; `started_at` in unix seconds, memory in bytes."""

    cpu_seconds: float
    resident: int
    virtual: int
    open_files: int
    most_files: int
    started_at: float


@dataclass(frozen=True, slots=True)
class Own:
    """`containers` counts them by state: created, running, exited; `requests` those answered, by (method, path)."""

    version: str
    pods: int
    containers: Counter[str]
    requests: Counter[tuple[str, str]]
    process: Process


def this_process(cpu_seconds: float, started_at: float) -> Process:
    """Reads /proc/self."""
    page = os.sysconf("SC_PAGE_SIZE")
    with open("/proc/self/statm") as file:
        virtual, resident = (int(word) * page for word in file.read().split()[:2])
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Process(cpu_seconds, resident, virtual, len(os.listdir("/proc/self/fd")), most, started_at)


def families(own: Own, reading: Reading) -> Iterator[Family]:
    yield Family(
        "kubelet_node_name", "The node's name. The count is always 1.", "gauge", [Sample(1, {"node": reading.node.name})]
    )
    yield Family("kubelet_running_pods", "Number of pods that have a running pod sandbox", "gauge", [Sample(own.pods, {})])
    running = [Sample(count, {"container_state": state}) for state, count in sorted(own.containers.items())]
    yield Family("kubelet_running_containers", "Number of containers currently running", "gauge", running)
    served = [
        Sample(count, {"long_running": str(path in _LONG).lower(), "method": method, "path": path, "server_type": "readwrite"})
        for (method, path), count in sorted(own.requests.items())
    ]
    yield Family(
        "kubelet_http_requests_total", "Number of the http requests received since the server started", "counter", served
    )
    yield from _volumes(reading)
    build = {"gitVersion": own.version, "platform": "linux"}
    yield Family("kubernetes_build_info", "What this is a build of.", "gauge", [Sample(1, build)])
    yield from _process(own.process)


_LONG = {"attach", "containerLogs", "exec", "portForward"}


def _process(process: Process) -> Iterator[Family]:
    rows: tuple[tuple[str, Literal["counter", "gauge"], str, float], ...] = (
        ("process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.", process.cpu_seconds),
        ("process_max_fds", "gauge", "Maximum number of open file descriptors.", process.most_files),
        ("process_open_fds", "gauge", "Number of open file descriptors.", process.open_files),
        ("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", process.resident),
        ("process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.", process.started_at),
        ("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", process.virtual),
    )
    for name, kind, words, value in rows:
        yield Family(name, words, kind, [Sample(value, {})])


def _volumes(reading: Reading) -> Iterator[Family]:
    claims = [
        ({"namespace": pod.namespace, "persistentvolumeclaim": volume.claim}, volume.disk)
        for pod in reading.pods
        for volume in pod.volumes
        if volume.claim
    ]
    for name, words, read in _VOLUME_MEASURES:
        yield Family(f"kubelet_volume_stats_{name}", words, "gauge", [Sample(read(disk), labels) for labels, disk in claims])


_VOLUME_MEASURES: tuple[tuple[str, str, Callable[[Disk], int]], ...] = (
    ("available_bytes", "Number of available bytes in the volume", lambda disk: disk.space.available),
    ("capacity_bytes", "Capacity in bytes of the volume", lambda disk: disk.space.capacity),
    ("inodes", "Maximum number of inodes in the volume", lambda disk: disk.space.inodes),
    ("inodes_free", "Number of free inodes in the volume", lambda disk: disk.space.inodes_free),
    ("inodes_used", "Number of used inodes in the volume", lambda disk: disk.inodes_used),
    ("used_bytes", "Number of used bytes in the volume", lambda disk: disk.used),
)


Probes = Iterable[tuple[dict[str, str], str, Tally]]
"""Labels of the container (container, namespace, pod, pod_uid), kind of the probe, tally."""


def probe_families(probes: Probes) -> Iterator[Family]:
    known = [({**labels, "probe_type": kind.capitalize()}, tally) for labels, kind, tally in probes]
    duration = "Duration in seconds for a probe response."
    yield Family(
        "prober_probe_duration_seconds", duration, "histogram", [s for labels, tally in known for s in _took(labels, tally)]
    )
    total = "Cumulative number of a liveness, readiness or startup probe for a container by result."
    counted = [
        Sample(count, {**labels, "result": result}) for labels, tally in known for result, count in sorted(tally.results.items())
    ]
    yield Family("prober_probe_total", total, "counter", counted)


def _took(labels: dict[str, str], tally: Tally) -> Iterator[Sample]:
    labels = {name: value for name, value in labels.items() if name != "pod_uid"}
    sums = list(accumulate(tally.took))
    for bound, count in zip((*map(str, BUCKETS), "+Inf"), sums, strict=True):
        yield Sample(count, {**labels, "le": bound}, suffix="_bucket")
    yield Sample(tally.seconds, labels, suffix="_sum")
    yield Sample(sums[-1], labels, suffix="_count")
