"""The networks and ports of a container that is asked for. Pure.

Source: Docker Engine API, NetworkingConfig, EndpointSettings and PortMap; error texts are the daemon's.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from podling.base.errors import InvalidInput
from podling.engine.types import Endpoint, PortBinding

Json = Mapping[str, Any]


def networks(config: Json, host: Json, mac: str) -> dict[str, Endpoint]:
    """The networks that the container joins, by name. The one of NetworkMode is among them when it was given an endpoint.

    `mac` is for that one: where clients before 1.44 say it.
    """
    endpoints = config.get("EndpointsConfig") or {}
    mode = host.get("NetworkMode") or "default"
    mode = "bridge" if mode == "default" else mode
    found = {("bridge" if name == "default" else name): endpoint(given or {}) for name, given in endpoints.items()}
    if mac:
        found[mode] = replace(found.get(mode, Endpoint()), mac=mac)
    return found


def endpoint(given: Json) -> Endpoint:
    """An EndpointSettings object."""
    addresses = given.get("IPAMConfig") or {}
    return Endpoint(
        aliases=tuple(given.get("Aliases") or ()),
        links=tuple(given.get("Links") or ()),
        ipv4=addresses.get("IPv4Address") or "",
        ipv6=addresses.get("IPv6Address") or "",
        mac=given.get("MacAddress") or "",
        driver_options=dict(given.get("DriverOpts") or {}),
    )


def exposed(port: str) -> str:
    number, protocol = _port(port)
    return f"{number}/{protocol}"


def _port(text: str) -> tuple[int, str]:
    number, _, protocol = text.partition("/")
    protocol = protocol.lower() or "tcp"
    if protocol not in ("tcp", "udp", "sctp"):
        raise InvalidInput(f"invalid proto: {protocol}")
    if not number.isdecimal() or not 0 < int(number) < 65536:
        raise InvalidInput(f'invalid port specification: "{number}"')
    return int(number), protocol


def ports(body: Json, host: Json) -> Iterator[PortBinding]:
    published: set[str] = set()
    for port, bindings in (host.get("PortBindings") or {}).items():
        number, protocol = _port(port)
        for binding in bindings or [{}]:
            published.add(f"{number}/{protocol}")
            for host_port in _host_ports(binding.get("HostPort") or ""):
                yield PortBinding(number, protocol, binding.get("HostIp") or "", host_port)  # type: ignore[arg-type]
    if host.get("PublishAllPorts"):
        for port in body.get("ExposedPorts") or ():
            number, protocol = _port(port)
            if f"{number}/{protocol}" not in published:
                yield PortBinding(number, protocol)  # type: ignore[arg-type]


def _host_ports(text: str) -> list[int]:
    """One port; none (0) when it is left to us. A range means any one of it."""
    first, _, last = text.partition("-")
    if not text:
        return [0]
    if not re.fullmatch(r"\d+(-\d+)?", text) or int(last or first) > 65535:
        raise InvalidInput(f'invalid port specification: "{text}"')
    return [int(first)]


def extra_host(entry: str) -> str:
    name, separator, address = entry.partition(":")
    if not separator:
        name, separator, address = entry.partition("=")
    if not name or not separator or not address:
        raise InvalidInput(f'bad format for add-host: "{entry}"')
    return f"{name}:{address}"
