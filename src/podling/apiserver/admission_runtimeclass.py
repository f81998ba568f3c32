"""Admission of RuntimeClass: what the class costs, and where its pods can run.

Source: Kubernetes documentation "Runtime Class", "Pod Overhead".
"""

from typing import Any

from podling.api.core.demand import parsed
from podling.api.objects import get
from podling.api.status import ApiError, forbidden
from podling.apiserver.admission import CREATE, Review, concerns

Object = dict[str, Any]
CLASSES = ("node.k8s.io", "runtimeclasses")


@concerns((CREATE,), [("", "pods")])
async def runtime_class(review: Review) -> None:
    """Fills in the class's overhead, node selector and tolerations; refuses a class that isn't there, and another overhead."""
    if review.obj is None or not review.is_(CREATE, "", "pods"):
        return
    spec = review.obj["spec"]
    name = spec.get("runtimeClassName")
    if not name:
        if spec.get("overhead"):
            raise _refused(review, "Pod Overhead set without corresponding RuntimeClass defined Overhead")
        return
    found = review.backend.storage.of(CLASSES).get(name)
    if found is None:
        raise _refused(review, f'RuntimeClass "{name}" not found')
    chosen = found.object
    _set_overhead(review, spec, get(chosen, "overhead.podFixed"))
    _set_scheduling(review, spec, chosen.get("scheduling") or {})


def _set_overhead(review: Review, spec: Object, fixed: Object | None) -> None:
    if spec.get("overhead") and parsed(spec["overhead"]) != parsed(fixed):
        raise _refused(review, "Pod's Overhead doesn't match RuntimeClass's defined Overhead")
    if fixed:
        spec["overhead"] = dict(fixed)


def _set_scheduling(review: Review, spec: Object, scheduling: Object) -> None:
    selector = spec.get("nodeSelector") or {}
    for key, value in (scheduling.get("nodeSelector") or {}).items():
        if selector.get(key, value) != value:
            cause = (
                f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; pod.spec.nodeSelector[{key}] = {selector[key]}"
            )
            raise forbidden("pods", review.obj["metadata"].get("name", "") if review.obj else "", cause)
    if added := scheduling.get("nodeSelector"):
        spec["nodeSelector"] = {**selector, **added}
    tolerations = spec.get("tolerations") or []
    missing = [each for each in scheduling.get("tolerations") or () if each not in tolerations]
    if missing:
        spec["tolerations"] = [*tolerations, *missing]


def _refused(review: Review, cause: str) -> ApiError:
    return forbidden("pods", (review.obj or {})["metadata"].get("name", ""), f"pod rejected: {cause}")
