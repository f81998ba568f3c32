"""Connection tracking: forgetting UDP flows whose translation has changed.

A UDP flow has no end that the kernel sees: while its sender goes on, packets go where the first one was sent, even when
that address is long gone. Source: linux/netfilter/nfnetlink_conntrack.h.
"""

import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from podling.linux.namespace import Namespace
from podling.linux.netlink import NETLINK_NETFILTER, NLM_F_DUMP, Netlink, attribute, attributes, nested

_SUBSYSTEM = 1  # NFNL_SUBSYS_CTNETLINK
_GET = _SUBSYSTEM << 8 | 1
_DELETE = _SUBSYSTEM << 8 | 2
_TUPLE_ORIGINAL = 1
_TUPLE_REPLY = 2
_ID = 12
_TUPLE_IP = 1
_TUPLE_PROTOCOL = 2
_IP_SOURCE: dict[int, int] = {socket.AF_INET: 1, socket.AF_INET6: 3}
_IP_DESTINATION: dict[int, int] = {socket.AF_INET: 2, socket.AF_INET6: 4}
_PROTOCOL_NUMBER = 1
_PROTOCOL_SOURCE = 2
_PROTOCOL_DESTINATION = 3
_HEADER = 4


@dataclass(frozen=True, slots=True)
class Flow:
    """Where a flow's packets were sent, and who answers: another address where it is translated. Addresses packed."""

    address: bytes
    port: int
    answerer: bytes
    answering_port: int


def forget(net: Netlink, family: int, stale: Callable[[Flow], bool]) -> int:
    """Forget the UDP flows of an address family that are `stale`; how many there were.

    `net` is a NETLINK_NETFILTER socket. Takes as long as it takes to list all flows of the host.
    """
    header = struct.pack("!BBH", family, 0, 0)
    forgotten = 0
    for message in net.ask(_GET, header, NLM_F_DUMP, about="connection tracking"):
        fields = dict(attributes(message.body[_HEADER:]))
        flow = _flow(fields, family)
        if flow is not None and stale(flow):
            body = header + nested(_TUPLE_ORIGINAL, fields[_TUPLE_ORIGINAL]) + attribute(_ID, fields.get(_ID, b""))
            forgotten += _delete(net, body)
    return forgotten


def forget_udp(net: Netlink, port: int, address: str = "") -> int:
    """`forget` the flows that were sent to UDP `port` (of `address`, where given)."""
    families = [socket.AF_INET, socket.AF_INET6]
    if address:
        families = [socket.AF_INET if ip_address(address).version == 4 else socket.AF_INET6]
    wanted = ip_address(address).packed if address else None
    return sum(forget(net, family, lambda flow: flow.port == port and wanted in (None, flow.address)) for family in families)


class Flows:
    """The IPv4 flows of a network namespace: of the caller's, or of `namespace`. Calls block."""

    def __init__(self, namespace: Namespace | None = None) -> None:
        self._namespace = namespace

    def forget(self, stale: Callable[[Flow], bool]) -> int:
        """As `forget`. Raises OSError."""
        with Netlink(self._namespace, NETLINK_NETFILTER) as net:
            return forget(net, socket.AF_INET, stale)


def _flow(fields: dict[int, bytes], family: int) -> Flow | None:
    """None for what is no UDP."""
    sent, answered = (dict(_ends(fields.get(kind, b""), family)) for kind in (_TUPLE_ORIGINAL, _TUPLE_REPLY))
    if sent.get("protocol") != bytes([socket.IPPROTO_UDP]) or not {"to", "to_port"} <= sent.keys():
        return None
    answerer, port = answered.get("from", b""), answered.get("from_port", b"\0\0")
    return Flow(sent["to"], int.from_bytes(sent["to_port"], "big"), answerer, int.from_bytes(port, "big"))


def _ends(data: bytes, family: int) -> Iterator[tuple[str, bytes]]:
    parts = dict(attributes(data))
    addresses, ports = dict(attributes(parts.get(_TUPLE_IP, b""))), dict(attributes(parts.get(_TUPLE_PROTOCOL, b"")))
    names = {"from": (addresses, _IP_SOURCE[family]), "to": (addresses, _IP_DESTINATION[family])}
    names |= {
        "protocol": (ports, _PROTOCOL_NUMBER),
        "from_port": (ports, _PROTOCOL_SOURCE),
        "to_port": (ports, _PROTOCOL_DESTINATION),
    }
    return ((name, where[kind]) for name, (where, kind) in names.items() if kind in where)


def _delete(net: Netlink, body: bytes) -> bool:
    try:
        net.ask(_DELETE, body, about="connection tracking")
    except FileNotFoundError:  # it has just ended
        return False
    return True
