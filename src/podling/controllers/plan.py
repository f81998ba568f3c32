"""What a decider answers with: actions, a new status, and when to ask again. Values only; `actions.py` does them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from podling.api.objects import Object
from podling.client.resource import Resource


@dataclass(frozen=True, slots=True)
class Event:
    """Tell people. `{name}` stands for the object acted on, `{error}` for why the action failed."""

    about: Object
    reason: str
    message: str
    type: str = "Normal"


@dataclass(frozen=True, slots=True)
class Create:
    """Create `object`; `done` and `failed` are told afterwards. That it exists already is no failure."""

    resource: Resource
    object: Object
    done: Event | None = None
    failed: Event | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete exactly this object (by uid; with `unchanged` only in this version). That it is gone already is no failure."""

    resource: Resource
    object: Object
    propagation: str = ""
    grace: int | None = None
    unchanged: bool = False
    done: Event | None = None
    failed: Event | None = None


@dataclass(frozen=True, slots=True)
class DeleteAll:
    """Delete all of a resource in a namespace."""

    resource: Resource
    namespace: str


@dataclass(frozen=True, slots=True)
class Patch:
    """Patch exactly this object (by uid; with `unchanged` only in this version). A merge patch, or as `type` says."""

    resource: Resource
    object: Object
    patch: Object
    type: str = "merge"
    subresource: str = ""
    unchanged: bool = False
    done: Event | None = None
    failed: Event | None = None


@dataclass(frozen=True, slots=True)
class Update:
    """Replace an object, in the version it was read at."""

    resource: Resource
    object: Object
    subresource: str = ""
    done: Event | None = None
    failed: Event | None = None


@dataclass(frozen=True, slots=True)
class Absent:
    """The server itself, not a cache, has no object of this name and uid."""

    resource: Resource
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Empty:
    """The server itself has nothing of this resource in the namespace."""

    resource: Resource
    namespace: str


@dataclass(frozen=True, slots=True)
class Carries:
    """The server itself has this object, and it still carries the finalizer."""

    resource: Resource
    namespace: str
    name: str
    uid: str
    finalizer: str


Check = Absent | Empty | Carries


@dataclass(frozen=True, slots=True)
class Guarded:
    """Do `action` if all `checks` hold when asked of the server, because a cache may be behind."""

    checks: Sequence[Check]
    action: Delete | Update | Patch


Action = Create | Delete | DeleteAll | Patch | Update | Guarded | Event


@dataclass(frozen=True, slots=True)
class Plan:
    """Actions are done side by side. `status` replaces that of the object where it differs. `requeue_after` is in seconds.

    What `fetch` names (paths of what can't be watched, with their queries) is read, and then it is asked again at once, with the
    answers in the view; they stay there as long as each plan fetches more.
    `memory` is handed back in the next view; None leaves it as it was. It is lost with the process.
    """

    actions: Sequence[Action] = ()
    status: Object | None = None
    requeue_after: float | None = None
    fetch: Sequence[str] = ()
    memory: Any = None


NOTHING = Plan()


def sooner(*waits: float | None) -> float | None:
    """The earliest of several waits; None for never."""
    return min((wait for wait in waits if wait is not None), default=None)


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> Object:
    """The merge patch from `old` to `new`; empty where they are the same. Source: RFC 7396."""
    patch: Object = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if before == value:
            continue
        patch[key] = difference(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return patch
