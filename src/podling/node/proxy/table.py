"""The nftables table of services: what stands still in it, as a script. Pure.

Nothing in it belongs to one service. A verdict map sends address . protocol . port to the chain for so many endpoints; that
chain rolls a number, which it keeps as the connection's mark, and looks address . protocol . port . mark up in the map of
endpoints. So a change of a service or of
its endpoints changes elements of maps and no rule: 0.1 ms, however many services there are.

Where a client shall stay with its endpoint, the number leads to the endpoint's identity, which the kernel keeps for the client as
long as the service says; the identity leads to the endpoint, as long as there is one of it.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Masquerade = Literal["outside", "always", "never"]  # outside: what doesn't come from a pod
Choice = str
"""How an endpoint is chosen: `random`, or `client10800` for the same one for so many seconds after a client's last connection."""

FAMILY = "ip"
MARK = 0x4000  # as kube-proxy's: this packet leaves with our address

SERVICES = "services"
ENDPOINTS = "endpoints"
NODE_PORTS = "node-ports"
NODE_ENDPOINTS = "node-endpoints"
IDENTITIES = "identities"
NODE_IDENTITIES = "node-identities"
AFFINITY = "affinity"
NODE_AFFINITY = "node-affinity"
HAIRPIN = "hairpin"
NO_ENDPOINTS = "no-endpoints"
NO_NODE_ENDPOINTS = "no-node-endpoints"

SETS = (
    SERVICES,
    NODE_PORTS,
    ENDPOINTS,
    NODE_ENDPOINTS,
    IDENTITIES,
    NODE_IDENTITIES,
    HAIRPIN,
    NO_ENDPOINTS,
    NO_NODE_ENDPOINTS,
)
"""All but those that the kernel fills itself."""

RANDOM: Choice = "random"
_CLIENT = "client"
_CLIENTS = 65535  # that are remembered at most
_MARK = f"meta mark set meta mark or {MARK:#x}"


def chain_name(port: bool, masquerade: Masquerade, choice: Choice, count: int) -> str:
    """The chain that sends to one of `count` endpoints; `port`: of a node port, whatever the address."""
    return f"{'port' if port else 'address'}-{masquerade}-{choice}-{count}"


def by_client(seconds: int) -> Choice:
    return f"{_CLIENT}{seconds}"


def timeouts_in(chains: Iterable[str]) -> set[int]:
    """For how many seconds of affinity there are chains among these."""
    choices = (name.split("-")[2] for name in chains if name.startswith(("address-", "port-")))
    return {int(choice.removeprefix(_CLIENT)) for choice in choices if choice.startswith(_CLIENT)}


@dataclass(frozen=True, slots=True)
class Ranges:
    """The addresses of pods and services, the one of the cluster DNS, and how the host's ends of pods' interfaces begin."""

    pods: str
    services: str
    dns: str
    devices: str


def removal(table: str) -> str:
    """The script that takes the table away, if it is there."""
    return f"add table {FAMILY} {table}\ndelete table {FAMILY} {table}\n"


def marker(ranges: Ranges) -> str:
    """The name of a chain that says which script made the table: one with another name has to be made anew."""
    return f"made-by-{hashlib.sha256(_base('', ranges).encode()).hexdigest()[:12]}"


def counts_in(chains: Iterable[str]) -> set[int]:
    """For how many endpoints there are chains among these."""
    return {int(name.rpartition("-")[2]) for name in chains if name.startswith(("address-", "port-"))}


def base(table: str, ranges: Ranges) -> str:
    """The script that makes the table anew, empty."""
    return f"{_base(table, ranges)}add chain {FAMILY} {table} {marker(ranges)}\n"


