"""All container networks of one engine: made, found, connected, published, and found again after a restart."""

import asyncio
import contextlib
import errno
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from podling.aio.clock import Clock, SystemClock
from podling.aio.dnsserver import Answer, Upstream, nameservers
from podling.aio.dnswire import Question
from podling.base.errors import AlreadyExists, Conflict, Forbidden, InvalidInput, NotFound, PodlingError
from podling.base.ids import container_id
from podling.linux import link, route
from podling.linux.netlink import Netlink
from podling.linux.nft import Nft
from podling.network import ipam, macvlan
from podling.network.base import Driver, Endpoint, Host, Names, Network, Pool, Rates, Sandbox
from podling.network.bridge import Bridge, set_default_route
from podling.network.dns import Resolvers
from podling.network.firewall import NETWORK_SETS, PORT_MAPS, Firewall, network_elements
from podling.network.macvlan import Macvlan
from podling.network.names import NameTable
from podling.network.plain import Plain
from podling.network.ports import PortRequest, Ports, Published
from podling.network.state import State

log = logging.getLogger(__name__)

BUILTIN = ("bridge", "host", "none")
_RESOLV_CONF = Path("/etc/resolv.conf")
Tell = Callable[[str, Network, str], None]


class Networks:
    """The engine's face to networks.

    `state` is the directory for what must survive a restart, `instance` tells several engines on one host apart (see
    `Names`), `netns` is the host's network namespace if not the process's own. `tell(action, network, sandbox)` hears what
    happens: create, destroy, and of a sandbox connect, disconnect.
    """

    def __init__(
        self,
        state: Path,
        instance: str = "",
        *,
        netns: Path | None = None,
        clock: Clock | None = None,
        upstream: Sequence[tuple[str, int]] | None = None,
        spaces: Sequence[tuple[str, int]] = ipam.DEFAULT_SPACES,
        tell: Tell = lambda *_: None,
    ) -> None:
        names = Names(instance)
        self._nft = Nft(netns)
        self._host = Host(names, self._nft, netns)
        self._firewall = Firewall(self._nft, names)
        self._bridge = Bridge(self._host, self._firewall)
        plain = Plain()
        self._drivers: dict[str, Driver] = {
            "bridge": self._bridge,
            "macvlan": Macvlan(self._host),
            "host": plain,
            "null": plain,
        }
        self._ports = Ports(self._host, self._firewall)
        self._names = NameTable()
        servers = nameservers(_RESOLV_CONF.read_text()) if upstream is None and _RESOLV_CONF.exists() else upstream or []
        self._resolvers = Resolvers(self._lookup, Upstream(servers))
        self._state = State(state / "networks.db")
        self._clock = clock or SystemClock()
        self._spaces = spaces
        self._tell = tell
        self._networks: dict[str, Network] = {}
        self._endpoints: dict[str, Endpoint] = {}
        self._last: dict[str, str] = {}
        self._rates: dict[str, Rates] = {}
        self._lock = asyncio.Lock()

    # Life

    async def start(self, live: Collection[str] = ()) -> None:
        """Take up what was left: networks are made again where they lack, endpoints of sandboxes that are not in `live` go,
        ports and resolvers of the others are served again. The built-in networks exist afterwards."""
        for record in self._state.all("network"):
            network = _network(record)
            self._networks[network.id] = network
        for record in self._state.all("endpoint"):
            endpoint = Endpoint(**{**record, "aliases": tuple(record["aliases"])})
            self._endpoints[endpoint.id] = endpoint
        for sandbox, rates in self._state.all("rates"):
            if sandbox in live:
                self._rates[sandbox] = Rates(**rates)
            else:
                self._state.delete("rates", sandbox)
        for name, driver in (("host", "host"), ("none", "null")):
            if self._find(name) is None:
                await self._keep(Network(container_id(), name, driver, created=self._clock.now(), builtin=True))
        await self._make_again()
        await self._reconnect(live)
        if self._find("bridge") is None:
            await self._create_default()

    async def _make_again(self) -> None:
        for network in list(self._networks.values()):
            try:
                await self._drivers[network.driver].create(network)
            except (OSError, PodlingError) as error:
                log.error("network %s cannot be made again: %s", network.name, error)

    async def _reconnect(self, live: Collection[str]) -> None:
        """Endpoints whose sandbox and interface still are there stay, the others go."""
        there = {n.id: await self._drivers[n.driver].attached(n, self.endpoints(n.id)) for n in self._networks.values()}
        for endpoint in list(self._endpoints.values()):
            network = self._networks.get(endpoint.network)
            if network and endpoint.sandbox in live and (not endpoint.device or endpoint.device in there[network.id]):
                await self._enter(network, endpoint)
            else:
                await self._forget(endpoint)
        self._publish_again()
        if any(network.driver == "bridge" for network in self._networks.values()):
            self._firewall.reconcile(NETWORK_SETS, self._network_elements())
            self._firewall.reconcile(PORT_MAPS, self._ports.elements())

    def _publish_again(self) -> None:
        for record in list(self._state.all("ports")):
            published = [Published(**item) for item in record]
            sandbox = published[0].sandbox
            endpoint = self._door(sandbox)
            if endpoint is None:
                self._state.delete("ports", sandbox)
                continue
            requests = [PortRequest(p.port, p.protocol, p.host, p.host_port) for p in published]
            try:
                self._ports.publish(endpoint, requests)
            except (OSError, PodlingError) as error:
                log.error("ports of %s cannot be published again: %s", endpoint.name, error)

    def _network_elements(self) -> list[tuple[str, Any]]:
        bridges = [network for network in self._networks.values() if network.driver == "bridge"]
        return [element for network in bridges for element in network_elements(network, self._bridge.bridge_of(network))]

    async def close(self) -> None:
        """Let go of sockets. Networks, endpoints and rules stay: traffic goes on without us."""
        await self._resolvers.close_all()
        await self._ports.release_all()
        self._nft.close()
        self._state.close()

    async def purge(self) -> None:
        """Remove every kernel object of this instance: interfaces, rules. For good; then `close`."""
        await self._resolvers.close_all()
        await self._ports.release_all()
        bridges = {self._bridge.bridge_of(n) for n in self._networks.values() if n.driver == "bridge"}
        await asyncio.to_thread(self._delete_links, bridges)
        await self._firewall.purge()

    def _delete_links(self, bridges: Collection[str]) -> None:
        with Netlink(self._host.netns) as net:
            for found in link.listed(net):
                if found.name in bridges or self._host.names.is_ours(found.name):
                    link.delete(net, found.name)

    # Networks

    async def create(
        self,
        name: str,
        *,
        driver: str = "bridge",
        pools: Sequence[Mapping[str, Any]] = (),
        ipv6: bool = False,
        internal: bool = False,
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        attachable: bool = False,
    ) -> Network:
        """Make a network. A pool is {"subnet": ..., "gateway": ..., "range": ..., "reserved": {name: address}}, all optional.

        Raises AlreadyExists, InvalidInput, Conflict (overlapping subnets), NotFound (unknown driver).
        """
        async with self._lock:
            self._check_name(name)
            if driver not in self._drivers:
                raise NotFound(f'plugin "{driver}" not found')
            if not self._drivers[driver].addressed:
                raise Forbidden(f'only one instance of "{driver}" network is allowed')
            network = Network(
                id=container_id(),
                name=name,
                driver=driver,
                pools=self._choose_pools(pools, ipv6, name),
                internal=internal,
                created=self._clock.now(),
                options=dict(options or {}),
                labels=dict(labels or {}),
                attachable=attachable,
            )
            self._check_parent(network)
            await self._drivers[driver].create(network)
            await self._keep(network)
            self._tell("create", network, "")
            return network

    def _check_name(self, name: str) -> None:
        if not name or not name[0].isalnum() or not all(c.isalnum() or c in "_.-" for c in name):
            rule = 'must start with a letter or digit, and hold only letters, digits, "_", "." and "-"'
            raise InvalidInput(f'invalid network name "{name}": {rule}')
        if any(network.name == name for network in self._networks.values()):
            raise AlreadyExists(f"network with name {name} already exists")

    def _check_parent(self, network: Network) -> None:
        """Two macvlan networks on one interface would be one."""
        parent = network.options.get(macvlan.PARENT, "")
        for other in self._networks.values():
            if parent and network.driver == other.driver == "macvlan" and other.options.get(macvlan.PARENT) == parent:
                raise Forbidden(f"network {other.name} is already using parent interface {parent}")

    def _choose_pools(self, asked: Sequence[Mapping[str, Any]], ipv6: bool, name: str) -> tuple[Pool, ...]:
        """The pools as asked, and a chosen one for each family that lacks."""
        taken = [ip_network(pool.subnet) for network in self._networks.values() for pool in network.pools]
        pools: list[Pool] = []
        for wish in asked:
            if wish.get("subnet"):
                reserved = dict(wish.get("reserved") or {})
                pools.append(
                    ipam.pool_of(wish["subnet"], wish.get("gateway") or "", wish.get("range") or "", reserved, taken=taken)
                )
                taken.append(ip_network(pools[-1].subnet))
            elif wish.get("gateway") or wish.get("range"):
                raise InvalidInput("invalid network config: a gateway or range needs a subnet")
        versions = {ip_network(pool.subnet).version for pool in pools}
        if 4 not in versions:
            pools.insert(0, ipam.pool_of(str(ipam.choose_subnet([*taken, *self._host_routes()], self._spaces))))
        if ipv6 and 6 not in versions:
            pools.append(ipam.pool_of(str(ipam.choose_subnet6(self._host.names.table + name, taken))))
        if len({ip_network(pool.subnet).version for pool in pools}) < len(pools):
            raise InvalidInput("invalid network config: more than one subnet of a family")
        return tuple(pools)

    def _host_routes(self) -> list[ipam.Subnet]:
        with Netlink(self._host.netns) as net:
            return [found.destination for found in route.listed(net)]

    async def _create_default(self) -> None:
        """The network that a container is in when it asks for none."""
        pools = self._choose_pools((), ipv6=False, name="bridge")
        network = Network(container_id(), "bridge", "bridge", pools, created=self._clock.now(), builtin=True)
        await self._bridge.create(network)
        await self._keep(network)

    async def _keep(self, network: Network) -> None:
        self._networks[network.id] = network
        self._state.put("network", network.id, asdict(network))
        await asyncio.to_thread(self._state.flush)

    async def remove(self, reference: str) -> Network:
        """Remove a network by name or id. Raises NotFound, Forbidden (built in, or endpoints in it)."""
        async with self._lock:
            network = self.find(reference)
            if network.builtin:
                raise Forbidden(f"{network.name} is a pre-defined network and cannot be removed")
            if endpoints := self.endpoints(network.id):
                names = ", ".join(f'name:"{e.name}" id:"{e.sandbox[:12]}"' for e in endpoints)
                raise Forbidden(f"error while removing network: network {network.name} has active endpoints ({names})")
            await self._drivers[network.driver].remove(network)
            self._networks.pop(network.id, None)
            self._last.pop(network.id, None)
            self._state.delete("network", network.id)
            await asyncio.to_thread(self._state.flush)
            self._tell("destroy", network, "")
            return network

    def all(self) -> list[Network]:
        """All networks, by the time of their making."""
        return sorted(self._networks.values(), key=lambda network: (network.created, network.name))

    def find(self, reference: str) -> Network:
        """A network by id, name, or an unambiguous beginning of its id. Raises NotFound, InvalidInput (ambiguous)."""
        network = self._find(reference)
        if network is None:
            raise NotFound(f"network {reference} not found")
        return network

    def _find(self, reference: str) -> Network | None:
        if reference in self._networks:
            return self._networks[reference]
        for network in self._networks.values():
            if network.name == reference:
                return network
        begun = [network for id_, network in self._networks.items() if reference and id_.startswith(reference)]
        if len(begun) > 1:
            raise InvalidInput(f"network {reference} is ambiguous ({len(begun)} matches found on ID prefix)")
        return begun[0] if begun else None

    def bridge_of(self, reference: str) -> str:
        """The interface of a bridge network on the host."""
        return self._bridge.bridge_of(self.find(reference))

    # Endpoints

    def endpoints(self, network: str) -> list[Endpoint]:
        """Who is in a network (its id)."""
        return [endpoint for endpoint in self._endpoints.values() if endpoint.network == network]

    def endpoints_of(self, sandbox: str) -> list[Endpoint]:
        """Where a sandbox is, in the order of its interfaces."""
        mine = [endpoint for endpoint in self._endpoints.values() if endpoint.sandbox == sandbox]
        return sorted(mine, key=lambda endpoint: (len(endpoint.interface), endpoint.interface))

    async def connect(
        self,
        reference: str,
        sandbox: Sandbox,
        *,
        address: str = "",
        address6: str = "",
        mac: str = "",
        interface: str = "",
        aliases: Iterable[str] = (),
        upstream: Sequence[tuple[str, int]] = (),
    ) -> Endpoint:
        """Put a sandbox into a network; given addresses are taken as they are. `upstream` replaces the host's DNS servers.

        Raises NotFound, Conflict (already in it, address taken), InvalidInput, Unavailable (pool full), OSError.
        """
        network = self.find(reference)
        driver = self._drivers[network.driver]
        endpoint = Endpoint(container_id(), network.id, sandbox.id, sandbox.name, str(sandbox.netns), aliases=tuple(aliases))
        if any(other.network == network.id for other in self.endpoints_of(sandbox.id)):
            raise Forbidden(f"endpoint with name {sandbox.name} already exists in network {network.name}")
        if driver.addressed:
            endpoint = self._addressed(network, endpoint, address, address6, mac, interface)
        # Taken before the first await, so that nobody else is given the same addresses.
        self._endpoints[endpoint.id] = endpoint
        try:
            await driver.attach(network, endpoint)
            if (rates := self.rates_of(sandbox.id)) != Rates():
                await driver.limit(network, endpoint, rates)
            await self._enter(network, endpoint, upstream)
        except BaseException:
            await self._forget(endpoint)
            raise
        self._state.put("endpoint", endpoint.id, asdict(endpoint))
        self._tell("connect", network, sandbox.id)
        return endpoint

    def _addressed(self, network: Network, endpoint: Endpoint, address: str, address6: str, mac: str, interface: str) -> Endpoint:
        mine = self.endpoints_of(endpoint.sandbox)
        changes: dict[str, Any] = {}
        for pool in network.pools:
            suffix = "6" if ":" in pool.subnet else ""
            changes["address" + suffix] = self._allocate(network, pool, address6 if suffix else address)
            changes["gateway" + suffix] = "" if network.internal else pool.gateway
        if (address6 and "address6" not in changes) or (address and "address" not in changes):
            raise InvalidInput(f"invalid endpoint settings: no configured subnet contains IP address {address6 or address}")
        taken = {other.interface for other in mine}
        name = interface or next(f"eth{n}" for n in range(len(taken) + 1) if f"eth{n}" not in taken)
        if name in taken:
            raise Conflict(f"interface {name} is in use")
        return replace(
            endpoint,
            interface=name,
            device=self._host.names.device(endpoint.id),
            mac=_checked_mac(mac) if mac else ipam.mac_of(changes["address"]),
            default_route=not network.internal and not any(other.default_route for other in mine),
            **changes,
        )

    def _allocate(self, network: Network, pool: Pool, wanted: str) -> str:
        six = ":" in pool.subnet
        taken = [other.ip6 if six else other.ip for other in self.endpoints(network.id)]
        if wanted:
            return ipam.reserve(pool, wanted, taken)
        chosen = ipam.allocate(pool, taken, self._last.get(pool.subnet, ""))
        self._last[pool.subnet] = chosen.partition("/")[0]
        return chosen

    async def _enter(self, network: Network, endpoint: Endpoint, upstream: Sequence[tuple[str, int]] = ()) -> None:
        """Make the endpoint's names known, and serve names to it, as user-defined networks do."""
        if network.builtin:
            return
        self._names.add(endpoint, network.name)
        try:
            await self._resolvers.open(endpoint.sandbox, endpoint.netns, upstream)
        except OSError as error:
            # A container that serves DNS itself has the port.
            if error.errno != errno.EADDRINUSE:
                raise

    async def disconnect(self, reference: str, sandbox: str, *, gone: bool = False) -> None:
        """Take a sandbox (its id) out of a network. With `gone` its namespace is going away anyhow, and its interfaces with it.

        Raises NotFound if the network isn't there; a sandbox that isn't in it is no error.
        """
        network = self.find(reference)
        for endpoint in self.endpoints_of(sandbox):
            if endpoint.network == network.id:
                await self._forget(endpoint, detach=not gone)
                self._tell("disconnect", network, sandbox)

    async def release(self, sandbox: str) -> None:
        """Everything of a sandbox whose namespace has gone or is about to: ports, names, addresses. Idempotent."""
        self.unpublish(sandbox)
        self._forget_rates(sandbox)
        for endpoint in self.endpoints_of(sandbox):
            await self._forget(endpoint, detach=False)
            if (network := self._networks.get(endpoint.network)) is not None:
                self._tell("disconnect", network, sandbox)

    async def _forget(self, endpoint: Endpoint, *, detach: bool = True) -> None:
        network = self._networks.get(endpoint.network)
        if network and detach:
            await self._drivers[network.driver].detach(network, endpoint)
        self._names.discard(endpoint)
        self._endpoints.pop(endpoint.id, None)
        self._state.delete("endpoint", endpoint.id)
        rest = self.endpoints_of(endpoint.sandbox)
        if not any(self._names_served(other) for other in rest):
            await self._resolvers.close(endpoint.sandbox)
        if endpoint.default_route and detach:
            self._pass_on_default_route(rest)

    def _pass_on_default_route(self, rest: Sequence[Endpoint]) -> None:
        heir = next((other for other in rest if other.gateway or other.gateway6), None)
        if heir is None:
            return
        heir = replace(heir, default_route=True)
        with Netlink(heir.netns) as net:
            set_default_route(net, heir)
        self._endpoints[heir.id] = heir
        self._state.put("endpoint", heir.id, asdict(heir))

    async def limit(self, sandbox: str, rates: Rates) -> None:
        """Limit what a sandbox sends and is sent, on its interfaces of now and later, until `release`.

        Raises InvalidInput for a network that can't, and for a rate below zero; then the earlier limits hold.
        """
        if rates.egress < 0 or rates.ingress < 0:
            raise InvalidInput(f"invalid rate: {min(rates.egress, rates.ingress)} bits per second")
        before = self.rates_of(sandbox)
        if rates == before:
            return
        try:
            await self._apply_rates(sandbox, rates)
        except BaseException:
            with contextlib.suppress(OSError):
                await self._apply_rates(sandbox, before)
            raise
        self._forget_rates(sandbox)
        if rates != Rates():
            self._rates[sandbox] = rates
            self._state.put("rates", sandbox, [sandbox, asdict(rates)])

    def _forget_rates(self, sandbox: str) -> None:
        if self._rates.pop(sandbox, None) is not None:
            self._state.delete("rates", sandbox)

    async def _apply_rates(self, sandbox: str, rates: Rates) -> None:
        for endpoint in self.endpoints_of(sandbox):
            network = self._networks[endpoint.network]
            await self._drivers[network.driver].limit(network, endpoint, rates)

    def rates_of(self, sandbox: str) -> Rates:
        """The limits of a sandbox."""
        return self._rates.get(sandbox, Rates())

    def rename(self, sandbox: str, name: str) -> None:
        """A container has got another name."""
        for endpoint in self.endpoints_of(sandbox):
            self._names.discard(endpoint)
            renamed = replace(endpoint, name=name)
            if self._names_served(endpoint):
                self._names.add(renamed, self._networks[endpoint.network].name)
            self._endpoints[endpoint.id] = renamed
            self._state.put("endpoint", endpoint.id, asdict(renamed))

    def has_resolver(self, sandbox: str) -> bool:
        """Whether the sandbox's names are answered at 127.0.0.11."""
        return any(self._names_served(endpoint) for endpoint in self.endpoints_of(sandbox))

    def _names_served(self, endpoint: Endpoint) -> bool:
        network = self._networks.get(endpoint.network)
        return network is not None and not network.builtin

    def _lookup(self, sandbox: str, question: Question) -> Answer | None:
        return self._names.answer([endpoint.network for endpoint in self.endpoints_of(sandbox)], question)

    # Ports

    def publish(self, sandbox: str, requests: Sequence[PortRequest]) -> list[Published]:
        """Publish ports of a sandbox at its endpoint with the default route: all, or none.

        Raises Conflict in Docker's words where a port is taken, InvalidInput.
        """
        endpoint = self._door(sandbox)
        if endpoint is None or not requests:
            return []
        self._ports.publish(endpoint, requests)
        published = self._ports.of(sandbox)
        self._state.put("ports", sandbox, [asdict(one) for one in published])
        return published

    def _door(self, sandbox: str) -> Endpoint | None:
        """Where a sandbox's traffic leaves, so where published traffic comes in; None where the host isn't on its way."""
        door = next((endpoint for endpoint in self.endpoints_of(sandbox) if endpoint.default_route), None)
        return door if door and self._drivers[self._networks[door.network].driver].publishes else None

    def unpublish(self, sandbox: str) -> None:
        """Take all published ports of a sandbox back; nothing if it has none."""
        self._ports.unpublish(sandbox)
        self._state.delete("ports", sandbox)

    def published(self, sandbox: str) -> list[Published]:
        """The published ports of a sandbox."""
        return self._ports.of(sandbox)


def _network(record: Mapping[str, Any]) -> Network:
    return Network(**{**record, "pools": tuple(Pool(**pool) for pool in record["pools"])})


def _checked_mac(mac: str) -> str:
    try:
        return link.mac_bytes(mac).hex(":")
    except ValueError as error:
        raise InvalidInput(f"invalid MAC address: {mac}") from error
