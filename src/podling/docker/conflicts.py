"""Options of a new container that can't stand beside each other, and modes that there are none of. Pure.

Source: Docker Engine API, ContainerCreate; error texts are the daemon's.
"""

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from podling.base.errors import InvalidInput
from podling.runtime.capability import ALL

Json = Mapping[str, Any]

_UNDEFINED = "This would result in undefined behavior"
_GATEWAY = "host-gateway"


def check(body: Json, host: Json) -> None:
    """Raises InvalidInput for the first of them."""
    for problem in (*_network(body, host), *_names(body, host), *_modes(host), *_capabilities(host)):
        raise InvalidInput(problem)


def _network(body: Json, host: Json) -> Iterator[str]:
    mode = host.get("NetworkMode") or ""
    joins, on_host = mode.startswith("container:"), mode == "host"
    if mode == "container" or mode == "container:":
        yield "invalid container format container:<name|id>"
    if joins and body.get("Hostname"):
        yield "conflicting options: hostname and the network mode"
    if on_host and host.get("Links"):
        yield f"conflicting options: host type networking can't be used with links. {_UNDEFINED}"
    if joins and host.get("Links"):
        yield f"conflicting options: container type network can't be used with links. {_UNDEFINED}"
    if joins and host.get("Dns"):
        yield "conflicting options: dns and the network mode"
    if joins and host.get("ExtraHosts"):
        yield "conflicting options: custom host-to-IP mapping and the network mode"
    if (joins or on_host) and body.get("MacAddress"):
        yield "conflicting options: mac-address and the network mode"
    if joins and (host.get("PortBindings") or host.get("PublishAllPorts")):
        yield "conflicting options: port publishing and the container type network mode"
    if joins and body.get("ExposedPorts"):
        yield "conflicting options: port exposing and the container type network mode"


def _names(body: Json, host: Json) -> Iterator[str]:
    if host.get("UTSMode") == "host" and body.get("Hostname"):
        yield "conflicting options: hostname and the UTS mode"
    if host.get("UTSMode") == "host" and body.get("Domainname"):
        yield "conflicting options: domainname and the UTS mode"
    for entry in host.get("ExtraHosts") or ():
        _, _, address = entry.partition("=" if "=" in entry.partition(":")[0] else ":")
        if address and address != _GATEWAY and not _is_address(address.strip("[]")):
            yield f'invalid IP address in add-host: "{address}"'


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _modes(host: Json) -> Iterator[str]:
    for member, name, known in (
        ("IpcMode", "IPC", ("", "none", "private", "shareable", "host")),
        ("PidMode", "PID", ("", "host")),
        ("UTSMode", "UTS", ("", "host")),
        ("CgroupnsMode", "cgroup namespace", ("", "private", "host")),
    ):
        mode = host.get(member) or ""
        joins = member in ("IpcMode", "PidMode") and len(mode) > len("container:") and mode.startswith("container:")
        if mode not in known and not joins:
            yield f"invalid {name} mode: {mode}"
    if (host.get("UsernsMode") or "") not in ("", "host"):
        yield f"invalid user namespace mode: {host['UsernsMode']}: this engine has none to map to, the one mode is host"


def _capabilities(host: Json) -> Iterator[str]:
    for member in ("CapAdd", "CapDrop"):
        for name in host.get(member) or ():
            full = f"CAP_{name.upper().removeprefix('CAP_')}"
            if full != "CAP_ALL" and full not in ALL:
                yield f'invalid {member}: unknown capability: "{name}"'
