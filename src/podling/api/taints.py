"""Taints and tolerations. Source: Kubernetes documentation "Taints and Tolerations"; v1 Toleration."""

from collections.abc import Iterable
from typing import Any

Object = dict[str, Any]

NOT_READY, UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"


def of(node: Object) -> list[Object]:
    return (node.get("spec") or {}).get("taints") or []


def tolerates(toleration: Object, taint: Object) -> bool:
    """An empty key with Exists tolerates all keys; an empty effect all effects."""
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    if toleration.get("operator") == "Exists":
        return True
    return bool(toleration.get("key")) and (toleration.get("value") or "") == (taint.get("value") or "")


def tolerations_for(pod: Object, taint: Object) -> list[Object]:
    return [one for one in pod["spec"].get("tolerations") or () if tolerates(one, taint)]


def tolerated(pod: Object, taint: Object) -> bool:
    return bool(tolerations_for(pod, taint))


def untolerated(pod: Object, taints: Iterable[Object], effects: Iterable[str]) -> Object | None:
    """The first taint of one of the `effects` that the pod doesn't tolerate."""
    for taint in taints:
        if taint["effect"] in effects and not tolerated(pod, taint):
            return taint
    return None
