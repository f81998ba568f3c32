"""networking.k8s.io/v1 ServiceCIDR: blocks that Services have their addresses from. Source: Kubernetes API reference."""

from collections.abc import Iterator

from podling.api import objects
from podling.api.columns import AGE, NAME
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import STATUS, Column, Kind, Object, also_as, deprecated
from podling.api.rules import cidr


def validate(new: Object, old: Object | None) -> Iterator[FieldError]:
    blocks = at(new, "spec", "cidrs")
    known = objects.get(old, "spec.cidrs", [])
    if old is not None and [*known, *(blocks.value or ())[len(known) :][:1]] != (blocks.value or []):
        yield from _changed(blocks, known)
    elif old is None or len(blocks.value or ()) > len(known):
        yield from _blocks(blocks, at(new, "spec").value)


def _blocks(blocks: Cursor, spec: Object | None) -> Iterator[FieldError]:
    texts = blocks.value or []
    if not texts:
        yield blocks.required("at least one CIDR required")
    if len(texts) > 2:
        yield blocks.invalid("may only hold up to 2 values", spec)
    for block in blocks:
        yield from cidr(block, canonical=True)
    if len(texts) == 2 and (":" in texts[0]) == (":" in texts[1]):
        yield blocks.invalid("may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64")


def _changed(blocks: Cursor, known: list[str]) -> Iterator[FieldError]:
    texts = blocks.value or []
    if len(texts) not in (len(known), 2) or len(texts) < len(known):
        yield blocks.invalid("field is immutable")
        return
    for block, before in zip(blocks, known, strict=False):
        if block.value != before:
            yield block.invalid("field is immutable")


SERVICE_CIDR = Kind(
    api_version="networking.k8s.io/v1",
    kind="ServiceCIDR",
    plural="servicecidrs",
    namespaced=False,
    subresources=(STATUS,),
    validate=validate,
    columns=(NAME, Column("CIDRs", lambda obj, _: ",".join(objects.get(obj, "spec.cidrs", ()))), AGE),
)
SERVICE_CIDR_BETA = also_as(
    SERVICE_CIDR, "v1beta1", deprecation=deprecated("networking.k8s.io/v1beta1", "ServiceCIDR", "34", "37")
)
