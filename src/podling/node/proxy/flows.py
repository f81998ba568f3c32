"""Which UDP flows a change of services leaves behind. Pure. Source: Kubernetes, "Virtual IPs and Service Proxies".

The kernel asks the rules once a flow. One that goes to an endpoint that has gone would go there as long as its sender goes on;
one that began before its service was there would never reach it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from podling.linux.conntrack import Flow
from podling.linux.nftset import PROTOCOLS
from podling.node.proxy import table
from podling.node.proxy.rules import Elements

_UDP = bytes([PROTOCOLS["udp"]])
_WORD = 4


@dataclass(frozen=True, slots=True)
class Way:
    """A way in: a packed address, or None for a port of the node, with its UDP port."""

    address: bytes | None
    port: int


@dataclass(frozen=True, slots=True)
class Left:
    """What is left behind: flows to endpoints that have gone, by way in, and flows that went past ways that are new."""

    ended: frozenset[tuple[Way, bytes, int]]
    passed: frozenset[Way]

    def __bool__(self) -> bool:
        return bool(self.ended or self.passed)

    def covers(self, flow: Flow) -> bool:
        for way in (Way(flow.address, flow.port), Way(None, flow.port)):
            if (way, flow.answerer, flow.answering_port) in self.ended:
                return True
            if way in self.passed and (flow.answerer, flow.answering_port) == (flow.address, flow.port):
                return True
        return False


def left_behind(old: Elements, new: Elements) -> Left:
    """What changes when the elements `old` become `new`."""
    ended = frozenset(_endpoints(old)) - frozenset(_endpoints(new))
    return Left(ended, frozenset(_ways(new)) - frozenset(_ways(old)))


def _endpoints(elements: Elements) -> Iterator[tuple[Way, bytes, int]]:
    for (name, key), value in elements.items():
        if name in (table.ENDPOINTS, table.NODE_ENDPOINTS) and isinstance(value, bytes):
            way = _way(key, by_port=name == table.NODE_ENDPOINTS)
            if way is not None:
                yield way, value[:_WORD], _port(value[_WORD:])


def _ways(elements: Elements) -> Iterator[Way]:
    for name, key in elements:
        if name in (table.SERVICES, table.NODE_PORTS):
            way = _way(key, by_port=name == table.NODE_PORTS)
            if way is not None:
                yield way


def _way(key: bytes, *, by_port: bool) -> Way | None:
    """None for what is no UDP. A key is [address] . protocol . port, each in whole words."""
    address, rest = (None, key) if by_port else (key[:_WORD], key[_WORD:])
    return Way(address, _port(rest[_WORD:])) if rest[:1] == _UDP else None


def _port(data: bytes) -> int:
    return int.from_bytes(data[:2], "big")
