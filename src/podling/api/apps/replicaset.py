"""apps/v1 ReplicaSet. Source: Kubernetes API reference, "ReplicaSet"; pkg/apis/apps/validation."""

from collections.abc import Iterator

from podling.api import objects
from podling.api.apps.replicas import TEMPLATE_COLUMNS, validate_selector, validate_template
from podling.api.columns import AGE, NAME
from podling.api.core import podspec
from podling.api.field import FieldError, at
from podling.api.kind import STATUS, Column, Kind, Object, Scale
from podling.api.rules import not_negative


def default(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    podspec.default_template(spec.setdefault("template", {}))


def prepare(new: Object, old: Object | None) -> None:
    if old is None:
        new["status"] = {"replicas": 0}


def validate(new: Object, _old: Object | None) -> Iterator[FieldError]:
    spec = at(new, "spec")
    yield from not_negative(spec / "replicas")
    yield from not_negative(spec / "minReadySeconds")
    yield from validate_selector(spec / "selector")
    yield from validate_template(spec)


def validate_status(new: Object, _old: Object | None) -> Iterator[FieldError]:
    status = at(new, "status")
    for name in ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration"):
        yield from not_negative(status / name)
    for name in ("fullyLabeledReplicas", "readyReplicas", "availableReplicas"):
        if status.get(name, 0) > status.get("replicas", 0):
            yield (status / name).invalid("cannot be greater than status.replicas")


REPLICA_SET = Kind(
    api_version="apps/v1",
    kind="ReplicaSet",
    plural="replicasets",
    short=("rs",),
    categories=("all",),
    subresources=(Scale(), STATUS),
    generation=("spec",),
    immutable=("spec.selector",),
    default=default,
    prepare=prepare,
    validate=validate,
    validate_status=validate_status,
    columns=(
        NAME,
        Column("Desired", "spec.replicas", "integer"),
        Column("Current", "status.replicas", "integer"),
        Column("Ready", "status.readyReplicas", "integer"),
        AGE,
        *TEMPLATE_COLUMNS,
    ),
    fields={"status.replicas": lambda obj: str(objects.get(obj, "status.replicas", 0))},
)
