"""events.k8s.io/v1 Event: the v1 Events in newer words, stored as those. Source: Kubernetes API reference, "Event"."""

from collections.abc import Iterator

from podling.api.core.event import EVENT as CORE_EVENT
from podling.api.field import FieldError, at
from podling.api.kind import Kind, Object, paths
from podling.api.rules import present

# events.k8s.io/v1 -> v1
_NAMES = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
_BACK = {core: new for new, core in _NAMES.items()}


def to_stored(obj: Object) -> Object:
    return {_NAMES.get(name, name): value for name, value in obj.items()} | {"apiVersion": "v1"}


def from_stored(obj: Object) -> Object:
    return {_BACK.get(name, name): value for name, value in obj.items()} | {"apiVersion": "events.k8s.io/v1"}


def validate(new: Object, old: Object | None) -> Iterator[FieldError]:
    yield from CORE_EVENT.validate(to_stored(new), None)
    if old is not None:
        return
    for name in ("eventTime", "reportingController", "reportingInstance", "action", "reason"):
        yield from present(at(new, name))
    if new.get("type") not in ("Normal", "Warning"):
        yield at(new, "type").invalid(
            'has invalid value: ""' if not new.get("type") else "has invalid value", new.get("type", "")
        )


EVENT = Kind(
    api_version="events.k8s.io/v1",
    kind="Event",
    plural="events",
    create_on_update=True,
    short=("ev",),
    validate=validate,
    columns=CORE_EVENT.columns,
    fields={**CORE_EVENT.fields, **paths("regarding.kind", "regarding.namespace", "regarding.name", "reportingController")},
    stored_as=("", "events"),
    to_stored=to_stored,
    from_stored=from_stored,
)
