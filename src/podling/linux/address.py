"""Addresses of interfaces. Source: rtnetlink(7)."""

import errno
import socket
import struct
from ipaddress import IPv4Interface, IPv6Interface, ip_interface

from podling.linux import link
from podling.linux.netlink import NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE, Netlink, attribute, attributes, number

RTM_NEWADDR = 20
RTM_DELADDR = 21
RTM_GETADDR = 22

_IFA_ADDRESS = 1
_IFA_LOCAL = 2
_IFA_BROADCAST = 4
_IFA_FLAGS = 8
_IFA_F_NODAD = 0x2
_BROADCAST_LIMIT = 30  # the longest prefix that has a broadcast address

_ADDRESS = struct.Struct("=BBBBi")  # family, prefix length, flags, scope, index

Interface = IPv4Interface | IPv6Interface


def add(net: Netlink, name: str, address: str) -> None:
    """Give an interface an address, "172.17.0.2/16" or "fd00::2/64" (usable at once: no duplicate detection).

    The same address again is no error. Raises OSError with "address on name", ValueError for a bad address.
    """
    interface = ip_interface(address)
    body = _body(link.index(net, name), interface) + number(_IFA_FLAGS, _IFA_F_NODAD if interface.version == 6 else 0)
    net.ask(RTM_NEWADDR, body, NLM_F_CREATE | NLM_F_REPLACE, about=f"{address} on {name}")


def delete(net: Netlink, name: str, address: str) -> bool:
    """Take an address away; False if the interface does not have it."""
    try:
        net.ask(RTM_DELADDR, _body(link.index(net, name), ip_interface(address)), about=f"{address} on {name}")
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            return False
        raise
    return True


def _body(index: int, interface: Interface) -> bytes:
    packed = interface.ip.packed
    network = interface.network
    body = _ADDRESS.pack(_family(interface), network.prefixlen, 0, 0, index)
    body += attribute(_IFA_LOCAL, packed) + attribute(_IFA_ADDRESS, packed)
    if interface.version == 4 and network.prefixlen <= _BROADCAST_LIMIT and not interface.ip.is_loopback:
        body += attribute(_IFA_BROADCAST, network.broadcast_address.packed)
    return body


def _family(interface: Interface) -> int:
    return socket.AF_INET if interface.version == 4 else socket.AF_INET6


def listed(net: Netlink) -> list[tuple[int, Interface]]:
    """All addresses of the namespace as (index of the interface, address with prefix length)."""
    found = []
    for message in net.ask(RTM_GETADDR, _ADDRESS.pack(0, 0, 0, 0, 0), NLM_F_DUMP, about="addresses"):
        _, prefix, _, _, index = _ADDRESS.unpack_from(message.body)
        fields = dict(attributes(message.body[_ADDRESS.size :]))
        packed = fields.get(_IFA_LOCAL) or fields[_IFA_ADDRESS]
        found.append((index, ip_interface((packed, prefix))))
    return found


def of(net: Netlink, name: str) -> list[Interface]:
    """The addresses of one interface."""
    wanted = link.index(net, name)
    return [address for index, address in listed(net) if index == wanted]
