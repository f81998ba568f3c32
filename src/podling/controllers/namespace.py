"""Empty a namespace that is being deleted, then let it go.

Source: v1 Namespace: its finalizer, and the conditions that `kubectl describe` shows while something remains.
"""

from collections.abc import Sequence

from podling.api.objects import Object, condition, is_deleting, name_of, with_condition
from podling.api.timestamps import rfc3339
from podling.client.resource import NAMESPACES, Resource
from podling.controllers.controller import Controller, Watch
from podling.controllers.plan import NOTHING, Action, DeleteAll, Empty, Guarded, Plan, Update
from podling.controllers.view import Key, View

FINALIZER = "kubernetes"
AGAIN = 5.0  # seconds until what remains is deleted anew
CONTENT, FINALIZERS, DELETED = "NamespaceContentRemaining", "NamespaceFinalizersRemaining", "NamespaceDeletionContentFailure"


def namespace(resources: Sequence[Resource]) -> Controller:
    """The controller that deletes `resources`: all those with a namespace that can be listed and deleted."""
    watched = [Watch(resource, _its_namespace, ("namespace",), metadata_only=True) for resource in resources]

    def reconcile(obj: Object, view: View, now: float) -> Plan:
        if not is_deleting(obj) or FINALIZER not in _finalizers(obj):
            return NOTHING
        remaining = {resource: items for resource in resources if (items := view.within(resource, name_of(obj)))}
        if condition(obj, DELETED) is None:  # first time: also what no cache knows of yet
            return Plan([DeleteAll(resource, name_of(obj)) for resource in resources], _status(obj, remaining, now), AGAIN)
        if remaining:
            deletions = [DeleteAll(resource, name_of(obj)) for resource in _deletable(remaining)]
            return Plan(deletions, _status(obj, remaining, now), AGAIN)
        return Plan([_let_go(obj, resources)])

    return Controller("namespace", primary=(Watch(NAMESPACES),), reconcile=reconcile, watches=tuple(watched), workers=10)


def _its_namespace(obj: Object, view: View) -> list[Key]:
    """What goes while its namespace goes too is what that waits for."""
    space = view.get(NAMESPACES, obj["metadata"].get("namespace", ""))
    return [(NAMESPACES, name_of(space))] if space is not None and is_deleting(space) else []


def _deletable(remaining: dict[Resource, list[Object]]) -> list[Resource]:
    """Those with an object that isn't on its way out."""
    return [resource for resource, items in remaining.items() if any(not is_deleting(item) for item in items)]


def _finalizers(obj: Object) -> list[str]:
    return (obj.get("spec") or {}).get("finalizers") or []


def _let_go(obj: Object, resources: Sequence[Resource]) -> Action:
    rest = [name for name in _finalizers(obj) if name != FINALIZER]
    new = {**obj, "spec": {**(obj.get("spec") or {}), "finalizers": rest}}
    return Guarded([Empty(resource, name_of(obj)) for resource in resources], Update(NAMESPACES, new, subresource="finalize"))


def _status(obj: Object, remaining: dict[Resource, list[Object]], now: float) -> Object:
    status = obj.get("status") or {}
    conditions = status.get("conditions")
    for kind, state, reason, message in (
        ("NamespaceDeletionDiscoveryFailure", "False", "ResourcesDiscovered", "All resources successfully discovered"),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            "False",
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        (DELETED, "False", "ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
        _content(remaining),
        _held(remaining),
    ):
        new = {"type": kind, "status": state, "reason": reason, "message": message}
        conditions = with_condition(conditions, new, rfc3339(now))
    return {**status, "phase": "Terminating", "conditions": conditions}


def _content(remaining: dict[Resource, list[Object]]) -> tuple[str, str, str, str]:
    if not remaining:
        return (CONTENT, "False", "ContentRemoved", "All content successfully removed")
    parts = [f"{resource.plural}.{resource.group} has {len(items)} resource instances" for resource, items in remaining.items()]
    return (CONTENT, "True", "SomeResourcesRemain", "Some resources are remaining: " + ", ".join(sorted(parts)))


def _held(remaining: dict[Resource, list[Object]]) -> tuple[str, str, str, str]:
    counts: dict[str, int] = {}
    for items in remaining.values():
        for item in items:
            for name in item["metadata"].get("finalizers") or ():
                counts[name] = counts.get(name, 0) + 1
    if not counts:
        return (FINALIZERS, "False", "ContentHasNoFinalizers", "All content-preserving finalizers finished")
    parts = [f"{name} in {count} resource instances" for name, count in sorted(counts.items())]
    return (
        FINALIZERS,
        "True",
        "SomeFinalizersRemain",
        "Some content in the namespace has finalizers remaining: " + ", ".join(parts),
    )
