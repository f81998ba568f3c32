"""storage.k8s.io/v1 CSIStorageCapacity. Source: Kubernetes API reference, "CSIStorageCapacity"."""

from collections.abc import Iterator

from podling.api import names
from podling.api.columns import NAME
from podling.api.field import FieldError, at
from podling.api.kind import Column, Kind, Object
from podling.api.rules import label_selector
from podling.base import quantity


def validate(new: Object, _old: Object | None) -> Iterator[FieldError]:
    yield from label_selector(at(new, "nodeTopology"))
    storage_class, capacity = at(new, "storageClassName"), at(new, "capacity")
    for complaint in names.subdomain(storage_class.value or ""):
        yield storage_class.invalid(complaint, storage_class.value or "")
    if capacity.value is not None and quantity.parse(capacity.value).nanos < 0:
        yield capacity.invalid("must be greater than or equal to 0")


CSI_STORAGE_CAPACITY = Kind(
    api_version="storage.k8s.io/v1",
    kind="CSIStorageCapacity",
    plural="csistoragecapacities",
    immutable=("nodeTopology", "storageClassName"),
    unconditional=False,
    validate=validate,
    columns=(
        NAME,
        Column("StorageClassName", "storageClassName"),
        Column("Capacity", lambda obj, _: obj.get("capacity") or "<unset>"),
    ),
)
