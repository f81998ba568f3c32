"""resource.k8s.io/v1beta2 DeviceTaintRule. Source: Kubernetes API reference, "DeviceTaintRule"."""

from collections.abc import Iterator

from podling.api import names, objects
from podling.api.columns import AGE, NAME
from podling.api.field import FieldError, at
from podling.api.kind import STATUS, Column, Kind, Object
from podling.api.resource import devices
from podling.api.rules import named
from podling.api.storage.parameters import validate_driver_name
from podling.api.timestamps import Ago, ago


def validate(new: Object, _old: Object | None) -> Iterator[FieldError]:
    selector = at(new, "spec", "deviceSelector")
    if selector.get("driver") is not None:
        yield from validate_driver_name(selector / "driver")
    if selector.get("pool") is not None:
        yield from devices.pool_name(selector / "pool")
    yield from named(selector / "device", names.label)
    yield from devices.taint(at(new, "spec", "taint"))


def _added(obj: Object, _: float) -> Ago | str:
    return ago(objects.get(obj, "spec.taint.timeAdded"))


DEVICE_TAINT_RULE = Kind(
    api_version="resource.k8s.io/v1beta2",
    kind="DeviceTaintRule",
    plural="devicetaintrules",
    namespaced=False,
    subresources=(STATUS,),
    generation=("spec",),
    validate=validate,
    columns=(
        NAME,
        Column("Key", "spec.taint.key"),
        Column("Value", lambda obj, _: objects.get(obj, "spec.taint.value", "")),
        Column("Effect", "spec.taint.effect"),
        Column("TimeAdded", _added),
        AGE,
    ),
)
