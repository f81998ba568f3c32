"""Whether this machine already uses addresses that a podling is to have."""

from collections.abc import Iterable
from ipaddress import IPv4Network

from podling.app import segment
from podling.app.config import Config
from podling.base.errors import Conflict
from podling.linux import link, route
from podling.linux.netlink import Netlink
from podling.linux.route import Route


def require(config: Config) -> None:
    """Raises Conflict when an interface that is not ours leads to addresses of our pods or nodes."""
    with Netlink() as net:
        foreign = {found.index: found.name for found in link.listed(net) if not _is_ours(config, found.name)}
        if text := taken(config, route.listed(net), foreign):
            raise Conflict(text)


def taken(config: Config, routes: Iterable[Route], foreign: dict[int, str]) -> str:
    """What is taken, and what to do; "" when nothing is. `foreign`: index -> name.

    A route to more than our range does no harm: the longer prefix wins.
    """
    wanted = {name: IPv4Network(value) for name in ("pod_cidr", "node_cidr") if (value := getattr(config, name))}
    for each in routes:
        for name, own in wanted.items():
            there = each.destination
            if each.device in foreign and isinstance(there, IPv4Network) and there.subnet_of(own):
                flag = name.replace("_", "-")
                return f"{name} {own} is taken: {foreign[each.device]} leads to {there}. --{flag} chooses another range"
    return ""


def _is_ours(config: Config, name: str) -> bool:
    return name.startswith((f"kp{config.tag}-", f"kp{config.tag}p")) or segment.is_ours(config, name)
