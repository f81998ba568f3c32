"""v1 PersistentVolumeClaim. Source: Kubernetes API reference, "PersistentVolumeClaim"; pkg/apis/core/validation."""

from collections.abc import Iterator

from podling.api import names, objects
from podling.api.columns import AGE, NAME
from podling.api.core.storage import (
    CLASS_ANNOTATION,
    shown_modes,
    validate_access_modes,
    validate_amount,
    validate_class_and_mode,
)
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import STATUS, Column, Kind, Object, fresh_status
from podling.api.rules import label_selector, named, not_negative, present
from podling.base import quantity


def default(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("volumeMode", "Filesystem")
    _mirror_source(spec)
    obj.setdefault("status", {}).setdefault("phase", "Pending")


def _mirror_source(spec: Object) -> None:
    """dataSource and dataSourceRef say the same, unless the latter looks into another namespace."""
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    if source and not reference:
        spec["dataSourceRef"] = dict(source)
    elif reference and not source and not reference.get("namespace"):
        spec["dataSource"] = dict(reference)


def validate_spec(spec: Cursor) -> Iterator[FieldError]:
    """The rules that also hold for the claims of a StatefulSet and of ephemeral volumes."""
    yield from validate_access_modes(spec / "accessModes", "at least 1 access mode is required")
    yield from label_selector(spec / "selector")
    wanted = (spec / "resources" / "requests").get("storage")
    storage = Cursor(wanted, spec / "resources", "[storage]")
    if wanted is None:
        yield storage.required()
    else:
        yield from validate_amount(storage)
    yield from validate_class_and_mode(spec)
    yield from _sources(spec)
    yield from named(spec / "volumeAttributesClassName", names.subdomain)


def _sources(spec: Cursor) -> Iterator[FieldError]:
    source, reference = spec / "dataSource", spec / "dataSourceRef"
    for each in (source, reference):
        if each.value is not None:
            yield from _source(each)
    yield from named(reference / "namespace", names.label)
    if source.value is None or reference.value is None:
        return
    if reference.get("namespace"):
        yield spec.invalid("may not be specified when dataSourceRef.namespace is specified", source.path)
    elif source.value != reference.value:
        yield spec.invalid("must match dataSourceRef", source.path)


def _source(source: Cursor) -> Iterator[FieldError]:
    yield from present(source / "name")
    yield from present(source / "kind")
    if not source.get("apiGroup") and source.get("kind") != "PersistentVolumeClaim":
        detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
        yield source.invalid(detail, source.get("kind", ""))
    yield from named(source / "apiGroup", names.subdomain)


def validate(new: Object, old: Object | None) -> Iterator[FieldError]:
    yield from validate_spec(at(new, "spec"))
    if old is not None:
        yield from _validate_update(new, old)


def _validate_update(new: Object, old: Object) -> Iterator[FieldError]:
    spec, before = at(new, "spec"), old.get("spec") or {}
    bound = objects.get(old, "status.phase") == "Bound"
    if _fixed(spec.value or {}, before, bound) != _fixed(before, before, bound):
        yield spec.forbidden(
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
        )
    size, was = _size(spec.value), _size(before)
    if size < was and size <= _size_of(objects.get(old, "status.capacity", {}).get("storage")):
        yield (spec / "resources" / "requests" / "storage").forbidden("field can not be less than status.capacity")
    if objects.get(old, "status.currentVolumeAttributesClassName") is not None and not spec.get("volumeAttributesClassName"):
        what = "nil" if spec.get("volumeAttributesClassName") is None else "empty string"
        words = f"update to {what} is forbidden when status.currentVolumeAttributesClassName is not nil"
        yield (spec / "volumeAttributesClassName").forbidden(words)


def _fixed(spec: Object, before: Object, bound: bool) -> Object:
    """`spec` without what may change: the volume and the class where none was chosen, size and attributes once bound."""
    free = [name for name in ("volumeName",) if not before.get(name)]
    free += [name for name in ("storageClassName",) if before.get(name) is None]
    if bound:
        free += ["volumeAttributesClassName"]
    kept = {name: value for name, value in spec.items() if name not in free}
    return objects.drop(kept, "resources.requests.storage") if bound else kept


def _size(spec: Object | None) -> int:
    return _size_of(objects.get(spec, "resources.requests", {}).get("storage"))


def _size_of(amount: str | None) -> int:
    return quantity.parse(amount).nanos if amount is not None else 0


def validate_status(new: Object, _old: Object) -> Iterator[FieldError]:
    for name in ("capacity", "allocatedResources"):
        for _, amount in at(new, "status", name).entries():
            yield from not_negative(Cursor(quantity.parse(amount.value).nanos, amount))


def class_of(obj: Object) -> str:
    return objects.annotations_of(obj).get(CLASS_ANNOTATION) or str(objects.get(obj, "spec.storageClassName", ""))


def _status(obj: Object, _: float) -> str:
    return "Terminating" if objects.is_deleting(obj) else str(objects.get(obj, "status.phase", ""))


def _bound(show: str) -> Column:
    """What a claim has once it has a volume."""

    def capacity(obj: Object, _: float) -> str:
        if not objects.get(obj, "spec.volumeName"):
            return ""
        return str(objects.get(obj, "status.capacity", {}).get("storage", "0"))

    def modes(obj: Object, _: float) -> str:
        return shown_modes(objects.get(obj, "status.accessModes")) if objects.get(obj, "spec.volumeName") else ""

    return Column(show, capacity if show == "Capacity" else modes)


PERSISTENT_VOLUME_CLAIM = Kind(
    api_version="v1",
    kind="PersistentVolumeClaim",
    plural="persistentvolumeclaims",
    short=("pvc",),
    subresources=(STATUS,),
    default=default,
    prepare=fresh_status(phase="Pending"),
    validate=validate,
    validate_status=validate_status,
    columns=(
        NAME,
        Column("Status", _status),
        Column("Volume", lambda obj, _: objects.get(obj, "spec.volumeName", "")),
        _bound("Capacity"),
        _bound("Access Modes"),
        Column("StorageClass", lambda obj, _: class_of(obj)),
        Column("VolumeAttributesClass", lambda obj, _: objects.get(obj, "spec.volumeAttributesClassName") or "<unset>"),
        AGE,
        Column("VolumeMode", lambda obj, _: objects.get(obj, "spec.volumeMode", "<unset>"), priority=1),
    ),
)
