"""Who owns what a selector matches: adopt what nobody controls, release what no longer matches."""

from collections.abc import Callable, Iterable

from podling.api.objects import Object, is_deleting, labels_of, owner_reference, owners_of, uid_of
from podling.api.selectors import Selector
from podling.client.resource import Resource
from podling.controllers.plan import Action, Patch
from podling.controllers.view import View


def anything(obj: Object) -> bool:
    return True


def claim(
    owner: Object, resource: Resource, selector: Selector, view: View, fits: Callable[[Object], bool] = anything
) -> tuple[list[Object], list[Action]]:
    """The objects that `owner` controls, those it adopts among them, and the patches that make it so.

    What the selector matches must also fit. Source: k8s.io/kubernetes controller_ref_manager.
    """
    owned = view.owned(resource, owner)
    mine = [obj for obj in owned if selector.matches(labels_of(obj)) and fits(obj)]
    actions: list[Action] = []
    if is_deleting(owner):
        return mine, actions
    actions += [release(owner, resource, obj) for obj in owned if not (selector.matches(labels_of(obj)) and fits(obj))]
    for obj in _adoptable(view.orphans(resource, owner["metadata"].get("namespace", ""), selector)):
        if fits(obj):
            mine.append(obj)
            actions.append(_adopt(owner, resource, obj))
    return mine, actions


def _adoptable(orphans: Iterable[Object]) -> list[Object]:
    return [obj for obj in orphans if not is_deleting(obj)]


def _adopt(owner: Object, resource: Resource, obj: Object) -> Patch:
    references = [reference for reference in owners_of(obj) if reference["uid"] != uid_of(owner)]
    patch = {"metadata": {"ownerReferences": [*references, owner_reference(owner)]}}
    return Patch(resource, obj, patch, unchanged=True)


def release(owner: Object, resource: Resource, obj: Object, **metadata: object) -> Patch:
    """Let go of `obj`; `metadata` is changed with it."""
    references = [reference for reference in owners_of(obj) if reference["uid"] != uid_of(owner)]
    return Patch(resource, obj, {"metadata": {"ownerReferences": references or None, **metadata}}, unchanged=True)
