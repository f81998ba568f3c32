"""The DNS records of a service. Pure. Source: Kubernetes DNS-Based Service Discovery, schema version 1.1.0."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from podling.aio import dnswire
from podling.aio.dnswire import Record
from podling.node.pod.spec import Object

TTL = 5


@dataclass(frozen=True, slots=True)
class _Member:
    """One address behind a headless service."""

    address: str
    label: str


def records_of(service: Object | None, slices: Sequence[Object], domain: str) -> list[Record]:
    """All records that a service brings, those of its endpoints and the reverse ones included."""
    if service is None:
        return []
    metadata, spec = service["metadata"], service["spec"]
    name = f"{metadata['name']}.{metadata['namespace']}.svc.{domain}"
    if spec.get("type") == "ExternalName":
        return [dnswire.cname(name, TTL, spec["externalName"].lower().removesuffix("."))]
    addresses = spec.get("clusterIPs") or [spec.get("clusterIP")]
    if addresses == ["None"]:
        return list(_headless(name, slices))
    return list(_virtual(name, spec, [address for address in addresses if address]))


def _virtual(name: str, spec: Object, addresses: Iterable[str]) -> Iterator[Record]:
    for address in addresses:
        yield dnswire.a(name, TTL, address)
        yield dnswire.ptr(dnswire.reverse_name(address), TTL, name)
    for port in spec.get("ports") or []:
        if port.get("name"):
            yield dnswire.srv(_service_label(port, name), TTL, port["port"], name)


def _service_label(port: Object, name: str) -> str:
    return f"_{port['name']}._{(port.get('protocol') or 'TCP').lower()}.{name}"


def _headless(name: str, slices: Iterable[Object]) -> Iterator[Record]:
    seen: set[Record] = set()
    for each in slices:
        for member in _members(each):
            own = f"{member.label}.{name}"
            records = [dnswire.a(name, TTL, member.address), dnswire.a(own, TTL, member.address)]
            records.append(dnswire.ptr(dnswire.reverse_name(member.address), TTL, own))
            ports = [port for port in each.get("ports") or [] if port.get("name") and port.get("port")]
            records += [dnswire.srv(_service_label(port, name), TTL, port["port"], own) for port in ports]
            yield from (record for record in records if record not in seen)
            seen.update(records)


def _members(endpoint_slice: Object) -> Iterator[_Member]:
    if endpoint_slice.get("addressType") not in ("IPv4", "IPv6"):
        return
    for endpoint in endpoint_slice.get("endpoints") or []:
        if (endpoint.get("conditions") or {}).get("ready") is False:
            continue
        for address in endpoint.get("addresses") or []:
            yield _Member(address, endpoint.get("hostname") or address.replace(".", "-").replace(":", "-"))
