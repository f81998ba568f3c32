"""/metrics/cadvisor: the names and labels that dashboards know. Pure. Source: cAdvisor, "Prometheus container metrics".

Each container has its own lines; a pod's control group has lines without a container's name, and so have the pod's network, the
machine ("/") and all pods together.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from podling.linux.cgroup import Stats
from podling.node.kubelet.stats.exposition import Family, Sample
from podling.node.kubelet.stats.values import Disk, Interface, PodReading, Reading, Use

_Kind = Literal["counter", "gauge"]
_Values = Iterable[tuple[Mapping[str, str], float]]


@dataclass(frozen=True, slots=True)
class _Subject:
    """What has lines of its own."""

    labels: Mapping[str, str]
    use: Use
    started_at: float = 0.0
    interfaces: tuple[Interface, ...] = ()
    disk: Disk | None = None
    logs: Disk | None = None


def families(reading: Reading, version: str, cpus: int) -> Iterator[Family]:
    subjects = list(_subjects(reading))
    for name, kind, words, values in sorted(_MEASURES, key=lambda measure: measure[0]):
        yield Family(name, words, kind, _samples(subjects, values))
    yield Family("cadvisor_version_info", "Version of what tells this.", "gauge", [Sample(1, {"cadvisorVersion": version})])
    failed = "1 if there was an error while getting {} metrics, 0 otherwise"
    yield Family("container_scrape_error", failed.format("container"), "gauge", [Sample(0, {})])
    yield Family("machine_cpu_cores", "Number of logical CPU cores.", "gauge", [Sample(cpus, {})])
    yield Family(
        "machine_memory_bytes", "Amount of memory installed on the machine.", "gauge", [Sample(reading.node.capacity, {})]
    )
    yield Family(
        "machine_swap_bytes", "Amount of swap memory available on the machine.", "gauge", [Sample(reading.node.swap_capacity, {})]
    )
    yield Family("machine_scrape_error", failed.format("machine"), "gauge", [Sample(0, {})])


def _samples(subjects: list[_Subject], values: Callable[[_Subject], _Values]) -> list[Sample]:
    return [Sample(value, {**subject.labels, **more}, subject.use.at) for subject in subjects for more, value in values(subject)]


def _labels(
    group: str, namespace: str = "", pod: str = "", container: str = "", image: str = "", name: str = ""
) -> dict[str, str]:
    return {"container": container, "id": group, "image": image, "name": name, "namespace": namespace, "pod": pod}


def _subjects(reading: Reading) -> Iterator[_Subject]:
    node = reading.node
    yield _Subject(_labels("/"), node.use, node.booted_at, node.interfaces, node.root)
    if (pods := node.system.get("pods")) is not None:
        yield _Subject(_labels("/kubepods"), pods, node.booted_at)
    for pod in reading.pods:
        yield from _of_pod(pod)


def _of_pod(pod: PodReading) -> Iterator[_Subject]:
    if pod.use is not None:
        yield _Subject(_labels(pod.group, pod.namespace, pod.name), pod.use, pod.started_at, pod.interfaces)
    for one in pod.containers:
        labels = _labels(one.group, pod.namespace, pod.name, one.name, one.image, one.id)
        yield _Subject(labels, one.use, one.started_at, (), one.rootfs, one.logs)


# Where values come from


def _one(read: Callable[[Use], float]) -> Callable[[_Subject], _Values]:
    return lambda subject: [({}, read(subject.use))]


def _detail(read: Callable[[Stats], float]) -> Callable[[_Subject], _Values]:
    return lambda subject: [] if subject.use.detail is None else [({}, read(subject.use.detail))]


def _memory(*names: str) -> Callable[[Stats], float]:
    """The first of these that memory.stat has: v1 calls what v2 does otherwise, and sums the groups below in `total_`."""
    return lambda stats: next((stats.memory[name] for name in names if name in stats.memory), 0)


def _seconds(ns: int) -> float:
    return ns / 1e9


def _cpu(subject: _Subject) -> _Values:
    return [({"cpu": "total"}, _seconds(subject.use.cpu_ns))]


def _net(read: Callable[[Interface], float]) -> Callable[[_Subject], _Values]:
    return lambda subject: [({"interface": one.name}, read(one)) for one in subject.interfaces]


def _disk(read: Callable[[_Subject, Disk], float]) -> Callable[[_Subject], _Values]:
    def values(subject: _Subject) -> _Values:
        return [] if subject.disk is None else [({"device": subject.disk.space.device}, read(subject, subject.disk))]

    return values


def _used(subject: _Subject, disk: Disk) -> float:
    return disk.used + (subject.logs.used if subject.logs else 0)


def _inodes_free(subject: _Subject, disk: Disk) -> float:
    return disk.space.inodes_free


def _faults(subject: _Subject) -> _Values:
    for scope in ("container", "hierarchy"):
        yield {"failure_type": "pgfault", "scope": scope}, subject.use.page_faults
        yield {"failure_type": "pgmajfault", "scope": scope}, subject.use.major_faults


def _limits(read: Callable[[Use], float]) -> Callable[[_Subject], _Values]:
    """Of what has a limit; cAdvisor says 0 for none."""
    return lambda subject: [] if subject.use.detail is None else [({}, read(subject.use))]


def _throttled(read: Callable[[Stats], float]) -> Callable[[_Subject], _Values]:
    """Only of what has a quota."""
    return lambda subject: [({}, read(subject.use.detail))] if subject.use.detail and subject.use.detail.cpu_periods else []


def _stalled(resource: str, *, full: bool) -> Callable[[_Subject], _Values]:
    def values(subject: _Subject) -> _Values:
        found = subject.use.pressure.get(resource)
        return [] if found is None else [({}, (found.full if full else found.some).total_us / 1e6)]

    return values


_MEASURES: tuple[tuple[str, _Kind, str, Callable[[_Subject], _Values]], ...] = (
    ("container_last_seen", "gauge", "Last time a container was seen by the exporter", _one(lambda u: int(u.at))),
    ("container_start_time_seconds", "gauge", "Start time of the container since unix epoch in seconds.",
     lambda s: [({}, s.started_at)]),
    ("container_cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed in seconds.", _cpu),
    ("container_cpu_user_seconds_total", "counter", "Cumulative user cpu time consumed in seconds.",
     _detail(lambda s: _seconds(s.cpu_user))),
    ("container_cpu_system_seconds_total", "counter", "Cumulative system cpu time consumed in seconds.",
     _detail(lambda s: _seconds(s.cpu_system))),
    ("container_cpu_cfs_periods_total", "counter", "Number of elapsed enforcement period intervals.",
     _throttled(lambda s: s.cpu_periods)),
    ("container_cpu_cfs_throttled_periods_total", "counter", "Number of throttled period intervals.",
     _throttled(lambda s: s.cpu_throttled_periods)),
    ("container_cpu_cfs_throttled_seconds_total", "counter", "Total time duration the container has been throttled.",
     _throttled(lambda s: _seconds(s.cpu_throttled))),
    ("container_memory_usage_bytes", "gauge",
     "Current memory usage in bytes, including all memory regardless of when it was accessed", _one(lambda u: u.memory)),
    ("container_memory_working_set_bytes", "gauge", "Current working set in bytes.", _one(lambda u: u.working_set)),
    ("container_memory_rss", "gauge", "Size of RSS in bytes.", _one(lambda u: u.rss)),
    ("container_memory_cache", "gauge", "Number of bytes of page cache memory.", _detail(_memory("total_cache", "file"))),
    ("container_memory_mapped_file", "gauge", "Size of memory mapped files in bytes.",
     _detail(_memory("total_mapped_file", "file_mapped"))),
    ("container_memory_kernel_usage", "gauge", "Size of kernel memory allocated in bytes.", _detail(_memory("kernel", "slab"))),
    ("container_memory_total_active_file_bytes", "gauge", "Current total active file in bytes.",
     _detail(_memory("total_active_file", "active_file"))),
    ("container_memory_total_inactive_file_bytes", "gauge", "Current total inactive file in bytes.",
     _detail(_memory("total_inactive_file", "inactive_file"))),
    ("container_memory_swap", "gauge", "Container swap usage in bytes.", _one(lambda u: u.swap or 0)),
    ("container_memory_max_usage_bytes", "gauge", "Maximum memory usage recorded in bytes", _limits(lambda u: u.peak)),
    ("container_memory_failcnt", "counter", "Number of memory usage hits limits", _limits(lambda u: u.limit_hits)),
    ("container_memory_failures_total", "counter", "Cumulative count of memory allocation failures.", _faults),
    ("container_oom_events_total", "counter", "Count of out of memory events observed for the container",
     _detail(lambda s: s.oom_kills)),
    ("container_spec_memory_limit_bytes", "gauge", "Memory limit for the container.", _limits(lambda u: u.limit)),
    ("container_spec_memory_swap_limit_bytes", "gauge", "Memory swap limit for the container.", _limits(lambda u: u.swap_limit)),
    ("container_processes", "gauge", "Number of processes running inside the container.", _limits(lambda u: u.processes)),
    ("container_threads", "gauge", "Number of threads running inside the container", _detail(lambda s: s.pids)),
    ("container_threads_max", "gauge", "Maximum number of threads allowed inside the container, infinity if value is zero",
     _detail(lambda s: s.pids_limit)),
    ("container_fs_usage_bytes", "gauge", "Number of bytes that are consumed by the container on this filesystem.", _disk(_used)),
    ("container_fs_limit_bytes", "gauge", "Number of bytes that can be consumed by the container on this filesystem.",
     _disk(lambda _, disk: disk.space.capacity)),
    ("container_fs_inodes_free", "gauge", "Number of available Inodes", _disk(_inodes_free)),
    ("container_fs_inodes_total", "gauge", "Number of Inodes", _disk(lambda _, disk: disk.space.inodes)),
    ("container_fs_reads_bytes_total", "counter", "Cumulative count of bytes read", _detail(lambda s: s.io_read)),
    ("container_fs_writes_bytes_total", "counter", "Cumulative count of bytes written", _detail(lambda s: s.io_written)),
    ("container_network_receive_bytes_total", "counter", "Cumulative count of bytes received", _net(lambda i: i.rx_bytes)),
    ("container_network_receive_packets_total", "counter", "Cumulative count of packets received", _net(lambda i: i.rx_packets)),
    ("container_network_receive_packets_dropped_total", "counter", "Cumulative count of packets dropped while receiving",
     _net(lambda i: i.rx_dropped)),
    ("container_network_receive_errors_total", "counter", "Cumulative count of errors encountered while receiving",
     _net(lambda i: i.rx_errors)),
    ("container_network_transmit_bytes_total", "counter", "Cumulative count of bytes transmitted", _net(lambda i: i.tx_bytes)),
    ("container_network_transmit_packets_total", "counter", "Cumulative count of packets transmitted",
     _net(lambda i: i.tx_packets)),
    ("container_network_transmit_packets_dropped_total", "counter", "Cumulative count of packets dropped while transmitting",
     _net(lambda i: i.tx_dropped)),
    ("container_network_transmit_errors_total", "counter", "Cumulative count of errors encountered while transmitting",
     _net(lambda i: i.tx_errors)),
    *((f"container_pressure_{resource}_{word}_seconds_total", "counter",
       f"Total time that {who} in the container waited for {resource}", _stalled(resource, full=full))
      for resource in ("cpu", "memory", "io")
      for word, full, who in (("waiting", False, "some task"), ("stalled", True, "all tasks"))),
)  # fmt: skip
