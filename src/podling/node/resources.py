"""Requests and limits as the kernel takes them. Pure. Source: Kubernetes, "Resource Management for Pods and Containers"."""

from collections.abc import Callable, Iterator
from typing import Any

from podling.base import quantity
from podling.linux.cgroup import Limits
from podling.node.pod.spec import Object, containers, init_containers, is_sidecar, qos_class, uid_of
from podling.runtime.types import Resources

_MIN_SHARES, _MAX_SHARES = 2, 262144
_PERIOD_US = 100_000
_MIN_QUOTA_US = 1000


def container_resources(container: Object, pids_limit: int = 0) -> Resources:
    """The limits of one container's cgroup."""
    resources = container.get("resources") or {}
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    cpu = requests.get("cpu", limits.get("cpu"))
    memory = quantity.whole(limits["memory"]) if "memory" in limits else 0
    quota = cpu_quota_us(quantity.milli(limits["cpu"])) if "cpu" in limits else 0
    return Resources(
        cpu_shares=cpu_shares(quantity.milli(cpu) if cpu is not None else 0),
        cpu_quota_us=quota,
        cpu_period_us=_PERIOD_US if quota else 0,
        memory=memory,
        memory_swap=memory,
        pids_limit=pids_limit,
        hugepages={page_size(name): quantity.whole(amount) for name, amount in limits.items() if name.startswith(HUGEPAGES)},
    )


HUGEPAGES = "hugepages-"


def page_size(resource: str) -> str:
    """`hugepages-2Mi` as the kernel names the size: 2MB."""
    return resource.removeprefix(HUGEPAGES).replace("i", "") + "B"


def cpu_shares(milli: int) -> int:
    """The weight of a CPU request: 1024 for one CPU."""
    return min(max(milli * 1024 // 1000, _MIN_SHARES), _MAX_SHARES)


def cpu_quota_us(milli: int) -> int:
    """Microseconds of CPU in each period of 100 ms."""
    return max(milli * _PERIOD_US // 1000, _MIN_QUOTA_US)


CLASSES = ("Guaranteed", "Burstable", "BestEffort")


def cgroup_of_class(kind: str, root: str) -> str:
    """The control group of a quality-of-service class; guaranteed pods stand beside the classes."""
    return root if kind == "Guaranteed" else f"{root}/{kind.lower()}"


def cgroup_of(pod: Object, root: str) -> str:
    """The pod's cgroup below `root`, by its quality of service."""
    return f"{cgroup_of_class(qos_class(pod), root)}/pod{uid_of(pod)}"


def pod_milli_cpu(pod: Object) -> int:
    """Thousandths of a CPU that the pod asks for."""
    return _together(pod, "requests", "cpu", quantity.milli) or 0


def pod_limits(pod: Object) -> Limits:
    """What its containers may use together: a limit where each of them has one."""
    cpu = _together(pod, "limits", "cpu", quantity.milli)
    memory = _together(pod, "limits", "memory", quantity.whole)
    return Limits(
        cpu_shares=cpu_shares(pod_milli_cpu(pod)),
        cpu_quota=None if cpu is None else cpu_quota_us(cpu),
        cpu_period=None if cpu is None else _PERIOD_US,
        memory=memory,
    )


def _together(pod: Object, part: str, name: str, read: Callable[[Any], int]) -> int | None:
    """The sum over containers and sidecars, or what an init container needs by itself if that is more; for limits None
    where one has none."""
    sums = {"app": 0, "init": 0}
    for container, kind in _with_kinds(pod):
        resources = container.get("resources") or {}
        found = (resources.get(part) or {}).get(name, (resources.get("limits") or {}).get(name))
        if found is None and part == "limits":
            return None
        amount = read(found or 0)
        sums[kind] = max(sums[kind], amount) if kind == "init" else sums[kind] + amount
    return max(sums.values())


def _with_kinds(pod: Object) -> Iterator[tuple[Object, str]]:
    for container in init_containers(pod):
        yield container, "app" if is_sidecar(container) else "init"
    for container in containers(pod):
        yield container, "app"


def oom_score_adj(pod: Object, container: Object, node_memory: int) -> int:
    """How early the kernel takes this container when memory runs out. Source: Kubernetes, "Node-pressure Eviction"."""
    kind = qos_class(pod)
    if kind != "Burstable":
        return -997 if kind == "Guaranteed" else 1000
    requests = (container.get("resources") or {}).get("requests") or {}
    asked = quantity.whole(requests.get("memory", 0))
    score = 1000 - 1000 * asked // max(node_memory, 1)
    return min(max(score, 3), 999)
