"""Where a proxied request goes: from `[scheme:]name[:port]` to an address. Pure.

Source: Kubernetes documentation "Access Services Running on Clusters"; ResourceLocation in pkg/registry/core.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from podling.api.objects import get
from podling.api.status import ApiError, bad_request

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Location:
    """Who is asked. `agent`: it is the node's own agent, who knows the API server by its certificate."""

    scheme: str
    host: str
    port: int
    agent: bool = False

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a path names; empty parts were left out."""

    scheme: str
    name: str
    port: str


def split(text: str, kind: str) -> Wanted:
    """`name`, `name:port` or `scheme:name:port`. Raises 400."""
    parts = text.split(":")
    scheme, name, port = {1: ("", *parts, ""), 2: ("", *parts), 3: tuple(parts)}.get(len(parts), ("", "", ""))
    if not name or scheme not in ("", "http", "https"):
        raise bad_request(f'invalid {kind} request "{text}"')
    return Wanted(scheme, name, port)


def of_pod(wanted: Wanted, pod: Object) -> Location:
    """A pod's address, at the port named or else the first that it declares. Raises 400."""
    ports = (port["containerPort"] for container in pod["spec"]["containers"] for port in container.get("ports") or ())
    port = wanted.port or str(next(ports, ""))
    scheme = wanted.scheme or "http"
    address = get(pod, "status.podIP", "")
    check_address(address)
    return Location(scheme, address, _number(port) if port else {"http": 80, "https": 443}[scheme])


def of_service(wanted: Wanted, service: Object | None, endpoints: Iterable[Object], order: Callable[[int], int]) -> Location:
    """One of the pods behind a service; `order(n)` says with which of n to begin. Raises 503.

    `service` is needed where the port is a number; `endpoints` are those of the service.
    """
    port = wanted.port
    if port.isdecimal():
        ports = get(service or {}, "spec.ports", ())
        found = next((each for each in ports if each.get("port") == int(port)), None)
        if found is None:
            raise unavailable(f'no service port {port} found for service "{wanted.name}"')
        port = found.get("name", "")
    ready = _ready(endpoints, port)
    if not ready:
        raise unavailable(f'no endpoints available for service "{wanted.name}"')
    address, number = ready[order(len(ready))]
    check_address(address)
    return Location(wanted.scheme or "http", address, number)


def _ready(endpoints: Iterable[Object], port: str) -> list[tuple[str, int]]:
    """Addresses that are pods, which nobody can make up, and the number that the port has there."""
    found = []
    for subset in (each for one in endpoints for each in one.get("subsets") or ()):
        number = next((each["port"] for each in subset.get("ports") or () if each.get("name", "") == port), None)
        if number is not None:
            addresses = subset.get("addresses") or ()
            found += [(each["ip"], number) for each in addresses if get(each, "targetRef.kind") == "Pod"]
    return found


def of_node(wanted: Wanted, node: Object) -> Location:
    """A node's agent, or another port of the node. Raises 400, 503."""
    name = get(node, "metadata.name", "")
    addresses = {entry["type"]: entry["address"] for entry in get(node, "status.addresses", ())}
    agent = get(node, "status.daemonEndpoints.kubeletEndpoint.Port")
    host = addresses.get("InternalIP") or addresses.get("Hostname") or ""
    if not host or not (agent or wanted.port):
        raise unavailable(f"node {name} has not announced where its agent listens")
    if not wanted.port or wanted.port == str(agent):
        return Location("https", host, agent, agent=True)
    check_address(host)
    return Location(wanted.scheme or "http", host, _number(wanted.port))


def check_address(address: str) -> None:
    """Raises 400 for one that is the server's own machine, or none."""
    try:
        parsed = ip_address(address)
    except ValueError:
        raise bad_request("address not allowed") from None
    if parsed.is_loopback or parsed.is_link_local or parsed.is_multicast or parsed.is_unspecified:
        raise bad_request("address not allowed")


def _number(port: str) -> int:
    if not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise unavailable(f"error trying to reach service: dial tcp: lookup tcp/{port}: unknown port")
    return int(port)


def unavailable(message: str) -> ApiError:
    return ApiError(503, "ServiceUnavailable", message)


def rewritten(target: str, prefix: str, hosts: Sequence[str]) -> str:
    """A link of the answer, so that it leads through the proxy again. `prefix` is the path of the proxy.

    Links to other hosts than `hosts`, and relative ones, stay as they are.
    """
    separator, rest = ("//", target[2:]) if target.startswith("//") else target.partition("://")[1:]
    host, slash, path = rest.partition("/") if separator else ("", "/" if target.startswith("/") else "", target[1:])
    if not slash or (separator and host not in hosts):
        return target
    path = f"/{path}"
    return path if path.startswith(prefix) else f"{prefix.rstrip('/')}{path}"
