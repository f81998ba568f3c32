"""Elements of nftables sets and maps, as messages. Pure.

What changes often lives in sets and maps; their elements are added and removed in transactions of a tenth of a
millisecond, whatever the size of the rule set. Source: linux/netfilter/nf_tables.h.
"""

import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from podling.linux.netlink import (
    NLM_F_ACK,
    NLM_F_CREATE,
    NLM_F_REQUEST,
    Message,
    attribute,
    attributes,
    nested,
    text,
)

FAMILIES = {"ip": 2, "ip6": 10, "inet": 1, "arp": 3, "bridge": 7, "netdev": 5}

_SUBSYSTEM = 10  # NFNL_SUBSYS_NFTABLES
NEW_ELEMENT = _SUBSYSTEM << 8 | 12
GET_ELEMENT = _SUBSYSTEM << 8 | 13
DELETE_ELEMENT = _SUBSYSTEM << 8 | 14
_BATCH_BEGIN = 0x10
_BATCH_END = 0x11

_LIST_TABLE = 1
_LIST_SET = 2
_LIST_ELEMENTS = 3
_LIST_ELEMENT = 1
_ELEMENT_KEY = 1
_ELEMENT_DATA = 2
_ELEMENT_FLAGS = 3
_ELEMENT_TIMEOUT = 4
_ELEMENT_KEY_END = 10
_DATA_VALUE = 1
_DATA_VERDICT = 2
_VERDICT_CODE = 1
_VERDICT_CHAIN = 2
_INTERVAL_END = 0x1

_VERDICTS = {"drop": 0, "accept": 1, "continue": -1, "jump": -3, "goto": -4, "return": -5}
_VERDICT_NAMES = {code: name for name, code in _VERDICTS.items()}
_IFNAME_SIZE = 16

PROTOCOLS = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP, "sctp": 132}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verdict map gives: "drop", "accept", "continue", "return", "jump" or "goto", the last two with a chain."""

    name: str
    chain: str = ""


@dataclass(frozen=True, slots=True)
class Element:
    """One element. `key` and `value` are the bytes that `pack` gives; `value` is None in a set.

    `key_end` closes an interval in a set of concatenations; `interval_end` marks the first key after an interval in a plain
    interval set (see `interval`). `timeout` is in milliseconds, 0 for none.
    """

    key: bytes
    value: bytes | Verdict | None = None
    key_end: bytes | None = None
    interval_end: bool = False
    timeout: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """Add or remove one element of a set or map of the table."""

    add: bool
    set: str
    element: Element


Part = IPv4Address | IPv6Address | int | str | bytes


def pack(*parts: Part) -> bytes:
    """The bytes of a key or value, several parts for a concatenation.

    Addresses stand for ipv4_addr and ipv6_addr, an int for inet_service, "tcp", "udp", "sctp" for inet_proto, any other
    string for ifname, bytes for themselves (a mark: `mark(5)`). Each part of a concatenation fills whole words.
    """
    packed = [_part(part) for part in parts]
    if len(packed) == 1:
        return packed[0]
    return b"".join(part + bytes(-len(part) % 4) for part in packed)


def _part(part: Part) -> bytes:
    if isinstance(part, bytes):
        return part
    if isinstance(part, int):
        return struct.pack("!H", part)
    if isinstance(part, str):
        return bytes([PROTOCOLS[part]]) if part in PROTOCOLS else part.encode().ljust(_IFNAME_SIZE, b"\0")
    return part.packed


def mark(value: int) -> bytes:
    """A mark, a number of `numgen`, or another 32-bit number in the machine's order."""
    return struct.pack("=I", value)


