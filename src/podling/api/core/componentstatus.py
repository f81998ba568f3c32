"""v1 ComponentStatus: read only, and deprecated since v1.19. Source: Kubernetes API reference, "ComponentStatus"."""

from podling.api import objects
from podling.api.columns import NAME
from podling.api.kind import Column, Kind, Object, deprecated


def _healthy(obj: Object) -> Object:
    found = (each for each in obj.get("conditions") or () if each.get("type") == "Healthy")
    return next(found, {})


def _status(obj: Object, _: float) -> str:
    return {"True": "Healthy", "False": "Unhealthy"}.get(_healthy(obj).get("status", ""), "Unknown")


COMPONENT_STATUS = Kind(
    api_version="v1",
    kind="ComponentStatus",
    plural="componentstatuses",
    deprecation=deprecated("v1", "ComponentStatus", "19"),
    short=("cs",),
    namespaced=False,
    verbs=("get", "list"),
    columns=(
        NAME,
        Column("Status", _status),
        Column("Message", lambda obj, _: objects.get(_healthy(obj), "message", "")),
        Column("Error", lambda obj, _: objects.get(_healthy(obj), "error", "")),
    ),
)
