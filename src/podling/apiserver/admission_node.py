"""Admission of NodeRestriction: a node agent changes its own Node and the pods that run on it, and nothing else.

Source: Kubernetes documentation "Admission Control", NodeRestriction; plugin/pkg/admission/noderestriction.
"""

from typing import Any

from podling.api.objects import get, labels_of
from podling.api.status import forbidden
from podling.apiserver.admission import CREATE, DELETE, UPDATE, Review
from podling.apiserver.identity import node_of

Object = dict[str, Any]

MIRROR = "kubernetes.io/config.mirror"
LEASES = "kube-node-lease"
_DOMAINS = ("kubernetes.io", "k8s.io")
_OWN_LABELS = {
    *("kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch", "kubernetes.io/instance-type"),
    *("beta.kubernetes.io/os", "beta.kubernetes.io/arch", "beta.kubernetes.io/instance-type"),
    *("topology.kubernetes.io/region", "topology.kubernetes.io/zone", "node.kubernetes.io/instance-type"),
    *("failure-domain.beta.kubernetes.io/region", "failure-domain.beta.kubernetes.io/zone"),
}
_OWN_PREFIXES = ("kubelet.kubernetes.io", "node.kubernetes.io")


async def node_restriction(review: Review) -> None:
    """Refuses what a node has no business with."""
    node = node_of(review.attributes.user)
    if not node:
        return
    check = _CHECKS.get(review.kind.storage)
    if check is not None and (cause := check(review, node)):
        attributes = review.attributes
        name = attributes.name or (review.obj or {}).get("metadata", {}).get("name", "")
        raise forbidden(review.kind.plural, name, cause, review.kind.group)


def _pods(review: Review, node: str) -> str:
    subresource, operation = review.attributes.subresource, review.operation
    mine = get(review.old, "spec.nodeName") == node
    if operation == CREATE and not subresource:
        return _mirror(review.obj or {}, node)
    if operation == DELETE:
        verb = "evict" if subresource == "eviction" else "delete"
        return "" if mine else f'node "{node}" can only {verb} pods with spec.nodeName set to itself'
    if subresource != "status":
        return f'unexpected operation "{operation}", node "{node}" can only create and delete mirror pods'
    if not mine:
        return f'node "{node}" can only update pod status for pods with spec.nodeName set to itself'  # noqa: S608
    if labels_of(review.obj or {}) != labels_of(review.old or {}):
        return f'node "{node}" cannot update labels through pod status'
    return ""


def _mirror(pod: Object, node: str) -> str:
    spec = pod["spec"]
    if MIRROR not in (pod["metadata"].get("annotations") or {}):
        return f'pod does not have "{MIRROR}" annotation, node "{node}" can only create mirror pods'
    if spec.get("nodeName") != node:
        return f'node "{node}" can only create pods with spec.nodeName set to itself'
    if spec.get("serviceAccountName"):
        return f'node "{node}" can not create pods that reference a service account'
    for volume in spec.get("volumes") or ():
        for member in ("secret", "configMap", "persistentVolumeClaim"):
            if volume.get(member):
                return f'node "{node}" can not create pods that reference {member.lower()}s'
    return ""


def _nodes(review: Review, node: str) -> str:
    new, old = review.obj or {}, review.old or {}
    name = review.attributes.name or new.get("metadata", {}).get("name", "")
    if name != node:
        return f'node "{node}" is not allowed to modify node "{name}"'
    if review.operation == CREATE:
        if foreign := sorted(filter(_is_foreign, labels_of(new))):
            return f'node "{node}" is not allowed to set the following labels: {", ".join(foreign)}'
    elif review.operation == UPDATE:
        if get(new, "spec.taints", []) != get(old, "spec.taints", []):
            return f'node "{node}" is not allowed to modify taints'
        if foreign := sorted(filter(_is_foreign, _changed(labels_of(old), labels_of(new)))):
            return f'node "{node}" is not allowed to modify labels: {", ".join(foreign)}'
    return ""


def _changed(old: dict[str, str], new: dict[str, str]) -> set[str]:
    return {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}


def _is_foreign(label: str) -> bool:
    """Whether the label belongs to Kubernetes, and isn't one that a node says of itself."""
    prefix, slash, _ = label.partition("/")
    if not slash or label in _OWN_LABELS or not _within(prefix, _DOMAINS):
        return False
    return not _within(prefix, _OWN_PREFIXES)


def _within(prefix: str, domains: tuple[str, ...]) -> bool:
    return any(prefix == domain or prefix.endswith(f".{domain}") for domain in domains)


def _tokens(review: Review, node: str) -> str:
    """A node asks for the tokens of the pods that run on it."""
    if review.attributes.subresource != "token" or review.operation != CREATE:
        return ""
    reference = get(review.obj, "spec.boundObjectRef", {})
    if reference.get("kind") != "Pod" or not reference.get("name"):
        return "node requested token not bound to a pod"
    found = review.backend.storage.of(("", "pods")).get(f"{review.attributes.namespace}/{reference['name']}")
    if found is None:
        return "node requested token bound to a pod that does not exist"
    if not reference.get("uid"):
        return "node requested token with a pod binding without a uid"
    if found.object["metadata"]["uid"] != reference["uid"]:
        return f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record"
    if get(found.object, "spec.nodeName") != node:
        return "node requested token bound to a pod scheduled on a different node"
    return ""


def _leases(review: Review, node: str) -> str:
    if review.attributes.namespace != LEASES:
        return f'can only access leases in the "{LEASES}" system namespace'
    if _name(review) != node:
        return "can only access node lease with the same name as the requesting node"
    return ""


def _csi_nodes(review: Review, node: str) -> str:
    return "" if _name(review) == node else "can only access CSINode with the same name as the requesting node"


def _name(review: Review) -> str:
    return review.attributes.name or (review.obj or {}).get("metadata", {}).get("name", "")


def _claims(review: Review, node: str) -> str:
    return "" if review.attributes.subresource == "status" else "may only update PVC status"


def _slices(review: Review, node: str) -> str:
    named = get(review.obj if review.operation == CREATE else review.old, "spec.nodeName")
    verb = {CREATE: "create", DELETE: "delete"}.get(review.operation, "update")
    return "" if named == node else f"can only {verb} ResourceSlices with the same NodeName as the requesting node"


_CHECKS = {
    ("", "pods"): _pods,
    ("", "nodes"): _nodes,
    ("", "persistentvolumeclaims"): _claims,
    ("", "serviceaccounts"): _tokens,
    ("coordination.k8s.io", "leases"): _leases,
    ("storage.k8s.io", "csinodes"): _csi_nodes,
    ("resource.k8s.io", "resourceslices"): _slices,
}
