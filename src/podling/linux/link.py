"""Network interfaces: bridge, veth, vxlan, macvlan. Source: rtnetlink(7), linux/if_link.h.

Every function takes the `Netlink` socket of the namespace where the interface is, and raises OSError with its name.
"""

import errno
import os
import socket
import struct
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from podling.linux.namespace import Namespace
from podling.linux.netlink import (
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_EXCL,
    Message,
    Netlink,
    attribute,
    attributes,
    joined,
    nested,
    number,
    text,
)

RTM_NEWLINK = 16
RTM_DELLINK = 17
RTM_GETLINK = 18
RTM_SETLINK = 19

_IFLA_ADDRESS = 1
_IFLA_IFNAME = 3
_IFLA_MTU = 4
_IFLA_LINK = 5
_IFLA_MASTER = 10
_IFLA_PROTINFO = 12
_IFLA_LINKINFO = 18
_IFLA_IFALIAS = 20
_IFLA_NET_NS_FD = 28
_IFLA_INFO_KIND = 1
_IFLA_INFO_DATA = 2
_VETH_INFO_PEER = 1
_IFLA_BRPORT_MODE = 4
_IFLA_BRPORT_ISOLATED = 33
_IFLA_MACVLAN_MODE = 1
_IFLA_VXLAN_ID = 1
_IFLA_VXLAN_LINK = 3
_IFLA_VXLAN_LOCAL = 4
_IFLA_VXLAN_LEARNING = 7
_IFLA_VXLAN_PORT = 15
_IFLA_VXLAN_LOCAL6 = 17

_IFF_UP = 0x1


MACVLAN_MODES = {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8}
NAME_LIMIT = 15

_INTERFACE = struct.Struct("=BxHiII")  # family, type, index, flags, change


@dataclass(frozen=True, slots=True)
class Link:
    """An interface as the kernel lists it. `master` and `parent` are indexes (0: none); `kind` is "" for hardware and lo."""

    index: int
    name: str
    kind: str
    mac: str
    mtu: int
    up: bool
    master: int
    parent: int
    alias: str


@dataclass(frozen=True, slots=True)
class End:
    """An interface that is to be made: an end of a veth pair. `namespace` is where a peer goes (None: where the socket is)."""

    name: str
    mac: str | None = None
    mtu: int | None = None
    master: int | None = None
    up: bool = True
    namespace: Namespace | None = None


def _header(index: int = 0, up: bool | None = None, family: int = socket.AF_UNSPEC) -> bytes:
    flags, change = (0, 0) if up is None else (_IFF_UP if up else 0, _IFF_UP)
    return _INTERFACE.pack(family, 0, index, flags, change)


def mac_bytes(mac: str) -> bytes:
    """The six bytes of "02:42:ac:11:00:02". Raises ValueError."""
    octets = bytes.fromhex(mac.replace(":", "").replace("-", ""))
    if len(octets) != 6:
        raise ValueError(f"not a MAC address: {mac!r}")
    return octets


def _common(name: str, mac: str | None, mtu: int | None, master: int | None) -> list[bytes | None]:
    return [
        text(_IFLA_IFNAME, name),
        None if mac is None else attribute(_IFLA_ADDRESS, mac_bytes(mac)),
        None if mtu is None else number(_IFLA_MTU, mtu),
        None if master is None else number(_IFLA_MASTER, master),
    ]


def _create(net: Netlink, end: End, kind: str, data: bytes = b"", extra: bytes = b"") -> None:
    info = [text(_IFLA_INFO_KIND, kind)] + ([nested(_IFLA_INFO_DATA, data)] if data else [])
    body = joined([_header(up=end.up), *_common(end.name, end.mac, end.mtu, end.master), extra, nested(_IFLA_LINKINFO, *info)])
    net.ask(RTM_NEWLINK, body, NLM_F_CREATE | NLM_F_EXCL, about=end.name)


def add_bridge(net: Netlink, name: str, *, mac: str | None = None, mtu: int | None = None, up: bool = True) -> None:
    """Make a bridge, and bring it up unless told not to."""
    _create(net, End(name, mac, mtu, up=up), "bridge")


def add_veth(net: Netlink, end: End, peer: End) -> None:
    """Make a veth pair in one message, `peer` at once in its namespace, still down. `end` stays where the socket is.

    (The kernel makes the peer first and can't bring it up before it has its other end.)
    """
    descriptor = _descriptor(peer.namespace)
    try:
        body = joined(
            [
                _header(),
                *_common(peer.name, peer.mac, peer.mtu, peer.master),
                None if descriptor is None else number(_IFLA_NET_NS_FD, descriptor),
            ]
        )
        _create(net, end, "veth", nested(_VETH_INFO_PEER, body))
    finally:
        if descriptor is not None and not isinstance(peer.namespace, int):
            os.close(descriptor)


def _descriptor(namespace: Namespace | None) -> int | None:
    if isinstance(namespace, str | Path):
        return os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    return namespace


def add_dummy(net: Netlink, name: str) -> None:
    """Make an interface that leads nowhere, and bring it up."""
    _create(net, End(name), "dummy")


def add_macvlan(net: Netlink, name: str, parent: str, *, mode: str = "bridge", mac: str | None = None) -> None:
    """Make a macvlan interface on top of `parent`, down; `mode` is a key of MACVLAN_MODES."""
    link = number(_IFLA_LINK, index(net, parent))
    _create(net, End(name, mac, up=False), "macvlan", number(_IFLA_MACVLAN_MODE, MACVLAN_MODES[mode]), link)