def interval(network: IPv4Network | IPv6Network) -> list[Element]:
    """The two elements that a network takes in a plain interval set; one if it reaches the end of the address space."""
    first = Element(network.network_address.packed)
    after = int(network.broadcast_address) + 1
    if after >> network.max_prefixlen:
        return [first]
    return [first, Element(after.to_bytes(network.max_prefixlen // 8, "big"), interval_end=True)]


def batch(family: str, table: str, changes: Sequence[Change]) -> list[Message]:
    """One transaction: the begin, a message a change, the end. The last change asks for an acknowledgement."""
    messages = [_frame(_BATCH_BEGIN)]
    for position, change in enumerate(changes, start=1):
        flags = NLM_F_REQUEST | (NLM_F_CREATE if change.add else 0) | (NLM_F_ACK if position == len(changes) else 0)
        kind = NEW_ELEMENT if change.add else DELETE_ELEMENT
        messages.append(Message(kind, flags, listing(family, table, change.set, [change.element])))
    return [*messages, _frame(_BATCH_END)]


def _frame(kind: int) -> Message:
    return Message(kind, NLM_F_REQUEST, struct.pack("!BBH", 0, 0, _SUBSYSTEM))


def listing(family: str, table: str, name: str, elements: Iterable[Element] = ()) -> bytes:
    """The body of a message about elements of one set."""
    body = struct.pack("!BBH", FAMILIES[family], 0, 0) + text(_LIST_TABLE, table) + text(_LIST_SET, name)
    packed = [nested(_LIST_ELEMENT, *_element(element)) for element in elements]
    return body + nested(_LIST_ELEMENTS, *packed) if packed else body


def _element(element: Element) -> list[bytes]:
    parts = [nested(_ELEMENT_KEY, attribute(_DATA_VALUE, element.key))]
    if element.key_end is not None:
        parts.append(nested(_ELEMENT_KEY_END, attribute(_DATA_VALUE, element.key_end)))
    if element.interval_end:
        parts.append(attribute(_ELEMENT_FLAGS, struct.pack("!I", _INTERVAL_END)))
    if element.timeout:
        parts.append(attribute(_ELEMENT_TIMEOUT, struct.pack("!Q", element.timeout)))
    if element.value is not None:
        parts.append(nested(_ELEMENT_DATA, _data(element.value)))
    return parts


def _data(value: bytes | Verdict) -> bytes:
    if isinstance(value, bytes):
        return attribute(_DATA_VALUE, value)
    chain = [text(_VERDICT_CHAIN, value.chain)] if value.chain else []
    return nested(_DATA_VERDICT, attribute(_VERDICT_CODE, struct.pack("!i", _VERDICTS[value.name])), *chain)


def parse(message: Message) -> list[Element]:
    """The elements that one answer to GET_ELEMENT carries."""
    fields = dict(attributes(message.body[4:]))
    return [_parse_element(data) for _, data in attributes(fields.get(_LIST_ELEMENTS, b""))]


def _parse_element(data: bytes) -> Element:
    fields = dict(attributes(data))
    flags = int.from_bytes(fields.get(_ELEMENT_FLAGS, b""), "big")
    return Element(
        key=_parse_value(fields.get(_ELEMENT_KEY, b"")) or b"",
        value=_parse_data(fields[_ELEMENT_DATA]) if _ELEMENT_DATA in fields else None,
        key_end=_parse_value(fields[_ELEMENT_KEY_END]) if _ELEMENT_KEY_END in fields else None,
        interval_end=bool(flags & _INTERVAL_END),
        timeout=int.from_bytes(fields.get(_ELEMENT_TIMEOUT, b""), "big"),
    )


def _parse_value(data: bytes) -> bytes | None:
    return dict(attributes(data)).get(_DATA_VALUE)


def _parse_data(data: bytes) -> bytes | Verdict:
    fields = dict(attributes(data))
    if _DATA_VALUE in fields:
        return fields[_DATA_VALUE]
    verdict = dict(attributes(fields[_DATA_VERDICT]))
    code = struct.unpack("!i", verdict[_VERDICT_CODE])[0]
    return Verdict(_VERDICT_NAMES[code], verdict.get(_VERDICT_CHAIN, b"").rstrip(b"\0").decode())
