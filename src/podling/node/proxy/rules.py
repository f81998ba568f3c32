"""What the maps of the table hold for a service. Pure. Source: Kubernetes, "Virtual IPs and Service Proxies".

An endpoint's identity, for clients that stay with theirs, is its address as a number: it stays while others come and go.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from podling.linux.nftset import Change, Element, Verdict, mark, pack
from podling.node.pod.spec import Object, containers, host_network
from podling.node.proxy import table
from podling.node.proxy.table import Choice, Masquerade

ElementKey = tuple[str, bytes]
"""A set or map of the table, and the key in it."""

Value = bytes | Verdict | None
"""What a map has under the key; None in a set."""

Elements = Mapping[ElementKey, Value]
"""What one service needs in the kernel."""


_ANY = "0.0.0.0"
DEFAULT_AFFINITY = 10800


@dataclass(frozen=True, slots=True)
class Target:
    """Where a connection may go."""

    address: str
    port: int
    local: bool


def elements_of(service: Object | None, slices: Sequence[Object], node: str, reserved: str = "") -> Elements:
    """The elements for one service; none for a headless one, or one without a virtual IP. `reserved` is an address that is no
    virtual IP though a service has it: the cluster DNS, which the node answers itself."""
    spec = (service or {}).get("spec") or {}
    address = spec.get("clusterIP")
    if not address or address in ("None", reserved) or ":" in address or spec.get("type") == "ExternalName":
        return {}
    elements: dict[ElementKey, Value] = {}
    for port in spec.get("ports") or []:
        targets = targets_of(port, slices, node)
        for way in _ways(service or {}, port, targets):
            elements |= way.elements()
    return elements


def host_port_elements(pod: Object | None) -> Elements:
    """The elements for the host ports of a pod that has its address and hasn't ended."""
    status = (pod or {}).get("status") or {}
    if pod is None or not status.get("podIP") or host_network(pod) or status.get("phase") in ("Succeeded", "Failed"):
        return {}
    elements: dict[ElementKey, Value] = {}
    for port in (port for container in containers(pod) for port in container.get("ports") or [] if port.get("hostPort")):
        host = port.get("hostIP") or _ANY
        address = None if host == _ANY else IPv4Address(host)
        target = Target(status["podIP"], port["containerPort"], local=True)
        protocol = (port.get("protocol") or "TCP").lower()
        elements |= _Way(address, protocol, port["hostPort"], "never", table.RANDOM, [target]).elements()
    return elements


@dataclass(frozen=True, slots=True)
class _Way:
    """One way in: an address with a port, or a node port (`address` None)."""

    address: IPv4Address | None
    protocol: str
    port: int
    masquerade: Masquerade
    choice: Choice
    targets: Sequence[Target]

    def elements(self) -> dict[ElementKey, Value]:
        by_port = self.address is None
        key = self._key()
        if not self.targets:
            return {(table.NO_NODE_ENDPOINTS if by_port else table.NO_ENDPOINTS, key): None}
        chain = table.chain_name(by_port, self.masquerade, self.choice, len(self.targets))
        entry = table.NODE_PORTS if by_port else table.SERVICES
        ends = table.NODE_ENDPOINTS if by_port else table.ENDPOINTS
        result: dict[ElementKey, Value] = {(entry, key): Verdict("goto", chain)}
        for number, target in enumerate(self.targets):
            address = IPv4Address(target.address)
            if self.choice != table.RANDOM:
                result[table.NODE_IDENTITIES if by_port else table.IDENTITIES, self._key(number)] = mark(int(address))
                number = int(address)
            result[ends, self._key(number)] = pack(address, target.port)
            result[table.HAIRPIN, pack(address, address)] = None
        return result

    def _key(self, number: int | None = None) -> bytes:
        parts = [] if self.address is None else [self.address]
        numbers = [] if number is None else [mark(number)]
        return pack(*parts, self.protocol, self.port, *numbers)


def _ways(service: Object, port: Object, targets: Sequence[Target]) -> Iterator[_Way]:
    spec = service["spec"]
    protocol = (port.get("protocol") or "TCP").lower()
    choice = table.by_client(affinity_of(spec)) if spec.get("sessionAffinity") == "ClientIP" else table.RANDOM
    local = [target for target in targets if target.local]
    inside = local if spec.get("internalTrafficPolicy") == "Local" else targets
    yield _Way(IPv4Address(spec["clusterIP"]), protocol, port["port"], "outside", choice, inside)
    keeps_source = spec.get("externalTrafficPolicy") == "Local"
    masquerade: Masquerade = "never" if keeps_source else "always"
    outside = local if keeps_source else targets
    for address in _external_addresses(service):
        yield _Way(IPv4Address(address), protocol, port["port"], masquerade, choice, outside)
    if port.get("nodePort"):
        yield _Way(None, protocol, port["nodePort"], masquerade, choice, outside)


def affinity_of(spec: Object) -> int:
    """Seconds after a client's last connection in which it has the same endpoint again."""
    config = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
    return int(config.get("timeoutSeconds") or DEFAULT_AFFINITY)


def _external_addresses(service: Object) -> list[str]:
    ingress = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    balanced = [each["ip"] for each in ingress if each.get("ip") and each.get("ipMode") != "Proxy"]
    return [address for address in (*(service["spec"].get("externalIPs") or []), *balanced) if ":" not in address]


def targets_of(port: Object, slices: Iterable[Object], node: str) -> list[Target]:
    """The endpoints of one service port, sorted: the ready ones, else those that are ending but still serve (KEP-1669)."""
    ready: set[tuple[str, int, bool]] = set()
    ending: set[tuple[str, int, bool]] = set()
    for each in slices:
        number = _port_number(each, port)
        if number is None or each.get("addressType") != "IPv4":
            continue
        for endpoint in each.get("endpoints") or []:
            conditions = endpoint.get("conditions") or {}
            found = {(address, number, endpoint.get("nodeName") == node) for address in endpoint.get("addresses") or []}
            if conditions.get("ready") is not False:
                ready |= found
            elif conditions.get("serving") and conditions.get("terminating"):
                ending |= found
    return [Target(*each) for each in sorted(ready or ending)]


def _port_number(endpoint_slice: Object, port: Object) -> int | None:
    for each in endpoint_slice.get("ports") or []:
        same_protocol = (each.get("protocol") or "TCP") == (port.get("protocol") or "TCP")
        if (each.get("name") or "") == (port.get("name") or "") and same_protocol and each.get("port"):
            return int(each["port"])
    return None


def changes(old: Elements, new: Elements) -> list[Change]:
    """The fewest changes of elements from `old` to `new`: removals first, so that a new value finds its key free."""
    stale = [key for key, value in old.items() if key not in new or new[key] != value]
    fresh = [key for key, value in new.items() if key not in old or old[key] != value]
    removals = [Change(False, name, Element(key, old[name, key])) for name, key in stale]
    return removals + [Change(True, name, Element(key, new[name, key])) for name, key in fresh]


def chains_of(elements: Elements) -> set[str]:
    """The chains that there have to be."""
    return {value.chain for value in elements.values() if isinstance(value, Verdict)}
