"""v1 Namespace. Source: Kubernetes API reference, "Namespace"."""

from collections.abc import Iterator

from podling.api import names
from podling.api.columns import AGE, NAME
from podling.api.field import FieldError, at
from podling.api.kind import STATUS, VERBS, Column, Kind, Object, Subresource, paths

NAME_LABEL = "kubernetes.io/metadata.name"


def prepare(new: Object, old: Object | None) -> None:
    """The finalizer that lets the namespace controller empty it; on update only the finalize subresource changes it."""
    if old is None:
        new["status"] = {"phase": "Active"}
        spec = new.setdefault("spec", {})
        if "kubernetes" not in (spec.get("finalizers") or ()):
            spec["finalizers"] = [*(spec.get("finalizers") or ()), "kubernetes"]
    elif "spec" in old:
        new["spec"] = old["spec"]


def default(obj: Object) -> None:
    meta = obj["metadata"]
    if name := meta.get("name"):
        meta["labels"] = {**(meta.get("labels") or {}), NAME_LABEL: name}


def validate(new: Object, _old: Object | None) -> Iterator[FieldError]:
    for finalizer in at(new, "spec", "finalizers"):
        for complaint in names.qualified(finalizer.value):
            yield finalizer.invalid(complaint)


def validate_status(new: Object, _old: Object) -> Iterator[FieldError]:
    phase = at(new, "status", "phase")
    wanted = "Terminating" if new["metadata"].get("deletionTimestamp") else "Active"
    if phase.value != wanted:
        when = "is not empty" if wanted == "Terminating" else "is empty"
        yield phase.invalid(f"may only be '{wanted}' if `deletionTimestamp` {when}")


NAMESPACE = Kind(
    api_version="v1",
    kind="Namespace",
    plural="namespaces",
    short=("ns",),
    namespaced=False,
    verbs=tuple(verb for verb in VERBS if verb != "deletecollection"),
    subresources=(STATUS, Subresource("finalize", ("update",))),
    check_name=names.label,
    default=default,
    prepare=prepare,
    validate=validate,
    validate_status=validate_status,
    columns=(NAME, Column("Status", "status.phase", description="The status of the namespace"), AGE),
    fields=paths("status.phase"),
)
