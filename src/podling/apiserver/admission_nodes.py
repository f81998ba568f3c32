"""Admission of TaintNodesByCondition: no pod goes to a new node before it has said that it is ready.

Source: Kubernetes documentation "Admission Control", TaintNodesByCondition.
"""

from podling.api import taints
from podling.api.objects import has_condition
from podling.apiserver.admission import CREATE, Review, concerns


@concerns((CREATE,), [("", "nodes")])
async def taint_new_node(review: Review) -> None:
    """Adds the taint, which the node lifecycle controller takes away. One that is born ready needs none."""
    node = review.obj
    if node is None or review.operation != CREATE or review.kind.storage != ("", "nodes") or has_condition(node, "Ready"):
        return
    present = taints.of(node)
    if all((taint.get("key"), taint.get("effect")) != (taints.NOT_READY, "NoSchedule") for taint in present):
        added = {"key": taints.NOT_READY, "effect": "NoSchedule"}
        node["spec"] = {**(node.get("spec") or {}), "taints": [*present, added]}