def _base(table: str, ranges: Ranges) -> str:
    return f"""\
{removal(table)}table {FAMILY} {table} {{
  map {SERVICES} {{ type ipv4_addr . inet_proto . inet_service : verdict; }}
  map {NODE_PORTS} {{ type inet_proto . inet_service : verdict; }}
  map {ENDPOINTS} {{ type ipv4_addr . inet_proto . inet_service . mark : ipv4_addr . inet_service; }}
  map {NODE_ENDPOINTS} {{ type inet_proto . inet_service . mark : ipv4_addr . inet_service; }}
  map {IDENTITIES} {{ type ipv4_addr . inet_proto . inet_service . mark : mark; }}
  map {NODE_IDENTITIES} {{ type inet_proto . inet_service . mark : mark; }}
  map {AFFINITY} {{ type ipv4_addr . ipv4_addr . inet_proto . inet_service : mark; flags dynamic,timeout; size {_CLIENTS}; }}
  map {NODE_AFFINITY} {{ type ipv4_addr . inet_proto . inet_service : mark; flags dynamic,timeout; size {_CLIENTS}; }}
  set {HAIRPIN} {{ type ipv4_addr . ipv4_addr; }}
  set {NO_ENDPOINTS} {{ type ipv4_addr . inet_proto . inet_service; }}
  set {NO_NODE_ENDPOINTS} {{ type inet_proto . inet_service; }}
  chain mark-outside {{ ip saddr != {ranges.pods} {_MARK}; }}
  chain find {{
    ip daddr . meta l4proto . th dport vmap @{SERVICES}
    fib daddr type local meta l4proto . th dport vmap @{NODE_PORTS}
  }}
  chain prerouting {{ type nat hook prerouting priority dstnat - 5; policy accept; jump find; }}
  chain output {{ type nat hook output priority -105; policy accept; jump find; }}
  chain postrouting {{
    type nat hook postrouting priority srcnat - 5; policy accept;
    meta mark & {MARK:#x} != 0 meta mark set meta mark and {~MARK & 0xFFFFFFFF:#x} masquerade
    ct status dnat ip saddr . ip daddr @{HAIRPIN} masquerade
    ip saddr 127.0.0.0/8 oifname "{ranges.devices}*" masquerade
    ip saddr {ranges.pods} ip daddr != {ranges.pods} oifname != "{ranges.devices}*" masquerade
  }}
  chain refuse {{
    ct state new ip daddr . meta l4proto . th dport @{NO_ENDPOINTS} reject
    ct state new fib daddr type local meta l4proto . th dport @{NO_NODE_ENDPOINTS} reject
    ip daddr {ranges.services} ip daddr != {ranges.dns} reject comment "a virtual IP that nobody serves"
  }}
  chain refuse-input {{ type filter hook input priority filter - 5; policy accept; jump refuse; }}
  chain refuse-forward {{ type filter hook forward priority filter - 5; policy accept; jump refuse; }}
  chain refuse-output {{ type filter hook output priority filter - 5; policy accept; jump refuse; }}
  chain guard {{
    type filter hook prerouting priority raw; policy accept;
    iifname "{ranges.devices}*" ip daddr 127.0.0.0/8 drop comment "route_localnet is for our own traffic only"
  }}
}}
"""


def chains(table: str, counts: Iterable[int], timeouts: Iterable[int] = ()) -> str:
    """The script that adds the chains for these numbers of endpoints: random ones, and with an affinity of so many seconds."""
    return _chains(table, counts, (RANDOM, *map(by_client, timeouts)))


def affinity_chains(table: str, counts: Iterable[int], timeouts: Iterable[int]) -> str:
    """The script that adds those of an affinity alone."""
    return _chains(table, counts, tuple(map(by_client, timeouts)))


def _chains(table: str, counts: Iterable[int], choices: Sequence[Choice]) -> str:
    return "".join(_chain(table, *way, choice, count) for count in counts for way in _WAYS for choice in choices)


_WAYS: tuple[tuple[bool, Masquerade], ...] = (
    (False, "outside"),
    (False, "always"),
    (False, "never"),
    (True, "always"),
    (True, "never"),
)


def _chain(table: str, port: bool, masquerade: Masquerade, choice: Choice, count: int) -> str:
    key = "meta l4proto . th dport" if port else "ip daddr . meta l4proto . th dport"
    rules = [
        {"outside": "jump mark-outside", "always": _MARK, "never": ""}[masquerade],
        *(_at_random(port, key, count) if choice == RANDOM else _for_client(port, key, count, choice.removeprefix(_CLIENT))),
    ]
    lines = "".join(f"    {rule}\n" for rule in rules if rule)
    return f"table {FAMILY} {table} {{\n  chain {chain_name(port, masquerade, choice, count)} {{\n{lines}  }}\n}}\n"


def _send(port: bool, key: str) -> str:
    return f"meta l4proto {{ tcp, udp, sctp }} dnat ip to {key} . ct mark map @{NODE_ENDPOINTS if port else ENDPOINTS}"


def _at_random(port: bool, key: str, count: int) -> Iterator[str]:
    yield f"ct mark set numgen random mod {count}"
    yield _send(port, key)


def _for_client(port: bool, key: str, count: int, seconds: str) -> Iterator[str]:
    """To the endpoint that the client has, if it is still one; else to one that it has from now on."""
    affinity, identities = (NODE_AFFINITY, NODE_IDENTITIES) if port else (AFFINITY, IDENTITIES)
    keep = f"update @{affinity} {{ ip saddr . {key} timeout {seconds}s : ct mark }}"
    yield f"ct mark set ip saddr . {key} map @{affinity}"
    yield f"ct mark != 0 {keep} {_send(port, key)}"
    yield f"delete @{affinity} {{ ip saddr . {key} : ct mark }}"
    yield f"ct mark set numgen random mod {count}"
    yield f"ct mark set {key} . ct mark map @{identities}"
    yield keep
    yield _send(port, key)
