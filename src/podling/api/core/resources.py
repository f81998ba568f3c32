"""Resource requests and limits, and the quality of service that follows. Source: API reference "ResourceRequirements";
Kubernetes documentation "Pod Quality of Service Classes".
"""

from collections.abc import Iterator
from typing import Any

from podling.api import names
from podling.api.field import Cursor, FieldError
from podling.api.kind import Object
from podling.base import quantity

_STANDARD = {"cpu", "memory", "ephemeral-storage"}
_QOS = ("cpu", "memory")
_REFERABLE = (
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
)


def default_requests(container: Object) -> None:
    """A limit without a request is the request too."""
    needs = container.get("resources") or {}
    if limits := needs.get("limits"):
        needs["requests"] = {**limits, **(needs.get("requests") or {})}


def validate(needs: Cursor) -> Iterator[FieldError]:
    if not needs:
        return
    limits, requests = needs / "limits", needs / "requests"
    for amounts in (limits, requests):
        for name, amount in amounts.entries():
            yield from _amount(name, amount, amounts)
    for name, amount in requests.entries():
        limit = limits.get(name)
        if limit is None:
            continue
        asked, allowed = quantity.parse(amount.value), quantity.parse(limit)
        if _overcommits(name):
            if allowed < asked:
                yield requests.invalid(f"must be less than or equal to {name} limit of {limit}", amount.value)
        elif asked.nanos != allowed.nanos:
            yield requests.invalid(f"must be equal to {name} limit of {limit}", amount.value)


def _overcommits(name: str) -> bool:
    """Whether more may be promised than there is: what Kubernetes counts itself, huge pages excepted."""
    return ("/" not in name or "kubernetes.io/" in name) and not name.startswith("hugepages-")


def _amount(name: str, amount: Cursor, parent: Cursor) -> Iterator[FieldError]:
    complaints = [] if name in _STANDARD else names.qualified(name)
    for complaint in complaints:
        yield parent.invalid(complaint, name)
    if not complaints and name not in _STANDARD and "/" not in name and not name.startswith("hugepages-"):
        yield parent.invalid("must be a standard resource type or fully qualified", name)
        yield parent.invalid("must be a standard resource for containers", name)
    value = quantity.parse(amount.value)
    if value.nanos < 0:
        yield amount.invalid("must be greater than or equal to 0")
    if not _overcommits(name) and value.nanos % quantity.NANO:
        yield amount.invalid("must be an integer")


def validate_reference(reference: Cursor, *, in_volume: bool) -> Iterator[FieldError]:
    """A ResourceFieldSelector."""
    name = reference / "resource"
    if in_volume and not reference.get("containerName"):
        yield (reference / "containerName").required()
    elif not name.value:
        yield name.required()
    elif name.value not in _REFERABLE and not name.value.split(".", 1)[-1].startswith("hugepages-"):
        yield name.unsupported(_REFERABLE)
    yield from _divisor(reference, str(name.value or ""))


def _divisor(reference: Cursor, resource: str) -> Iterator[FieldError]:
    divisor = reference.get("divisor")
    if not divisor or not quantity.parse(divisor).nanos:
        return
    if resource.endswith(".cpu"):
        if divisor not in ("1m", "1"):
            yield (reference / "divisor").invalid("only divisor's values 1m and 1 are supported with the cpu resource")
    elif divisor not in ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"):
        words = "only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei are supported with the"
        yield (reference / "divisor").invalid(f"{words} {resource.split('.', 1)[-1]} resource")


def qos_class(spec: Object) -> str:
    """Guaranteed, Burstable or BestEffort."""
    if spec.get("resources"):
        owners: list[Any] = [spec]
    else:
        owners = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    asks, guaranteed = False, True
    for owner in owners:
        needs = owner.get("resources") or {}
        requests, limits = needs.get("requests") or {}, needs.get("limits") or {}
        for name in _QOS:
            asked, limit = _nanos(requests, name), _nanos(limits, name)
            asks = asks or bool(asked or limit)
            guaranteed = guaranteed and limit != 0 and asked in (0, limit)
    return "BestEffort" if not asks else "Guaranteed" if guaranteed else "Burstable"


def _nanos(amounts: Object, name: str) -> int:
    return quantity.parse(amounts[name]).nanos if name in amounts else 0
