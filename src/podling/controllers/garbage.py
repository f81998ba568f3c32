"""Garbage collection: what names owners that are all gone goes too; foreground and orphan deletion of owners.

Source: Kubernetes documentation "Garbage Collection". The graph is the owner index of every resource's informer. A cache may be
behind, so nothing is deleted before the server itself has said that the owner is gone.
"""

from collections.abc import Iterable, Mapping, Sequence

from podling.api.objects import Object, group_of, is_deleting, key_of, namespace_of, owners_of, uid_of
from podling.client.resource import Resource
from podling.controllers.controller import Controller, Watch
from podling.controllers.plan import NOTHING, Absent, Action, Delete, Guarded, Patch, Plan
from podling.controllers.view import Key, View

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"

Known = Mapping[tuple[str, str], Resource]  # by (API group, kind)


def garbage(resources: Sequence[Resource]) -> Controller:
    """The controller over `resources`: all that can be listed, watched and deleted."""
    known = {(resource.group, resource.kind): resource for resource in resources}

    def reconcile(obj: Object, view: View, now: float) -> Plan:
        return collect(obj, view, known)

    def concerns(obj: Object, view: View) -> Iterable[Key]:
        return concerned(obj, view, known)

    primary = tuple(Watch(resource, concerns, ("owner",), metadata_only=True, matters=matters) for resource in resources)
    return Controller("garbagecollector", primary=primary, reconcile=reconcile, workers=20)


def collect(obj: Object, view: View, known: Known) -> Plan:
    finalizers = obj["metadata"].get("finalizers") or []
    if is_deleting(obj):
        if ORPHAN in finalizers:
            return orphan(obj, view, known)
        return await_dependents(obj, view, known) if FOREGROUND in finalizers else NOTHING
    return _with_owners(obj, view, known) if owners_of(obj) else NOTHING


def _with_owners(obj: Object, view: View, known: Known) -> Plan:
    """Delete what has only owners that are gone or wait for it; let go of single ones."""
    solid, waiting, gone = _sort_owners(obj, view, known)
    resource = resource_of(obj, known)
    if solid:
        left = [owner for owner in owners_of(obj) if owner not in gone and owner not in waiting]
        dropped = [owner for owner in owners_of(obj) if owner not in left]
        return Plan([_drop_owners(resource, obj, dropped, gone, known)] if dropped else [])
    if waiting:
        blocks = any(is_deleting(found) for kind in known.values() for found in view.dependents(kind, uid_of(obj)))
        delete = Delete(resource, obj, propagation="Foreground" if blocks or _has_dependents(obj, view, known) else "Background")
        return Plan([delete])
    return Plan([Guarded(_checks(obj, gone, known), Delete(resource, obj, propagation=_policy(obj), unchanged=True))])


def _sort_owners(obj: Object, view: View, known: Known) -> tuple[list[Object], list[Object], list[Object]]:
    """Owners that are there, that are being deleted in the foreground and wait for this one, and that seem gone."""
    solid, waiting, gone = [], [], []
    for owner in owners_of(obj):
        resource = known.get((group_of(owner["apiVersion"]), owner["kind"]))
        if resource is None:
            solid.append(owner)  # nobody can tell
            continue
        found = view.get(resource, owner["name"], _namespace_of_owner(resource, obj))
        if found is None or uid_of(found) != owner["uid"]:
            gone.append(owner)
        elif is_deleting(found) and FOREGROUND in (found["metadata"].get("finalizers") or ()):
            waiting.append(owner)
        else:
            solid.append(owner)
    return solid, waiting, gone


def _namespace_of_owner(resource: Resource, dependent: Object) -> str:
    return namespace_of(dependent) if resource.namespaced else ""


def _checks(obj: Object, gone: list[Object], known: Known) -> list[Absent]:
    checks = []
    for owner in gone:
        resource = known[group_of(owner["apiVersion"]), owner["kind"]]
        checks.append(Absent(resource, _namespace_of_owner(resource, obj), owner["name"], owner["uid"]))
    return checks


def _policy(obj: Object) -> str:
    """As the object asks for its own dependents."""
    finalizers = obj["metadata"].get("finalizers") or ()
    return "Orphan" if ORPHAN in finalizers else "Foreground" if FOREGROUND in finalizers else "Background"


def _drop_owners(resource: Resource, obj: Object, dropped: list[Object], gone: list[Object], known: Known) -> Action:
    patch = Patch(resource, obj, _without(obj, {owner["uid"] for owner in dropped}), unchanged=True)
    absent = [owner for owner in dropped if owner in gone]
    return Guarded(_checks(obj, absent, known), patch) if absent else patch


def _without(obj: Object, uids: set[str]) -> Object:
    left = [owner for owner in owners_of(obj) if owner["uid"] not in uids]
    return {"metadata": {"ownerReferences": left or None}}


def _has_dependents(obj: Object, view: View, known: Known) -> bool:
    return any(view.dependents(resource, uid_of(obj)) for resource in known.values())


def await_dependents(obj: Object, view: View, known: Known) -> Plan:
    """Foreground: let go of the owner once no dependent that blocks its deletion is left."""
    for resource in known.values():
        for dependent in view.dependents(resource, uid_of(obj)):
            if any(owner["uid"] == uid_of(obj) and owner.get("blockOwnerDeletion") for owner in owners_of(dependent)):
                return NOTHING  # its own turn deletes it, and its going asks about this one again
    return Plan([_without_finalizer(obj, FOREGROUND, known)])


def orphan(obj: Object, view: View, known: Known) -> Plan:
    """Orphan: first no dependent names the owner any more, then the owner goes."""
    actions = [
        Patch(resource, dependent, _without(dependent, {uid_of(obj)}), unchanged=True)
        for resource in known.values()
        for dependent in view.dependents(resource, uid_of(obj))
    ]
    return Plan(actions or [_without_finalizer(obj, ORPHAN, known)])


def _without_finalizer(obj: Object, name: str, known: Known) -> Action:
    rest = [one for one in obj["metadata"].get("finalizers") or () if one != name]
    return Patch(resource_of(obj, known), obj, {"metadata": {"finalizers": rest or None}}, unchanged=True)


def resource_of(obj: Object, known: Known) -> Resource:
    return known[group_of(obj["apiVersion"]), obj["kind"]]


def concerned(obj: Object, view: View, known: Known) -> Iterable[Key]:
    """The dependents of what is going or has gone, and the owners that wait for it."""
    if not is_deleting(obj) and not _has_gone(obj, view, known):
        return
    for resource in known.values():
        for dependent in view.dependents(resource, uid_of(obj)):
            yield resource, key_of(dependent)
    for owner in owners_of(obj):
        found = known.get((group_of(owner["apiVersion"]), owner["kind"]))
        if found is not None:
            name = owner["name"]
            yield found, f"{namespace_of(obj)}/{name}" if found.namespaced else name


def _has_gone(obj: Object, view: View, known: Known) -> bool:
    found = view.get(resource_of(obj, known), obj["metadata"]["name"], namespace_of(obj))
    return found is None or uid_of(found) != uid_of(obj)


def matters(old: Object | None, new: Object | None) -> bool:
    """Whether a change can change who is collected: nearly all changes can't."""
    if old is None or new is None:
        return True
    fields = ("ownerReferences", "finalizers", "deletionTimestamp")
    return any(old["metadata"].get(name) != new["metadata"].get(name) for name in fields)
