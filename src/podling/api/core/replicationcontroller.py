"""v1 ReplicationController. Source: Kubernetes API reference, "ReplicationController"; pkg/apis/core/validation."""

from collections.abc import Iterator

from podling.api import objects
from podling.api.apps import replicaset
from podling.api.apps.replicas import container_columns
from podling.api.columns import AGE, NAME, joined
from podling.api.core import podspec
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import STATUS, Column, Kind, Object, Scale, fresh_status
from podling.api.rules import not_negative


def default(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    if spec.get("template") is None:
        return
    podspec.default_template(spec["template"])
    labels = objects.labels_of(spec["template"])
    if labels and not spec.get("selector"):
        spec["selector"] = dict(labels)
    if labels and not objects.labels_of(obj):
        obj["metadata"]["labels"] = dict(labels)


def validate(new: Object, _old: Object | None) -> Iterator[FieldError]:
    spec = at(new, "spec")
    yield from not_negative(spec / "minReadySeconds")
    if not spec.get("selector"):
        yield (spec / "selector").required()
    yield from not_negative(spec / "replicas")
    yield from _template(spec / "template", spec.get("selector", {}))


def _template(template: Cursor, selector: dict[str, str]) -> Iterator[FieldError]:
    if template.value is None:
        yield template.required()
        return
    labels = template / "metadata" / "labels"
    if not selector.items() <= (labels.value or {}).items():
        yield labels.invalid("`selector` does not match template `labels`")
    yield from podspec.validate_template(template)
    inner = template / "spec"
    if inner.get("restartPolicy") in ("OnFailure", "Never"):
        yield (inner / "restartPolicy").unsupported(("Always",))
    if inner.get("activeDeadlineSeconds") is not None:
        yield (inner / "activeDeadlineSeconds").forbidden("activeDeadlineSeconds in ReplicationController is not Supported")


REPLICATION_CONTROLLER = Kind(
    api_version="v1",
    kind="ReplicationController",
    plural="replicationcontrollers",
    short=("rc",),
    categories=("all",),
    subresources=(Scale(), STATUS),
    generation=("spec",),
    orphans=True,
    default=default,
    prepare=fresh_status(replicas=0),
    validate=validate,
    validate_status=replicaset.validate_status,
    columns=(
        NAME,
        Column("Desired", "spec.replicas", "integer"),
        Column("Current", "status.replicas", "integer"),
        Column("Ready", "status.readyReplicas", "integer"),
        AGE,
        *container_columns(),
        Column("Selector", lambda obj, _: joined(objects.get(obj, "spec.selector")), priority=1),
    ),
    fields={"status.replicas": lambda obj: str(objects.get(obj, "status.replicas", 0))},
)
