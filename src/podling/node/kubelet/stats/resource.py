"""/metrics/resource: CPU and memory of the node, its pods and containers. Pure. Source: Kubernetes Metrics Reference."""

from collections.abc import Callable, Iterator
from typing import Literal

from podling.node.kubelet.stats.exposition import Family, Sample
from podling.node.kubelet.stats.values import Reading, Use

_Read = Callable[[Use], float | None]

_SWAP = "Current swap usage of the {of} in bytes. Reported only on non-windows systems"
# name without its subject, type, help, what of a Use
_MEASURES: tuple[tuple[str, Literal["counter", "gauge"], str, _Read], ...] = (
    ("cpu_usage_seconds_total", "counter", "Cumulative cpu time consumed by the {of} in core-seconds", lambda u: u.cpu_ns / 1e9),
    ("memory_working_set_bytes", "gauge", "Current working set of the {of} in bytes", lambda u: u.working_set),
    ("swap_usage_bytes", "gauge", _SWAP, lambda u: u.swap),
)


def families(reading: Reading) -> Iterator[Family]:
    """In the order in which Prometheus' own clients sort them: by name."""
    return iter(sorted(_families(reading), key=lambda family: family.name))


def _families(reading: Reading) -> Iterator[Family]:
    of_pods = [({"namespace": pod.namespace, "pod": pod.name}, pod.use) for pod in reading.pods if pod.use is not None]
    of_containers = [
        ({"container": one.name, "namespace": pod.namespace, "pod": pod.name}, one)
        for pod in reading.pods
        for one in pod.containers
    ]
    subjects: tuple[tuple[str, list[tuple[dict[str, str], Use]]], ...] = (
        ("node", [({}, reading.node.use)]),
        ("pod", of_pods),
        ("container", [(labels, one.use) for labels, one in of_containers]),
    )
    for of, uses in subjects:
        for name, kind, words, read in _MEASURES:
            found = [Sample(value, labels, use.at) for labels, use in uses if (value := read(use)) is not None]
            yield Family(f"{of}_{name}", words.format(of=of), kind, found)
    yield Family(
        "container_swap_limit_bytes",
        "Current amount of the container swap limit in bytes. Reported only on non-windows systems",
        "gauge",
        [Sample(one.use.swap_limit, labels, one.use.at) for labels, one in of_containers if one.use.swap_limit],
    )
    yield Family(
        "container_start_time_seconds",
        "Start time of the container since unix epoch in seconds",
        "gauge",
        [Sample(one.started_at, labels) for labels, one in of_containers if one.started_at],
    )
    failed = "1 if there was an error while getting container metrics, 0 otherwise"
    yield Family("resource_scrape_error", failed, "gauge", [Sample(0, {})])
    yield Family("scrape_error", f"[ALPHA] (Deprecated since 1.29.0) {failed}", "gauge", [Sample(0, {})])
