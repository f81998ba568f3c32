"""storage.k8s.io/v1 VolumeAttributesClass. Source: Kubernetes API reference, "VolumeAttributesClass"."""

from collections.abc import Iterator

from podling.api.columns import AGE, NAME
from podling.api.field import FieldError, at
from podling.api.kind import Column, Kind, Object, also_as, deprecated
from podling.api.storage.parameters import validate_parameters, validate_provisioner


def validate(new: Object, old: Object | None) -> Iterator[FieldError]:
    yield from validate_provisioner(at(new, "driverName"))
    yield from validate_parameters(at(new, "parameters"))
    if not new.get("parameters"):
        yield at(new, "parameters").required("must contain at least one key/value pair")
    for name in ("driverName", "parameters"):
        if old is not None and new.get(name) != old.get(name):
            yield at(new, name).forbidden(f"updates to {name} are forbidden.")


VOLUME_ATTRIBUTES_CLASS = Kind(
    api_version="storage.k8s.io/v1",
    kind="VolumeAttributesClass",
    plural="volumeattributesclasses",
    short=("vac",),
    namespaced=False,
    validate=validate,
    columns=(NAME, Column("DriverName", "driverName"), AGE),
)
VOLUME_ATTRIBUTES_CLASS_BETA = also_as(
    VOLUME_ATTRIBUTES_CLASS,
    "v1beta1",
    deprecation=deprecated(
        "storage.k8s.io/v1beta1", "VolumeAttributesClass", "34", "37", use="storage.k8s.io/v1 VolumeAttributesClass"
    ),
)
