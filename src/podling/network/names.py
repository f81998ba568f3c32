"""Names of containers. Pure: a table of endpoints, and what it answers.

Names live in a network: an endpoint is found by the names and aliases that it has there, by those who are in that network too.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType

from podling.aio import dnswire
from podling.aio.dnsserver import Answer
from podling.aio.dnswire import Question
from podling.base.ids import short
from podling.network.base import Endpoint

EMPTY: Mapping[str, str] = MappingProxyType({})
TTL = 600  # seconds, as Docker's
EMBEDDED = "127.0.0.11"  # where a container finds its resolver


class NameTable:
    """Who has which name in which network."""

    def __init__(self) -> None:
        self._by_name: defaultdict[tuple[str, str], list[Endpoint]] = defaultdict(list)
        self._by_address: dict[tuple[str, str], Endpoint] = {}
        self._titles: dict[str, str] = {}
        self._turn = 0

    def add(self, endpoint: Endpoint, network_name: str) -> None:
        """Enter an endpoint; `network_name` completes its name in answers about addresses."""
        self._titles[endpoint.network] = network_name
        for name in names_of(endpoint):
            self._by_name[endpoint.network, name].append(endpoint)
        for address in (endpoint.ip, endpoint.ip6):
            if address:
                self._by_address[endpoint.network, address] = endpoint

    def discard(self, endpoint: Endpoint) -> None:
        """Forget an endpoint, known by its id; nothing if it isn't there."""
        for name in names_of(endpoint):
            left = [other for other in self._by_name[endpoint.network, name] if other.id != endpoint.id]
            if left:
                self._by_name[endpoint.network, name] = left
            else:
                del self._by_name[endpoint.network, name]
        for address in (endpoint.ip, endpoint.ip6):
            self._by_address.pop((endpoint.network, address), None)

    def find(self, networks: Iterable[str], name: str) -> list[Endpoint]:
        """Who is called `name` (or name.network) in the first of `networks` where somebody is; each time from another one on."""
        for network in networks:
            suffix = "." + self._titles.get(network, "").lower()
            found = self._by_name.get((network, name)) or self._by_name.get((network, name.removesuffix(suffix)))
            if found:
                self._turn += 1
                start = self._turn % len(found)
                return found[start:] + found[:start]
        return []

    def at(self, networks: Iterable[str], address: str) -> Endpoint | None:
        """Who has the address in one of `networks`."""
        return next((found for network in networks if (found := self._by_address.get((network, address)))), None)

    def answer(self, networks: Collection[str], question: Question, links: Mapping[str, str] = EMPTY) -> Answer | None:
        """What the networks know of a question; None if it isn't about one of their names.

        `links` are names that only who asks knows, each with the name that it stands for.
        """
        if question.type == dnswire.PTR:
            return self._reverse(networks, question)
        found = self.find(networks, links.get(question.name, question.name).lower())
        if not found:
            return None
        wanted = {dnswire.A: ("ip",), dnswire.AAAA: ("ip6",), dnswire.ANY: ("ip", "ip6")}.get(question.type, ())
        addresses = [address for field in wanted for endpoint in found if (address := getattr(endpoint, field))]
        return Answer([dnswire.a(question.name, TTL, address) for address in addresses])

    def _reverse(self, networks: Collection[str], question: Question) -> Answer | None:
        address = dnswire.address_of_reverse_name(question.name)
        endpoint = self.at(networks, address) if address else None
        if endpoint is None:
            return None
        name = f"{endpoint.name}.{self._titles[endpoint.network]}"
        return Answer([dnswire.ptr(question.name, TTL, name)])


def names_of(endpoint: Endpoint) -> list[str]:
    """All names of an endpoint in lower case: the container's, its short id, its aliases; each once."""
    names = [endpoint.name, short(endpoint.sandbox), *endpoint.aliases]
    return list(dict.fromkeys(name.lower() for name in names if name))


def resolv_conf(
    host: str,
    *,
    embedded: bool,
    servers: Iterable[str] = (),
    search: Iterable[str] = (),
    options: Iterable[str] = (),
) -> str:
    """A container's resolv.conf(5).

    With `embedded` it names the container's own resolver; else `servers`, or the host's without those that only the host
    reaches. `search` and `options` replace the host's where given; a search of "." is none.
    """
    lines = [line.split() for line in host.splitlines()]
    own = [words[1] for words in lines if words[:1] == ["nameserver"] and len(words) > 1]
    reachable = [server for server in own if not server.startswith("127.") and server != "::1"]
    chosen = [EMBEDDED] if embedded else list(servers) or reachable
    domains = list(search) or [word for words in lines if words[:1] == ["search"] for word in words[1:]]
    settings = list(options) or [word for words in lines if words[:1] == ["options"] for word in words[1:]]
    if embedded and not any(setting.startswith("ndots:") for setting in settings):
        settings.append("ndots:0")
    text = "".join(f"nameserver {server}\n" for server in chosen)
    if domains and domains != ["."]:
        text += f"search {' '.join(domains)}\n"
    return text + (f"options {' '.join(settings)}\n" if settings else "")
