"""Address allocation. Pure: what is taken comes in, what is chosen goes out."""

import hashlib
from collections.abc import Collection, Iterable, Iterator
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)

from podling.base.errors import Conflict, InvalidInput, Unavailable
from podling.network.base import Pool

Address = IPv4Address | IPv6Address
Subnet = IPv4Network | IPv6Network

# What `docker network create` chooses from, in this order: (space, prefix length of a network).
DEFAULT_SPACES = (
    ("172.17.0.0/16", 16),
    ("172.18.0.0/16", 16),
    ("172.19.0.0/16", 16),
    ("172.20.0.0/14", 16),
    ("172.24.0.0/14", 16),
    ("172.28.0.0/14", 16),
    ("192.168.0.0/16", 20),
)


def choose_subnet(taken: Collection[Subnet], spaces: Iterable[tuple[str, int]] = DEFAULT_SPACES) -> Subnet:
    """The first default subnet that meets nothing in `taken` (other networks and the host's routes). Raises Unavailable."""
    for candidate in _candidates(spaces):
        if not any(_overlap(candidate, other) for other in taken):
            return candidate
    raise Unavailable("all predefined address pools have been fully subnetted")


def _candidates(spaces: Iterable[tuple[str, int]]) -> Iterator[Subnet]:
    for space, length in spaces:
        yield from ip_network(space).subnets(new_prefix=length)


def _overlap(one: Subnet, other: Subnet) -> bool:
    """Whether they share an address; a default route is no neighbour."""
    return one.version == other.version and other.prefixlen > 0 and one.overlaps(other)


def choose_subnet6(seed: str, taken: Collection[Subnet]) -> Subnet:
    """A unique local /64 (RFC 4193) that follows from `seed` and meets nothing in `taken`."""
    digest = hashlib.sha256(seed.encode()).digest()
    space = ip_network((b"\xfd" + digest[:5] + bytes(10), 48))
    return choose_subnet(taken, [(str(space), 64)])


def pool_of(
    subnet: str, gateway: str = "", range_: str = "", reserved: dict[str, str] | None = None, taken: Collection[Subnet] = ()
) -> Pool:
    """A checked pool; the gateway is the first address of the range or subnet where none is given.

    Raises InvalidInput for addresses that don't fit, Conflict where the subnet meets one in `taken`.
    """
    network = _parse_subnet(subnet)
    if any(network.version == other.version and network.overlaps(other) for other in taken):
        raise Conflict("Pool overlaps with other one on this address space")
    part = _parse_subnet(range_) if range_ else network
    if part.version != network.version or not part.subnet_of(network):  # type: ignore[arg-type]
        raise InvalidInput(f"invalid network config: range {range_} is outside of subnet {subnet}")
    first = _usable(network, network)[0]
    door = _parse_address(gateway, "gateway") if gateway else ip_address(first)
    for name, address in {"gateway": str(door), **(reserved or {})}.items():
        if _parse_address(address, name) not in network:
            raise InvalidInput(f"invalid network config: {name} {address} is outside of subnet {subnet}")
    return Pool(str(network), str(door), str(part) if range_ else "", dict(reserved or {}))


def _parse_subnet(text: str) -> Subnet:
    try:
        interface = ip_interface(text)
    except ValueError as error:
        raise InvalidInput(f"invalid CIDR address: {text}") from error
    network = interface.network
    if "/" not in text or _usable(network, network)[1] <= _usable(network, network)[0]:
        raise InvalidInput(f"invalid CIDR address: {text}")
    return network


def _parse_address(text: str, name: str) -> Address:
    try:
        return ip_address(text)
    except ValueError as error:
        raise InvalidInput(f"invalid {name} address: {text}") from error


def _usable(network: Subnet, part: Subnet) -> tuple[int, int]:
    """First and last address of `part` that a host can have: not the network's own, nor its broadcast address."""
    low, high = int(network.network_address), int(network.broadcast_address)
    if network.prefixlen < network.max_prefixlen - 1:
        low += 1
        high -= network.version == 4
    return max(low, int(part.network_address)), min(high, int(part.broadcast_address))


def allocate(pool: Pool, taken: Collection[str], last: str = "") -> str:
    """The next free address after `last`, around the end: an address that was let go rests before it comes again.

    `taken` are the addresses in use, without prefix length. Gives "172.17.0.2/16". Raises Unavailable when the pool is full.
    """
    network = ip_network(pool.subnet)
    low, high = _usable(network, ip_network(pool.range) if pool.range else network)
    avoid = {pool.gateway, *pool.reserved.values()} | set(taken)
    start = int(ip_address(last)) + 1 if last else low
    if not low <= start <= high:
        start = low
    kind = type(network.network_address)
    # Among one more candidate than there are addresses to avoid, one is free.
    for step in range(min(high - low + 1, len(avoid) + 1)):
        candidate = str(kind(low + (start - low + step) % (high - low + 1)))
        if candidate not in avoid:
            return f"{candidate}/{network.prefixlen}"
    raise Unavailable(f"no available IPv{network.version} addresses on this network's address pools: {pool.subnet}")


def reserve(pool: Pool, wanted: str, taken: Collection[str]) -> str:
    """Exactly the address `wanted`, as `allocate` gives it. Raises InvalidInput outside the subnet, Conflict if it is in use."""
    network = ip_network(pool.subnet)
    address = _parse_address(wanted, "IP")
    low, high = _usable(network, network)
    if address.version != network.version or not low <= int(address) <= high:
        raise InvalidInput(f"invalid endpoint settings: no configured subnet contains IP address {wanted}")
    if str(address) in {pool.gateway, *taken}:
        raise Conflict(f"Address already in use: {address}")
    return f"{address}/{network.prefixlen}"


def mac_of(address: str) -> str:
    """A locally administered MAC address that follows from an IPv4 address: neighbours' caches stay right when it moves."""
    return (b"\x02\x42" + IPv4Address(address.partition("/")[0]).packed).hex(":")
