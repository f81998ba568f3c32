"""scheduling.k8s.io/v1 PriorityClass. Source: Kubernetes API reference, "PriorityClass"."""

from collections.abc import Iterator

from podling.api.columns import AGE, NAME
from podling.api.field import FieldError, at
from podling.api.kind import Column, Kind, Object
from podling.api.rules import one_of

HIGHEST_USER_PRIORITY = 1_000_000_000
SYSTEM_PREFIX = "system-"
SYSTEM = {"system-node-critical": 2_000_001_000, "system-cluster-critical": 2_000_000_000}


def default(obj: Object) -> None:
    obj.setdefault("preemptionPolicy", "PreemptLowerPriority")


def validate(new: Object, old: Object | None) -> Iterator[FieldError]:
    name, value = at(new, "metadata", "name"), at(new, "value")
    if old is not None:
        if new.get("value", 0) != old.get("value", 0):
            yield value.forbidden("may not be changed in an update.")
        if new.get("preemptionPolicy") != old.get("preemptionPolicy"):
            yield at(new, "preemptionPolicy").forbidden("field is immutable")
        return
    if str(name.value or "").startswith(SYSTEM_PREFIX):
        if SYSTEM.get(name.value) != value.value:
            yield name.forbidden(
                f"priority class names with '{SYSTEM_PREFIX}' prefix are reserved for system use only. error: "
                f"{name.value} is not a known system priority class"
            )
    elif (value.value or 0) > HIGHEST_USER_PRIORITY:
        yield value.forbidden(f"maximum allowed value of a user defined priority is {HIGHEST_USER_PRIORITY}")
    yield from one_of(at(new, "preemptionPolicy"), ("PreemptLowerPriority", "Never"))


def _global(obj: Object, _: float) -> bool:
    return bool(obj.get("globalDefault"))


PRIORITY_CLASS = Kind(
    api_version="scheduling.k8s.io/v1",
    kind="PriorityClass",
    plural="priorityclasses",
    short=("pc",),
    namespaced=False,
    default=default,
    validate=validate,
    columns=(
        NAME,
        Column("Value", "value", "integer"),
        Column("Global-Default", _global, "boolean"),
        AGE,
        Column("PreemptionPolicy", "preemptionPolicy"),
    ),
)
