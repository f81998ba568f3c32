"""/stats/summary. Pure. Source: k8s.io/kubelet stats/v1alpha1 Summary."""

from collections.abc import Iterable, Mapping
from typing import Any

from podling.api.timestamps import rfc3339
from podling.node.kubelet.stats.values import (
    ContainerReading,
    Disk,
    Interface,
    NodeReading,
    PodReading,
    Pressure,
    Reading,
    Stall,
    Use,
    VolumeReading,
)

Object = dict[str, Any]
Rates = Mapping[str, int]


def summary(reading: Reading, rates: Rates, *, only_cpu_and_memory: bool = False) -> Object:
    """`rates` by control group, as `Reading.cpu` names them."""
    found: Object = {"node": _node(reading.node, rates), "pods": [_pod(pod, rates, reading.node.use.at) for pod in reading.pods]}
    return _reduced(found) if only_cpu_and_memory else found


_KEPT = ("nodeName", "podRef", "name", "startTime", "cpu", "memory", "swap", "containers", "systemContainers")


def _reduced(found: Object) -> Object:
    def keep(entry: Object) -> Object:
        kept: Object = {name: value for name, value in entry.items() if name in _KEPT}
        for name in ("containers", "systemContainers"):
            if name in kept:
                kept[name] = [keep(one) for one in kept[name]]
        return kept

    return {"node": keep(found["node"]), "pods": [keep(pod) for pod in found["pods"]]}


def _node(node: NodeReading, rates: Rates) -> Object:
    at = rfc3339(node.use.at)
    found: Object = {
        "nodeName": node.name,
        "systemContainers": [
            {"name": name, "startTime": rfc3339(node.booted_at), **_use(use, rates.get(f"system/{name}"))}
            for name, use in node.system.items()
        ],
        "startTime": rfc3339(node.booted_at),
        **_use(node.use, rates.get(""), node.capacity, node.swap_capacity),
        "network": _network(node.interfaces, at, node.default_interface),
        "rlimit": {"time": at, "maxpid": node.max_pids, "curproc": node.processes},
    }
    if node.root is not None:
        found["fs"] = _disk(node.root, at)
    if node.images is not None:
        found["runtime"] = {"imageFs": _disk(node.images, at), "containerFs": _disk(node.root or node.images, at)}
    return found


def _pod(pod: PodReading, rates: Rates, now: float) -> Object:
    at = rfc3339(now)
    found: Object = {
        "podRef": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid},
        "startTime": rfc3339(pod.started_at),
        "containers": [_container(one, rates, at) for one in pod.containers],
    }
    if pod.use is not None:
        found |= _use(pod.use, rates.get(pod.group))
    if pod.interfaces:
        found["network"] = _network(pod.interfaces, at, "eth0")
    if pod.volumes:
        found["volume"] = [_volume(volume, pod.namespace, at) for volume in pod.volumes]
    if (disk := _ephemeral(pod)) is not None:
        found["ephemeral-storage"] = _disk(disk, at)
    found["process_stats"] = {"process_count": sum(one.use.processes for one in pod.containers)}
    return found


def _container(one: ContainerReading, rates: Rates, at: str) -> Object:
    found: Object = {"name": one.name, "startTime": rfc3339(one.started_at), **_use(one.use, rates.get(one.group))}
    for member, disk in (("rootfs", one.rootfs), ("logs", one.logs)):
        if disk is not None:
            found[member] = _disk(disk, at)
    return found


def _use(use: Use, rate: int | None, capacity: int = 0, swap_capacity: int = 0) -> Object:
    """CPU, memory and swap; `capacity` is what there is where no limit is set."""
    at = rfc3339(use.at)
    cpu: Object = {"time": at, **({"usageNanoCores": rate} if rate is not None else {}), "usageCoreNanoSeconds": use.cpu_ns}
    limit = use.limit or capacity
    memory: Object = {
        "time": at,
        **({"availableBytes": max(0, limit - use.working_set)} if limit else {}),
        "usageBytes": use.memory,
        "workingSetBytes": use.working_set,
        "rssBytes": use.rss,
        "pageFaults": use.page_faults,
        "majorPageFaults": use.major_faults,
    }
    found: Object = {"cpu": cpu, "memory": memory}
    if use.swap is not None:
        swap_limit = use.swap_limit or swap_capacity
        available = {"swapAvailableBytes": max(0, swap_limit - use.swap)} if swap_limit else {}
        found["swap"] = {"time": at, **available, "swapUsageBytes": use.swap}
    for name, pressure in use.pressure.items():
        found.setdefault(name, {"time": at})["psi"] = _pressure(pressure)
    return found


def _pressure(pressure: Pressure) -> Object:
    return {"full": _stall(pressure.full), "some": _stall(pressure.some)}


def _stall(stall: Stall) -> Object:
    return {"total": stall.total_us * 1000, "avg10": stall.avg10, "avg60": stall.avg60, "avg300": stall.avg300}


def _network(interfaces: Iterable[Interface], at: str, default: str) -> Object:
    shown = {
        one.name: {
            "name": one.name,
            "rxBytes": one.rx_bytes,
            "rxErrors": one.rx_errors,
            "txBytes": one.tx_bytes,
            "txErrors": one.tx_errors,
        }
        for one in interfaces
    }
    return {"time": at, **shown.get(default, {"name": ""}), "interfaces": list(shown.values())}


def _disk(disk: Disk, at: str) -> Object:
    return {
        "time": at,
        "availableBytes": disk.space.available,
        "capacityBytes": disk.space.capacity,
        "usedBytes": disk.used,
        "inodesFree": disk.space.inodes_free,
        "inodes": disk.space.inodes,
        "inodesUsed": disk.inodes_used,
    }


def _volume(volume: VolumeReading, namespace: str, at: str) -> Object:
    claim = {"pvcRef": {"name": volume.claim, "namespace": namespace}} if volume.claim else {}
    return {**_disk(volume.disk, at), "name": volume.name, **claim}


def _ephemeral(pod: PodReading) -> Disk | None:
    """What the pod takes of the node's disk: its containers' own files and logs, and its volumes that live as long as it."""
    parts = [disk for one in pod.containers for disk in (one.rootfs, one.logs) if disk is not None]
    parts += [volume.disk for volume in pod.volumes if volume.ephemeral]
    if not parts:
        return None
    return Disk(parts[0].space, sum(disk.used for disk in parts), sum(disk.inodes_used for disk in parts))
