"""Admission of LimitRanger: what a namespace's limit ranges ask of pods and persistent volume claims."""

from typing import Any

from podling.api.status import aggregated, forbidden
from podling.apiserver import limits
from podling.apiserver.admission import CREATE, UPDATE, Review, concerns

Object = dict[str, Any]


@concerns((CREATE,), [("", "pods")])
async def limit_defaults(review: Review) -> None:
    """Fills in a new pod's requests and limits."""
    if review.is_(CREATE, "", "pods") and (found := _ranges(review)):
        assert review.obj is not None
        limits.fill_in(review.obj, found)


@concerns((CREATE, UPDATE), [("", "pods"), ("", "persistentvolumeclaims")])
async def limit_ranger(review: Review) -> None:
    """Refuses a new pod, and a claim, that is out of bounds."""
    obj = review.obj
    plural = review.kind.plural
    concerned = review.is_(CREATE, "", plural) and plural in ("pods", "persistentvolumeclaims")
    if obj is None or not (concerned or review.is_(UPDATE, "", "persistentvolumeclaims")):
        return
    if obj["metadata"].get("deletionTimestamp") or not (found := _ranges(review)):
        return
    if complaints := limits.complaints(plural, obj, found):
        raise forbidden(plural, obj["metadata"]["name"], aggregated(complaints))


def _ranges(review: Review) -> list[Object]:
    return list(review.backend.storage.objects(("", "limitranges"), f"{review.attributes.namespace}/"))
