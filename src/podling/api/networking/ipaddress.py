"""networking.k8s.io/v1 IPAddress: an address that something has. Source: Kubernetes API reference, "IPAddress"."""

import ipaddress
from collections.abc import Iterator

from podling.api import names, objects
from podling.api.columns import NAME
from podling.api.field import FieldError, at, quote
from podling.api.kind import Column, Kind, Object, also_as, deprecated
from podling.api.rules import called, named


def check_name(name: str) -> list[str]:
    try:
        canonical = str(ipaddress.ip_address(name))
    except ValueError:
        return ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]
    return [] if name == canonical else [f"must be in canonical form ({quote(canonical)})"]


def validate(new: Object, _old: Object | None) -> Iterator[FieldError]:
    parent = at(new, "spec", "parentRef")
    if parent.value is None:
        yield parent.required()
        return
    yield from named(parent / "group", names.subdomain)
    yield from called(parent / "resource")
    yield from called(parent / "name")
    yield from named(parent / "namespace", names.path_segment)


def _parent(obj: Object, _: float) -> str:
    """`services/default/web`."""
    parent = objects.get(obj, "spec.parentRef")
    if parent is None:
        return "<none>"
    group = f".{parent['group']}" if parent.get("group") else ""
    path = [f"{parent.get('resource', '')}{group}".lower(), parent.get("namespace"), parent.get("name")]
    return "/".join(part for part in path if part)


IP_ADDRESS = Kind(
    api_version="networking.k8s.io/v1",
    kind="IPAddress",
    plural="ipaddresses",
    short=("ip",),
    namespaced=False,
    immutable=("spec.parentRef",),
    check_name=check_name,
    validate=validate,
    columns=(NAME, Column("ParentRef", _parent)),
)
IP_ADDRESS_BETA = also_as(IP_ADDRESS, "v1beta1", deprecation=deprecated("networking.k8s.io/v1beta1", "IPAddress", "34", "37"))
