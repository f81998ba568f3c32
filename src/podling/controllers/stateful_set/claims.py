"""The volume claims of a StatefulSet's pods: made before the pod, and owned so that they go when the policy says.

Source: v1 StatefulSetPersistentVolumeClaimRetentionPolicy.
"""

from podling.api.objects import (
    Object,
    get,
    is_deleting,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    owners_of,
    thaw,
    uid_of,
)
from podling.client.resource import CLAIMS
from podling.controllers.plan import Action, Create, Event, Patch
from podling.controllers.stateful_set.identity import claim_name, templates
from podling.controllers.view import View


def missing(owner: Object, ordinal: int, view: View) -> list[Action]:
    """Create the claims that pod `ordinal` lacks."""
    return [
        _create(owner, template, ordinal)
        for template in templates(owner)
        if view.get(CLAIMS, claim_name(owner, template, ordinal), namespace_of(owner)) is None
    ]


def _create(owner: Object, template: Object, ordinal: int) -> Create:
    name, pod = claim_name(owner, template, ordinal), f"{name_of(owner)}-{ordinal}"
    matched = get(owner, "spec.selector.matchLabels", {})
    metadata = {**template["metadata"], "name": name, "namespace": namespace_of(owner), "labels": labels_of(template) | matched}
    if _goes_with_the_set(owner):
        metadata["ownerReferences"] = [owner_reference(owner)]
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": thaw(template["spec"])}
    told = f"Claim {name} Pod {pod} in StatefulSet {name_of(owner)}"
    done = Event(owner, "SuccessfulCreate", f"create {told} success")
    return Create(CLAIMS, claim, done, Event(owner, "FailedCreate", f"create {told} failed error: {{error}}", "Warning"))


def are_leaving(owner: Object, ordinal: int, view: View) -> bool:
    """Whether a claim of an earlier pod of this number is on its way out: a new pod must not take it."""
    found = [view.get(CLAIMS, claim_name(owner, template, ordinal), namespace_of(owner)) for template in templates(owner)]
    return any(is_deleting(claim) or _pods(claim) for claim in found if claim is not None)


def _pods(claim: Object) -> list[Object]:
    return [reference for reference in owners_of(claim) if reference["kind"] == "Pod"]


def owned(owner: Object, pod: Object, ordinal: int, view: View, *, condemned: bool) -> list[Action]:
    """Give the claims of `pod` the owners that the policy asks for: the set, the pod that is scaled away, or nobody."""
    actions: list[Action] = []
    for template in templates(owner):
        claim = view.get(CLAIMS, claim_name(owner, template, ordinal), namespace_of(owner))
        if claim is not None and not is_deleting(claim):
            references = _owners(owner, pod, claim, condemned=condemned)
            if references != owners_of(claim):
                actions.append(Patch(CLAIMS, claim, {"metadata": {"ownerReferences": references or None}}, unchanged=True))
    return actions


def _owners(owner: Object, pod: Object, claim: Object, *, condemned: bool) -> list[Object]:
    ours = (uid_of(owner), uid_of(pod))
    rest = [reference for reference in owners_of(claim) if reference["uid"] not in ours]
    if condemned and _policy(owner, "whenScaled") == "Delete":
        return [*rest, owner_reference({"apiVersion": "v1", "kind": "Pod", **pod})]
    return [*rest, owner_reference(owner)] if _goes_with_the_set(owner) else rest


def _goes_with_the_set(owner: Object) -> bool:
    return _policy(owner, "whenDeleted") == "Delete"


def _policy(owner: Object, when: str) -> str:
    return str(get(owner, f"spec.persistentVolumeClaimRetentionPolicy.{when}", "Retain"))
