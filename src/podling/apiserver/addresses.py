"""Cluster IPs and node ports of Services: given out here, held as long as the Service in the cache has them.

Source: Kubernetes documentation "Service", "ClusterIP allocation"; k8s.io/kubernetes pkg/registry/core/service/ipallocator.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from podling.api.field import FieldError, at
from podling.api.status import invalid
from podling.apiserver.cache import Change, ResourceCache

Object = dict[str, Any]

NODE_PORTS = (30000, 32767)
_WITH_NODE_PORTS = ("NodePort", "LoadBalancer")


@dataclass(slots=True)
class Held:
    """What a Service has, or is about to have: addresses as text, (protocol, port) pairs."""

    ips: set[str] = field(default_factory=set)
    ports: set[tuple[str, int]] = field(default_factory=set)


def held_by(service: Object) -> Held:
    """The addresses and node ports that a Service names."""
    spec = service.get("spec") or {}
    ips = {ip for ip in (spec.get("clusterIP"), *(spec.get("clusterIPs") or ())) if ip and ip != "None"}
    return Held(
        ips,
        {(port.get("protocol") or "TCP", port["nodePort"]) for port in _ports(spec) if port.get("nodePort")}
        | _health_check(spec),
    )


def _ports(spec: Object) -> list[Object]:
    return spec.get("ports") or []


def _health_check(spec: Object) -> set[tuple[str, int]]:
    port = spec.get("healthCheckNodePort")
    return {("TCP", port)} if port else set()


class ServiceAddresses:
    """Knows what is in use from the watch cache; what a write has taken and not yet stored is reserved."""

    def __init__(self, network: str = "10.96.0.0/16", ports: tuple[int, int] = NODE_PORTS) -> None:
        self.network = IPv4Network(network)
        self._ports = ports
        self._used_ips: dict[str, int] = {}
        self._used_ports: dict[tuple[str, int], int] = {}
        self._next_ip = 0
        self._next_port = 0

    @property
    def first(self) -> str:
        """The address of the Service `kubernetes`."""
        return str(self.network[1])

    def follow(self, services: ResourceCache) -> None:
        """Take over what the cached Services hold, and every change of it."""
        for item in services.items():
            self._count(held_by(item.object), 1)
        services.listen(self._changed)

    def _changed(self, change: Change) -> None:
        if change.item is not None:
            self._count(held_by(change.item.object), 1)
        if change.previous is not None:
            self._count(held_by(change.previous.object), -1)

    def _count(self, held: Held, by: int) -> None:
        for ip in held.ips:
            _add(self._used_ips, ip, by)
        for port in held.ports:
            _add(self._used_ports, port, by)

    def allocate(self, service: Object, old: Object | None) -> "Reservation":
        """Fill in what a Service's type asks for and it does not name, in place. Raises 422.

        Leave the reservation when the write is over, however it ended.
        """
        had = held_by(old) if old is not None else Held()
        reservation = Reservation(self)
        try:
            errors = [*self._addresses(service, had, reservation), *self._node_ports(service, had, reservation)]
            if errors:
                raise invalid("Service", service["metadata"].get("name", ""), errors)
        except BaseException:
            reservation.release()
            raise
        return reservation

    def _addresses(self, service: Object, had: Held, reservation: "Reservation") -> Iterator[FieldError]:
        spec = service["spec"]
        if spec.get("type") == "ExternalName":
            return
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")
        if spec.get("clusterIP") == "None":
            spec["clusterIPs"] = ["None"]
            return
        wanted = (spec.get("clusterIPs") or [""])[0] or spec.get("clusterIP")
        if wanted and wanted in had.ips:
            return
        if wanted:
            if problem := self._unusable(wanted):
                yield at(service, "spec", "clusterIPs").invalid(f"failed to allocate IP {wanted}: {problem}", [wanted])
                return
        elif not (wanted := self._free_ip()):
            yield at(service, "spec", "clusterIPs").invalid("failed to allocate a serviceIP: range is full", [])
            return
        reservation.ip(wanted)
        spec["clusterIP"] = wanted
        spec["clusterIPs"] = [wanted, *(spec.get("clusterIPs") or [""])[1:]]

    def _unusable(self, ip: str) -> str:
        try:
            inside = IPv4Address(ip) in self.network
        except ValueError:
            inside = False
        if not inside:
            return f"the provided IP ({ip}) is not in the valid range. The range of valid IPs is {self.network}"
        return "provided IP is already allocated" if ip in self._used_ips else ""

    def _free_ip(self) -> str:
        """The next free address; the first (of `kubernetes`), the network's and the broadcast address are left out."""
        size = self.network.num_addresses - 3
        for _ in range(size):
            candidate = str(self.network[2 + self._next_ip])
            self._next_ip = (self._next_ip + 1) % size
            if candidate not in self._used_ips:
                return candidate
        return ""

    def _node_ports(self, service: Object, had: Held, reservation: "Reservation") -> Iterator[FieldError]:
        spec = service["spec"]
        if spec.get("type") not in _WITH_NODE_PORTS:
            return
        allocate = spec.get("allocateLoadBalancerNodePorts") is not False or spec["type"] == "NodePort"
        for cursor in at(service, "spec", "ports"):
            port = cursor.value
            protocol = port.get("protocol") or "TCP"
            wanted = port.get("nodePort")
            if wanted and (protocol, wanted) in had.ports:
                continue
            if wanted:
                if problem := self._unusable_port(protocol, wanted):
                    yield (cursor / "nodePort").invalid(problem)
                    continue
            elif not allocate:
                continue
            elif not (wanted := self._free_port(protocol)):
                yield (cursor / "nodePort").invalid("failed to allocate a nodePort: range is full", 0)
                continue
            reservation.port(protocol, wanted)
            port["nodePort"] = wanted

    def _unusable_port(self, protocol: str, port: int) -> str:
        low, high = self._ports
        if not low <= port <= high:
            return f"provided port is not in the valid range. The range of valid ports is {low}-{high}"
        return "provided port is already allocated" if (protocol, port) in self._used_ports else ""

    def _free_port(self, protocol: str) -> int:
        low, high = self._ports
        size = high - low + 1
        for _ in range(size):
            candidate = low + self._next_port * 7919 % size  # spread, so that a freed port is not the next one given
            self._next_port = (self._next_port + 1) % size
            if (protocol, candidate) not in self._used_ports:
                return candidate
        return 0


class Reservation:
    """What a write in progress has taken."""

    def __init__(self, addresses: ServiceAddresses) -> None:
        self._addresses = addresses
        self._held = Held()

    def ip(self, ip: str) -> None:
        self._held.ips.add(ip)
        self._addresses._count(Held(ips={ip}), 1)

    def port(self, protocol: str, port: int) -> None:
        self._held.ports.add((protocol, port))
        self._addresses._count(Held(ports={(protocol, port)}), 1)

    def release(self) -> None:
        self._addresses._count(self._held, -1)
        self._held = Held()


def _add(counts: dict[Any, int], key: Any, by: int) -> None:
    counts[key] = counts.get(key, 0) + by
    if counts[key] <= 0:
        del counts[key]
