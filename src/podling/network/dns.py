"""The resolvers of containers: one at 127.0.0.11 in each network namespace that is in a user-defined network.

The sockets live in the container's namespace, the answers come from the agent.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from podling.aio.dnsserver import Answer, DnsServer, Upstream, bound
from podling.aio.dnswire import Question
from podling.linux.namespace import run_in
from podling.network.names import EMBEDDED

Lookup = Callable[[str, Question], Answer | None]
"""(sandbox, question) -> the answer; None for what the upstream servers are to be asked."""


class Resolvers:
    """Who serves which sandbox."""

    def __init__(self, lookup: Lookup, upstream: Upstream) -> None:
        self._lookup = lookup
        self._upstream = upstream
        self._servers: dict[str, DnsServer] = {}

    async def open(self, sandbox: str, netns: str | Path, upstreams: Sequence[tuple[str, int]] = ()) -> None:
        """Serve a sandbox; nothing if it is served. `upstreams` in place of the host's. Raises OSError."""
        if sandbox in self._servers:
            return
        udp, tcp = run_in(netns, lambda: bound(EMBEDDED))
        upstream = Upstream(upstreams) if upstreams else self._upstream
        server = DnsServer(lambda question, _: self._lookup(sandbox, question), upstream)
        self._servers[sandbox] = server
        await server.start(udp, tcp)

    async def close(self, sandbox: str) -> None:
        """Stop serving a sandbox; nothing if it isn't served."""
        if (server := self._servers.pop(sandbox, None)) is not None:
            await server.close()

    async def close_all(self) -> None:
        for sandbox in list(self._servers):
            await self.close(sandbox)
