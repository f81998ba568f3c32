"""Admission of Priority: the class that a pod names becomes its number.

Source: Kubernetes documentation "Pod Priority and Preemption".
"""

from typing import Any

from podling.api.status import ApiError, forbidden
from podling.apiserver.admission import CREATE, Review, concerns

Object = dict[str, Any]

CLASSES = ("scheduling.k8s.io", "priorityclasses")
PREEMPTING = "PreemptLowerPriority"
NO_CLASS: Object = {"metadata": {"name": ""}, "value": 0, "preemptionPolicy": PREEMPTING}


@concerns((CREATE,), [("", "pods")])
async def priority(review: Review) -> None:
    """Fills in class, number and preemption policy; refuses a class that isn't there and another number than its own."""
    pod = review.obj
    if pod is None or review.operation != CREATE or review.kind.storage != ("", "pods") or review.attributes.subresource:
        return
    spec = pod["spec"]
    name = spec.get("priorityClassName")
    chosen = _named(review, name) if name else _of_everybody(review)
    if chosen["metadata"]["name"]:
        spec["priorityClassName"] = chosen["metadata"]["name"]
    value, policy = chosen.get("value", 0), chosen.get("preemptionPolicy", PREEMPTING)
    given, given_policy = spec.get("priority"), spec.get("preemptionPolicy")
    if given is not None and given != value:
        raise _refused(
            review,
            f"the integer value of priority ({given}) must not be provided in pod spec; priority admission controller computed "
            f"{value} from the given PriorityClass name",
        )
    if given_policy is not None and given_policy != policy:
        raise _refused(
            review,
            f"the string value of PreemptionPolicy ({given_policy}) must not be provided in pod spec; priority admission "
            f"controller computed {policy} from the given PriorityClass name",
        )
    spec["priority"], spec["preemptionPolicy"] = value, policy


def _named(review: Review, name: str) -> Object:
    found = review.backend.storage.of(CLASSES).get(name)
    if found is None:
        raise _refused(review, f"no PriorityClass with name {name} was found")
    return found.object


def _of_everybody(review: Review) -> Object:
    """The class for pods that name none: of several the lowest."""
    items = review.backend.storage.of(CLASSES).items()
    marked = [item.object for item in items if b'"globalDefault":true' in item.data]
    return min(marked, key=lambda one: (one["value"], one["metadata"]["name"]), default=NO_CLASS)


def _refused(review: Review, cause: str) -> ApiError:
    return forbidden("pods", (review.obj or {})["metadata"].get("name", ""), cause)
