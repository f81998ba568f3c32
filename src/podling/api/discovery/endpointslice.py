"""discovery.k8s.io/v1 EndpointSlice. Source: Kubernetes API reference, "EndpointSlice"."""

from collections.abc import Iterator

from podling.api import names
from podling.api.columns import AGE, NAME
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import Column, Kind, Object
from podling.api.rules import chosen, is_ip, named, one_of, unique

ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
PROTOCOLS = ("SCTP", "TCP", "UDP")
MAX_ENDPOINTS, MAX_ADDRESSES, MAX_PORTS = 1000, 100, 20000
_SHOWN = 3


def default(obj: Object) -> None:
    for entry in obj.get("ports") or ():
        entry.setdefault("name", "")
        entry.setdefault("protocol", "TCP")


def validate(new: Object, old: Object | None) -> Iterator[FieldError]:
    address_type = at(new, "addressType")
    yield from chosen(address_type, ADDRESS_TYPES)
    if old is not None and new.get("addressType") != old.get("addressType"):
        yield address_type.invalid("field is immutable")
    endpoints, ports = at(new, "endpoints"), at(new, "ports")
    if len(endpoints.value or ()) > MAX_ENDPOINTS:
        yield endpoints.too_many(len(endpoints.value), MAX_ENDPOINTS)
        return
    for endpoint in endpoints:
        yield from _endpoint(endpoint, new.get("addressType", ""))
    if len(ports.value or ()) > MAX_PORTS:
        yield ports.too_many(len(ports.value), MAX_PORTS)
        return
    yield from _ports(ports)


def _ports(ports: Cursor) -> Iterator[FieldError]:
    seen = set()
    for entry in ports:
        name = entry.get("name", "")
        if name in seen:
            yield (entry / "name").duplicate(name)
        seen.add(name)
        yield from named(entry / "name", names.label)
        yield from one_of(entry / "protocol", PROTOCOLS)
        yield from named(entry / "appProtocol", names.qualified)


def _endpoint(endpoint: Cursor, address_type: str) -> Iterator[FieldError]:
    addresses = endpoint / "addresses"
    if not addresses:
        yield addresses.required("must contain at least 1 address")
    elif len(addresses.value) > MAX_ADDRESSES:
        yield addresses.too_many(len(addresses.value), MAX_ADDRESSES)
    for address in addresses:
        yield from _address(address, address_type)
    yield from named(endpoint / "hostname", names.label)
    yield from named(endpoint / "nodeName", names.subdomain)
    yield from unique(endpoint / "hints" / "forZones", "name")


def _address(address: Cursor, address_type: str) -> Iterator[FieldError]:
    text = address.value
    match address_type:
        case "IPv4" if not is_ip(text) or ":" in text:
            yield address.invalid("must be an IPv4 address")
        case "IPv6" if not is_ip(text) or ":" not in text:
            yield address.invalid("must be an IPv6 address")
        case "FQDN":
            yield from named(address, names.subdomain)


def _few(values: list[str], empty: str) -> str:
    more = f" + {len(values) - _SHOWN} more..." if len(values) > _SHOWN else ""
    return ",".join(values[:_SHOWN]) + more if values else empty


def _ports_cell(obj: Object, _: float) -> str:
    return _few([str(entry.get("port") or "*") for entry in obj.get("ports") or ()], "<unset>")


def _endpoints_cell(obj: Object, _: float) -> str:
    return _few([address for endpoint in obj.get("endpoints") or () for address in endpoint.get("addresses") or ()], "<unset>")


ENDPOINT_SLICE = Kind(
    api_version="discovery.k8s.io/v1",
    kind="EndpointSlice",
    plural="endpointslices",
    generation=("endpoints", "ports", "addressType"),
    default=default,
    validate=validate,
    columns=(
        NAME,
        Column("AddressType", "addressType"),
        Column("Ports", _ports_cell),
        Column("Endpoints", _endpoints_cell),
        AGE,
    ),
)
