"""policy/v1 PodDisruptionBudget. Source: Kubernetes API reference, "PodDisruptionBudget"; pkg/apis/policy/validation."""

from collections.abc import Iterator

from podling.api import objects
from podling.api.columns import AGE, NAME
from podling.api.field import FieldError, at
from podling.api.kind import STATUS, Column, Kind, Object, fresh_status
from podling.api.rules import int_or_percent, label_selector, not_negative, not_over_100_percent, one_of

_COUNTS = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")


def validate(new: Object, _old: Object | None) -> Iterator[FieldError]:
    spec = at(new, "spec")
    amounts = [spec / name for name in ("minAvailable", "maxUnavailable")]
    if all(amount.value is not None for amount in amounts):
        yield spec.invalid("minAvailable and maxUnavailable cannot be both set")
    for amount in amounts:
        yield from int_or_percent(amount)
        yield from not_over_100_percent(amount)
    yield from label_selector(spec / "selector")
    yield from one_of(spec / "unhealthyPodEvictionPolicy", ("AlwaysAllow", "IfHealthyBudget"))


def validate_status(new: Object, _old: Object) -> Iterator[FieldError]:
    for name in _COUNTS:
        yield from not_negative(at(new, "status", name))


def _amount(title: str, name: str) -> Column:
    return Column(title, lambda obj, _: str(objects.get(obj, f"spec.{name}", "N/A")))


POD_DISRUPTION_BUDGET = Kind(
    api_version="policy/v1",
    kind="PodDisruptionBudget",
    plural="poddisruptionbudgets",
    short=("pdb",),
    subresources=(STATUS,),
    generation=("spec",),
    prepare=fresh_status(**dict.fromkeys(_COUNTS, 0)),
    unconditional=False,
    validate=validate,
    validate_status=validate_status,
    columns=(
        NAME,
        _amount("Min Available", "minAvailable"),
        _amount("Max Unavailable", "maxUnavailable"),
        Column("Allowed Disruptions", "status.disruptionsAllowed", "integer"),
        AGE,
    ),
)
