"""The node's DNS server: at the cluster DNS's address on the node itself, so that a query never leaves the node.

The address is held by the interface of the pods' gateway (see `node.network`); there is no rule and no translation in
between, and the server sees who asks. Names outside of the cluster go to the servers of the node's resolv.conf.
"""

from collections.abc import Sequence
from pathlib import Path

from podling.aio import dnswire
from podling.aio.dnsserver import Address, DnsServer, Upstream, bound
from podling.client.informer import Informer
from podling.linux.namespace import run_in
from podling.node.dns.names import records_of
from podling.node.dns.zone import Zone
from podling.node.pod.spec import Object, key_of
from podling.node.proxy.proxy import service_of


class ClusterDns:
    """Answers for the services that the informers hold. `host` is the node's network namespace (None: our own)."""

    def __init__(
        self,
        domain: str,
        ranges: Sequence[str],
        services: Informer,
        slices: Informer,
        upstreams: Sequence[Address],
        host: Path | None = None,
    ) -> None:
        self.zone = Zone(domain, ranges)
        self._domain = domain
        self._services = services
        self._slices = slices.index("service", service_of)
        self._upstream = Upstream(upstreams)
        self._host = host
        self._server = DnsServer(self.zone.resolve, self._forward)

    async def start(self, address: str, port: int = 53) -> None:
        """Serve, and follow the informers. Raises OSError where the address is taken."""
        udp, tcp = run_in(self._host, lambda: bound(address, port)) if self._host else bound(address, port)
        await self._server.start(udp, tcp)
        self._services.add_handler(lambda old, new: self._put(key_of(new or old or {})))
        self._slices.add_handler(self._on_slice)

    async def close(self) -> None:
        await self._server.close()

    def _on_slice(self, old: Object | None, new: Object | None) -> None:
        for key in {*service_of(old or new or {}), *service_of(new or old or {})}:
            self._put(key)

    def _put(self, key: str) -> None:
        service = self._services.cache.get(key)
        self.zone.put(key, records_of(service, self._slices.cache.find("service", key), self._domain))

    async def _forward(self, query: bytes, tcp: bool) -> bytes:
        asked = dnswire.parse_query(query)
        target = self.zone.external(asked.question.name)
        if target is None:
            return await self._upstream(query, tcp)
        onward = dnswire.encode_query(asked.id, dnswire.Question(target, asked.question.type))
        found = dnswire.parse_message(await self._upstream(onward, tcp))
        alias = dnswire.cname(asked.question.name, 5, target)
        return dnswire.respond(asked, [alias, *found.answers], limit=65535 if tcp else 0)
