"""Admission of DefaultTolerationSeconds: a pod stays for five minutes on a node that isn't ready or isn't reached.

Source: Kubernetes documentation "Admission Control", DefaultTolerationSeconds.
"""

from podling.api import taints
from podling.apiserver.admission import CREATE, Review, concerns

SECONDS = 300


@concerns((CREATE,), [("", "pods")])
async def default_toleration_seconds(review: Review) -> None:
    """Adds the tolerations that the pod doesn't have in some form already."""
    pod = review.obj
    if pod is None or review.operation != CREATE or review.kind.storage != ("", "pods") or review.attributes.subresource:
        return
    for key in (taints.NOT_READY, taints.UNREACHABLE):
        if not taints.tolerated(pod, {"key": key, "effect": "NoExecute"}):
            toleration = {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": SECONDS}
            pod["spec"].setdefault("tolerations", []).append(toleration)
