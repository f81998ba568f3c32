"""Amounts of resources by name, as quotas and limit ranges count them. Source: pkg/apis/core/helper, validation."""

from collections.abc import Iterator

from podling.api import names
from podling.api.field import Cursor, FieldError
from podling.base import quantity

COUNTED = frozenset(
    {
        "pods",
        "resourcequotas",
        "services",
        "replicationcontrollers",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
    }
)
COMPUTED = frozenset(
    {
        *("cpu", "memory", "ephemeral-storage"),
        *("requests.cpu", "requests.memory", "requests.ephemeral-storage"),
        *("limits.cpu", "limits.memory", "limits.ephemeral-storage"),
    }
)
QUOTA = COUNTED | COMPUTED | {"requests.storage"}
_STANDARD = QUOTA | {"storage"}
_CONTAINER = frozenset({"cpu", "memory", "ephemeral-storage"})
_HUGE = ("hugepages-", "requests.hugepages-")


def is_quota(name: str) -> bool:
    """Whether a quota counts this resource by itself."""
    return name in QUOTA or name.startswith(_HUGE)


def validate_name(where: Cursor, name: str) -> Iterator[FieldError]:
    """`name`, which stands at `where`, is a resource."""
    complaints = names.qualified(name)
    for complaint in complaints:
        yield where.invalid(complaint, name)
    if not complaints and "/" not in name and name not in _STANDARD and not name.startswith(_HUGE):
        yield where.invalid("must be a standard resource type or fully qualified", name)


def validate_container_name(where: Cursor, name: str) -> Iterator[FieldError]:
    yield from validate_name(where, name)
    if "/" not in name and name not in _CONTAINER and not name.startswith(_HUGE[0]):
        yield where.invalid("must be a standard resource for containers", name)


def validate_quota_name(where: Cursor, name: str) -> Iterator[FieldError]:
    yield from validate_name(where, name)
    if "/" not in name and not is_quota(name):
        yield where.invalid("must be a standard resource for quota", name)


def validate_amount(amount: Cursor, name: str) -> Iterator[FieldError]:
    value = quantity.parse(amount.value)
    if value.nanos < 0:
        yield amount.invalid("must be greater than or equal to 0")
    extended = "/" in name and "kubernetes.io/" not in name and not name.startswith("requests.")
    if (name in COUNTED or extended) and value.nanos % quantity.NANO:
        yield amount.invalid("must be an integer")
