"""All container networks of one engine: made, found, connected, published, and found again after a restart."""

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from podling.aio.clock import Clock, SystemClock
from podling.aio.dnsserver import Upstream, nameservers
from podling.base.errors import AlreadyExists, Forbidden, InvalidInput, NotFound, PodlingError
from podling.base.ids import container_id
from podling.linux import link, route
from podling.linux.netlink import Netlink
from podling.linux.nft import Nft
from podling.network import ipam, macvlan
from podling.network.base import Driver, Endpoint, Host, Names, Network, Pool, Rates, Sandbox
from podling.network.bridge import Bridge
from podling.network.doors import Doors
from podling.network.endpoints import Endpoints, Tell
from podling.network.firewall import NETWORK_SETS, PORT_MAPS, Firewall, network_elements
from podling.network.macvlan import Macvlan
from podling.network.plain import Plain
from podling.network.ports import PortRequest, Ports, Published
from podling.network.state import State

log = logging.getLogger(__name__)

BUILTIN = ("bridge", "host", "none")
_RESOLV_CONF = Path("/etc/resolv.conf")


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
        servers = nameservers(_RESOLV_CONF.read_text()) if upstream is None and _RESOLV_CONF.exists() else upstream or []
        self._state = State(state / "networks.db")
        self._clock = clock or SystemClock()
        self._spaces = spaces
        self._tell = tell
        self._networks: dict[str, Network] = {}
        self._endpoints = Endpoints(self._host, self._networks, self._drivers, self._state, Upstream(servers), tell)
        self._doors = Doors(Ports(self._host, self._firewall), self._endpoints, self._state)
        self._lock = asyncio.Lock()

    # Life

    async def start(self, live: Collection[str] = ()) -> None:
        """Take up what was left: networks are made again where they lack, endpoints of sandboxes that are not in `live` go,
        ports and resolvers of the others are served again. The built-in networks exist afterwards."""
        for record in self._state.all("network"):
            network = _network(record)
            self._networks[network.id] = network
        for name, driver in (("host", "host"), ("none", "null")):
            if self._find(name) is None:
                await self._keep(Network(container_id(), name, driver, created=self._clock.now(), builtin=True))
        await self._make_again()
        await self._endpoints.restore(live)
        self._doors.restore()
        self._reconcile_rules()
        if self._find("bridge") is None:
            await self._create_default()

    async def _make_again(self) -> None:
        for network in list(self._networks.values()):
            try:
                await self._drivers[network.driver].create(network)
            except (OSError, PodlingError) as error:
                log.error("network %s cannot be made again: %s", network.name, error)

    def _reconcile_rules(self) -> None:
        bridges = [network for network in self._networks.values() if network.driver == "bridge"]
        if bridges:
            elements = [each for network in bridges for each in network_elements(network, self._bridge.bridge_of(network))]
            self._firewall.reconcile(NETWORK_SETS, elements)
            self._firewall.reconcile(PORT_MAPS, self._doors.elements())

    async def close(self) -> None:
        """Let go of sockets. Networks, endpoints and rules stay: traffic goes on without us."""
        await self._endpoints.close()
        await self._doors.close()
        self._nft.close()
        self._state.close()

    async def purge(self) -> None:
        """Remove every kernel object of this instance: interfaces, rules. For good; then `close`."""
        await self._endpoints.close()
        await self._doors.close()
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

    # Endpoints and ports

    def endpoints(self, network: str) -> list[Endpoint]:
        """Who is in a network (its id)."""
        return self._endpoints.of_network(network)

    def endpoints_of(self, sandbox: str) -> list[Endpoint]:
        """Where a sandbox is, in the order of its interfaces."""
        return self._endpoints.of_sandbox(sandbox)

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
        links: Mapping[str, str] | None = None,
        upstream: Sequence[tuple[str, int]] = (),
    ) -> Endpoint:
        """Put a sandbox into a network; given addresses are taken as they are. `aliases` are further names of it, `links` names
        of others (name or id) that it alone uses. `upstream` replaces the host's DNS servers.

        Raises NotFound, Forbidden (already in it), Conflict (address taken), InvalidInput, Unavailable (pool full), OSError.
        """
        return await self._endpoints.connect(
            self.find(reference),
            sandbox,
            address=address,
            address6=address6,
            mac=mac,
            interface=interface,
            aliases=aliases,
            links=links,
            upstream=upstream,
        )

    async def disconnect(self, reference: str, sandbox: str, *, gone: bool = False) -> None:
        """Take a sandbox (its id) out of a network. With `gone` its namespace is going away anyhow, and its interfaces with it.

        Raises NotFound if the network isn't there; a sandbox that isn't in it is no error.
        """
        await self._endpoints.disconnect(self.find(reference), sandbox, gone=gone)

    async def release(self, sandbox: str) -> None:
        """Everything of a sandbox whose namespace has gone or is about to: ports, names, addresses. Idempotent."""
        self.unpublish(sandbox)
        await self._endpoints.release(sandbox)

    async def limit(self, sandbox: str, rates: Rates) -> None:
        """Limit what a sandbox sends and is sent, on its interfaces of now and later, until `release`.

        Raises InvalidInput for a network that can't, and for a rate below zero; then the earlier limits hold.
        """
        await self._endpoints.limit(sandbox, rates)

    def rates_of(self, sandbox: str) -> Rates:
        """The limits of a sandbox."""
        return self._endpoints.rates_of(sandbox)

    def rename(self, sandbox: str, name: str) -> None:
        """A container has got another name."""
        self._endpoints.rename(sandbox, name)

    def has_resolver(self, sandbox: str) -> bool:
        """Whether the sandbox's names are answered at 127.0.0.11."""
        return self._endpoints.has_resolver(sandbox)

    def publish(self, sandbox: str, requests: Sequence[PortRequest]) -> list[Published]:
        """Publish ports of a sandbox at its endpoint with the default route: all, or none.

        Raises Conflict in Docker's words where a port is taken, InvalidInput.
        """
        return self._doors.publish(sandbox, requests)

    def unpublish(self, sandbox: str) -> None:
        """Take all published ports of a sandbox back; nothing if it has none."""
        self._doors.unpublish(sandbox)

    def published(self, sandbox: str) -> list[Published]:
        """The published ports of a sandbox."""
        return self._doors.published(sandbox)


def _network(record: Mapping[str, Any]) -> Network:
    return Network(**{**record, "pools": tuple(Pool(**pool) for pool in record["pools"])})
