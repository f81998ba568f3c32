"""What a pod's spec says, read without its defaults spelled out. Source: core/v1 PodSpec."""

from typing import Any

Object = dict[str, Any]

DEFAULT_GRACE = 30


def containers(pod: Object) -> list[Object]:
    """The application containers, in order."""
    found: list[Object] = pod["spec"].get("containers") or []
    return found


def init_containers(pod: Object) -> list[Object]:
    found: list[Object] = pod["spec"].get("initContainers") or []
    return found


def ephemeral_containers(pod: Object) -> list[Object]:
    """Those that a person let join the running pod, to look into it."""
    found: list[Object] = pod["spec"].get("ephemeralContainers") or []
    return found


def is_sidecar(container: Object) -> bool:
    """Whether an init container goes on running beside the others (KEP-753)."""
    return container.get("restartPolicy") == "Always"


def restart_policy(pod: Object) -> str:
    return pod["spec"].get("restartPolicy") or "Always"


def container_of(pod: Object, name: str) -> Object:
    """The container of this name; raises KeyError."""
    for container in (*init_containers(pod), *containers(pod), *ephemeral_containers(pod)):
        if container["name"] == name:
            found: Object = container
            return found
    raise KeyError(name)


def full_name(pod: Object) -> str:
    """How messages name a pod: `name_namespace(uid)`."""
    metadata = pod["metadata"]
    return f"{metadata['name']}_{metadata.get('namespace', '')}({metadata['uid']})"


def key_of(pod: Object) -> str:
    return f"{pod['metadata'].get('namespace', '')}/{pod['metadata']['name']}"


def uid_of(pod: Object) -> str:
    return str(pod["metadata"]["uid"])


def is_deleted(pod: Object) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def grace_of(pod: Object) -> float:
    """Seconds between TERM and KILL: what the deletion asks, else what the spec says."""
    for value in (pod["metadata"].get("deletionGracePeriodSeconds"), pod["spec"].get("terminationGracePeriodSeconds")):
        if value is not None:
            return float(value)
    return DEFAULT_GRACE


def probe_of(container: Object, kind: str) -> Object | None:
    """The `startup`, `liveness` or `readiness` probe."""
    found: Object | None = container.get(f"{kind}Probe")
    return found


def host_network(pod: Object) -> bool:
    return bool(pod["spec"].get("hostNetwork"))


def qos_class(pod: Object) -> str:
    """Guaranteed, Burstable or BestEffort. Source: Kubernetes, "Pod Quality of Service Classes"."""
    demands = [(c.get("resources") or {}) for c in (*containers(pod), *init_containers(pod))]
    if not any(_asks(demand) for demand in demands):
        return "BestEffort"
    return "Guaranteed" if all(_is_guaranteed(demand) for demand in demands) else "Burstable"


_COMPUTE = ("cpu", "memory")


def _asks(demand: Object) -> bool:
    return any(not _is_zero((demand.get(part) or {}).get(name)) for part in ("requests", "limits") for name in _COMPUTE)


def _is_zero(quantity: Any) -> bool:
    return quantity is None or str(quantity).rstrip("mKMGTPEikn") in ("", "0")


def _is_guaranteed(demand: Object) -> bool:
    limits = demand.get("limits") or {}
    requests = {**limits, **(demand.get("requests") or {})}
    return all(not _is_zero(limits.get(name)) and requests.get(name) == limits.get(name) for name in _COMPUTE)
