"""storage.k8s.io/v1 CSINode: the drivers of a node. Source: Kubernetes API reference, "CSINode"."""

from collections.abc import Iterator

from podling.api import names, objects
from podling.api.columns import AGE, NAME
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import Column, Kind, Object
from podling.api.rules import not_negative, unique
from podling.api.storage.parameters import validate_driver_name

LONGEST_ID = 256


def validate(new: Object, old: Object | None) -> Iterator[FieldError]:
    drivers = at(new, "spec", "drivers")
    for driver in drivers:
        yield from _driver(driver)
    yield from unique(drivers, "name")
    known = {each.get("name"): each for each in objects.get(old, "spec.drivers", ())}
    for driver in drivers:
        before = known.get(driver.get("name"))
        if before is not None and _fixed(driver.value) != _fixed(before):
            yield drivers.invalid("field is immutable", driver.value)


def _fixed(driver: Object) -> Object:
    return {name: value for name, value in driver.items() if name != "allocatable"}


def _driver(driver: Cursor) -> Iterator[FieldError]:
    yield from validate_driver_name(driver / "name")
    node = driver / "nodeID"
    if not node.value:
        yield node.required()
    elif len(node.value) > LONGEST_ID:
        yield node.invalid(f"must be {LONGEST_ID} characters or less")
    yield from not_negative(driver / "allocatable" / "count")
    seen = set()
    for key in driver.get("topologyKeys", ()):
        if not key:
            yield driver.required(key)
        if key in seen:
            yield driver.duplicate(key)
        seen.add(key)
        for complaint in names.qualified(key):
            yield driver.invalid(complaint, key)


CSI_NODE = Kind(
    api_version="storage.k8s.io/v1",
    kind="CSINode",
    plural="csinodes",
    namespaced=False,
    unconditional=False,
    validate=validate,
    columns=(NAME, Column("Drivers", lambda obj, _: len(objects.get(obj, "spec.drivers", ())), "integer"), AGE),
)
