"""The rules that all networks share. Each network, and each published port, is a few elements of sets and maps.

One table of family inet an instance. A packet to an address of the host passes `publish`, which is maps alone. What is
forwarded passes `podling-user` first, a chain that is made once and never touched again: the place for an administrator's
own rules.

    nft add rule inet podling podling-user iifname eth0 ip saddr != 192.0.2.0/24 drop
"""

from collections.abc import Iterable, Iterator
from ipaddress import ip_network

from podling.linux.nft import RuleSet
from podling.linux.nftset import Change, Element, interval, pack
from podling.network.base import Names, Network

USER_CHAIN = "podling-user"

# A network that others may reach by routing, without published ports: pods' addresses, or Docker's gateway mode "routed".
ROUTED = "podling.network.routed"
MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"

NETWORK_SETS = {
    "bridges": "{ type ifname; }",
    "same": "{ type ifname . ifname; }",
    "internal": "{ type ifname; }",
    "routed": "{ type ifname; }",
    "masquerade-ip": "{ type ipv4_addr; flags interval; }",
    "masquerade-ip6": "{ type ipv6_addr; flags interval; }",
    "home-ip": "{ type ipv4_addr . ifname; flags interval; }",
    "home-ip6": "{ type ipv6_addr . ifname; flags interval; }",
}
PORT_MAPS = {
    "published-ip": "{ type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }",
    "published-ip6": "{ type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; }",
    "published-any-ip": "{ type inet_proto . inet_service : ipv4_addr . inet_service; }",
    "published-any-ip6": "{ type inet_proto . inet_service : ipv6_addr . inet_service; }",
}

_CHAINS = {
    # Spoofed: a container that sends to the host's loopback addresses. Before connection tracking, which brings the
    # answers to 127.0.0.1 back to that address.
    "guard": (
        "type filter hook prerouting priority raw;",
        ["iifname @bridges ip daddr 127.0.0.0/8 drop"],
    ),
    "prerouting": ("type nat hook prerouting priority dstnat;", ["fib daddr type local jump publish"]),
    "output": ("type nat hook output priority -100;", ["fib daddr type local jump publish"]),
    "publish": (
        "",
        [
            "meta l4proto { tcp, udp } dnat ip to ip daddr . meta l4proto . th dport map @published-ip",
            "meta l4proto { tcp, udp } dnat ip6 to ip6 daddr . meta l4proto . th dport map @published-ip6",
            "meta nfproto ipv4 meta l4proto { tcp, udp } dnat ip to meta l4proto . th dport map @published-any-ip",
            # (From ::1 no answer would find back: the agent serves it.)
            "ip6 daddr != ::1 meta l4proto { tcp, udp } dnat ip6 to meta l4proto . th dport map @published-any-ip6",
        ],
    ),
    "postrouting": (
        "type nat hook postrouting priority srcnat;",
        [
            "ip saddr @masquerade-ip oifname != @bridges masquerade",
            "ip6 saddr @masquerade-ip6 oifname != @bridges masquerade",
            # The host itself at 127.0.0.1, and a container that comes back to its own network through a published port.
            "ip saddr 127.0.0.0/8 oifname @bridges masquerade",
            # (By address: within a bridge with br_netfilter the incoming interface isn't known here.)
            "ct status dnat ip saddr . oifname @home-ip masquerade",
            "ct status dnat ip6 saddr . oifname @home-ip6 masquerade",
        ],
    ),
    "forward": (
        "type filter hook forward priority filter;",
        [
            f"jump {USER_CHAIN}",
            "ct state established,related accept",
            "iifname . oifname @same accept",
            "iifname @internal drop",
            "oifname @internal drop",
            "ct status dnat accept",
            "oifname @routed accept",
            "oifname @bridges drop",
        ],
    ),
}


def script(table: str) -> str:
    """The rule set as nft(8) reads it. Applied again it replaces the rules, and leaves elements and the user's chain alone."""
    lines = [f"add table inet {table}"]
    lines += [f"add set inet {table} {name} {kind}" for name, kind in NETWORK_SETS.items()]
    lines += [f"add map inet {table} {name} {kind}" for name, kind in PORT_MAPS.items()]
    lines += [f"add chain inet {table} {USER_CHAIN}"]
    for name, (hook, _) in _CHAINS.items():
        lines += [f"add chain inet {table} {name}" + (f" {{ {hook} }}" if hook else ""), f"flush chain inet {table} {name}"]
    lines += [f"add rule inet {table} {name} {rule}" for name, (_, rules) in _CHAINS.items() for rule in rules]
    return "\n".join(lines) + "\n"


def network_elements(network: Network, bridge: str) -> Iterator[tuple[str, Element]]:
    """What the rules must know of one bridge network, as (set, element)."""
    yield "bridges", Element(pack(bridge))
    yield "same", Element(pack(bridge, bridge))
    for subnet in map(ip_network, (pool.subnet for pool in network.pools)):
        ends = [pack(address, bridge) for address in (subnet.network_address, subnet.broadcast_address)]
        yield "home-ip" if subnet.version == 4 else "home-ip6", Element(ends[0], key_end=ends[1])
    if network.internal:
        yield "internal", Element(pack(bridge))
        return
    if network.options.get(ROUTED) == "true":
        yield "routed", Element(pack(bridge))
    if network.options.get(MASQUERADE, "true") != "false":
        for pool in network.pools:
            subnet = ip_network(pool.subnet)
            for element in interval(subnet):
                yield "masquerade-ip" if subnet.version == 4 else "masquerade-ip6", element


class Firewall:
    """The instance's table in one namespace; made when the first network needs it."""

    def __init__(self, rules: RuleSet, names: Names) -> None:
        self._rules = rules
        self._table = names.table
        self._ready = False

    async def ensure(self) -> None:
        """Make the table, if this process hasn't yet."""
        if not self._ready:
            await self._rules.apply(script(self._table))
            self._ready = True

    def add(self, elements: Iterable[tuple[str, Element]]) -> None:
        self._rules.change("inet", self._table, [Change(True, name, element) for name, element in elements])

    def remove(self, elements: Iterable[tuple[str, Element]]) -> None:
        """Take elements out; those that aren't there, and a table that isn't, are no error."""
        self._rules.change("inet", self._table, [Change(False, name, element) for name, element in elements])

    def reconcile(self, sets: Iterable[str], wanted: Iterable[tuple[str, Element]]) -> None:
        """Make the sets hold exactly what is wanted, touching only what differs."""
        want = set(wanted)
        have = {(name, element) for name in sets for element in self._rules.elements("inet", self._table, name)}
        changes = [Change(False, name, element) for name, element in have - want]
        changes += [Change(True, name, element) for name, element in want - have]
        self._rules.change("inet", self._table, changes)

    async def purge(self) -> None:
        """Remove the table with all that is in it."""
        # Adding first makes deleting succeed whether it is there or not.
        await self._rules.apply(f"add table inet {self._table}\ndelete table inet {self._table}\n")
        self._ready = False
