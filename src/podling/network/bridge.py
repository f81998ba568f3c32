"""The bridge driver: a Linux bridge a network, a veth pair an endpoint, NAT to the outside.

Options are Docker's: com.docker.network.bridge.name, .enable_icc, .enable_ip_masquerade, com.docker.network.driver.mtu.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from ipaddress import ip_network

from podling.base.errors import InvalidInput
from podling.linux import address, link, qdisc, route, sysctl
from podling.linux.netlink import Netlink
from podling.network.base import Endpoint, Host, Network, Rates
from podling.network.firewall import Firewall, network_elements

NAME = "com.docker.network.bridge.name"
ICC = "com.docker.network.bridge.enable_icc"
MTU = "com.docker.network.driver.mtu"


class Bridge:
    """Networks with a bridge, addresses and a way out."""

    addressed = True
    publishes = True

    def __init__(self, host: Host, firewall: Firewall) -> None:
        self._host = host
        self._firewall = firewall

    def bridge_of(self, network: Network) -> str:
        """The name of the network's bridge on the host."""
        return network.options.get(NAME) or self._host.names.bridge(network.id)

    async def create(self, network: Network) -> None:
        name = self.bridge_of(network)
        if len(name) > link.NAME_LIMIT or "/" in name or not name.isprintable() or " " in name:
            raise InvalidInput(f"invalid bridge name {name!r}: at most {link.NAME_LIMIT} characters, no slash, no space")
        mtu = mtu_of(network)
        await self._firewall.ensure()
        made = False
        try:
            with Netlink(self._host.netns) as net:
                if link.find(net, name) is None:
                    link.add_bridge(net, name, mtu=mtu, up=False)
                    made = True
                for pool in network.pools:
                    address.add(net, name, f"{pool.gateway}/{ip_network(pool.subnet).prefixlen}")
                self._open_ways(network, name)
                link.change(net, name, up=True)
            self._firewall.add(network_elements(network, name))
        except OSError:
            if made:
                await self.remove(network)
            raise

    def _open_ways(self, network: Network, name: str) -> None:
        """Let the host forward, and let what comes from 127.0.0.1 go to the bridge."""
        netns = self._host.netns
        sysctl.write("net.ipv4.ip_forward", 1, netns)
        sysctl.write(f"net/ipv4/conf/{name}/route_localnet", 1, netns)
        if any(":" in pool.subnet for pool in network.pools):
            sysctl.write("net.ipv6.conf.all.forwarding", 1, netns)
            # Until its link-local address has been probed for duplicates (a second) the host could not look for neighbours.
            sysctl.write(f"net/ipv6/conf/{name}/accept_dad", 0, netns)

    async def remove(self, network: Network) -> None:
        name = self.bridge_of(network)
        with contextlib.suppress(FileNotFoundError):
            self._firewall.remove(network_elements(network, name))
        await asyncio.to_thread(self._delete, name)

    def _delete(self, name: str) -> None:
        """Takes tens of milliseconds: the kernel waits until nobody looks at the interface."""
        with Netlink(self._host.netns) as net:
            link.delete(net, name)

    async def attach(self, network: Network, endpoint: Endpoint) -> None:
        with Netlink(self._host.netns) as net:
            master = link.index(net, self.bridge_of(network))
            mtu = mtu_of(network)
            link.add_veth(
                net,
                link.End(endpoint.device, mtu=mtu, master=master),
                link.End(endpoint.interface, mac=endpoint.mac, mtu=mtu, namespace=endpoint.netns),
            )
            try:
                # With br_netfilter a packet to a port that its own sender publishes turns around within the bridge.
                link.set_hairpin(net, endpoint.device, True)
                if network.options.get(ICC) == "false":
                    link.set_isolated(net, endpoint.device, True)
                configure(endpoint)
            except OSError:
                link.delete(net, endpoint.device)
                raise

    async def detach(self, network: Network, endpoint: Endpoint) -> None:
        await asyncio.to_thread(self._delete, endpoint.device)

    async def limit(self, network: Network, endpoint: Endpoint, rates: Rates) -> None:
        """What the endpoint is sent leaves the host's end of the pair, what it sends leaves its own."""
        with Netlink(self._host.netns) as net:
            set_rate(net, endpoint.device, rates.ingress)
        with Netlink(endpoint.netns) as net:
            set_rate(net, endpoint.interface, rates.egress)

    async def attached(self, network: Network, endpoints: Iterable[Endpoint]) -> set[str]:
        with Netlink(self._host.netns) as net:
            bridge = link.find(net, self.bridge_of(network))
            ports = {port.name for port in link.listed(net) if bridge and port.master == bridge.index}
        return ports & {endpoint.device for endpoint in endpoints}


def mtu_of(network: Network) -> int | None:
    """The MTU that the network asks for. Raises InvalidInput for anything but a number."""
    text = network.options.get(MTU, "")
    if not text:
        return None
    if not text.isdecimal() or not 68 <= int(text) <= 65535:
        raise InvalidInput(f"invalid MTU {text!r} of network {network.name}")
    return int(text)


def set_rate(net: Netlink, interface: str, bits: int) -> None:
    """Let an interface send at most so many bits in a second; 0 lifts the limit."""
    if bits:
        qdisc.limit(net, interface, max(bits // 8, 1))
    else:
        qdisc.unlimit(net, interface)


def configure(endpoint: Endpoint) -> None:
    """Inside the endpoint's namespace: addresses, the interface up, the default route where it is this endpoint's."""
    with Netlink(endpoint.netns) as net:
        for text in (endpoint.address, endpoint.address6):
            if text:
                address.add(net, endpoint.interface, text)
        link.change(net, endpoint.interface, up=True)
        if endpoint.default_route:
            set_default_route(net, endpoint)


def set_default_route(net: Netlink, endpoint: Endpoint) -> None:
    """Send what has no other way through this endpoint; `net` is a socket in its namespace."""
    if endpoint.gateway:
        route.add(net, "default", via=endpoint.gateway, device=endpoint.interface)
    if endpoint.gateway6:
        route.add(net, "default6", via=endpoint.gateway6, device=endpoint.interface)
