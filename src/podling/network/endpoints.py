"""Who is in which network: connected with an address, limited, named, and let go."""

import contextlib
import errno
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from podling.aio.dnsserver import Answer, Upstream
from podling.aio.dnswire import Question
from podling.base.errors import Conflict, Forbidden, InvalidInput, PodlingError
from podling.base.ids import container_id
from podling.linux import link
from podling.linux.netlink import Netlink
from podling.network import ipam
from podling.network.base import Driver, Endpoint, Host, Network, Pool, Rates, Sandbox
from podling.network.bridge import set_default_route
from podling.network.dns import Resolvers
from podling.network.names import NameTable
from podling.network.state import State

log = logging.getLogger(__name__)

Tell = Callable[[str, Network, str], None]


class Endpoints:
    """The endpoints of all networks. `networks` are those that there are, by id; the other parts are those of `Networks`."""

    def __init__(
        self,
        host: Host,
        networks: Mapping[str, Network],
        drivers: Mapping[str, Driver],
        state: State,
        upstream: Upstream,
        tell: Tell,
    ) -> None:
        self._host = host
        self._networks = networks
        self._drivers = drivers
        self._state = state
        self._tell = tell
        self._names = NameTable()
        self._resolvers = Resolvers(self._lookup, upstream)
        self._endpoints: dict[str, Endpoint] = {}
        self._last: dict[str, str] = {}
        self._rates: dict[str, Rates] = {}

    async def restore(self, live: Collection[str]) -> None:
        """Take up what was kept. Endpoints whose sandbox is in `live` and whose interface still is there stay, the others go."""
        for record in self._state.all("endpoint"):
            endpoint = Endpoint(**{**record, "aliases": tuple(record["aliases"])})
            self._endpoints[endpoint.id] = endpoint
        for sandbox, rates in self._state.all("rates"):
            if sandbox in live:
                self._rates[sandbox] = Rates(**rates)
            else:
                self._state.delete("rates", sandbox)
        there = {n.id: await self._drivers[n.driver].attached(n, self.of_network(n.id)) for n in self._networks.values()}
        for endpoint in list(self._endpoints.values()):
            network = self._networks.get(endpoint.network)
            if network and endpoint.sandbox in live and (not endpoint.device or endpoint.device in there[network.id]):
                await self._enter(network, endpoint)
            else:
                await self._forget(endpoint)

    async def close(self) -> None:
        """Answer no names any more."""
        await self._resolvers.close_all()

    def of_network(self, network: str) -> list[Endpoint]:
        """Who is in a network (its id)."""
        return [endpoint for endpoint in self._endpoints.values() if endpoint.network == network]

    def of_sandbox(self, sandbox: str) -> list[Endpoint]:
        """Where a sandbox is, in the order of its interfaces."""
        mine = [endpoint for endpoint in self._endpoints.values() if endpoint.sandbox == sandbox]
        return sorted(mine, key=lambda endpoint: (len(endpoint.interface), endpoint.interface))

    def is_published_to(self, endpoint: Endpoint) -> bool:
        """Whether the host can send on to it what comes to a port."""
        return self._drivers[self._networks[endpoint.network].driver].publishes

    async def connect(
        self,
        network: Network,
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
        """As `Networks.connect` has it."""
        driver = self._drivers[network.driver]
        if any(other.network == network.id for other in self.of_sandbox(sandbox.id)):
            raise Forbidden(f"endpoint with name {sandbox.name} already exists in network {network.name}")
        endpoint = Endpoint(
            container_id(),
            network.id,
            sandbox.id,
            sandbox.name,
            str(sandbox.netns),
            aliases=tuple(aliases),
            links=dict(links or {}),
        )
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
            await self._give_up(endpoint)
            raise
        self._state.put("endpoint", endpoint.id, asdict(endpoint))
        self._tell("connect", network, sandbox.id)
        return endpoint

    async def _give_up(self, endpoint: Endpoint) -> None:
        """Undo what was begun. Where that fails too, its address is free all the same, and the first error is the one told."""
        try:
            await self._forget(endpoint)
        except (OSError, PodlingError) as error:
            log.warning("%s of %s cannot be taken away: %s", endpoint.interface, endpoint.name, error)
            await self._forget(endpoint, detach=False)

    def _addressed(self, network: Network, endpoint: Endpoint, address: str, address6: str, mac: str, interface: str) -> Endpoint:
        mine = self.of_sandbox(endpoint.sandbox)
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
        taken = [other.ip6 if six else other.ip for other in self.of_network(network.id)]
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

    async def disconnect(self, network: Network, sandbox: str, *, gone: bool = False) -> None:
        """As `Networks.disconnect` has it."""
        for endpoint in self.of_sandbox(sandbox):
            if endpoint.network == network.id:
                await self._forget(endpoint, detach=not gone)
                self._tell("disconnect", network, sandbox)

    async def release(self, sandbox: str) -> None:
        """Names, addresses and limits of a sandbox whose namespace has gone or is about to. Idempotent."""
        self._forget_rates(sandbox)
        for endpoint in self.of_sandbox(sandbox):
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
        rest = self.of_sandbox(endpoint.sandbox)
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
        for endpoint in self.of_sandbox(sandbox):
            network = self._networks[endpoint.network]
            await self._drivers[network.driver].limit(network, endpoint, rates)

    def rates_of(self, sandbox: str) -> Rates:
        """The limits of a sandbox."""
        return self._rates.get(sandbox, Rates())

    def rename(self, sandbox: str, name: str) -> None:
        """A container has got another name."""
        for endpoint in self.of_sandbox(sandbox):
            self._names.discard(endpoint)
            renamed = replace(endpoint, name=name)
            if self._names_served(endpoint):
                self._names.add(renamed, self._networks[endpoint.network].name)
            self._endpoints[endpoint.id] = renamed
            self._state.put("endpoint", endpoint.id, asdict(renamed))

    def has_resolver(self, sandbox: str) -> bool:
        """Whether the sandbox's names are answered at 127.0.0.11."""
        return any(self._names_served(endpoint) for endpoint in self.of_sandbox(sandbox))

    def _names_served(self, endpoint: Endpoint) -> bool:
        network = self._networks.get(endpoint.network)
        return network is not None and not network.builtin

    def _lookup(self, sandbox: str, question: Question) -> Answer | None:
        mine = self.of_sandbox(sandbox)
        links = {alias.lower(): name for endpoint in reversed(mine) for alias, name in endpoint.links.items()}
        return self._names.answer([endpoint.network for endpoint in mine], question, links)


def _checked_mac(mac: str) -> str:
    try:
        return link.mac_bytes(mac).hex(":")
    except ValueError as error:
        raise InvalidInput(f"invalid MAC address: {mac}") from error
