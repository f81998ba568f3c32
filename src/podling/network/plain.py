"""The drivers without anything to do: `host` shares the host's namespace, `none` has its loopback alone."""

from collections.abc import Iterable

from podling.base.errors import InvalidInput
from podling.network.base import Endpoint, Network, Rates


class Plain:
    """A network of which the kernel knows nothing."""

    addressed = False
    publishes = False

    async def create(self, network: Network) -> None:
        """Nothing to make."""

    async def remove(self, network: Network) -> None:
        """Nothing to take away."""

    async def attach(self, network: Network, endpoint: Endpoint) -> None:
        """Nothing to connect."""

    async def detach(self, network: Network, endpoint: Endpoint) -> None:
        """Nothing to disconnect."""

    async def limit(self, network: Network, endpoint: Endpoint, rates: Rates) -> None:
        if rates != Rates():
            raise InvalidInput(f"network {network.name} cannot limit what its containers send and are sent")

    async def attached(self, network: Network, endpoints: Iterable[Endpoint]) -> set[str]:
        return set()
