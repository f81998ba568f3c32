"""Writing down who manages which fields, with each create and update. What that means is decided in api/managers.py.

Source: Kubernetes documentation "Server-Side Apply", "Field management".
"""

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

from podling.api import managers
from podling.api.field import FieldError
from podling.api.kind import Kind
from podling.api.managers import APPLY, UPDATE, Manager, Structure
from podling.api.schema import ANY, Shape, schemas
from podling.api.status import invalid
from podling.api.timestamps import rfc3339
from podling.api.typed import Typed
from podling.apiserver.call import Call

Object = dict[str, Any]
Track = Callable[[Object, Object | None, list[Object] | None], None]
"""(new, old, the managedFields that came with new): writes new's managedFields, in place, once it has its defaults."""


def structure_of(kind: Kind) -> Structure:
    return kind.structure or _built_in(kind.api_version, kind.kind)


@cache
def _built_in(api_version: str, kind: str) -> Structure:
    found = schemas().of_kind(api_version, kind)
    return Structure(Typed(schemas()), Shape("type", type_name=found.name) if found else ANY)


def manager_of(call: Call, operation: str = UPDATE) -> Manager:
    """Who writes: the fieldManager parameter, else what the User-Agent begins with. Raises 422."""
    name = call.request.query.get("fieldManager")
    if len(name) > managers.NAME_LIMIT:
        error = FieldError("FieldValueTooLong", "fieldManager", name, f"may not be more than {managers.NAME_LIMIT} bytes")
        raise invalid(options_kind(call), "", [error], "meta.k8s.io")
    if not name and operation == APPLY:
        error = FieldError("FieldValueRequired", "fieldManager", "", "is required for apply patch")
        raise invalid(options_kind(call), "", [error], "meta.k8s.io")
    name = name or managers.name_of_agent(call.request.headers.get("user-agent"))
    return Manager(name, operation, call.kind.api_version, call.attributes.subresource)


def options_kind(call: Call) -> str:
    return {"create": "CreateOptions", "update": "UpdateOptions"}.get(call.attributes.verb, "PatchOptions")


def time_of(call: Call) -> str:
    return _time(int(call.backend.clock.now()))


@lru_cache(maxsize=4)
def _time(second: int) -> str:
    return rfc3339(second)


def of_create(call: Call) -> Track:
    """All of a new object is its creator's, but for the status, which a create doesn't write."""
    manager, kind = manager_of(call), call.kind

    def track(new: Object, old: Object | None, given: list[Object] | None) -> None:
        written = without_status(new) if kind.has_status else new
        managers.put_into(new, managers.after_create(written, structure_of(kind), manager, time_of(call)))

    return track


def without_status(obj: Object) -> Object:
    return {name: value for name, value in obj.items() if name != "status"}


def of_update(call: Call) -> Track:
    """What differs is the writer's. Over the object itself, but not its subresources, managedFields may be edited too."""
    manager, kind = manager_of(call), call.kind

    def track(new: Object, old: Object | None, given: list[Object] | None) -> None:
        assert old is not None
        known = old["metadata"].get("managedFields")
        entries = managers.read(known)
        if given != known and not manager.subresource:
            entries = managers.given(given, entries)
        managers.put_into(new, managers.after_update(old, new, entries, structure_of(kind), manager, time_of(call)))

    return track


def as_given(new: Object, old: Object | None, given: list[Object] | None) -> None:
    """For an edit that has decided about managers itself."""
    if given:
        new["metadata"]["managedFields"] = given
    else:
        new["metadata"].pop("managedFields", None)


def unchanged(new: Object, old: Object | None, given: list[Object] | None) -> None:
    """For what the server writes on its own account."""
    as_given(new, old, old["metadata"].get("managedFields") if old else None)
