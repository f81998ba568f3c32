"""What the cluster's DNS knows: a prebuilt map from names to records, changed service by service, and how it answers."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address, ip_network

from podling.aio import dnswire
from podling.aio.dnsserver import Answer
from podling.aio.dnswire import Question, Record
from podling.node.dns.names import TTL

_SCHEMA_VERSION = "1.1.0"


class Zone:
    """The names below `domain`, and the reverse names of `ranges` (networks in text form)."""

    def __init__(self, domain: str, ranges: Iterable[str] = ()) -> None:
        self._domain = domain
        self._ranges = [ip_network(each) for each in ranges]
        self._held: dict[str, Sequence[Record]] = {}
        self._records: dict[tuple[str, int], list[Record]] = defaultdict(list)
        self._names: Counter[str] = Counter()
        self._turn = 0
        self._serial = 1
        self.put("", [dnswire.txt(f"dns-version.{domain}", TTL, _SCHEMA_VERSION)])
        self._names.update((f"svc.{domain}", f"pod.{domain}"))

    def put(self, key: str, records: Sequence[Record]) -> None:
        """Replace what `key` (a service) has brought."""
        for record in self._held.pop(key, ()):
            self._records[record.name, record.type].remove(record)
            if not self._records[record.name, record.type]:
                del self._records[record.name, record.type]
            self._names.subtract(self._lineage(record.name))
        if records:
            self._held[key] = records
        for record in records:
            self._records[record.name, record.type].append(record)
            self._names.update(self._lineage(record.name))
        self._serial += 1

    def _lineage(self, name: str) -> Iterator[str]:
        """The name and those above it within the domain: they exist, even with no record of their own."""
        while name.endswith(self._domain) and name != self._domain:
            yield name
            name = name.partition(".")[2]

    def resolve(self, question: Question, peer: str = "") -> Answer | None:
        """The answer; None for a name outside of the cluster, and for one that leads outside (see `external`)."""
        name = question.name
        if name != self._domain and not name.endswith(f".{self._domain}"):
            return self._reverse(question)
        if (name, dnswire.CNAME) in self._records:
            return self._alias(question)
        if records := self._find(question):
            return Answer(records, additionals=self._targets(records))
        return self._pod(question) or self._negative(name == self._domain or self._names[name] > 0)

    def external(self, name: str) -> str | None:
        """The name outside of the cluster that `name` is an alias of."""
        records = self._records.get((name, dnswire.CNAME))
        return dnswire.target_of(records[0]) if records else None

    def _find(self, question: Question) -> list[Record]:
        """The records asked for, beginning with another one each time."""
        records = self._records.get((question.name, question.type), [])
        if len(records) < 2:
            return records
        self._turn += 1
        first = self._turn % len(records)
        return records[first:] + records[:first]

    def _alias(self, question: Question) -> Answer | None:
        alias = self._records[question.name, dnswire.CNAME][0]
        target = dnswire.target_of(alias)
        if question.type == dnswire.CNAME:
            return Answer([alias])
        if not target.endswith(f".{self._domain}"):
            return None
        return Answer([alias, *self._records.get((target, question.type), [])])

    def _targets(self, records: Iterable[Record]) -> list[Record]:
        """The addresses of what SRV records name."""
        names = dict.fromkeys(dnswire.target_of(record) for record in records if record.type == dnswire.SRV)
        return [each for name in names for kind in (dnswire.A, dnswire.AAAA) for each in self._records.get((name, kind), [])]

    def _pod(self, question: Question) -> Answer | None:
        """`10-244-0-5.namespace.pod.DOMAIN` is the address that it spells."""
        match question.name.removesuffix(f".{self._domain}").split("."):
            case [label, _, "pod"]:
                address = _spelled(label)
            case _:
                return None
        if address is None:
            return None
        record = dnswire.a(question.name, TTL, address)
        return Answer([record]) if record.type == question.type else self._negative(exists=True)

    def _reverse(self, question: Question) -> Answer | None:
        address = dnswire.address_of_reverse_name(question.name)
        if address is None:
            return None
        if records := self._find(question):
            return Answer(records)
        ours = any(ip_address(address) in network for network in self._ranges)
        return self._negative(exists=(question.name, dnswire.PTR) in self._records) if ours else None

    def _negative(self, exists: bool) -> Answer:
        """There is no such name; or there is, but not of the type that was asked for."""
        primary, mailbox = f"ns.dns.{self._domain}", f"hostmaster.{self._domain}"
        authority = dnswire.soa(self._domain, TTL, primary, mailbox, self._serial, TTL)
        return Answer(code=dnswire.NOERROR if exists else dnswire.NXDOMAIN, authorities=[authority])


def _spelled(label: str) -> str | None:
    for separator in (".", ":"):
        try:
            return str(ip_address(label.replace("-", separator)))
        except ValueError:
            continue
    return None
