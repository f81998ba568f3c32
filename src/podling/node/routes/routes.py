"""Keeps the node's routes as the cluster's nodes ask."""

import asyncio
import logging
from ipaddress import IPv4Network
from pathlib import Path

from podling.aio.clock import Clock
from podling.base.errors import PodlingError
from podling.client.backoff import Backoff
from podling.client.informer import Informer
from podling.linux import route
from podling.linux.netlink import Netlink
from podling.node.place import NodeConfig
from podling.node.pod.spec import Object
from podling.node.routes.peers import Peer, peers_of
from podling.node.routes.ways import Direct, Vxlan, Way

log = logging.getLogger(__name__)


class Routes:
    """Follows the nodes. `run` after `placed`; `host` is the node's network namespace (None: our own)."""

    def __init__(self, config: NodeConfig, nodes: Informer, clock: Clock, host: Path | None = None) -> None:
        self._config = config
        self._nodes = nodes
        self._clock = clock
        self._host = host
        self._changed = asyncio.Event()
        self._laid: dict[str, Peer] = {}  # by range
        nodes.add_handler(self._told)

    async def placed(self) -> str:
        """The node's own range, as soon as the cluster has given it one."""
        while True:
            own = self._nodes.cache.get(self._config.name)
            if own is not None and (found := (own.get("spec") or {}).get("podCIDR")):
                return str(found)
            self._changed.clear()
            await self._changed.wait()

    async def run(self, pods: str) -> None:
        """Lay and take up routes until cancelled; `pods` is the node's own range."""
        way = self._way(pods)
        backoff = Backoff(first=1.0)
        while True:
            self._changed.clear()
            wanted = {peer.pods: peer for peer in peers_of(self._nodes.cache, self._config.name) if peer.pods != pods}
            errors = await asyncio.to_thread(self._apply, way, wanted)
            for error in errors:
                log.error("routes to other nodes: %s", error)
            if errors:
                await self._clock.sleep(backoff.next())
            else:
                backoff.reset()
                await self._changed.wait()

    def _told(self, old: Object | None, new: Object | None) -> None:
        self._changed.set()

    def _way(self, pods: str) -> Way:
        config = self._config
        own = Peer(config.address, pods)
        return Vxlan(config.vxlan_device, config.cluster_cidr, own) if config.routes == "vxlan" else Direct(own.gateway)

    def _apply(self, way: Way, wanted: dict[str, Peer]) -> list[Exception]:
        """What failed; the rest is done."""
        errors: list[Exception] = []
        with Netlink(self._host) as net:
            if wanted or self._laid:  # else it is a node alone
                way.prepare(net)
            for pods in self._laid.keys() - wanted.keys():
                way.remove(net, self._laid.pop(pods))
            for pods in self._known(net) - wanted.keys():  # an earlier agent's
                route.delete(net, pods)
            for pods, peer in wanted.items():
                try:
                    way.add(net, peer)
                    self._laid[pods] = peer
                except (OSError, PodlingError) as error:
                    errors.append(error)
        return errors

    def _known(self, net: Netlink) -> set[str]:
        """The ranges that have a route: those with a next hop, which the node's own pods' don't have."""
        cluster = IPv4Network(self._config.cluster_cidr)
        found = [each.destination for each in route.listed(net) if each.via is not None]
        return {str(each) for each in found if isinstance(each, IPv4Network) and each.prefixlen and each.subnet_of(cluster)}
