"""storage.k8s.io/v1 StorageClass. Source: Kubernetes API reference, "StorageClass"; pkg/apis/storage/validation."""

from collections.abc import Iterator

from podling.api import names
from podling.api.columns import AGE, default_name
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import Column, Kind, Object
from podling.api.rules import named, one_of, present, unique
from podling.api.storage.parameters import validate_parameters, validate_provisioner

DEFAULT_ANNOTATION = "storageclass.kubernetes.io/is-default-class"


def default(obj: Object) -> None:
    obj.setdefault("reclaimPolicy", "Delete")
    obj.setdefault("volumeBindingMode", "Immediate")


def validate(new: Object, old: Object | None) -> Iterator[FieldError]:
    if old is not None:
        return  # all that has rules is immutable
    yield from validate_provisioner(at(new, "provisioner"))
    yield from validate_parameters(at(new, "parameters"))
    yield from one_of(at(new, "reclaimPolicy"), ("Delete", "Retain"))
    yield from one_of(at(new, "volumeBindingMode"), ("Immediate", "WaitForFirstConsumer"))
    seen: list[Object] = []
    for term in at(new, "allowedTopologies"):
        yield from _topology(term)
        if term.value in seen:
            yield (term / "matchLabelExpressions").duplicate("")
        seen.append(term.value)


def _topology(term: Cursor) -> Iterator[FieldError]:
    yield from unique(term / "matchLabelExpressions", "key")
    for expression in term / "matchLabelExpressions":
        yield from present(expression / "values")
        yield from named(expression / "key", names.qualified)


STORAGE_CLASS = Kind(
    api_version="storage.k8s.io/v1",
    kind="StorageClass",
    plural="storageclasses",
    short=("sc",),
    namespaced=False,
    immutable=("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"),
    default=default,
    validate=validate,
    columns=(
        default_name(DEFAULT_ANNOTATION),
        Column("Provisioner", "provisioner"),
        Column("ReclaimPolicy", "reclaimPolicy"),
        Column("VolumeBindingMode", "volumeBindingMode"),
        Column("AllowVolumeExpansion", lambda obj, _: bool(obj.get("allowVolumeExpansion"))),
        AGE,
    ),
)
