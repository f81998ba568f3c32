"""v1 Endpoints. Source: Kubernetes API reference, "Endpoints"."""

from collections.abc import Iterator

from podling.api import names
from podling.api.columns import AGE, NAME
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import Column, Kind, Object, deprecated
from podling.api.rules import ip_address, named, one_of, port, present

PROTOCOLS = ("SCTP", "TCP", "UDP")
_SHOWN = 3


def default(obj: Object) -> None:
    for subset in obj.get("subsets") or ():
        for entry in subset.get("ports") or ():
            entry.setdefault("protocol", "TCP")


def validate(new: Object, _old: Object | None) -> Iterator[FieldError]:
    for subset in at(new, "subsets"):
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            yield subset.required("must specify `addresses` or `notReadyAddresses`")
        for group in ("addresses", "notReadyAddresses"):
            for address in subset / group:
                yield from _address(address)
        several = len(subset.get("ports", ())) > 1
        for entry in subset / "ports":
            if several:
                yield from present(entry / "name")
            yield from named(entry / "name", names.label)
            yield from port(entry / "port")
            yield from one_of(entry / "protocol", PROTOCOLS)


def _address(address: Cursor) -> Iterator[FieldError]:
    yield from ip_address(address / "ip")
    yield from named(address / "hostname", names.label)
    yield from named(address / "nodeName", names.subdomain)


def _endpoints(obj: Object, _: float) -> str:
    """`10.0.0.1:80,10.0.0.2:80 + 2 more...`."""
    shown = [
        f"{address['ip']}:{entry['port']}" if entry else address["ip"]
        for subset in obj.get("subsets") or ()
        for entry in subset.get("ports") or (None,)
        for address in subset.get("addresses") or ()
    ]
    more = f" + {len(shown) - _SHOWN} more..." if len(shown) > _SHOWN else ""
    return ",".join(shown[:_SHOWN]) + more or "<none>"


ENDPOINTS = Kind(
    api_version="v1",
    kind="Endpoints",
    plural="endpoints",
    deprecation=deprecated("v1", "Endpoints", "33", use="discovery.k8s.io/v1 EndpointSlice"),
    create_on_update=True,
    singular="endpoints",
    short=("ep",),
    default=default,
    validate=validate,
    columns=(NAME, Column("Endpoints", _endpoints), AGE),
)
