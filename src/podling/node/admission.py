"""Whether the node takes a pod in, and whether it grants one another size. Pure.

What the scheduler has promised may be outdated, and some pods never met it. Reasons and messages are the kubelet's, since
controllers and people match on them. Source: Kubernetes, "Node-pressure Eviction"; kubelet's lifecycle predicates; KEP-1287.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from podling.api import taints
from podling.api.core import demand
from podling.api.node_affinity import is_wanted
from podling.base import quantity
from podling.node.pod.events import Doomed, Granted, NotGranted
from podling.node.pod.sizes import sizes_of, with_sizes
from podling.node.pod.spec import Object, host_network, qos_class

SAFE_SYSCTLS = (
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
)
Port = tuple[str, str, int]  # address, protocol, number
CRITICAL = 2_000_000_000  # the priority of system-cluster-critical
_IPC = ("kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.")
_MEMORY_TAINT = {"key": "node.kubernetes.io/memory-pressure", "effect": "NoSchedule"}


@dataclass(frozen=True, slots=True)
class Room:
    """What the node has to give: amounts in thousandths for `cpu`, else in ones. `pressures` are the conditions that hold."""

    name: str
    allocatable: Mapping[str, int]
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Object, ...] = ()
    pressures: tuple[str, ...] = ()
    sysctls: tuple[str, ...] = ()
    leaving: bool = False


def allocatable_of(node: Object) -> dict[str, int]:
    """What a Node object says that it can give."""
    return {name: _amount(name, amount) for name, amount in ((node.get("status") or {}).get("allocatable") or {}).items()}


def _amount(name: str, amount: str) -> int:
    return quantity.milli(amount) if name == "cpu" else quantity.whole(amount)


def asked_of(pod: Object) -> dict[str, int]:
    """What a pod takes of the node; itself as one of `pods`."""
    asked = {
        name: found.milli if name == "cpu" else found.whole for name, found in demand.of_pod(pod["spec"], "requests").items()
    }
    return {"pods": 1, **asked}


@dataclass(frozen=True, slots=True)
class Claim:
    """What one pod takes of the node, in the sizes granted."""

    asked: Mapping[str, int]
    ports: frozenset[Port]


def claim_of(pod: Object) -> Claim:
    return Claim(asked_of(pod), frozenset(_host_ports(pod)))


def admit(pod: Object, others: Iterable[Claim], room: Room) -> Doomed | None:
    """None, or why the pod can't be here. `others` are the pods that the node has taken in."""
    if refusal := _pressure(pod, room) or _sysctl(pod, room) or _misfit(pod, others, room):
        return Doomed(*refusal, rejected=True)
    if room.leaving:
        return Doomed("NodeShutdown", "Pod was rejected as the node is shutting down.", rejected=True)
    return None


def _pressure(pod: Object, room: Room) -> tuple[str, str] | None:
    if not room.pressures or is_critical(pod):
        return None
    if room.pressures == ("MemoryPressure",) and (qos_class(pod) != "BestEffort" or taints.tolerated(pod, _MEMORY_TAINT)):
        return None
    return "Evicted", f"The node had condition: [{' '.join(room.pressures)}]. "


def is_critical(pod: Object) -> bool:
    """Whether the node does all it can for this pod: static ones, and those of the highest priorities."""
    annotations = pod["metadata"].get("annotations") or {}
    source = annotations.get("kubernetes.io/config.source", "api")
    return source != "api" or int(pod["spec"].get("priority") or 0) >= CRITICAL


def _sysctl(pod: Object, room: Room) -> tuple[str, str] | None:
    spec = pod["spec"]
    for each in (spec.get("securityContext") or {}).get("sysctls") or ():
        name = each["name"].replace("/", ".")
        if not any(
            name == known or (known.endswith("*") and name.startswith(known[:-1])) for known in (*SAFE_SYSCTLS, *room.sysctls)
        ):
            return "SysctlForbidden", f'forbidden sysctl: "{each["name"]}" not allowlisted'
        if name.startswith("net.") and host_network(pod):
            return "SysctlForbidden", f'forbidden sysctl: "{each["name"]}" not allowed with host net enabled'
        if name.startswith(_IPC) and spec.get("hostIPC"):
            return "SysctlForbidden", f'forbidden sysctl: "{each["name"]}" not allowed with host ipc enabled'
    return None


