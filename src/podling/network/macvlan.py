"""The macvlan driver: endpoints with a MAC address of their own on the network of an interface of the host.

Neither the host's rules nor published ports concern them; the host itself and they don't reach each other. Options are Docker's:
`parent`, the interface (without it one that leads nowhere), and `macvlan_mode`.
"""

import asyncio
import contextlib
from collections.abc import Iterable

from podling.base.errors import InvalidInput
from podling.linux import link
from podling.linux.netlink import Netlink
from podling.network.base import Endpoint, Host, Network, Rates
from podling.network.bridge import configure, set_rate

PARENT = "parent"
MODE = "macvlan_mode"


class Macvlan:
    """Networks on top of an interface of the host."""

    addressed = True
    publishes = False

    def __init__(self, host: Host) -> None:
        self._host = host

    def parent_of(self, network: Network) -> str:
        """The interface that the network is on top of. Ours, and a dummy, where none was asked for or none may be."""
        wanted = network.options.get(PARENT, "")
        return self._host.names.bridge(network.id) if network.internal or not wanted else wanted

    async def create(self, network: Network) -> None:
        mode_of(network)
        parent = self.parent_of(network)
        with Netlink(self._host.netns) as net:
            if link.find(net, parent) is not None:
                return
            if not self._host.names.is_ours(parent):
                raise InvalidInput(f"the parent interface {parent} was not found on the host")
            link.add_dummy(net, parent)

    async def remove(self, network: Network) -> None:
        parent = self.parent_of(network)
        if self._host.names.is_ours(parent):
            await asyncio.to_thread(self._delete, parent)

    def _delete(self, name: str) -> None:
        with Netlink(self._host.netns) as net:
            link.delete(net, name)

    async def attach(self, network: Network, endpoint: Endpoint) -> None:
        with Netlink(self._host.netns) as net:
            link.add_macvlan(net, endpoint.device, self.parent_of(network), mode=mode_of(network), mac=endpoint.mac)
            try:
                link.move(net, endpoint.device, endpoint.netns, endpoint.interface)
            except OSError:
                link.delete(net, endpoint.device)
                raise
        try:
            configure(endpoint)
        except OSError:
            await self.detach(network, endpoint)
            raise

    async def detach(self, network: Network, endpoint: Endpoint) -> None:
        with contextlib.suppress(FileNotFoundError), Netlink(endpoint.netns) as net:
            link.delete(net, endpoint.interface)

    async def limit(self, network: Network, endpoint: Endpoint, rates: Rates) -> None:
        """What is sent, at the endpoint's own interface; the host never sees what comes in."""
        if rates.ingress:
            raise InvalidInput(f"network {network.name} cannot limit what its containers are sent")
        with Netlink(endpoint.netns) as net:
            set_rate(net, endpoint.interface, rates.egress)

    async def attached(self, network: Network, endpoints: Iterable[Endpoint]) -> set[str]:
        return {endpoint.device for endpoint in endpoints if _is_there(endpoint)}


def _is_there(endpoint: Endpoint) -> bool:
    with contextlib.suppress(FileNotFoundError), Netlink(endpoint.netns) as net:
        found = link.find(net, endpoint.interface)
        return found is not None and found.kind == "macvlan"
    return False


def mode_of(network: Network) -> str:
    """How endpoints of one parent see each other. Raises InvalidInput."""
    mode = network.options.get(MODE, "bridge")
    if mode not in link.MACVLAN_MODES:
        raise InvalidInput(f"unknown macvlan mode {mode!r}: one of {', '.join(link.MACVLAN_MODES)}")
    return mode
