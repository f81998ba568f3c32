"""CPU and memory of a pod's containers: what is wished, what the node has granted, and what the kernel has been told.

Source: Kubernetes, "Resize CPU and Memory Resources assigned to Containers"; KEP-1287.
"""

from collections.abc import Mapping

from podling.base import quantity
from podling.node.pod.spec import Object, containers, init_containers

Sizes = Mapping[str, Object]
"""Name of a container → its `resources`."""

_LISTS = ("containers", "initContainers")
_RESIZABLE = ("cpu", "memory")


def sizes_of(pod: Object) -> dict[str, Object]:
    """What the spec wishes."""
    return {container["name"]: container.get("resources") or {} for container in (*init_containers(pod), *containers(pod))}


def told_by(status: Object, sizes: Sizes) -> dict[str, Object]:
    """The sizes that an earlier agent granted, as the pod's status tells of them; where it doesn't, those of `sizes`."""
    found = dict(sizes)
    for each in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        if each["name"] in found and (told := each.get("resources")):
            found[each["name"]] = {**found[each["name"]], **told}
    return found


def with_sizes(pod: Object, sizes: Sizes) -> Object:
    """The pod as if its spec asked for `sizes`."""
    if all(same(container.get("resources") or {}, sizes.get(container["name"], {})) for container in _resizable(pod)):
        return pod
    spec = dict(pod["spec"])
    for each in _LISTS:
        if each in spec:
            spec[each] = [{**c, "resources": sizes.get(c["name"], c.get("resources") or {})} for c in spec[each] or ()]
    return {**pod, "spec": spec}


def _resizable(pod: Object) -> list[Object]:
    return [*init_containers(pod), *containers(pod)]


def same(one: Object, other: Object) -> bool:
    """Whether both are the same amounts of CPU and memory, however they are written."""
    return one is other or _amounts(one) == _amounts(other)


def _amounts(resources: Object) -> dict[tuple[str, str], int]:
    return {
        (part, name): quantity.parse(amount).nanos
        for part in ("requests", "limits")
        for name, amount in (resources.get(part) or {}).items()
        if name in _RESIZABLE
    }


def needs_restart(container: Object, old: Object, new: Object) -> bool:
    """Whether the container takes the new size only by a restart. Source: Container.resizePolicy."""
    before, after = _amounts(old), _amounts(new)
    changed = {name for part, name in before.keys() | after.keys() if before.get((part, name)) != after.get((part, name))}
    policies = {policy["resourceName"]: policy["restartPolicy"] for policy in container.get("resizePolicy") or ()}
    return any(policies.get(name) == "RestartContainer" for name in changed)
