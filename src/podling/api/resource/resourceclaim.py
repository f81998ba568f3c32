"""resource.k8s.io ResourceClaim. Source: Kubernetes API reference, "ResourceClaim"; pkg/apis/resource/validation."""

from collections.abc import Iterator

from podling.api import objects
from podling.api.columns import AGE, NAME
from podling.api.core import placement
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import STATUS, Column, Kind, Object
from podling.api.resource import devices
from podling.api.resource.versions import API_VERSION, beta1_request, each_at, v1_request, versions
from podling.api.rules import called, chosen, present
from podling.api.storage.parameters import validate_driver_name

MOST_CONSUMERS, MOST_RESULTS = 256, 32


def default(obj: Object) -> None:
    devices.default_claim(obj.setdefault("spec", {}))


def validate(new: Object, old: Object | None) -> Iterator[FieldError]:
    if old is None:
        yield from devices.validate_claim(at(new, "spec", "devices"))


def validate_status(new: Object, old: Object) -> Iterator[FieldError]:
    status = at(new, "status")
    reserved, allocation = status / "reservedFor", status / "allocation"
    before = old.get("status") or {}
    yield from devices.few(reserved, MOST_CONSUMERS, _consumer, lambda each: each.get("uid"))
    if reserved and allocation.value is None:
        yield reserved.forbidden("may not be specified when `allocated` is not set")
    elif objects.is_deleting(new) and any(each not in (before.get("reservedFor") or ()) for each in reserved.value or ()):
        words = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"
        yield reserved.forbidden(words)
    if allocation.value is None:
        return
    if before.get("allocation") is not None:
        if allocation.value != before["allocation"]:
            yield allocation.invalid("field is immutable")
    else:
        yield from _allocation(allocation, devices.requests_of(at(new, "spec", "devices")))


def _consumer(consumer: Cursor) -> Iterator[FieldError]:
    for name in ("resource", "name", "uid"):
        yield from present(consumer / name)


def _allocation(allocation: Cursor, known: set[str]) -> Iterator[FieldError]:
    def result(each: Cursor) -> Iterator[FieldError]:
        if each.get("request", "") not in known:
            yield (each / "request").invalid(devices.NO_REQUEST, each.get("request", ""))
        yield from validate_driver_name(each / "driver")
        yield from devices.pool_name(each / "pool")
        yield from called(each / "device")

    def config(each: Cursor) -> Iterator[FieldError]:
        yield from chosen(each / "source", ("FromClaim", "FromClass"))
        yield from devices.configuration(each)

    yield from devices.few(allocation / "devices" / "results", MOST_RESULTS, result)
    yield from devices.few(allocation / "devices" / "config", 2 * devices.MOST_CONFIGS, config)
    if allocation.get("nodeSelector") is not None:
        yield from placement.validate_node_selector(allocation / "nodeSelector")


def _state(obj: Object, _: float) -> str:
    deleted = objects.is_deleting(obj)
    states = ["deleted"] if deleted else []
    if objects.get(obj, "status.allocation") is None:
        states += [] if deleted else ["pending"]
    else:
        states += ["allocated", "reserved"] if objects.get(obj, "status.reservedFor") else ["allocated"]
    return ",".join(states)


RESOURCE_CLAIM, RESOURCE_CLAIM_BETA2, RESOURCE_CLAIM_BETA1 = versions(
    Kind(
        api_version=API_VERSION,
        kind="ResourceClaim",
        plural="resourceclaims",
        subresources=(STATUS,),
        immutable=("spec",),
        default=default,
        validate=validate,
        validate_status=validate_status,
        columns=(NAME, Column("State", _state), AGE),
    ),
    to_v1=each_at("spec.devices.requests", v1_request),
    to_beta1=each_at("spec.devices.requests", beta1_request),
)
