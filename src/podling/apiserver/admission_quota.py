"""Admission of ResourceQuota: the last word, because what it charges is charged."""

from podling.api.status import forbidden
from podling.apiserver.admission import CREATE, UPDATE, Review, concerns
from podling.apiserver.quota import Charge, Exceeded

GROWING = (("", "services"), ("", "persistentvolumeclaims"), ("", "pods"))
"""Whose updates may take more."""


@concerns((CREATE, UPDATE))
async def resource_quota(review: Review) -> None:
    """Charges the write to the namespace's quotas; refuses what is more than they have."""
    obj, kind, attributes = review.obj, review.kind, review.attributes
    if obj is None or not attributes.namespace or kind.create_only:
        return
    grows = review.operation == UPDATE and kind.storage in GROWING and attributes.subresource in ("", "resize")
    if not grows and not review.is_(CREATE, *kind.storage):
        return
    name = obj["metadata"]["name"]
    charge = Charge(kind.storage, f"{attributes.namespace}/{name}", obj, review.old, review.dry_run)
    try:
        over = await review.backend.quotas.charge(charge)
    except Exceeded as error:
        raise forbidden(kind.plural, name, str(error), kind.group) from None
    if over is not None:
        review.finish.append(over)