def add_vxlan(
    net: Netlink,
    name: str,
    identifier: int,
    *,
    local: str,
    parent: str | None = None,
    port: int = 4789,
    learning: bool = False,
    mtu: int | None = None,
    mac: str | None = None,
) -> None:
    """Make a VXLAN interface with network `identifier` and bring it up; its peers are entries of its forwarding database."""
    address = ip_address(local)
    data = joined(
        [
            number(_IFLA_VXLAN_ID, identifier),
            attribute(_IFLA_VXLAN_LOCAL if address.version == 4 else _IFLA_VXLAN_LOCAL6, address.packed),
            attribute(_IFLA_VXLAN_PORT, struct.pack("!H", port)),
            attribute(_IFLA_VXLAN_LEARNING, bytes([learning])),
            None if parent is None else number(_IFLA_VXLAN_LINK, index(net, parent)),
        ]
    )
    _create(net, End(name, mac, mtu), "vxlan", data)


def delete(net: Netlink, name: str) -> bool:
    """Remove an interface (and with a veth its peer). False if there is none."""
    try:
        net.ask(RTM_DELLINK, _header() + text(_IFLA_IFNAME, name), about=name)
    except OSError as error:
        if _missing(error):
            return False
        raise
    return True


def change(
    net: Netlink,
    name: str,
    *,
    up: bool | None = None,
    mtu: int | None = None,
    mac: str | None = None,
    master: str | None = None,
    alias: str | None = None,
) -> None:
    """Set what is given; `master=""` takes the interface out of its bridge."""
    body = joined(
        [
            _header(up=up),
            *_common(name, mac, mtu, None if master is None else index(net, master) if master else 0),
            None if alias is None else text(_IFLA_IFALIAS, alias),
        ]
    )
    net.ask(RTM_NEWLINK, body, about=name)


def rename(net: Netlink, name: str, new: str) -> None:
    """Give an interface (which is down) another name."""
    net.ask(RTM_SETLINK, _header(index(net, name)) + text(_IFLA_IFNAME, new), about=name)


def move(net: Netlink, name: str, namespace: Namespace, new: str | None = None) -> None:
    """Put an interface into another network namespace, there down and named `new`."""
    descriptor = _descriptor(namespace)
    assert descriptor is not None
    try:
        body = joined(
            [
                _header(index(net, name)),
                number(_IFLA_NET_NS_FD, descriptor),
                None if new is None else text(_IFLA_IFNAME, new),
            ]
        )
        net.ask(RTM_SETLINK, body, about=name)
    finally:
        if not isinstance(namespace, int):
            os.close(descriptor)


def set_hairpin(net: Netlink, name: str, on: bool) -> None:
    """Whether a bridge sends a frame back out of the port where it came in."""
    _set_port(net, name, _IFLA_BRPORT_MODE, on)


def set_isolated(net: Netlink, name: str, on: bool) -> None:
    """Whether a bridge keeps a port from talking to other isolated ports."""
    _set_port(net, name, _IFLA_BRPORT_ISOLATED, on)


def _set_port(net: Netlink, name: str, flag: int, on: bool) -> None:
    body = _header(index(net, name), family=socket.AF_BRIDGE) + nested(_IFLA_PROTINFO, attribute(flag, bytes([on])))
    net.ask(RTM_SETLINK, body, about=name)


def index(net: Netlink, name: str) -> int:
    """The index of an interface; OSError (ENODEV) with its name if there is none."""
    answers = net.ask(RTM_GETLINK, _header() + text(_IFLA_IFNAME, name), about=name)
    return _parse(answers[0]).index


def find(net: Netlink, name: str) -> Link | None:
    """One interface, or None."""
    try:
        return _parse(net.ask(RTM_GETLINK, _header() + text(_IFLA_IFNAME, name), about=name)[0])
    except OSError as error:
        if _missing(error):
            return None
        raise


def listed(net: Netlink) -> list[Link]:
    """All interfaces of the namespace."""
    return [_parse(message) for message in net.ask(RTM_GETLINK, _header(), NLM_F_DUMP, about="links")]


def _missing(error: OSError) -> bool:
    return error.errno == errno.ENODEV


def _parse(message: Message) -> Link:
    _, _, number_, flags, _ = _INTERFACE.unpack_from(message.body)
    fields = dict(attributes(message.body[_INTERFACE.size :]))
    info = dict(attributes(fields.get(_IFLA_LINKINFO, b"")))
    return Link(
        index=number_,
        name=_text(fields.get(_IFLA_IFNAME, b"")),
        kind=_text(info.get(_IFLA_INFO_KIND, b"")),
        mac=fields.get(_IFLA_ADDRESS, b"").hex(":"),
        mtu=_number(fields.get(_IFLA_MTU)),
        up=bool(flags & _IFF_UP),
        master=_number(fields.get(_IFLA_MASTER)),
        parent=_number(fields.get(_IFLA_LINK)),
        alias=_text(fields.get(_IFLA_IFALIAS, b"")),
    )


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode(errors="replace")


def _number(value: bytes | None) -> int:
    return int(struct.unpack("=I", value)[0]) if value else 0
