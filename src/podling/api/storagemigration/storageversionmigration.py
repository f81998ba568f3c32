"""storagemigration.k8s.io/v1beta1 StorageVersionMigration. Source: Kubernetes API reference; pkg/apis/storagemigration."""

from collections.abc import Iterator

from podling.api import names, objects
from podling.api.columns import NAME
from podling.api.field import FieldError, at
from podling.api.kind import STATUS, Column, Kind, Object
from podling.api.rules import named, present


def validate(new: Object, _old: Object | None) -> Iterator[FieldError]:
    resource = at(new, "spec", "resource")
    yield from present(resource / "resource", "resource is required to be set")
    yield from named(resource / "resource", names.label_1035)
    yield from named(resource / "group", names.subdomain)


def validate_status(new: Object, old: Object) -> Iterator[FieldError]:
    status = at(new, "status")
    if objects.get(old, "status.resourceVersion") not in (None, "", status.get("resourceVersion")):
        yield (status / "resourceVersion").invalid("field is immutable")
    if objects.has_condition(new, "Succeeded") and objects.has_condition(new, "Failed"):
        yield (status / "conditions").invalid("Both success and failed conditions cannot be true at the same time")
    for kind, word in (("Succeeded", "Success"), ("Failed", "Failed")):
        if objects.has_condition(old, kind) and not objects.has_condition(new, kind):
            yield (status / "conditions").invalid(f"{word} condition cannot be set to false once it is true")


def _resource(obj: Object, _: float) -> str:
    resource = objects.get(obj, "spec.resource", {})
    return ".".join(part for part in (resource.get("resource", ""), resource.get("group", "")) if part)


def _status(obj: Object, _: float) -> str:
    states = ("Running", "Failed", "Succeeded")
    true = [each.get("type") for each in objects.get(obj, "status.conditions", ()) if each.get("status") == "True"]
    return next((state for state in reversed(true) if state in states), "Unknown")


STORAGE_VERSION_MIGRATION = Kind(
    api_version="storagemigration.k8s.io/v1beta1",
    kind="StorageVersionMigration",
    plural="storageversionmigrations",
    namespaced=False,
    subresources=(STATUS,),
    immutable=("spec",),
    unconditional=False,
    validate=validate,
    validate_status=validate_status,
    columns=(NAME, Column("Resource", _resource), Column("Status", _status)),
)
