"""resource.k8s.io ResourceSlice: devices that a driver has. Source: Kubernetes API reference, "ResourceSlice"."""

from collections.abc import Iterator

from podling.api import names, objects
from podling.api.columns import AGE, NAME
from podling.api.core import placement
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import Column, Kind, Object, paths
from podling.api.resource import devices
from podling.api.resource.versions import API_VERSION, beta1_device, each_at, v1_device, versions
from podling.api.rules import called, named
from podling.api.storage.parameters import validate_driver_name

MOST_DEVICES, MOST_COMPLEX, MOST_COUNTERS, MOST_FACTS = 128, 64, 8, 32
_WHERE = ("nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection")


def default(obj: Object) -> None:
    for device in objects.get(obj, "spec.devices", ()):
        for mapping in (device.get("nodeAllocatableResourceMappings") or {}).values():
            mapping.setdefault("allocationMultiplier", "1")


def validate(new: Object, old: Object | None) -> Iterator[FieldError]:
    spec = at(new, "spec")
    yield from validate_driver_name(spec / "driver")
    yield from _pool(spec / "pool")
    if old is not None:
        yield from _unchanged(spec, old.get("spec") or {})
    yield from _where(spec)
    if spec.get("sharedCounters") is not None and spec.get("devices") is not None:
        yield spec.invalid("only one of `sharedCounters` or `devices` is allowed", "")
    complex_ = any(device.get("taints") or device.get("consumesCounters") for device in spec / "devices")
    yield from devices.few(spec / "devices", MOST_COMPLEX if complex_ else MOST_DEVICES, _device, devices.name_of)
    yield from devices.few(spec / "sharedCounters", MOST_COUNTERS, _counters, devices.name_of)


def _pool(pool: Cursor) -> Iterator[FieldError]:
    yield from devices.pool_name(pool / "name")
    if pool.get("resourceSliceCount", 0) <= 0:
        yield (pool / "resourceSliceCount").invalid("must be greater than zero", pool.get("resourceSliceCount", 0))
    if pool.get("generation", 0) < 0:
        yield (pool / "generation").invalid("must be greater than or equal to zero")


def _unchanged(spec: Cursor, before: Object) -> Iterator[FieldError]:
    for name in ("driver", "nodeName"):
        if spec.get(name) != before.get(name):
            yield (spec / name).invalid("field is immutable")
    if (spec / "pool").get("name") != objects.get(before, "pool.name"):
        yield (spec / "pool" / "name").invalid("field is immutable")


def _where(spec: Cursor) -> Iterator[FieldError]:
    """Which nodes can use the devices: exactly one way of saying it."""
    given = [name for name in _WHERE if spec.get(name) is not None]
    several = ", ".join(f"`{name}`" for name in _WHERE)
    if not given:
        yield spec.required(f"exactly one of {several} is required")
    elif len(given) > 1:
        fields = "{" + ", ".join(f"`{name}`" for name in given) + "}"
        yield spec.invalid(f"exactly one of {several} is required, but multiple fields are set", fields)
    if spec.get("nodeName") == "":
        yield (spec / "nodeName").invalid("must be either unset or set to a non-empty string")
    yield from named(spec / "nodeName", names.subdomain)
    for name in ("allNodes", "perDeviceNodeSelection"):
        if spec.get(name) is False:
            yield (spec / name).invalid("must be either unset or set to true")
    selector = spec / "nodeSelector"
    if selector.value is not None:
        yield from placement.validate_node_selector(selector)
        if len(selector.get("nodeSelectorTerms", ())) != 1:
            yield (selector / "nodeSelectorTerms").invalid("must have exactly one node selector term")


def _device(device: Cursor) -> Iterator[FieldError]:
    yield from called(device / "name", names.label)
    attributes, capacity = device / "attributes", device / "capacity"
    for _, attribute in attributes.entries():
        yield from _attribute(attribute)
    count = len(attributes.value or ()) + len(capacity.value or ())
    if count > MOST_FACTS:
        words = f"the total number of attributes and capacities must not exceed {MOST_FACTS}"
        yield device.invalid(words, count)
    for taint in device / "taints":
        yield from devices.taint(taint)


def _attribute(attribute: Cursor) -> Iterator[FieldError]:
    given = [name for name, value in (attribute.value or {}).items() if value is not None]
    if not given:
        yield attribute.required("exactly one value must be specified")
    elif len(given) > 1:
        yield attribute.invalid("exactly one value must be specified")


def _counters(counters: Cursor) -> Iterator[FieldError]:
    yield from called(counters / "name", names.label)
    if not counters.get("counters"):
        yield (counters / "counters").required()
    for name, counter in (counters / "counters").entries():
        for complaint in names.label(name):
            yield counter.invalid(complaint, name)


RESOURCE_SLICE, RESOURCE_SLICE_BETA2, RESOURCE_SLICE_BETA1 = versions(
    Kind(
        api_version=API_VERSION,
        kind="ResourceSlice",
        plural="resourceslices",
        namespaced=False,
        generation=("spec",),
        default=default,
        validate=validate,
        columns=(
            NAME,
            Column("Node", lambda obj, _: objects.get(obj, "spec.nodeName", "")),
            Column("Driver", "spec.driver"),
            Column("Pool", "spec.pool.name"),
            AGE,
        ),
        fields=paths("spec.nodeName", "spec.driver"),
    ),
    to_v1=each_at("spec.devices", v1_device),
    to_beta1=each_at("spec.devices", beta1_device),
)
