"""v1 PersistentVolume. Source: Kubernetes API reference, "PersistentVolume"; pkg/apis/core/validation."""

from collections.abc import Iterator

from podling.api import names, objects
from podling.api.columns import AGE, NAME
from podling.api.core import placement, volume
from podling.api.core.persistentvolumeclaim import class_of
from podling.api.core.storage import shown_modes, validate_access_modes, validate_amount, validate_class_and_mode
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import STATUS, Column, Kind, Object, fresh_status
from podling.api.rules import named, one_of, present

RECLAIM_POLICIES = ("Delete", "Recycle", "Retain")
_FACTS = {
    "accessModes",
    "capacity",
    "claimRef",
    "mountOptions",
    "nodeAffinity",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "volumeAttributesClassName",
    "volumeMode",
}


def default(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("persistentVolumeReclaimPolicy", "Retain")
    spec.setdefault("volumeMode", "Filesystem")
    if spec.get("hostPath") is not None:
        spec["hostPath"].setdefault("type", "")
    if spec.get("iscsi") is not None:
        spec["iscsi"].setdefault("iscsiInterface", "default")


def sources_of(spec: Object | None) -> Object:
    """Where the data is: all of the spec that is about no volume in particular left out."""
    return {name: value for name, value in (spec or {}).items() if name not in _FACTS and value is not None}


def validate(new: Object, old: Object | None) -> Iterator[FieldError]:
    spec = at(new, "spec")
    yield from validate_access_modes(spec / "accessModes")
    yield from _capacity(spec / "capacity")
    yield from one_of(spec / "persistentVolumeReclaimPolicy", RECLAIM_POLICIES)
    yield from _affinity(spec / "nodeAffinity")
    yield from _source(spec)
    yield from validate_class_and_mode(spec)
    yield from named(spec / "volumeAttributesClassName", names.subdomain)
    if spec.get("volumeAttributesClassName") and spec.get("csi") is None:
        yield (spec / "csi").required("has to be specified when using volumeAttributesClassName")
    if old is not None:
        yield from _validate_update(spec, old.get("spec") or {})


def _capacity(capacity: Cursor) -> Iterator[FieldError]:
    if not capacity.value:
        yield capacity.required()
    if list(capacity.value or ()) != ["storage"]:
        yield capacity.unsupported(("storage",))
    for _, amount in capacity.entries():
        yield from validate_amount(amount)


def _affinity(affinity: Cursor) -> Iterator[FieldError]:
    if affinity.value is None:
        return
    required = affinity / "required"
    if required.value is None:
        yield required.required("must specify required node constraints")
    else:
        yield from placement.validate_node_selector(required)


def _source(spec: Cursor) -> Iterator[FieldError]:
    sources = list(sources_of(spec.value))
    if not sources:
        yield spec.required("must specify a volume type")
        return
    for name in sources[1:]:
        yield (spec / name).forbidden("may not specify more than 1 volume type")
    source = spec / sources[0]
    if sources[0] == "local":
        yield from present(source / "path")
        if spec.get("nodeAffinity") is None:
            yield (spec / "nodeAffinity").required("Local volume requires node affinity")
    elif sources[0] == "csi":
        yield from present(source / "driver")
        yield from present(source / "volumeHandle")
    else:
        yield from volume.validate_source(source, sources[0])
    recycled = spec.get("persistentVolumeReclaimPolicy") == "Recycle"
    if recycled and sources[0] == "hostPath" and set(source.get("path") or " ") == {"/"}:
        yield (spec / "persistentVolumeReclaimPolicy").forbidden("may not be 'recycle' for a hostPath mount of '/'")


def _validate_update(spec: Cursor, before: Object) -> Iterator[FieldError]:
    if sources_of(spec.value) != sources_of(before):
        yield (spec / "persistentvolumesource").forbidden("spec.persistentvolumesource is immutable after creation")
    if spec.get("volumeMode") != before.get("volumeMode"):
        yield Cursor(spec.get("volumeMode"), None, "volumeMode").invalid("field is immutable")
    if before.get("nodeAffinity") is not None and spec.get("nodeAffinity") != before["nodeAffinity"]:
        yield Cursor(spec.get("nodeAffinity"), None, "nodeAffinity").invalid(
            "field is immutable, except for updating from beta label to GA"
        )
    if before.get("volumeAttributesClassName") is not None and spec.get("volumeAttributesClassName") is None:
        yield (spec / "volumeAttributesClassName").forbidden("update from non-nil value to nil is forbidden")


def _warn(new: Object, _old: Object | None) -> Iterator[str]:
    if objects.get(new, "spec.persistentVolumeReclaimPolicy") == "Recycle":
        yield (
            "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is "
            "to use dynamic provisioning."
        )


def _status(obj: Object, _: float) -> str:
    return "Terminating" if objects.is_deleting(obj) else str(objects.get(obj, "status.phase", ""))


def _claim(obj: Object, _: float) -> str:
    claim = objects.get(obj, "spec.claimRef")
    return f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else ""


PERSISTENT_VOLUME = Kind(
    api_version="v1",
    kind="PersistentVolume",
    plural="persistentvolumes",
    short=("pv",),
    namespaced=False,
    subresources=(STATUS,),
    default=default,
    prepare=fresh_status(phase="Pending"),
    validate=validate,
    warn=_warn,
    columns=(
        NAME,
        Column("Capacity", lambda obj, _: objects.get(obj, "spec.capacity", {}).get("storage", "0")),
        Column("Access Modes", lambda obj, _: shown_modes(objects.get(obj, "spec.accessModes"))),
        Column("Reclaim Policy", "spec.persistentVolumeReclaimPolicy"),
        Column("Status", _status),
        Column("Claim", _claim),
        Column("StorageClass", lambda obj, _: class_of(obj)),
        Column("VolumeAttributesClass", lambda obj, _: objects.get(obj, "spec.volumeAttributesClassName") or "<unset>"),
        Column("Reason", lambda obj, _: objects.get(obj, "status.reason", "")),
        AGE,
        Column("VolumeMode", lambda obj, _: objects.get(obj, "spec.volumeMode", "<unset>"), priority=1),
    ),
)
