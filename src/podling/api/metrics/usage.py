"""metrics.k8s.io/v1beta1 NodeMetrics and PodMetrics. Source: k8s.io/metrics pkg/apis/metrics/v1beta1; metrics-server's tables."""

from collections.abc import Iterable

from podling.api.custom.publish import published
from podling.api.kind import NAME, Column, Kind, Object
from podling.base import quantity

GROUP, VERSION = "metrics.k8s.io", "v1beta1"

_QUANTITIES = {"type": "object", "additionalProperties": {"oneOf": [{"type": "string"}, {"type": "number"}]}}
_WHEN = {"timestamp": {"type": "string", "format": "date-time"}, "window": {"type": "string"}}
_CONTAINER = {"type": "object", "required": ["name", "usage"], "properties": {"name": {"type": "string"}, "usage": _QUANTITIES}}


def _schema(words: str, **properties: Object) -> Object:
    return {"description": words, "required": ["timestamp", "window", *properties], "properties": {**_WHEN, **properties}}


def total(usages: Iterable[Object]) -> Object:
    """What several containers use together."""
    sums: dict[str, quantity.Quantity] = {}
    for usage in usages:
        for name, amount in usage.items():
            sums[name] = sums[name] + quantity.parse(amount) if name in sums else quantity.parse(amount)
    return {name: str(amount) for name, amount in sums.items()}


def _of_node(obj: Object, name: str) -> str:
    return str((obj.get("usage") or {}).get(name, "0"))


def _of_pod(obj: Object, name: str) -> str:
    return str(total(one.get("usage") or {} for one in obj.get("containers") or ()).get(name, "0"))


NODE_METRICS = Kind(
    api_version=f"{GROUP}/{VERSION}",
    kind="NodeMetrics",
    plural="nodes",
    namespaced=False,
    verbs=("get", "list"),
    columns=(
        NAME,
        Column("cpu", lambda obj, _: _of_node(obj, "cpu"), format="quantity"),
        Column("memory", lambda obj, _: _of_node(obj, "memory"), format="quantity"),
        Column("Window", "window", format="duration"),
    ),
    published=published(
        _schema("NodeMetrics sets resource usage metrics of a node.", usage=_QUANTITIES),
        GROUP,
        VERSION,
        {"kind": "NodeMetrics", "plural": "nodemetrics"},
    ),
)

POD_METRICS = Kind(
    api_version=f"{GROUP}/{VERSION}",
    kind="PodMetrics",
    plural="pods",
    verbs=("get", "list"),
    columns=(
        NAME,
        Column("cpu", lambda obj, _: _of_pod(obj, "cpu"), format="quantity"),
        Column("memory", lambda obj, _: _of_pod(obj, "memory"), format="quantity"),
        Column("Window", "window", format="duration"),
    ),
    published=published(
        _schema("PodMetrics sets resource usage metrics of a pod.", containers={"type": "array", "items": _CONTAINER}),
        GROUP,
        VERSION,
        {"kind": "PodMetrics", "plural": "podmetrics"},
    ),
)

KINDS = (NODE_METRICS, POD_METRICS)

API_SERVICE: Object = {
    "apiVersion": "apiregistration.k8s.io/v1",
    "kind": "APIService",
    "metadata": {"name": f"{VERSION}.{GROUP}"},
    "spec": {"group": GROUP, "version": VERSION, "groupPriorityMinimum": 100, "versionPriority": 100},
}
