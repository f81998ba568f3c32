"""Published ports: elements of nftables maps, no process a port.

Each port is also held by a socket that is bound, so that no other program of the host takes it, and one that has it already is
found. Packets don't reach that socket: they are sent on before. Where they can't be we carry them ourselves (`relay.py`,
`datagrams.py`).
"""

import asyncio
import errno
import itertools
import socket
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address

from podling.aio.tasks import Tasks
from podling.base.errors import Conflict, InvalidInput
from podling.base.ids import short
from podling.linux.conntrack import forget_udp
from podling.linux.namespace import run_in
from podling.linux.netlink import NETLINK_NETFILTER, Netlink
from podling.linux.nftset import Element, pack
from podling.network import datagrams
from podling.network.base import Endpoint, Host
from podling.network.firewall import Firewall
from podling.network.relay import listen, relay

EPHEMERAL = (32768, 60999)  # where a port is chosen from that wasn't asked for
_ANY = {4: "0.0.0.0", 6: "::"}
_LOOPBACK6 = "::1"
_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


@dataclass(frozen=True, slots=True)
class PortRequest:
    """A port to publish. `host` is an address of the host ("": all); `first` to `last` are host ports of which one is taken.

    `first` 0 leaves the choice to us, `last` 0 means `first` alone.
    """

    port: int
    protocol: str = "tcp"
    host: str = ""
    first: int = 0
    last: int = 0


@dataclass(frozen=True, slots=True)
class Published:
    """A port as it is published: `host` is the address, "0.0.0.0" or "::" for all of a family."""

    sandbox: str
    port: int
    protocol: str
    host: str
    host_port: int


@dataclass(slots=True)
class _Held:
    published: Published
    socket: socket.socket
    target: str
    relay: "asyncio.Task[None] | None" = None

    def elements(self) -> Iterator[tuple[str, Element]]:
        """What makes the kernel send its packets on; nothing where it can't."""
        same_family = ip_address(self.published.host).version == ip_address(self.target).version
        if same_family and self.published.host != _LOOPBACK6:
            yield element_of(self.published, self.target)


def element_of(published: Published, target: str) -> tuple[str, Element]:
    """The map and the element that send a published port to `target`, an address of the endpoint."""
    address = ip_address(published.host)
    value = pack(ip_address(target), published.port)
    family = "ip" if address.version == 4 else "ip6"
    if published.host == _ANY[address.version]:
        return f"published-any-{family}", Element(pack(published.protocol, published.host_port), value)
    return f"published-{family}", Element(pack(address, published.protocol, published.host_port), value)


def addresses_of(request: PortRequest, endpoint: Endpoint) -> list[tuple[str, str]]:
    """(address of the host, address of the endpoint) for each family that request and endpoint have. Raises InvalidInput."""
    targets = {4: endpoint.ip, 6: endpoint.ip6}
    try:
        hosts = [str(ip_address(request.host))] if request.host else list(_ANY.values())
    except ValueError as error:
        raise InvalidInput(f"invalid IP address: {request.host}") from error
    if request.host:
        targets[6] = targets[6] or targets[4]  # by a relay
    pairs = [(host, targets[ip_address(host).version]) for host in hosts]
    found = [(host, target) for host, target in pairs if target]
    if request.host and not found:
        raise InvalidInput(f"the container can't be reached by {request.protocol} from {request.host}")
    return found


def candidates(request: PortRequest, taken: Collection[int], after: int) -> Iterator[int]:
    """The host ports to try, in order: those of the request, or the ephemeral ones after the last that was given out."""
    if request.first:
        yield from range(request.first, (request.last or request.first) + 1)
        return
    low, high = EPHEMERAL
    for step in range(high - low + 1):
        port = low + (after + 1 + step - low) % (high - low + 1)
        if port not in taken:
            yield port


