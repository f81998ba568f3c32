"""apps/v1 Deployment. Source: Kubernetes API reference, "Deployment"; pkg/apis/apps/validation."""

from collections.abc import Iterator

from podling.api.apps.replicas import READY, TEMPLATE_COLUMNS, validate_selector, validate_template
from podling.api.columns import AGE, NAME
from podling.api.core import podspec
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import STATUS, Column, Kind, Object, Scale
from podling.api.rules import int_or_percent, not_negative, not_over_100_percent


def default(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")
    podspec.default_template(spec.setdefault("template", {}))


def validate(new: Object, _old: Object | None) -> Iterator[FieldError]:
    spec = at(new, "spec")
    yield from not_negative(spec / "replicas")
    yield from validate_selector(spec / "selector")
    yield from validate_template(spec)
    yield from _validate_strategy(spec / "strategy")
    yield from not_negative(spec / "minReadySeconds")
    yield from not_negative(spec / "revisionHistoryLimit")
    deadline = spec / "progressDeadlineSeconds"
    yield from not_negative(deadline)
    if deadline.value is not None and deadline.value <= spec.get("minReadySeconds", 0):
        yield deadline.invalid("must be greater than minReadySeconds")


def _validate_strategy(strategy: Cursor) -> Iterator[FieldError]:
    rolling = strategy / "rollingUpdate"
    match strategy.get("type"):
        case "Recreate":
            if rolling.value is not None:
                yield rolling.forbidden("may not be specified when strategy `type` is 'Recreate'")
        case "RollingUpdate":
            yield from _validate_rolling(rolling)
        case _:
            yield (strategy / "type").unsupported(("Recreate", "RollingUpdate"))


def _validate_rolling(rolling: Cursor) -> Iterator[FieldError]:
    unavailable, surge = rolling / "maxUnavailable", rolling / "maxSurge"
    yield from int_or_percent(unavailable)
    yield from int_or_percent(surge)
    if unavailable.value in (0, "0%") and surge.value in (0, "0%"):
        yield unavailable.invalid("may not be 0 when `maxSurge` is 0")
    yield from not_over_100_percent(unavailable)


DEPLOYMENT = Kind(
    api_version="apps/v1",
    kind="Deployment",
    plural="deployments",
    short=("deploy",),
    categories=("all",),
    subresources=(Scale(), STATUS),
    generation=("spec", "metadata.annotations"),
    immutable=("spec.selector",),
    default=default,
    validate=validate,
    columns=(
        NAME,
        READY,
        Column("Up-to-date", "status.updatedReplicas", "integer"),
        Column("Available", "status.availableReplicas", "integer"),
        AGE,
        *TEMPLATE_COLUMNS,
    ),
)
