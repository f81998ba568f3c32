"""Plain objects: reading paths, copying the spine, owners, conditions.

Objects are JSON-shaped dicts, and shared: who edits, copies the levels that change.
"""

from collections.abc import Iterable
from typing import Any

Object = dict[str, Any]


def get(obj: Any, path: str, default: Any = None) -> Any:
    """The value at a dotted path (`spec.template.spec`); `default` when a step is missing or null."""
    for name in path.split("."):
        if not isinstance(obj, dict):
            return default
        obj = obj.get(name)
    return default if obj is None else obj


def put(obj: Object, path: str, value: Any) -> Object:
    """A copy of `obj` with `value` at a dotted path. Only the levels on the way are copied; the rest is shared."""
    name, _, rest = path.partition(".")
    copied = dict(obj)
    copied[name] = put(obj.get(name) or {}, rest, value) if rest else value
    return copied


def drop(obj: Object, path: str) -> Object:
    """A copy of `obj` without what is at a dotted path; the same object when there is nothing."""
    name, _, rest = path.partition(".")
    if name not in obj:
        return obj
    if not rest:
        return {key: value for key, value in obj.items() if key != name}
    below = obj[name]
    if not isinstance(below, dict):
        return obj
    cut = drop(below, rest)
    return obj if cut is below else {**obj, name: cut}


def thaw(value: Any) -> Any:
    """A deep copy of a JSON value, four times as fast as copy.deepcopy."""
    if type(value) is dict:
        return {key: thaw(item) for key, item in value.items()}
    if type(value) is list:
        return [thaw(item) for item in value]
    return value


def name_of(obj: Object) -> str:
    return str((obj.get("metadata") or {}).get("name") or "")


def namespace_of(obj: Object) -> str:
    return str((obj.get("metadata") or {}).get("namespace") or "")


def uid_of(obj: Object) -> str:
    return str((obj.get("metadata") or {}).get("uid") or "")


def labels_of(obj: Object) -> dict[str, str]:
    return (obj.get("metadata") or {}).get("labels") or {}


def annotations_of(obj: Object) -> dict[str, str]:
    return (obj.get("metadata") or {}).get("annotations") or {}


def key_of(obj: Object) -> str:
    """`namespace/name`, or `name` for what has no namespace."""
    namespace = namespace_of(obj)
    return f"{namespace}/{name_of(obj)}" if namespace else name_of(obj)


def is_deleting(obj: Object) -> bool:
    return bool((obj.get("metadata") or {}).get("deletionTimestamp"))


def owners_of(obj: Object) -> list[Object]:
    return (obj.get("metadata") or {}).get("ownerReferences") or []


def controller_of(obj: Object) -> Object | None:
    """The owner reference of the one owner that manages `obj`."""
    return next((owner for owner in owners_of(obj) if owner.get("controller")), None)


def is_controlled_by(obj: Object, owner: Object) -> bool:
    reference = controller_of(obj)
    return reference is not None and reference.get("uid") == uid_of(owner)


def owner_reference(owner: Object) -> Object:
    """The reference that makes `owner` the controller of what carries it."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name_of(owner),
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def group_of(api_version: str) -> str:
    """`apps` of `apps/v1`; empty for the core group."""
    return api_version.rpartition("/")[0]


def version_of(api_version: str) -> str:
    return api_version.rpartition("/")[2]


def condition(obj: Object, kind: str) -> Object | None:
    """The status condition of type `kind`."""
    for found in get(obj, "status.conditions", ()):
        if found.get("type") == kind:
            return dict(found)
    return None


def has_condition(obj: Object, kind: str, status: str = "True") -> bool:
    found = condition(obj, kind)
    return found is not None and found.get("status") == status


def with_condition(conditions: Iterable[Object] | None, new: Object, now: str) -> list[Object]:
    """`conditions` with `new` in the place of its type. lastTransitionTime is `now` when the status changed, else as it was."""
    result = []
    placed = False
    for old in conditions or ():
        if old.get("type") == new["type"]:
            same = old.get("status") == new.get("status")
            result.append({**new, "lastTransitionTime": old.get("lastTransitionTime") or now if same else now})
            placed = True
        else:
            result.append(old)
    if not placed:
        result.append({**new, "lastTransitionTime": now})
    return result


def without_condition(conditions: Iterable[Object] | None, kind: str) -> list[Object]:
    return [found for found in conditions or () if found.get("type") != kind]
