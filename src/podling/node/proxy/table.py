"""The nftables table of services: what stands still in it, as a script. Pure.

Nothing in it belongs to one service. A verdict map sends address . protocol . port to the chain for so many endpoints; that
chain rolls a number, which it keeps as the connection's mark, and looks address . protocol . port . mark up in the map of
endpoints. So a change of a service or of
its endpoints changes elements of maps and no rule: 0.1 ms, however many services there are.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Masquerade = Literal["outside", "always", "never"]  # outside: what doesn't come from a pod
Choice = Literal["random", "client"]

FAMILY = "ip"
MARK = 0x4000  # as kube-proxy's: this packet leaves with our address

SERVICES = "services"
ENDPOINTS = "endpoints"
NODE_PORTS = "node-ports"
NODE_ENDPOINTS = "node-endpoints"
HAIRPIN = "hairpin"
NO_ENDPOINTS = "no-endpoints"
NO_NODE_ENDPOINTS = "no-node-endpoints"

SETS = (SERVICES, NODE_PORTS, ENDPOINTS, NODE_ENDPOINTS, HAIRPIN, NO_ENDPOINTS, NO_NODE_ENDPOINTS)

_CHOOSE = {"random": "numgen random mod {count}", "client": "jhash ip saddr mod {count}"}
_MARK = f"meta mark set meta mark or {MARK:#x}"


def chain_name(port: bool, masquerade: Masquerade, choice: Choice, count: int) -> str:
    """The chain that sends to one of `count` endpoints; `port`: of a node port, whatever the address."""
    return f"{'port' if port else 'address'}-{masquerade}-{choice}-{count}"


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


def chains(table: str, counts: Iterable[int]) -> str:
    """The script that adds the chains for these numbers of endpoints."""
    return "".join(_chain(table, *variant, count) for count in counts for variant in _VARIANTS)


_VARIANTS: tuple[tuple[bool, Masquerade, Choice], ...] = (
    *((False, masquerade, choice) for masquerade in ("outside", "always", "never") for choice in ("random", "client")),
    *((True, masquerade, choice) for masquerade in ("always", "never") for choice in ("random", "client")),
)


def _chain(table: str, port: bool, masquerade: Masquerade, choice: Choice, count: int) -> str:
    name = chain_name(port, masquerade, choice, count)
    key = "meta l4proto . th dport" if port else "ip daddr . meta l4proto . th dport"
    first = {"outside": "jump mark-outside", "always": _MARK, "never": ""}[masquerade]
    pick = f"ct mark set {_CHOOSE[choice].format(count=count)}"
    send = f"meta l4proto {{ tcp, udp, sctp }} dnat ip to {key} . ct mark map @{NODE_ENDPOINTS if port else ENDPOINTS}"
    return f"table {FAMILY} {table} {{\n  chain {name} {{\n    {first}\n    {pick}\n    {send}\n  }}\n}}\n"
