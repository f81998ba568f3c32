"""Which endpoint a sandbox's published ports lead to, and which ports those were before a restart."""

import logging
from collections.abc import Sequence
from dataclasses import asdict

from podling.base.errors import PodlingError
from podling.linux.nftset import Element
from podling.network.base import Endpoint
from podling.network.endpoints import Endpoints
from podling.network.ports import PortRequest, Ports, Published
from podling.network.state import State

log = logging.getLogger(__name__)


class Doors:
    """The published ports of all sandboxes."""

    def __init__(self, ports: Ports, endpoints: Endpoints, state: State) -> None:
        self._ports = ports
        self._endpoints = endpoints
        self._state = state

    def restore(self) -> None:
        """Publish again what was published to endpoints that still are there."""
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

    async def close(self) -> None:
        """Let go of the sockets; the rules stay."""
        await self._ports.release_all()

    def elements(self) -> list[tuple[str, Element]]:
        """All that the maps of the firewall should hold."""
        return self._ports.elements()

    def publish(self, sandbox: str, requests: Sequence[PortRequest]) -> list[Published]:
        """As `Networks.publish` has it."""
        endpoint = self._door(sandbox)
        if endpoint is None or not requests:
            return []
        self._ports.publish(endpoint, requests)
        published = self._ports.of(sandbox)
        self._state.put("ports", sandbox, [asdict(one) for one in published])
        return published

    def _door(self, sandbox: str) -> Endpoint | None:
        """Where a sandbox's traffic leaves, so where published traffic comes in; None where the host isn't on its way."""
        door = next((endpoint for endpoint in self._endpoints.of_sandbox(sandbox) if endpoint.default_route), None)
        return door if door and self._endpoints.is_published_to(door) else None

    def unpublish(self, sandbox: str) -> None:
        """Take all published ports of a sandbox back; nothing if it has none."""
        self._ports.unpublish(sandbox)
        self._state.delete("ports", sandbox)

    def published(self, sandbox: str) -> list[Published]:
        """The published ports of a sandbox."""
        return self._ports.of(sandbox)
