"""Connection tracking: forgetting UDP flows whose translation has changed.

A UDP flow has no end that the kernel sees: while its sender goes on, packets go where the first one was sent, even when
that address is long gone. Source: linux/netfilter/nfnetlink_conntrack.h.
"""

import socket
import struct
from ipaddress import ip_address

from podling.linux.netlink import NLM_F_DUMP, Netlink, attribute, attributes, nested

_SUBSYSTEM = 1  # NFNL_SUBSYS_CTNETLINK
_GET = _SUBSYSTEM << 8 | 1
_DELETE = _SUBSYSTEM << 8 | 2
_TUPLE_ORIGINAL = 1
_ID = 12
_TUPLE_IP = 1
_TUPLE_PROTOCOL = 2
_IP_DESTINATION: dict[int, int] = {socket.AF_INET: 2, socket.AF_INET6: 4}
_PROTOCOL_NUMBER = 1
_PROTOCOL_DESTINATION = 3
_HEADER = 4


def forget_udp(net: Netlink, port: int, address: str = "") -> int:
    """Forget the flows that were sent to UDP `port` (of `address`, where given); how many there were.

    `net` is a NETLINK_NETFILTER socket. Takes as long as it takes to list the UDP flows of the host.
    """
    families = [socket.AF_INET, socket.AF_INET6]
    if address:
        families = [socket.AF_INET if ip_address(address).version == 4 else socket.AF_INET6]
    wanted = ip_address(address).packed if address else None
    return sum(_forget(net, family, port, wanted) for family in families)


def _forget(net: Netlink, family: int, port: int, address: bytes | None) -> int:
    header = struct.pack("!BBH", family, 0, 0)
    forgotten = 0
    for message in net.ask(_GET, header, NLM_F_DUMP, about="connection tracking"):
        fields = dict(attributes(message.body[_HEADER:]))
        if _sent_to(fields.get(_TUPLE_ORIGINAL, b""), family, port, address):
            body = header + nested(_TUPLE_ORIGINAL, fields[_TUPLE_ORIGINAL]) + attribute(_ID, fields.get(_ID, b""))
            forgotten += _delete(net, body)
    return forgotten


def _sent_to(original: bytes, family: int, port: int, address: bytes | None) -> bool:
    parts = dict(attributes(original))
    protocol = dict(attributes(parts.get(_TUPLE_PROTOCOL, b"")))
    if protocol.get(_PROTOCOL_NUMBER) != bytes([socket.IPPROTO_UDP]):
        return False
    if protocol.get(_PROTOCOL_DESTINATION) != struct.pack("!H", port):
        return False
    return address is None or dict(attributes(parts.get(_TUPLE_IP, b""))).get(_IP_DESTINATION[family]) == address


def _delete(net: Netlink, body: bytes) -> bool:
    try:
        net.ask(_DELETE, body, about="connection tracking")
    except FileNotFoundError:  # it has just ended
        return False
    return True
