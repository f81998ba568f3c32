"""networking.k8s.io/v1 NetworkPolicy. Source: Kubernetes API reference, "NetworkPolicy"; pkg/apis/networking/validation."""

import ipaddress
from collections.abc import Iterator

from podling.api import names, objects
from podling.api.apps.replicas import shown_selector
from podling.api.columns import AGE, NAME
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import Column, Kind, Object
from podling.api.rules import cidr, label_selector, one_of

PROTOCOLS = ("TCP", "UDP", "SCTP")
TYPES = ("Ingress", "Egress")


def default(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("podSelector", {})
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
    for side in ("ingress", "egress"):
        for rule in spec.get(side) or ():
            for port in rule.get("ports") or ():
                port.setdefault("protocol", "TCP")


def validate(new: Object, _old: Object | None) -> Iterator[FieldError]:
    spec = at(new, "spec")
    yield from label_selector(spec / "podSelector")
    for side, peers in (("ingress", "from"), ("egress", "to")):
        for rule in spec / side:
            for port in rule / "ports":
                yield from _port(port)
            for peer in rule / peers:
                yield from _peer(peer)
    types = spec / "policyTypes"
    if len(types.value or ()) > len(TYPES):
        yield types.invalid("may not specify more than two policyTypes")
    for kind in types:
        yield from one_of(kind, TYPES)


def _port(entry: Cursor) -> Iterator[FieldError]:
    port, end = entry / "port", entry / "endPort"
    yield from one_of(entry / "protocol", PROTOCOLS)
    if port.value is None:
        if end.value is not None:
            yield end.invalid("may not be specified when `port` is not specified")
    elif isinstance(port.value, str):
        if end.value is not None:
            yield end.invalid("may not be specified when `port` is non-numeric")
        for complaint in names.port_name(port.value):
            yield port.invalid(complaint)
    else:
        for number in (port, end) if end.value is not None else (port,):
            for complaint in names.port_number(number.value):
                yield number.invalid(complaint)
        if end.value is not None and end.value < port.value:
            yield end.invalid("must be greater than or equal to `port`", port.value)


def _peer(peer: Cursor) -> Iterator[FieldError]:
    selectors = [peer / name for name in ("podSelector", "namespaceSelector") if peer.get(name) is not None]
    for selector in selectors:
        yield from label_selector(selector)
    block = peer / "ipBlock"
    if block.value is not None:
        yield from _block(block)
        if selectors:
            yield peer.forbidden("may not specify both ipBlock and another peer")
    elif not selectors:
        yield peer.required("must specify a peer")


def _block(block: Cursor) -> Iterator[FieldError]:
    whole = block / "cidr"
    if not whole.value:
        yield whole.required()
    yield from cidr(whole)
    outer = network_of(whole.value)
    for part in block / "except":
        yield from cidr(part)
        inner = network_of(part.value)
        if outer and inner and not (inner.version == outer.version and inner != outer and _within(inner, outer)):
            yield part.invalid("must be a strict subset of `cidr`")


def network_of(text: str | None) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text or "", strict=False)
    except ValueError:
        return None


def _within(inner: ipaddress.IPv4Network | ipaddress.IPv6Network, outer: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    return inner.network_address in outer and inner.prefixlen > outer.prefixlen


NETWORK_POLICY = Kind(
    api_version="networking.k8s.io/v1",
    kind="NetworkPolicy",
    plural="networkpolicies",
    short=("netpol",),
    generation=("spec",),
    default=default,
    validate=validate,
    columns=(
        NAME,
        Column("Pod-Selector", lambda obj, _: shown_selector(objects.get(obj, "spec.podSelector"))),
        AGE,
    ),
)
