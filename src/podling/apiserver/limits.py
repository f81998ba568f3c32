"""What limit ranges fill in and what they refuse. Pure. Source: Kubernetes documentation "Limit Ranges"; plugin LimitRanger."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from podling.api.core import demand
from podling.api.core.demand import Amounts
from podling.base import quantity
from podling.base.quantity import Quantity

Object = dict[str, Any]
NOTE = "kubernetes.io/limit-ranger"
CLAIM = "PersistentVolumeClaim"


def fill_in(pod: Object, ranges: Iterable[Object]) -> None:
    """Give the containers what the ranges say for those that ask for nothing, and tell so in an annotation. In place."""
    notes: list[str] = []
    for limits in ranges:
        defaults = _defaults(limits)
        for member, role in (("initContainers", "init container"), ("containers", "container")):
            for container in pod["spec"].get(member) or ():
                notes += _fill_container(container, role, defaults)
    if notes:
        metadata = pod["metadata"]
        metadata["annotations"] = {**(metadata.get("annotations") or {}), NOTE: "LimitRanger plugin set: " + "; ".join(notes)}


def _defaults(limits: Object) -> dict[str, Object]:
    of_containers = [each for each in _entries(limits) if each.get("type") == "Container"]
    return {
        member: {name: amount for each in of_containers for name, amount in (each.get(source) or {}).items()}
        for member, source in (("requests", "defaultRequest"), ("limits", "default"))
    }


def _fill_container(container: Object, role: str, defaults: dict[str, Object]) -> Iterator[str]:
    for member, amounts in defaults.items():
        needs = container.setdefault("resources", {}) if amounts else {}
        given = needs.get(member) or {}
        missing = sorted(name for name in amounts if name not in given)
        if missing:
            needs[member] = {**given, **{name: amounts[name] for name in missing}}
            yield f"{', '.join(missing)} {member[:-1]} for {role} {container['name']}"


def complaints(plural: str, obj: Object, ranges: Iterable[Object]) -> list[str]:
    """Why the ranges refuse a pod or a persistent volume claim."""
    check = {"pods": _of_pod, "persistentvolumeclaims": _of_claim}[plural]
    return [words for limits in ranges for each in _entries(limits) for words in check(obj, each)]


def _entries(limits: Object) -> list[Object]:
    return (limits.get("spec") or {}).get("limits") or []


def _of_pod(pod: Object, limit: Object) -> Iterator[str]:
    spec = pod["spec"]
    if limit.get("type") == "Container":
        for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
            needs = container.get("resources") or {}
            yield from _bounded("Container", limit, demand.parsed(needs.get("requests")), demand.parsed(needs.get("limits")))
    elif limit.get("type") == "Pod":
        requests, limits = (demand.of_pod(spec, member, overhead=False) for member in ("requests", "limits"))
        yield from _bounded("Pod", limit, requests, limits)


def _of_claim(claim: Object, limit: Object) -> Iterator[str]:
    if limit.get("type") != CLAIM:
        return
    requests = demand.parsed(((claim.get("spec") or {}).get("resources") or {}).get("requests"))
    for word, bound in (("minimum", "min"), ("maximum", "max")):
        for name, amount in demand.parsed(limit.get(bound)).items():
            start = f"{word} {name} usage per {CLAIM} is {amount}"
            asked = requests.get(name)
            if asked is None:
                yield f"{start}.  No request is specified"
            elif (asked < amount) if bound == "min" else (amount < asked):
                yield f"{start}, but request is {asked}"


Given = tuple[str, Quantity | None]
Bound = Callable[[str, str, Quantity, Quantity | None, Quantity | None], str | None]


def _bounded(kind: str, limit: Object, requests: Amounts, limits: Amounts) -> Iterator[str]:
    for bound, check in _BOUNDS:
        for name, amount in demand.parsed(limit.get(bound)).items():
            if words := check(kind, name, amount, requests.get(name), limits.get(name)):
                yield words


def _minimum(kind: str, name: str, least: Quantity, request: Quantity | None, limit: Quantity | None) -> str | None:
    start = f"minimum {name} usage per {kind} is {least}"
    if request is None:
        return f"{start}.  No request is specified"
    if request < least:
        return f"{start}, but request is {request}"
    return f"{start}, but limit is {limit}" if limit is not None and limit < least else None


def _maximum(kind: str, name: str, most: Quantity, request: Quantity | None, limit: Quantity | None) -> str | None:
    start = f"maximum {name} usage per {kind} is {most}"
    if limit is None:
        return f"{start}.  No limit is specified"
    if most < limit:
        return f"{start}, but limit is {limit}"
    return f"{start}, but request is {request}" if request is not None and most < request else None


def _ratio(kind: str, name: str, most: Quantity, request: Quantity | None, limit: Quantity | None) -> str | None:
    start = f"{name} max limit to request ratio per {kind} is {most}"
    for word, amount in (("request", request), ("limit", limit)):
        if not amount:
            return f"{start}, but no {word} is specified or {word} is 0"
    assert request is not None
    assert limit is not None
    ratio = limit.nanos / request.nanos
    return f"{start}, but provided ratio is {ratio:f}" if ratio * quantity.NANO > most.nanos else None


_BOUNDS: tuple[tuple[str, Bound], ...] = (("min", _minimum), ("max", _maximum), ("maxLimitRequestRatio", _ratio))
