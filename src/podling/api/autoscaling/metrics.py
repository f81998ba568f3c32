"""The metrics and the behavior of a HorizontalPodAutoscaler. Source: API reference "MetricSpec", "HPAScalingRules";
pkg/apis/autoscaling/validation.
"""

from collections.abc import Iterator
from typing import Any

from podling.api import names, objects
from podling.api.field import Cursor, FieldError
from podling.api.kind import Object
from podling.api.rules import called, not_negative, one_of, present
from podling.base import quantity

# type of a metric -> the member that describes it
SOURCES = {
    "ContainerResource": "containerResource",
    "External": "external",
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
}
_LONGEST_PERIOD, _LONGEST_WINDOW = 1800, 3600
_UP = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
}
_DOWN = {"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}


def default_behavior(behavior: Object) -> None:
    for side, rules in (("scaleUp", _UP), ("scaleDown", _DOWN)):
        behavior[side] = objects.thaw(rules) | (behavior.get(side) or {})


def reference(target: Cursor) -> Iterator[FieldError]:
    """A CrossVersionObjectReference."""
    yield from called(target / "kind")
    yield from called(target / "name")
    version = target / "apiVersion"
    if (version.value or "").count("/") > 1:
        yield version.invalid(f"unexpected GroupVersion string: {version.value}")
    elif "/" not in (version.value or "") and version.value != "v1":
        yield version.invalid("apiVersion must specify API group", version.value or "")


def validate(metrics: Cursor, minimum: int | None) -> Iterator[FieldError]:
    for metric in metrics:
        yield from _metric(metric)
    if minimum == 0 and not any(metric.get("type") in ("Object", "External") for metric in metrics):
        yield metrics.forbidden("must specify at least one Object or External metric to support scaling to zero replicas")


def _metric(metric: Cursor) -> Iterator[FieldError]:
    kind = metric / "type"
    if not kind.value:
        yield kind.required("must specify a metric source type")
    if kind.value not in SOURCES:
        yield kind.unsupported(sorted(SOURCES), kind.value or "")
    expected = SOURCES.get(kind.value or "", "")
    given = [name for name in _CHECKS if metric.get(name) is not None]
    for name in given[:1]:
        yield from _CHECKS[name](metric / name)
    if expected and expected not in given:
        yield (metric / expected).required("must populate information for the given metric source")
    for name in given if len(given) > 1 else ():
        if name != expected:
            yield (metric / name).forbidden("must populate the given metric source only")


def _identified(source: Cursor) -> Iterator[FieldError]:
    name = source / "metric" / "name"
    yield from present(name, "must specify a metric name")
    if name:
        for complaint in names.path_segment(name.value):
            yield name.invalid(complaint)
    yield from _target(source / "target")


def _target(target: Cursor) -> Iterator[FieldError]:
    kind = target / "type"
    yield from present(kind, "must specify a metric target type")
    if kind.value not in ("Utilization", "Value", "AverageValue"):
        yield kind.invalid("must be either Utilization, Value, or AverageValue", kind.value or "")
    for name in ("value", "averageValue"):
        amount = target / name
        if amount.value is not None and quantity.parse(amount.value).nanos <= 0:
            yield amount.invalid("must be positive")
    if target.get("averageUtilization", 1) < 1:
        yield (target / "averageUtilization").invalid("must be greater than 0")


def _object(source: Cursor) -> Iterator[FieldError]:
    yield from reference(source / "describedObject")
    yield from _identified(source)
    target = source / "target"
    if target.get("value") is None and target.get("averageValue") is None:
        yield (target / "averageValue").required("must set either a target value or averageValue")


def _external(source: Cursor) -> Iterator[FieldError]:
    yield from _identified(source)
    target = source / "target"
    given = [target.get(name) is not None for name in ("value", "averageValue")]
    if not any(given):
        yield (target / "averageValue").required("must set either a target value for metric or a per-pod target")
    if all(given):
        yield (target / "value").forbidden("may not set both a target value for metric and a per-pod target")


def _pods(source: Cursor) -> Iterator[FieldError]:
    yield from _identified(source)
    if (source / "target").get("averageValue") is None:
        yield (source / "target" / "averageValue").required("must specify a positive target averageValue")


def _resource(source: Cursor) -> Iterator[FieldError]:
    yield from present(source / "name", "must specify a resource name")
    yield from _target(source / "target")
    target = source / "target"
    given = [target.get(name) is not None for name in ("averageUtilization", "averageValue")]
    if not any(given):
        yield (target / "averageUtilization").required("must set either a target raw value or a target utilization")
    if all(given):
        yield (target / "averageValue").forbidden("may not set both a target raw value and a target utilization")


def _container(source: Cursor) -> Iterator[FieldError]:
    container = source / "container"
    yield from present(container, "must specify a container")
    if container:
        for complaint in names.label(container.value):
            yield container.invalid(complaint)
    yield from _resource(source)


_CHECKS = {
    "object": _object,
    "external": _external,
    "pods": _pods,
    "resource": _resource,
    "containerResource": _container,
}


def validate_rules(rules: Cursor) -> Iterator[FieldError]:
    """How fast it may scale in one direction."""
    if rules.value is None:
        return
    window, policies = rules / "stabilizationWindowSeconds", rules / "policies"
    if (window.value or 0) < 0:
        yield window.invalid("must be greater than or equal to zero")
    if (window.value or 0) > _LONGEST_WINDOW:
        yield window.invalid(f"must be less than or equal to {_LONGEST_WINDOW}")
    yield from one_of(rules / "selectPolicy", ("Disabled", "Max", "Min"))
    yield from present(policies, "must specify at least one Policy")
    for policy in policies:
        yield from _policy(policy)
    tolerance = rules / "tolerance"
    if tolerance.value is not None:
        yield from not_negative(Cursor(quantity.parse(tolerance.value).nanos, rules, "tolerance"))


def _policy(policy: Cursor) -> Iterator[FieldError]:
    if policy.get("type") not in ("Pods", "Percent"):
        yield (policy / "type").unsupported(("Percent", "Pods"), policy.get("type", ""))
    for name in ("value", "periodSeconds"):
        if policy.get(name, 0) <= 0:
            yield (policy / name).invalid("must be greater than zero", policy.get(name, 0))
    if policy.get("periodSeconds", 0) > _LONGEST_PERIOD:
        yield (policy / "periodSeconds").invalid(f"must be less than or equal to {_LONGEST_PERIOD}")


_SHOWN = 2


def shown(specs: list[Object], statuses: list[Object]) -> str:
    """`cpu: 12%/80%, 3/10 (avg) + 1 more...`: what is and what is wanted."""
    if not specs:
        return "<none>"
    cells = [_shown(spec, statuses[index] if index < len(statuses) else {}) for index, spec in enumerate(specs)]
    more = f" + {len(cells) - _SHOWN} more..." if len(cells) > _SHOWN else ""
    return ", ".join(cells[:_SHOWN]) + more


def _shown(spec: Object, status: Object) -> str:
    kind = spec.get("type", "")
    member = SOURCES.get(kind)
    if member is None:
        return "<unknown type>"
    source: Object = spec.get(member) or {}
    target: Object = source.get("target") or {}
    now: Any = objects.get(status, f"{member}.current", {})
    if kind in ("Resource", "ContainerResource"):
        return f"{source.get('name', '')}: {_resource_shown(target, now)}"
    if kind == "Pods":
        return f"{now.get('averageValue', '<unknown>')}/{target.get('averageValue')}"
    if target.get("averageValue") is not None:
        return f"{now.get('averageValue', '<unknown>')}/{target['averageValue']} (avg)"
    return f"{now.get('value', '<unknown>')}/{target.get('value')}"


def _resource_shown(target: Object, now: Object) -> str:
    if target.get("averageValue") is not None:
        return f"{now.get('averageValue', '<unknown>')}/{target['averageValue']}"
    used, wanted = now.get("averageUtilization"), target.get("averageUtilization")
    return f"{'<unknown>' if used is None else f'{used}%'}/{'<auto>' if wanted is None else f'{wanted}%'}"