def _covers(pattern: str, name: str) -> bool:
    return name == pattern or (pattern.endswith("*") and name.startswith(pattern[:-1]))


def _misfit(pod: Object, others: Iterable[Claim], room: Room) -> tuple[str, str] | None:
    others = list(others)
    asked = {name: amount for name, amount in asked_of(pod).items() if "/" not in name or name in room.allocatable}
    if short := _short(asked, _used(others), room.allocatable):
        return f"OutOf{short[0]}", _too_little(*short)
    if not is_wanted(pod["spec"], room.name, room.labels):
        return "NodeAffinity", "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"
    taken = {port for other in others for port in other.ports}
    if any(_collides(port, other) for port in _host_ports(pod) for other in taken):
        return "NodePorts", "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"
    if is_static(pod) and taints.untolerated(pod, room.taints, ("NoExecute",)) is not None:
        return "TaintToleration", "Predicate TaintToleration failed: node(s) had untolerated taint(s)"
    return None


def _too_little(name: str, asked: int, used: int, capacity: int) -> str:
    return f"Node didn't have enough resource: {name}, requested: {asked}, used: {used}, capacity: {capacity}"


def is_static(pod: Object) -> bool:
    return "kubernetes.io/config.source" in (pod["metadata"].get("annotations") or {})


def _used(claims: Iterable[Claim]) -> dict[str, int]:
    used: dict[str, int] = {}
    for claim in claims:
        for name, amount in claim.asked.items():
            used[name] = used.get(name, 0) + amount
    return used


def _short(asked: Mapping[str, int], used: Mapping[str, int], room: Mapping[str, int]) -> tuple[str, int, int, int] | None:
    """The first resource that doesn't suffice: its name, and what is asked, used and there. Unknown ones count as none."""
    for name, amount in asked.items():
        if amount and used.get(name, 0) + amount > room.get(name, 0):
            return name, amount, used.get(name, 0), room.get(name, 0)
    return None


def _host_ports(pod: Object) -> set[Port]:
    found = [port for container in pod["spec"].get("containers") or () for port in container.get("ports") or ()]
    return {(p.get("hostIP") or "0.0.0.0", p.get("protocol") or "TCP", p["hostPort"]) for p in found if p.get("hostPort")}


def _collides(one: Port, other: Port) -> bool:
    return one[1:] == other[1:] and (one[0] == other[0] or "0.0.0.0" in (one[0], other[0]))


_GIVEN_UP_FIRST = ("BestEffort", "Burstable", "Guaranteed")


def make_way(pod: Object, others: Iterable[Object], room: Room) -> list[Object]:
    """Who has to leave for a critical pod that lacks nothing but room; empty where that would not help, or isn't due to it.

    Those of the least quality of service and priority go first, and of these the largest, so that few go.
    """
    others = list(others)
    if not is_critical(pod) or _misfit(pod, (), room) is not None:
        return []
    candidates = [other for other in others if not is_critical(other) and _priority(other) < _priority(pod)]
    candidates.sort(key=lambda other: (_GIVEN_UP_FIRST.index(qos_class(other)), _priority(other), -sum(asked_of(other).values())))
    leaving: list[Object] = []
    while _misfit(pod, [claim_of(other) for other in others if other not in leaving], room) is not None:
        if not candidates:
            return []
        leaving.append(candidates.pop(0))
    return leaving


def _priority(pod: Object) -> int:
    return int(pod["spec"].get("priority") or (CRITICAL if is_static(pod) else 0))


def grant(pod: Object, others: Iterable[Claim], room: Room) -> Granted | NotGranted:
    """Whether a running pod may have the sizes that it wishes."""
    if is_static(pod):
        return NotGranted("Infeasible", "In-place resize of static-pods is not supported")
    wishes = sizes_of(pod)
    asked = {name: amount for name, amount in asked_of(with_sizes(pod, wishes)).items() if name in ("cpu", "memory")}
    if short := _short(asked, {}, room.allocatable):
        name, amount, _, capacity = short
        return NotGranted("Infeasible", f"Node didn't have enough capacity: {name}, requested: {amount}, capacity: {capacity}")
    if short := _short(asked, _used(others), room.allocatable):
        return NotGranted("Deferred", _too_little(*short))
    return Granted(wishes)
