"""v1 Event. Source: Kubernetes API reference, "Event"; pkg/apis/core/validation/events.go.

events.k8s.io/v1 shows the same stored objects under other names: see podling.api.events.event.
"""

from collections.abc import Iterator

from podling.api import objects
from podling.api.field import FieldError, at
from podling.api.kind import Column, Kind, Object, paths
from podling.api.timestamps import ago

# Objects without a namespace have their events here.
CLUSTER_NAMESPACES = ("", "default")


def validate(new: Object, _old: Object | None) -> Iterator[FieldError]:
    involved = at(new, "involvedObject")
    namespace = involved.get("namespace", "")
    if objects.namespace_of(new) != namespace and not (namespace == "" and objects.namespace_of(new) in CLUSTER_NAMESPACES):
        yield (involved / "namespace").invalid("does not match event.namespace", namespace)


def _last_seen(event: Object) -> str | None:
    return (
        objects.get(event, "series.lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or event.get("firstTimestamp")
    )


def _object(event: Object, _: float) -> str:
    involved = event.get("involvedObject") or {}
    kind, name = str(involved.get("kind", "")).lower(), involved.get("name", "")
    return f"{kind}/{name}" if name else kind


def _source(event: Object, _: float) -> str:
    source = event.get("source") or {}
    component = source.get("component") or event.get("reportingComponent") or ""
    host = source.get("host") or event.get("reportingInstance") or ""
    return f"{component}, {host}" if host else component


def _count(event: Object, _: float) -> int:
    return int(objects.get(event, "series.count") or event.get("count") or 1)


def _component(event: Object) -> str:
    return str(objects.get(event, "source.component") or event.get("reportingComponent") or "")


EVENT = Kind(
    api_version="v1",
    kind="Event",
    plural="events",
    create_on_update=True,
    short=("ev",),
    validate=validate,
    columns=(
        Column("Last Seen", lambda event, _: ago(_last_seen(event))),
        Column("Type", "type"),
        Column("Reason", "reason"),
        Column("Object", _object),
        Column("Subobject", lambda event, _: objects.get(event, "involvedObject.fieldPath", ""), priority=1),
        Column("Source", _source, priority=1),
        Column("Message", lambda event, _: str(event.get("message") or "").strip()),
        Column(
            "First Seen",
            lambda event, _: ago(event.get("firstTimestamp") or event.get("eventTime")),
            priority=1,
        ),
        Column("Count", _count, priority=1),
        Column("Name", "metadata.name", format="name", priority=1),
    ),
    fields={
        **paths(
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "type",
        ),
        "source": _component,
    },
)