class Ports:
    """The published ports of one host namespace."""

    def __init__(self, host: Host, firewall: Firewall) -> None:
        self._netns = host.netns
        self._firewall = firewall
        self._tasks = Tasks("published ports")
        self._held: dict[str, list[_Held]] = {}
        self._last = EPHEMERAL[1]

    def of(self, sandbox: str) -> list[Published]:
        """The published ports of a sandbox."""
        return [held.published for held in self._held.get(sandbox, [])]

    def publish(self, endpoint: Endpoint, requests: Sequence[PortRequest]) -> list[Published]:
        """Publish all that is asked, or nothing. Raises Conflict in Docker's words where a port is taken, InvalidInput."""
        made: list[_Held] = []
        try:
            for request in requests:
                made += self._take(endpoint, request, made)
            self._firewall.add(element for held in made for element in held.elements())
        except BaseException:
            _release(made)
            raise
        for held in made:
            self._relay(held)
        self._held.setdefault(endpoint.sandbox, []).extend(made)
        self._forget_flows(made)
        return [held.published for held in made]

    def unpublish(self, sandbox: str) -> None:
        """Take the ports of a sandbox back; nothing if it has none."""
        held = self._held.pop(sandbox, [])
        if held:
            self._firewall.remove(element for one in held for element in one.elements())
            self._forget_flows(held)
            _release(held)

    def _forget_flows(self, held: Sequence[_Held]) -> None:
        """UDP flows that began under other rules would go on by them."""
        ports = {one.published.host_port for one in held if one.published.protocol == "udp"}
        if ports:
            with Netlink(self._netns, NETLINK_NETFILTER) as net:
                for port in ports:
                    forget_udp(net, port)

    def elements(self) -> list[tuple[str, Element]]:
        """All that the maps should hold."""
        return [element for held in self._all() for element in held.elements()]

    async def release_all(self) -> None:
        """Let go of the sockets; the rules stay, so that traffic goes on without us."""
        _release(list(self._all()))
        self._held.clear()
        await self._tasks.cancel()

    def _all(self) -> Iterator[_Held]:
        return itertools.chain.from_iterable(self._held.values())

    def _take(self, endpoint: Endpoint, request: PortRequest, made: Sequence[_Held]) -> list[_Held]:
        """Hold one host port on all addresses of the request."""
        _check(request)
        pairs = addresses_of(request, endpoint)
        ours = [held.published for held in itertools.chain(self._all(), made) if held.published.protocol == request.protocol]
        failure: Conflict | None = None
        for port in candidates(request, {published.host_port for published in ours}, self._last):
            try:
                return self._hold(endpoint, request, pairs, port, ours)
            except Conflict as conflict:
                failure = conflict
        raise failure or Conflict(_words(endpoint, "all ports are allocated"))

    def _hold(
        self, endpoint: Endpoint, request: PortRequest, pairs: Sequence[tuple[str, str]], port: int, ours: Sequence[Published]
    ) -> list[_Held]:
        held: list[_Held] = []
        try:
            for host, target in pairs:
                published = Published(endpoint.sandbox, request.port, request.protocol, host, port)
                if any(_meet(published, other) for other in ours):
                    raise Conflict(_words(endpoint, f"Bind for {_at(host, port)} failed: port is already allocated"))
                bound = self._bind(endpoint, published, target)
                held.append(_Held(published, bound, target))
        except BaseException:
            _release(held)
            raise
        if not request.first:
            self._last = port
        return held

    def _relay(self, held: _Held) -> None:
        """Carry what the kernel won't; what it sends on never reaches the socket."""
        published = held.published
        if ":" in published.host:
            carry = relay if published.protocol == "tcp" else datagrams.relay
            work = carry(held.socket, partial(self._make, _KINDS[published.protocol]), held.target, published.port)
            held.relay = self._tasks.start(work, f"relay from {published.host}")

    def _make(self, kind: int, family: int) -> socket.socket:
        """A socket among the host's addresses."""

        def make() -> socket.socket:
            return socket.socket(family, kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)

        return make() if self._netns is None else run_in(self._netns, make)

    def _bind(self, endpoint: Endpoint, published: Published, target: str) -> socket.socket:
        try:
            if self._netns is None:
                return bind(published.protocol, published.host, published.host_port)
            return run_in(self._netns, lambda: bind(published.protocol, published.host, published.host_port))
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES):
                raise
            where = f"{_at(published.host, published.host_port)}:{_at(target, published.port)}/{published.protocol}"
            reason = (error.strerror or "").lower()
            raise Conflict(_words(endpoint, f"failed to bind host port for {where}: {reason}")) from error


def _check(request: PortRequest) -> None:
    if request.protocol not in _KINDS:
        raise InvalidInput(f"invalid proto: {request.protocol}")
    last = request.last or request.first
    if not 0 < request.port < 65536 or not 0 <= request.first <= last < 65536:
        raise InvalidInput(f"invalid port: {request.first or request.port}")


def _meet(one: Published, other: Published) -> bool:
    """Whether two ports of one protocol can't stand beside each other."""
    same_family = ip_address(one.host).version == ip_address(other.host).version
    any_address = one.host in _ANY.values() or other.host in _ANY.values()
    return one.host_port == other.host_port and same_family and (any_address or one.host == other.host)


def _at(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _words(endpoint: Endpoint, reason: str) -> str:
    name = endpoint.name or short(endpoint.sandbox)
    return f"driver failed programming external connectivity on endpoint {name} ({endpoint.id}): {reason}"


def bind(protocol: str, host: str, port: int) -> socket.socket:
    """A socket that holds the port; one for IPv6 connections listens. Raises OSError where somebody has it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    held = socket.socket(family, _KINDS[protocol] | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        if family == socket.AF_INET6:
            held.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        # Over connections of a former owner that linger; afterwards off, or the next one could come over us.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(protocol == "tcp"))
        held.bind((host, port))
        if family == socket.AF_INET6 and protocol == "tcp":
            listen(held)
        else:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except OSError:
        held.close()
        raise
    return held


def _release(held: Sequence[_Held]) -> None:
    for one in held:
        if one.relay is not None:
            one.relay.cancel()
        one.socket.close()
