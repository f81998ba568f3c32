"""Which ranges of pods are on which other nodes. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network

from podling.node.pod.spec import Object


@dataclass(frozen=True, slots=True)
class Peer:
    """Another node: its own address, and the range of its pods."""

    address: str
    pods: str

    @property
    def gateway(self) -> str:
        """The first address of its pods' range, which the node itself has."""
        return str(IPv4Network(self.pods)[1])

    @property
    def mac(self) -> str:
        """What its VXLAN interface has: made of the range, so that nobody has to tell it."""
        return (b"\x02\x50" + IPv4Network(self.pods).network_address.packed).hex(":")


def peers_of(nodes: Iterable[Object], own: str) -> frozenset[Peer]:
    """The nodes other than `own` that have both an address and a range. Ready or not: what runs there goes on."""
    found = (_peer(node) for node in nodes if node["metadata"]["name"] != own)
    return frozenset(peer for peer in found if peer is not None)


def _peer(node: Object) -> Peer | None:
    addresses = (node.get("status") or {}).get("addresses") or ()
    address = next((each["address"] for each in addresses if each["type"] == "InternalIP" and ":" not in each["address"]), "")
    pods = (node.get("spec") or {}).get("podCIDR") or ""
    return Peer(address, pods) if address and pods and ":" not in pods else None
