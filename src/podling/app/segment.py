"""The segment that joins the nodes of one machine: a bridge of the host, and a veth pair into each further node's namespace.

Making is idempotent, so that it also mends: what is there stays.
"""

import asyncio
from ipaddress import IPv4Network
from pathlib import Path

from podling.app import nodes
from podling.app.config import Config
from podling.linux import address, link, namespace, route, sysctl
from podling.linux.mount import is_mountpoint
from podling.linux.netlink import Netlink
from podling.linux.nft import Nft

INSIDE = "eth0"


def bridge(config: Config) -> str:
    return f"kp{config.tag}-nodes"


def port(config: Config, node: Config) -> str:
    """The bridge's end of the node's veth pair."""
    return f"{_port_prefix(config)}{nodes.number_of(node)}"


def _port_prefix(config: Config) -> str:
    return f"kp{config.tag}n"


def table(config: Config) -> str:
    """The nftables table that lets the further nodes reach what is outside."""
    return f"{config.instance}-nodes"


def netns(node: Config) -> Path:
    return node.run / "netns"


def is_ours(config: Config, name: str) -> bool:
    """Whether this interface of the host belongs to the segment."""
    return name == bridge(config) or (name.startswith(_port_prefix(config)) and name[len(_port_prefix(config)) :].isdecimal())


def make(config: Config, further: list[Config]) -> None:
    """The bridge with its masquerading, and each node's namespace with its interface, address and routes."""
    prefix = IPv4Network(config.node_cidr).prefixlen
    with Netlink() as net:
        if link.find(net, bridge(config)) is None:
            link.add_bridge(net, bridge(config))
        address.add(net, bridge(config), f"{nodes.gateway(config)}/{prefix}")
        for node in further:
            _join(net, config, node, prefix)
    sysctl.write("net.ipv4.ip_forward", 1)
    asyncio.run(_masquerade(config))


def _join(net: Netlink, config: Config, node: Config, prefix: int) -> None:
    place = netns(node)
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
    if not is_mountpoint(place):
        place.unlink(missing_ok=True)
        namespace.create({"net": place}, namespace.loopback_up)
    outside = port(config, node)
    with Netlink(place) as inner:
        if link.find(inner, INSIDE) is None:
            link.delete(net, outside)
            link.add_veth(net, link.End(outside, master=link.index(net, bridge(config))), link.End(INSIDE, namespace=place))
        address.add(inner, INSIDE, f"{node.node_ip}/{prefix}")
        link.change(inner, INSIDE, up=True)
        route.add(inner, "default", via=nodes.gateway(config), device=INSIDE)
        # The first node's own address is none of the segment's, but it answers for it there.
        route.add(inner, f"{config.node_address}/32", device=INSIDE)


async def _masquerade(config: Config) -> None:
    name, own = table(config), config.node_cidr
    rules = Nft()
    try:
        await rules.apply(
            f"add table ip {name}\ndelete table ip {name}\ntable ip {name} {{\n"
            "  chain postrouting {\n    type nat hook postrouting priority srcnat - 6; policy accept;\n"
            f"    ip saddr {own} ip daddr != {{ {own}, {config.cluster_cidr} }} masquerade\n  }}\n}}\n"
        )
    finally:
        rules.close()
