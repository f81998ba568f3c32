"""How packets get to another node: a plain route where the nodes share a segment, VXLAN where they don't.

Source: linux/if_vxlan.h; RFC 7348.
"""

import errno
from ipaddress import IPv4Network
from typing import Protocol

from podling.base.errors import Unsupported
from podling.linux import link, route
from podling.linux.netlink import Netlink
from podling.node.routes.peers import Peer

PORT = 4789
OVERHEAD = 50  # bytes of outer Ethernet, IPv4, UDP and VXLAN headers
UNDERLAY_MTU = 1500


class Way(Protocol):
    """`net` is the node's own namespace. Adding again replaces; removing what isn't there is fine."""

    def prepare(self, net: Netlink) -> None:
        """Make what all peers share."""

    def add(self, net: Netlink, peer: Peer) -> None:
        """Raises OSError, or Unsupported where the peer can't be reached this way."""

    def remove(self, net: Netlink, peer: Peer) -> None: ...

    def close(self, net: Netlink) -> None:
        """Take away what `prepare` made."""


class Direct:
    """The peer's address is the next hop, whose interface the kernel finds. `source` is what the node's own packets carry."""

    def __init__(self, source: str) -> None:
        self._source = source

    def prepare(self, net: Netlink) -> None:
        pass

    def add(self, net: Netlink, peer: Peer) -> None:
        try:
            route.add(net, peer.pods, via=peer.address, source=self._source)
        except OSError as error:
            if error.errno not in (errno.ENETUNREACH, errno.EINVAL):
                raise
            raise Unsupported(
                f"{peer.address} is not on a segment with this node, so that its pods {peer.pods} have no direct route: "
                "set node_routes to vxlan on every node"
            ) from error

    def remove(self, net: Netlink, peer: Peer) -> None:
        route.delete(net, peer.pods)

    def close(self, net: Netlink) -> None:
        pass


class Vxlan:
    """One VXLAN interface, whose peers are told to it: nothing is learned, nothing flooded."""

    def __init__(self, device: str, cluster_cidr: str, own: Peer) -> None:
        self._device = device
        # Clusters whose ranges differ don't meet, on one machine either.
        self._identifier = int(IPv4Network(cluster_cidr).network_address) >> 8
        self._own = own

    def prepare(self, net: Netlink) -> None:
        found = link.find(net, self._device)
        if found is not None and found.mac == self._own.mac:
            return
        link.delete(net, self._device)
        link.add_vxlan(
            net,
            self._device,
            self._identifier,
            local=self._own.address,
            port=PORT,
            mtu=UNDERLAY_MTU - OVERHEAD,
            mac=self._own.mac,
        )

    def add(self, net: Netlink, peer: Peer) -> None:
        route.add_forwarding(net, self._device, peer.mac, peer.address)
        route.add_neighbour(net, self._device, peer.gateway, peer.mac)
        route.add(net, peer.pods, via=peer.gateway, device=self._device, source=self._own.gateway, onlink=True)

    def remove(self, net: Netlink, peer: Peer) -> None:
        route.delete(net, peer.pods)
        if link.find(net, self._device) is None:
            return
        route.delete_neighbour(net, self._device, peer.gateway)
        route.delete_forwarding(net, self._device, peer.mac, peer.address)

    def close(self, net: Netlink) -> None:
        link.delete(net, self._device)
