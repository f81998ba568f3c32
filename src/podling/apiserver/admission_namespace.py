"""Admission of NamespaceLifecycle. Source: k8s.io/apiserver pkg/admission/plugin/namespace/lifecycle."""

from podling.api.status import ApiError, forbidden, not_found
from podling.apiserver.admission import CREATE, DELETE, Review, concerns

IMMORTAL = ("default", "kube-system", "kube-public")


@concerns((CREATE, DELETE))
async def namespace_lifecycle(review: Review) -> None:
    """Nothing new where no namespace is, or where one is going; the cluster's own namespaces stay."""
    attributes = review.attributes
    if review.kind.storage == ("", "namespaces"):
        if review.operation == DELETE and attributes.name in IMMORTAL:
            raise forbidden("namespaces", attributes.name, "this namespace may not be deleted")
        return
    if review.operation != CREATE or not review.kind.namespaced or review.kind.create_only:
        return
    name = attributes.namespace
    found = review.backend.storage.of(("", "namespaces")).get(name)
    if found is None:
        raise not_found("namespaces", name)
    if b'"deletionTimestamp"' in found.data and found.object["metadata"].get("deletionTimestamp"):
        raise _terminating(review, name)


def _terminating(review: Review, namespace: str) -> ApiError:
    kind = review.kind
    name = (review.obj or {}).get("metadata", {}).get("name", "") or review.attributes.name
    cause = f"unable to create new content in namespace {namespace} because it is being terminated"
    error = forbidden(kind.plural, name, cause, kind.group)
    error.details["causes"] = [
        {"reason": "NamespaceTerminating", "message": f"namespace {namespace} is being terminated", "field": "metadata.namespace"}
    ]
    return error
