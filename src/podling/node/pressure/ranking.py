"""Who has to go, and what is said about it. Pure. Source: Kubernetes, "Node-pressure Eviction", "Pod selection for eviction"."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from podling.api.core import demand
from podling.base import quantity
from podling.node.pod.spec import Object, containers, init_containers
from podling.node.pressure.judging import Amount
from podling.node.pressure.thresholds import Threshold

_REQUESTED = ("memory", "ephemeral-storage")


@dataclass(frozen=True, slots=True)
class Use:
    """What a pod uses, by resource (memory, ephemeral-storage, inodes, pids); and its containers, of the first two."""

    pod: Object
    amounts: Mapping[str, int]
    containers: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    volumes: Mapping[str, int] = field(default_factory=dict)

    def over(self, resource: str) -> int:
        """By how much it uses more than it asks for."""
        return self.amounts.get(resource, 0) - _asked(self.pod, resource)

    @property
    def priority(self) -> int:
        return int(self.pod["spec"].get("priority") or 0)


def _asked(pod: Object, resource: str) -> int:
    found = demand.of_pod(pod["spec"], "requests").get(resource) if resource in _REQUESTED else None
    return found.whole if found is not None else 0


def ranked(uses: Iterable[Use], resource: str) -> list[Use]:
    """Who uses more than asked for, then who matters least, then who uses the most above what was asked for."""
    exceeds = resource in _REQUESTED
    return sorted(uses, key=lambda use: (exceeds and use.over(resource) <= 0, use.priority, -use.over(resource)))


def words(use: Use, threshold: Threshold, amount: Amount) -> str:
    """The message of an eviction."""
    resource = threshold.resource
    said = f"The node was low on resource: {resource}. "
    said += f"Threshold quantity: {_text(threshold.limit(amount.capacity), resource)}, "
    said += f"available: {_text(amount.available, resource)}. "
    for container in (*init_containers(use.pod), *containers(use.pod)):
        used = use.containers.get(container["name"], {}).get(resource, 0)
        asked = quantity.whole(((container.get("resources") or {}).get("requests") or {}).get(resource, 0))
        if used > asked:
            said += f"Container {container['name']} was using {_text(used, resource)}, request is {_text(asked, resource)}, "
            said += f"has larger consumption of {resource}. "
    return said


def _text(amount: int, resource: str) -> str:
    if resource in _REQUESTED:
        return str(quantity.of(amount if amount < 1024 else amount // 1024 * 1024, "BinarySI"))
    return str(quantity.of(amount))


def has_local_limits(pod: Object) -> bool:
    """Whether something of the pod's use of the disk is limited."""
    limited = any("ephemeral-storage" in ((c.get("resources") or {}).get("limits") or {}) for c in _all(pod))
    return limited or any(_size_limit(volume) is not None for volume in pod["spec"].get("volumes") or ())


def _all(pod: Object) -> list[Object]:
    return [*init_containers(pod), *containers(pod)]


def _size_limit(volume: Object) -> str | None:
    """The limit of an emptyDir on disk; one in memory is limited by the kernel."""
    source = volume.get("emptyDir")
    limit: str | None = source.get("sizeLimit") if source and source.get("medium", "") == "" else None
    return limit if limit is not None and quantity.whole(limit) else None


def local_excess(use: Use) -> str:
    """What the pod has put on the disk beyond its limits, in the words of its eviction; "" for nothing."""
    for volume in use.pod["spec"].get("volumes") or ():
        limit = _size_limit(volume)
        if limit is not None and use.volumes.get(volume["name"], 0) > quantity.whole(limit):
            return f'Usage of EmptyDir volume "{volume["name"]}" exceeds the limit "{quantity.canonical(limit)}". '
    limits = demand.of_pod(use.pod["spec"], "limits").get("ephemeral-storage")
    everyone = all("ephemeral-storage" in ((c.get("resources") or {}).get("limits") or {}) for c in containers(use.pod))
    if everyone and limits is not None and use.amounts.get("ephemeral-storage", 0) > limits.whole:
        return f"Pod ephemeral local storage usage exceeds the total limit of containers {limits}. "
    for container in _all(use.pod):
        limit = ((container.get("resources") or {}).get("limits") or {}).get("ephemeral-storage")
        used = use.containers.get(container["name"], {}).get("ephemeral-storage", 0)
        if limit is not None and used > quantity.whole(limit):
            return f'Container {container["name"]} exceeded its local ephemeral storage limit "{quantity.canonical(limit)}". '
    return ""
