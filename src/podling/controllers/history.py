"""The former templates of a StatefulSet or DaemonSet, kept as ControllerRevisions: `rollout history` and `undo` go by them.

Source: k8s.io/kubernetes pkg/controller/history. A revision's data is the patch that brings its template back.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from podling.api.objects import Object, annotations_of, get, is_deleting, labels_of, name_of, namespace_of, owner_reference
from podling.client.resource import CONTROLLER_REVISIONS
from podling.controllers.digest import digest
from podling.controllers.plan import Action, Create, Delete, Patch
from podling.controllers.view import View

POD_LABEL = "controller-revision-hash"


@dataclass(frozen=True, slots=True)
class History:
    """`latest` is the revision of the present template, None until it is there; `known` are all, oldest first.

    `collided`: the name of the new revision is taken, and another is to be tried.
    """

    known: list[Object]
    latest: Object | None
    actions: list[Action] = field(default_factory=list)
    collided: bool = False

    def named(self, name: str) -> Object | None:
        return next((one for one in self.known if name_of(one) == name), None)


def settle(owner: Object, revisions: Iterable[Object], label: str, view: View) -> History:
    """Find the revision of the present template, number it as the latest, or have it made. `label` carries its hash."""
    known = sorted(revisions, key=_age)
    data = data_of(owner["spec"]["template"])
    equal = [one for one in known if one.get("data") == data and not is_deleting(one)]
    if not equal:
        return _make(owner, known, data, label, view)
    latest = equal[-1]
    if latest is known[-1]:
        return History(known, latest)
    return History(known, latest, [Patch(CONTROLLER_REVISIONS, latest, {"revision": _next(known)})])


def _make(owner: Object, known: list[Object], data: Object, label: str, view: View) -> History:
    suffix = digest(data, get(owner, "status.collisionCount", 0))
    name = f"{name_of(owner)}-{suffix}"
    taken = view.get(CONTROLLER_REVISIONS, name, namespace_of(owner))
    if taken is not None:
        return History(known, None, collided=not is_deleting(taken))
    revision = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": name,
            "namespace": namespace_of(owner),
            "labels": labels_of(owner["spec"]["template"]) | {label: suffix},
            "annotations": annotations_of(owner),
            "ownerReferences": [owner_reference(owner)],
        },
        "data": data,
        "revision": _next(known),
    }
    return History(known, None, [Create(CONTROLLER_REVISIONS, revision)])


def _age(revision: Object) -> tuple[int, str, str]:
    return revision.get("revision") or 0, revision["metadata"].get("creationTimestamp") or "", name_of(revision)


def _next(known: list[Object]) -> int:
    return max((one.get("revision") or 0 for one in known), default=0) + 1


def data_of(template: Object) -> Object:
    return {"spec": {"template": {**template, "$patch": "replace"}}}


def template_of(revision: Object) -> Object:
    return {key: value for key, value in revision["data"]["spec"]["template"].items() if key != "$patch"}


def forget(owner: Object, history: History, live: set[str]) -> list[Action]:
    """Delete the oldest revisions beyond the limit that nothing `live` (by name) uses."""
    limit = owner["spec"].get("revisionHistoryLimit")
    idle = [one for one in history.known if name_of(one) not in live and not is_deleting(one)]
    surplus = idle[: max(0, len(idle) - (10 if limit is None else limit))]
    return [Delete(CONTROLLER_REVISIONS, one) for one in surplus]
