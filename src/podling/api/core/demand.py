"""What a pod asks for altogether, by resource: what quotas and limit ranges measure.

Source: Kubernetes documentation "Init Containers", resource sharing within containers; "Pod Overhead".
"""

from collections.abc import Iterable, Mapping
from typing import Any

from podling.base import quantity
from podling.base.quantity import ZERO, Quantity

Object = dict[str, Any]
Amounts = dict[str, Quantity]


def parsed(amounts: Mapping[str, Any] | None) -> Amounts:
    return {name: quantity.parse(amount) for name, amount in (amounts or {}).items()}


def total(parts: Iterable[Amounts]) -> Amounts:
    summed: Amounts = {}
    for part in parts:
        for name, amount in part.items():
            summed[name] = summed.get(name, ZERO) + amount
    return summed


def largest(one: Amounts, other: Amounts) -> Amounts:
    return {name: max(one.get(name, ZERO), other.get(name, ZERO)) for name in [*one, *(set(other) - set(one))]}


def of_pod(spec: Object, member: str, *, overhead: bool = True) -> Amounts:
    """The sum over the containers, or the largest step of the initialisation; `member` is `requests` or `limits`.

    A sidecar counts on from its start. What the pod says of itself as a whole holds before that. An overhead adds to limits
    only where there is one.
    """
    running = total(_of(container, member) for container in spec.get("containers") or ())
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in spec.get("initContainers") or ():
        own = _of(container, member)
        if container.get("restartPolicy") == "Always":
            running = total((running, own))
            sidecars = own = total((sidecars, own))
        else:
            own = total((sidecars, own))
        peak = largest(peak, own)
    whole = largest(running, peak) | parsed((spec.get("resources") or {}).get(member))
    extra = parsed(spec.get("overhead")) if overhead else {}
    if member == "limits":
        extra = {name: amount for name, amount in extra.items() if name in whole}
    return total((whole, extra))


def _of(container: Object, member: str) -> Amounts:
    return parsed((container.get("resources") or {}).get(member))
