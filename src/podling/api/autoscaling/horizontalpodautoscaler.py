"""autoscaling/v2 HorizontalPodAutoscaler, and the older autoscaling/v1 of it. Source: Kubernetes API reference;
pkg/apis/autoscaling/validation, conversion.

Objects are stored as v2. Of the metrics, v1 knows the use of the CPU alone; it carries what else there is in annotations.
"""

import json
from collections.abc import Iterator
from typing import Any

from podling.api import objects
from podling.api.autoscaling import metrics
from podling.api.columns import AGE, NAME
from podling.api.field import FieldError, at
from podling.api.kind import STATUS, Column, Kind, Object, also_as, fresh_status
from podling.api.rules import not_negative


def default(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("minReplicas", 1)
    if not spec.get("metrics"):
        spec["metrics"] = [objects.thaw(metrics.CPU)]
    if spec.get("behavior") is not None:
        metrics.default_behavior(spec["behavior"])


def validate(new: Object, _old: Object | None) -> Iterator[FieldError]:
    spec = at(new, "spec")
    low, high = spec / "minReplicas", spec / "maxReplicas"
    if low.value is not None and low.value < 1:
        yield low.invalid("must be greater than or equal to 1")
    if not high.value:
        yield high.required("must be set and greater than 0")
    elif high.value < 0:
        yield high.invalid("must be greater than or equal to 1")
    if low.value is not None and (high.value or 0) < low.value:
        yield high.invalid("must be greater than or equal to `minReplicas`", high.value or 0)
    yield from metrics.reference(spec / "scaleTargetRef")
    yield from metrics.validate(spec / "metrics", low.value)
    for side in ("scaleUp", "scaleDown"):
        yield from metrics.validate_rules(spec / "behavior" / side)


def validate_status(new: Object, _old: Object) -> Iterator[FieldError]:
    for name in ("currentReplicas", "desiredReplicas"):
        yield from not_negative(at(new, "status", name))


def _reference(obj: Object, _: float) -> str:
    target = objects.get(obj, "spec.scaleTargetRef", {})
    return f"{target.get('kind', '')}/{target.get('name', '')}"


def _targets(obj: Object, _: float) -> str:
    return metrics.shown(objects.get(obj, "spec.metrics", []), objects.get(obj, "status.currentMetrics", []))


HORIZONTAL_POD_AUTOSCALER = Kind(
    api_version="autoscaling/v2",
    kind="HorizontalPodAutoscaler",
    plural="horizontalpodautoscalers",
    short=("hpa",),
    categories=("all",),
    subresources=(STATUS,),
    default=default,
    prepare=fresh_status(desiredReplicas=0),
    validate=validate,
    validate_status=validate_status,
    columns=(
        NAME,
        Column("Reference", _reference),
        Column("Targets", _targets),
        Column("MinPods", lambda obj, _: str(objects.get(obj, "spec.minReplicas", "<unset>"))),
        Column("MaxPods", lambda obj, _: objects.get(obj, "spec.maxReplicas", 0)),
        Column("Replicas", lambda obj, _: objects.get(obj, "status.currentReplicas", 0)),
        AGE,
    ),
)


# v1

_PREFIX = "autoscaling.alpha.kubernetes.io/"
CPU_TARGET = 80  # per cent
_TARGET, _CURRENT = "targetCPUUtilizationPercentage", "currentCPUUtilizationPercentage"
# annotation of v1 -> path in v2
_CARRIED = {
    f"{_PREFIX}metrics": "spec.metrics",
    f"{_PREFIX}behavior": "spec.behavior",
    f"{_PREFIX}current-metrics": "status.currentMetrics",
    f"{_PREFIX}conditions": "status.conditions",
}


def _default_v1(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("minReplicas", 1)
    if f"{_PREFIX}metrics" not in objects.annotations_of(obj):
        spec.setdefault(_TARGET, CPU_TARGET)


def _is_cpu(metric: Object) -> bool:
    return metric.get("type") == "Resource" and objects.get(metric, "resource.name") == "cpu"


def _from_v2(obj: Object) -> Object:
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    carried: Object = {"spec.behavior": spec.pop("behavior", None), "status.conditions": status.pop("conditions", None)}
    carried["spec.metrics"] = _split(spec, "metrics", "target.averageUtilization", _TARGET)
    carried["status.currentMetrics"] = _split(status, "currentMetrics", "current.averageUtilization", _CURRENT)
    notes = {key: json.dumps(carried[path]) for key, path in _CARRIED.items() if carried[path]}
    return _annotated({**obj, "spec": spec, "status": status}, notes)


def _split(owner: Object, member: str, path: str, name: str) -> list[Object]:
    """Take the metrics out of `owner`: the CPU's use goes under `name`, the others come back."""
    rest = []
    for metric in owner.pop(member, None) or ():
        used = objects.get(metric, f"resource.{path}") if _is_cpu(metric) else None
        if used is not None and name not in owner:
            owner[name] = used
        else:
            rest.append(metric)
    return rest


def _to_v2(obj: Object) -> Object:
    notes = objects.annotations_of(obj)
    result = {**obj, "spec": dict(obj.get("spec") or {}), "status": dict(obj.get("status") or {})}
    for key, path in _CARRIED.items():
        if (found := _loaded(notes.get(key))) is not None:
            result = objects.put(result, path, found)
    for owner, member, name, side in (("spec", "metrics", _TARGET, "target"), ("status", "currentMetrics", _CURRENT, "current")):
        if (used := result[owner].pop(name, None)) is not None:
            value = {"averageUtilization": used} | ({"type": "Utilization"} if side == "target" else {})
            cpu = {"type": "Resource", "resource": {"name": "cpu", side: value}}
            result[owner][member] = [cpu, *(result[owner].get(member) or ())]
    if not result["spec"].get("metrics"):
        result["spec"]["metrics"] = [objects.thaw(metrics.CPU)]
    return _annotated(result, {})


def _loaded(text: str | None) -> Any:
    """What an annotation carries; a client may have written anything into it."""
    try:
        found = json.loads(text or "null")
    except ValueError:
        return None
    return found if isinstance(found, dict | list) else None


def _annotated(obj: Object, notes: dict[str, str]) -> Object:
    """`obj` with `notes` in the place of what was carried before."""
    kept = {key: value for key, value in objects.annotations_of(obj).items() if key not in _CARRIED}
    if notes or len(kept) < len(objects.annotations_of(obj)):
        return objects.put(obj, "metadata.annotations", kept | notes)
    return obj


def _validate_v1(new: Object, old: Object | None) -> Iterator[FieldError]:
    target = at(new, "spec", _TARGET)
    if target.value is not None and target.value < 1:
        yield target.invalid("must be greater than 0")
    else:
        yield from validate(_to_v2(new), old)


def _targets_v1(obj: Object, now: float) -> str:
    return _targets(_to_v2(obj), now)


HORIZONTAL_POD_AUTOSCALER_V1 = also_as(
    HORIZONTAL_POD_AUTOSCALER,
    "v1",
    to_stored=_to_v2,
    from_stored=_from_v2,
    default=_default_v1,
    prepare=fresh_status(currentReplicas=0, desiredReplicas=0),
    validate=_validate_v1,
    columns=tuple(
        Column("Targets", _targets_v1) if column.name == "Targets" else column for column in HORIZONTAL_POD_AUTOSCALER.columns
    ),
)
