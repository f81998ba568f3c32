"""coordination.k8s.io/v1 Lease. Source: Kubernetes API reference, "Lease"."""

from collections.abc import Iterator

from podling.api.columns import AGE, NAME
from podling.api.field import FieldError, at
from podling.api.kind import Column, Kind, Object


def validate(new: Object, _old: Object | None) -> Iterator[FieldError]:
    spec = at(new, "spec")
    duration, transitions = spec / "leaseDurationSeconds", spec / "leaseTransitions"
    if duration.value is not None and duration.value <= 0:
        yield duration.invalid("must be greater than 0")
    if transitions.value is not None and transitions.value < 0:
        yield transitions.invalid("must be greater than or equal to 0")


LEASE = Kind(
    api_version="coordination.k8s.io/v1",
    kind="Lease",
    plural="leases",
    create_on_update=True,
    unconditional=False,
    validate=validate,
    columns=(NAME, Column("Holder", "spec.holderIdentity"), AGE),
)
