"""Events as Docker tells them, and which ones a client wants. Source: Docker Engine API, SystemEvents."""

from typing import Any

from podling.docker import filters
from podling.docker.filters import Given
from podling.engine.events import Events
from podling.engine.types import Event

_KNOWN = frozenset(
    [
        "config",
        "container",
        "daemon",
        "event",
        "image",
        "label",
        "network",
        "node",
        "plugin",
        "scope",
        "secret",
        "service",
        "type",
        "volume",
    ]
)
_KINDS = ("container", "daemon", "image", "network", "plugin", "volume")


def pruned(events: Events, kind: str, freed: int) -> None:
    """Tell that unused ones of a kind were removed."""
    events.publish(kind, "prune", "", {"reclaimed": str(freed)})


def check(given: Given) -> None:
    """Raises InvalidInput for an unknown filter."""
    filters.check(given, _KNOWN)


def wanted(event: Event, given: Given) -> bool:
    """Whether an event passes. Kinds named as filters (`container=web`) are alternatives to one another."""
    named = [kind for kind in _KINDS if kind in given]
    action = event.action.partition(":")[0]
    return (
        filters.any_of(given, "type", lambda value: value == event.type)
        and filters.any_of(given, "event", lambda value: value in (event.action, action))
        and filters.any_of(given, "scope", lambda value: value == "local")
        and filters.labels(given, event.attributes)
        and (not named or any(_is_about(event, kind, value) for kind in named for value in given[kind]))
    )


def _is_about(event: Event, kind: str, value: str) -> bool:
    name = event.attributes.get("name", "")
    if kind == event.type:
        return (
            event.actor == value
            or name == value
            or (len(value) >= 12 and event.actor.startswith(value))
            or (kind == "image" and value in (name.partition(":")[0], event.actor.partition(":")[0]))
        )
    return kind == "image" and event.type == "container" and event.attributes.get("image") == value


def event_json(event: Event) -> dict[str, Any]:
    """EventMessage; of containers and images with the fields of old clients too."""
    shown: dict[str, Any] = {
        "Type": event.type,
        "Action": event.action,
        "Actor": {"ID": event.actor, "Attributes": dict(event.attributes)},
        "scope": "local",
        "time": event.time // 1_000_000_000,
        "timeNano": event.time,
    }
    if event.type in ("container", "image"):
        shown |= {"status": event.action, "id": event.actor}
    if event.type == "container":
        shown["from"] = event.attributes.get("image", "")
    return shown
