"""ObjectMeta: what every kind shares. Source: k8s.io/apimachinery api/validation, API reference "ObjectMeta"."""

from collections.abc import Iterator
from typing import Any

from podling.api import names
from podling.api.field import Cursor, FieldError, at, quote

Object = dict[str, Any]

ANNOTATIONS_LIMIT = 256 * 1024  # bytes of keys and values together
IMMUTABLE = "field is immutable"

_STANDARD_FINALIZERS = {"kubernetes", "orphan", "foregroundDeletion"}
# what the server owns: an update's own word on these is not asked for
_SERVER_OWNED = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")


def carry_over(new: Object, old: Object) -> None:
    """Put into `new`'s metadata what only the server sets, as `old` has it. A uid that the client sent stays, to be compared."""
    fresh, known = new["metadata"], old["metadata"]
    for name in _SERVER_OWNED:
        if name == "uid" and fresh.get("uid"):
            continue
        if name in known:
            fresh[name] = known[name]
        else:
            fresh.pop(name, None)
    fresh.pop("selfLink", None)


def validate(obj: Object, *, namespaced: bool, check_name: names.Check) -> Iterator[FieldError]:
    """The rules for a new object's metadata."""
    meta = at(obj, "metadata")
    if name := meta.get("generateName"):
        for complaint in names.prefix_of(check_name)(name):
            yield (meta / "generateName").invalid(complaint)
    if name := meta.get("name"):
        for complaint in check_name(name):
            yield (meta / "name").invalid(complaint)
    else:
        yield (meta / "name").required("name or generateName is required")
    namespace = meta.get("namespace")
    if bool(namespace) is not namespaced or (namespace and names.label(namespace)):
        yield from _validate_namespace(meta / "namespace", namespaced)
    yield from validate_common(obj)


def _validate_namespace(namespace: Cursor, namespaced: bool) -> Iterator[FieldError]:
    if not namespaced:
        if namespace:
            yield namespace.forbidden("not allowed on this type")
    elif not namespace:
        yield namespace.required()
    else:
        for complaint in names.label(namespace.value):
            yield namespace.invalid(complaint)


def validate_common(obj: Object) -> Iterator[FieldError]:
    """What holds on create and update alike."""
    meta = at(obj, "metadata")
    for member, check in _COMMON.items():
        if member in meta:
            yield from check(meta / member)
    for finalizer in meta / "finalizers":
        for complaint in names.qualified(finalizer.value):
            yield (meta / "finalizers").invalid(complaint, finalizer.value)
        if "/" not in finalizer.value and finalizer.value not in _STANDARD_FINALIZERS:
            yield finalizer.invalid("name is neither a standard finalizer name nor is it fully qualified")


def validate_labels(labels: Cursor) -> Iterator[FieldError]:
    for key, value in (labels.value or {}).items():
        for complaint in names.qualified(key):
            yield labels.invalid(complaint, key)
        for complaint in names.label_value(value):
            yield labels.invalid(complaint, value)


def validate_annotations(annotations: Cursor) -> Iterator[FieldError]:
    size = 0
    for key, value in (annotations.value or {}).items():
        for complaint in names.qualified(key.lower()):
            yield annotations.invalid(complaint, key)
        size += len(key.encode()) + len((value or "").encode())
    if size > ANNOTATIONS_LIMIT:
        yield annotations.too_long(ANNOTATIONS_LIMIT)


def _validate_owners(owners: Cursor) -> Iterator[FieldError]:
    if not owners:
        return
    managing = ""
    for owner in owners:
        for name in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(name):
                detail = "must not be empty" if name != "apiVersion" else "version must not be empty"
                yield Cursor(owner.get(name, ""), owners, name).invalid(detail)  # upstream's path has no index
        if owner.get("controller"):
            this = f"{owner.get('kind')}/{owner.get('name')}"
            if managing:
                yield owners.invalid(
                    f'Only one reference can have Controller set to true. Found "true" in references for {managing} and {this}'
                )
            managing = this


_COMMON = {"labels": validate_labels, "annotations": validate_annotations, "ownerReferences": _validate_owners}


def validate_update(new: Object, old: Object) -> Iterator[FieldError]:
    """The rules for changed metadata."""
    meta, known = at(new, "metadata"), old["metadata"]
    if known.get("deletionTimestamp"):
        added = set(meta.get("finalizers", ())) - set(known.get("finalizers") or ())
        if added:
            listed = ", ".join(quote(name) for name in sorted(added))
            yield (meta / "finalizers").forbidden(
                f"no new finalizers can be added if the object is being deleted, found new finalizers []string{{{listed}}}"
            )
    if not meta.get("resourceVersion"):
        yield (meta / "resourceVersion").invalid("must be specified for an update", meta.get("resourceVersion", ""))
    for name in ("name", "namespace", "uid", "creationTimestamp"):
        if meta.get(name) != known.get(name):
            yield (meta / name).invalid(IMMUTABLE)
    yield from validate_common(new)
