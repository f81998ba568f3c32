"""`docker stats`: samples of what a container uses. Source: Docker Engine API, ContainerStats."""

from collections.abc import AsyncIterator
from typing import Any

from podling.aio.http import Response
from podling.docker import timestamps
from podling.docker.answers import json, json_lines
from podling.docker.daemon import Daemon
from podling.docker.routing import Call, Routes
from podling.engine.container import Container
from podling.engine.types import InterfaceStats, Stats

routes = Routes()
Json = dict[str, Any]
_INTERVAL = 1.0  # seconds between two samples


@routes.get("/containers/{name}/stats")
async def stats(call: Call, daemon: Daemon) -> Response:
    container = daemon.engine.containers.find(call.path["name"])
    if call.flag("stream", default=True):
        return json_lines(_stream(container, daemon))
    first = Stats(0) if call.flag("one-shot") or not container.running else container.stats()
    if first.time:
        await daemon.engine.clock.sleep(_INTERVAL)
    return json(stats_json(container, container.stats(), first))


async def _stream(container: Container, daemon: Daemon) -> AsyncIterator[Json]:
    """One sample a second, until the client leaves or the container has gone."""
    before = Stats(0)
    while container.state.status != "removing":
        now = container.stats()
        yield stats_json(container, now, before)
        before = now
        await daemon.engine.clock.sleep(_INTERVAL)


def stats_json(container: Container, now: Stats, before: Stats) -> Json:
    """One sample, with the one before it: a client computes shares from both."""
    return {
        "read": timestamps.from_seconds(now.time),
        "preread": timestamps.from_seconds(before.time),
        "name": f"/{container.name}",
        "id": container.id,
        "num_procs": 0,
        "pids_stats": {"current": now.pids, "limit": now.pids_limit} if now.pids else {},
        "blkio_stats": _blkio(now),
        "storage_stats": {},
        "cpu_stats": _cpu(now),
        "precpu_stats": _cpu(before),
        "memory_stats": _memory(now),
        "networks": {name: _interface(each) for name, each in now.interfaces.items()},
    }


def _cpu(sample: Stats) -> Json:
    usage: Json = {
        "total_usage": sample.cpu_total_ns,
        "usage_in_kernelmode": sample.cpu_system_ns,
        "usage_in_usermode": sample.cpu_user_ns,
    }
    if sample.cpu_each_ns:
        usage["percpu_usage"] = list(sample.cpu_each_ns)
    system = {"system_cpu_usage": sample.system_cpu_ns, "online_cpus": sample.online_cpus} if sample.time else {}
    return {
        "cpu_usage": usage,
        **system,
        "throttling_data": {
            "periods": sample.periods,
            "throttled_periods": sample.throttled_periods,
            "throttled_time": sample.throttled_ns,
        },
    }


def _memory(sample: Stats) -> Json:
    if not sample.memory_usage:
        return {}
    shown: Json = {"usage": sample.memory_usage, "stats": dict(sample.memory_stats), "limit": sample.memory_limit}
    peaks = {"max_usage": sample.memory_peak, "failcnt": sample.memory_failures}
    return shown | {name: value for name, value in peaks.items() if value}


def _blkio(sample: Stats) -> Json:
    sizes, requests = [], []
    for each in sample.devices:
        place = {"major": each.major, "minor": each.minor}
        sizes += [{**place, "op": "read", "value": each.read_bytes}, {**place, "op": "write", "value": each.written_bytes}]
        requests += [{**place, "op": "read", "value": each.reads}, {**place, "op": "write", "value": each.writes}]
    unknown = ("io_queue_recursive", "io_service_time_recursive", "io_wait_time_recursive", "io_merged_recursive")
    return {
        "io_service_bytes_recursive": sizes or None,
        "io_serviced_recursive": requests or None,
        **dict.fromkeys((*unknown, "io_time_recursive", "sectors_recursive")),
    }


def _interface(each: InterfaceStats) -> Json:
    return {
        "rx_bytes": each.received_bytes,
        "rx_packets": each.received_packets,
        "rx_errors": each.received_errors,
        "rx_dropped": each.received_dropped,
        "tx_bytes": each.sent_bytes,
        "tx_packets": each.sent_packets,
        "tx_errors": each.sent_errors,
        "tx_dropped": each.sent_dropped,
    }
