"""Routes and neighbours (ARP, NDP, forwarding databases of bridges and VXLANs). Source: rtnetlink(7)."""

import errno
import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from podling.linux import link
from podling.linux.netlink import (
    NLM_F_APPEND,
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_REPLACE,
    Message,
    Netlink,
    attribute,
    attributes,
    joined,
    number,
)

RTM_NEWROUTE = 24
RTM_DELROUTE = 25
RTM_GETROUTE = 26
RTM_NEWNEIGH = 28
RTM_DELNEIGH = 29

_RTA_DST = 1
_RTA_OIF = 4
_RTA_GATEWAY = 5
_RTA_PRIORITY = 6
_RTA_PREFSRC = 7
_RTA_TABLE = 15
_RT_TABLE_MAIN = 254
_RTPROT_BOOT = 3
_RT_SCOPE_UNIVERSE = 0
_RT_SCOPE_LINK = 253
_RT_SCOPE_NOWHERE = 255
_RTN_UNICAST = 1
_RTNH_F_ONLINK = 4
_NDA_DST = 1
_NDA_LLADDR = 2
_NUD_PERMANENT = 0x80
_NUD_NOARP = 0x40
_NTF_SELF = 0x2

_ROUTE = struct.Struct("=BBBBBBBBI")  # family, dst len, src len, tos, table, protocol, scope, type, flags
_NEIGHBOUR = struct.Struct("=BxHiHBB")  # family, pad, index, state, flags, type

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Route:
    """A unicast route of the main table. `device` is an interface's index (0: several next hops)."""

    destination: Network
    via: Address | None
    device: int
    metric: int


def add(
    net: Netlink,
    destination: str,
    *,
    via: str | None = None,
    device: str | None = None,
    source: str | None = None,
    metric: int | None = None,
    onlink: bool = False,
) -> None:
    """Add or replace a route; `destination` is "default", "default6" or a network. `onlink` trusts that `via` is at `device`.

    Raises OSError with the route.
    """
    body = _body(net, destination, via, device, onlink, scope=_RT_SCOPE_UNIVERSE if via else _RT_SCOPE_LINK)
    body += joined(
        [
            None if source is None else attribute(_RTA_PREFSRC, ip_address(source).packed),
            None if metric is None else number(_RTA_PRIORITY, metric),
        ]
    )
    net.ask(RTM_NEWROUTE, body, NLM_F_CREATE | NLM_F_REPLACE, about=_words(destination, via, device))


def delete(net: Netlink, destination: str, *, via: str | None = None, device: str | None = None) -> bool:
    """Remove a route; False if there is none, or if its device is gone (the kernel took it along)."""
    try:
        body = _body(net, destination, via, device, False, scope=_RT_SCOPE_NOWHERE)
        net.ask(RTM_DELROUTE, body, about=_words(destination, via, device))
    except OSError as error:
        if error.errno in (errno.ESRCH, errno.ENODEV):
            return False
        raise
    return True


def _words(destination: str, via: str | None, device: str | None) -> str:
    return f"route to {destination}" + (f" via {via}" if via else "") + (f" on {device}" if device else "")


def _body(net: Netlink, destination: str, via: str | None, device: str | None, onlink: bool, scope: int) -> bytes:
    network = _network(destination)
    family = socket.AF_INET if network.version == 4 else socket.AF_INET6
    flags = _RTNH_F_ONLINK if onlink else 0
    return joined(
        [
            _ROUTE.pack(family, network.prefixlen, 0, 0, _RT_TABLE_MAIN, _RTPROT_BOOT, scope, _RTN_UNICAST, flags),
            attribute(_RTA_DST, network.network_address.packed) if network.prefixlen else None,
            None if via is None else attribute(_RTA_GATEWAY, ip_address(via).packed),
            None if device is None else number(_RTA_OIF, link.index(net, device)),
        ]
    )


def _network(destination: str) -> Network:
    return ip_network({"default": "0.0.0.0/0", "default6": "::/0"}.get(destination, destination))


def listed(net: Netlink) -> list[Route]:
    """The unicast routes of the main table, both families."""
    answers = net.ask(RTM_GETROUTE, _ROUTE.pack(0, 0, 0, 0, 0, 0, 0, 0, 0), NLM_F_DUMP, about="routes")
    return [route for message in answers if (route := _parse(message)) is not None]


def _parse(message: Message) -> Route | None:
    family, length, _, _, table, _, _, kind, _ = _ROUTE.unpack_from(message.body)
    fields = dict(attributes(message.body[_ROUTE.size :]))
    if family not in (socket.AF_INET, socket.AF_INET6) or kind != _RTN_UNICAST:
        return None
    if (_number(fields.get(_RTA_TABLE)) or table) != _RT_TABLE_MAIN:
        return None
    destination = fields.get(_RTA_DST, bytes(4 if family == socket.AF_INET else 16))
    via = fields.get(_RTA_GATEWAY)
    return Route(
        ip_network((destination, length), strict=False),
        None if via is None else ip_address(via),
        _number(fields.get(_RTA_OIF)),
        _number(fields.get(_RTA_PRIORITY)),
    )


def _number(value: bytes | None) -> int:
    return int(struct.unpack("=I", value)[0]) if value else 0


def add_neighbour(net: Netlink, device: str, address: str, mac: str) -> None:
    """Pin the MAC address of a neighbour (a permanent ARP or NDP entry)."""
    body = _neighbour(net, device, ip_address(address), mac, _NUD_PERMANENT)
    net.ask(RTM_NEWNEIGH, body, NLM_F_CREATE | NLM_F_REPLACE, about=f"neighbour {address} on {device}")


def delete_neighbour(net: Netlink, device: str, address: str) -> bool:
    """Forget a neighbour; False if it is unknown."""
    return _forget(net, _neighbour(net, device, ip_address(address), None, 0), f"neighbour {address} on {device}")


def add_forwarding(net: Netlink, device: str, mac: str, remote: str) -> None:
    """Send frames for `mac` over the VXLAN `device` to the host `remote`; the MAC of zeros may have several hosts (flooding)."""
    many = NLM_F_APPEND if mac == "00:00:00:00:00:00" else NLM_F_REPLACE
    net.ask(RTM_NEWNEIGH, _forwarding(net, device, mac, remote), NLM_F_CREATE | many, about=f"{mac} at {remote} on {device}")


def delete_forwarding(net: Netlink, device: str, mac: str, remote: str) -> bool:
    """Undo `add_forwarding`; False if there is none."""
    return _forget(net, _forwarding(net, device, mac, remote), f"{mac} at {remote} on {device}")


def _neighbour(net: Netlink, device: str, address: Address, mac: str | None, state: int) -> bytes:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    body = _NEIGHBOUR.pack(family, 0, link.index(net, device), state, 0, 0) + attribute(_NDA_DST, address.packed)
    return body if mac is None else body + attribute(_NDA_LLADDR, link.mac_bytes(mac))


def _forwarding(net: Netlink, device: str, mac: str, remote: str) -> bytes:
    header = _NEIGHBOUR.pack(socket.AF_BRIDGE, 0, link.index(net, device), _NUD_PERMANENT | _NUD_NOARP, _NTF_SELF, 0)
    return header + attribute(_NDA_DST, ip_address(remote).packed) + attribute(_NDA_LLADDR, link.mac_bytes(mac))


def _forget(net: Netlink, body: bytes, about: str) -> bool:
    try:
        net.ask(RTM_DELNEIGH, body, about=about)
    except FileNotFoundError:
        return False
    return True
