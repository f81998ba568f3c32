"""On which nodes the pods of a DaemonSet belong, and the pod for a node.

Source: Kubernetes documentation "DaemonSet", "Taints and tolerations for daemon Pods".
"""

from podling.api import taints
from podling.api.apps.daemonset import GENERATION
from podling.api.node_affinity import is_wanted
from podling.api.objects import Object, annotations_of, get, labels_of, name_of, owner_reference, put
from podling.controllers import pods as pod_facts
from podling.controllers.history import POD_LABEL

NODE_FIELD = "metadata.name"
_REQUIRED = "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"
_PRESSURES = ("disk-pressure", "memory-pressure", "pid-pressure", "unschedulable")


def _tolerated(key: str, effect: str) -> Object:
    return {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": effect}


TOLERATIONS = (
    _tolerated("not-ready", "NoExecute"),
    _tolerated("unreachable", "NoExecute"),
    *(_tolerated(key, "NoSchedule") for key in _PRESSURES),
)


def tolerations(spec: Object) -> list[Object]:
    """Those of a pod's `spec`, and those that every daemon has."""
    network = [_tolerated("network-unavailable", "NoSchedule")] if spec.get("hostNetwork") else []
    own = spec.get("tolerations") or []
    return [*own, *(one for one in (*TOLERATIONS, *network) if one not in own)]


def belongs(owner: Object, node: Object) -> tuple[bool, bool]:
    """Whether a pod should come to the node, and whether one that is there may stay."""
    spec = get(owner, "spec.template.spec", {})
    if spec.get("nodeName") not in (None, "", name_of(node)) or not is_wanted(spec, name_of(node), labels_of(node)):
        return False, False
    pod = {"spec": {"tolerations": tolerations(spec)}}
    comes = taints.untolerated(pod, taints.of(node), ("NoSchedule", "NoExecute")) is None
    return comes, comes or taints.untolerated(pod, taints.of(node), ("NoExecute",)) is None


def new_pod(owner: Object, node: str, revision: str) -> Object:
    """The pod for `node`, of the present template, whose hash is `revision`. The scheduler binds it."""
    pod = pod_facts.from_template(owner["spec"]["template"], owner, owner_reference(owner))
    pod["metadata"]["labels"][POD_LABEL] = revision
    if generation := annotations_of(owner).get(GENERATION):
        pod["metadata"]["labels"]["pod-template-generation"] = generation
    pod["spec"]["tolerations"] = tolerations(pod["spec"])
    # in the place of the template's own terms, which the node has met
    only = {"matchFields": [{"key": NODE_FIELD, "operator": "In", "values": [node]}]}
    pod["spec"] = put(pod["spec"], _REQUIRED, {"nodeSelectorTerms": [only]})
    return pod


def node_of(pod: Object) -> str:
    """Where a pod is, or will be."""
    if bound := pod_facts.node_of(pod):
        return bound
    for term in get(pod["spec"], f"{_REQUIRED}.nodeSelectorTerms", ()):
        for field in term.get("matchFields") or ():
            if field["key"] == NODE_FIELD and field["operator"] == "In" and len(field["values"]) == 1:
                return str(field["values"][0])
    return ""
