"""apps/v1 DaemonSet. Source: Kubernetes API reference, "DaemonSet"; pkg/apis/apps/validation."""

from collections.abc import Iterator

from podling.api import objects
from podling.api.apps.replicas import TEMPLATE_COLUMNS, validate_selector, validate_template
from podling.api.columns import AGE, NAME, joined
from podling.api.core import podspec
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import STATUS, Column, Kind, Object
from podling.api.rules import int_or_percent, not_negative, not_over_100_percent

GENERATION = "deprecated.daemonset.template.generation"  # the annotation that shows spec.templateGeneration in apps/v1
_COUNTS = (
    "currentNumberScheduled",
    "numberMisscheduled",
    "desiredNumberScheduled",
    "numberReady",
    "observedGeneration",
    "updatedNumberScheduled",
    "numberAvailable",
    "numberUnavailable",
    "collisionCount",
)


def default(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("revisionHistoryLimit", 10)
    strategy = spec.setdefault("updateStrategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)
    podspec.default_template(spec.setdefault("template", {}))


def prepare(new: Object, old: Object | None) -> None:
    """Count the template's changes, where only the server may."""
    if old is None:
        new["status"] = dict.fromkeys(_COUNTS[:4], 0)
        generation = 1
    else:
        generation = int(objects.annotations_of(old).get(GENERATION) or 1)
        generation += objects.get(new, "spec.template") != objects.get(old, "spec.template")
    new["metadata"]["annotations"] = {**objects.annotations_of(new), GENERATION: str(generation)}


def validate(new: Object, _old: Object | None) -> Iterator[FieldError]:
    spec = at(new, "spec")
    yield from validate_selector(spec / "selector", "daemonset")
    yield from validate_template(spec, "DaemonSet")
    yield from not_negative(spec / "minReadySeconds")
    yield from _strategy(spec / "updateStrategy")
    yield from not_negative(spec / "revisionHistoryLimit")


def _strategy(strategy: Cursor) -> Iterator[FieldError]:
    match strategy.get("type"):
        case "OnDelete":
            pass
        case "RollingUpdate":
            yield from _rolling(strategy / "rollingUpdate")
        case _:
            yield (strategy / "type").unsupported(("RollingUpdate", "OnDelete"))


def _rolling(rolling: Cursor) -> Iterator[FieldError]:
    if rolling.value is None:
        yield rolling.required()
        return
    unavailable, surge = rolling / "maxUnavailable", rolling / "maxSurge"
    for amount in (unavailable, surge):
        yield from int_or_percent(amount)
        yield from not_over_100_percent(amount)
    some = [amount.value not in (0, "0%", None) for amount in (unavailable, surge)]
    if all(some):
        yield surge.invalid("may not be set when maxUnavailable is non-zero")
    elif not any(some):
        yield unavailable.required("cannot be 0 when maxSurge is 0")


def validate_status(new: Object, old: Object) -> Iterator[FieldError]:
    status = at(new, "status")
    for name in _COUNTS:
        yield from not_negative(status / name)
    if status.get("collisionCount", 0) < objects.get(old, "status.collisionCount", 0):
        yield (status / "collisionCount").invalid("cannot be decremented", status.get("collisionCount", 0))


def _node_selector(obj: Object, _: float) -> str:
    return joined(objects.get(obj, "spec.template.spec.nodeSelector"))


DAEMON_SET = Kind(
    api_version="apps/v1",
    kind="DaemonSet",
    plural="daemonsets",
    short=("ds",),
    categories=("all",),
    subresources=(STATUS,),
    generation=("spec",),
    immutable=("spec.selector",),
    default=default,
    prepare=prepare,
    validate=validate,
    validate_status=validate_status,
    columns=(
        NAME,
        Column("Desired", "status.desiredNumberScheduled", "integer"),
        Column("Current", "status.currentNumberScheduled", "integer"),
        Column("Ready", "status.numberReady", "integer"),
        Column("Up-to-date", "status.updatedNumberScheduled", "integer"),
        Column("Available", "status.numberAvailable", "integer"),
        Column("Node Selector", _node_selector),
        AGE,
        *TEMPLATE_COLUMNS,
    ),
)
