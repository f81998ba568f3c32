"""Who a pod of a StatefulSet is: its ordinal, name, labels, host name and volumes."""

import re

from podling.api.objects import Object, get, labels_of, name_of, owner_reference
from podling.controllers import pods as pod_facts
from podling.controllers.history import POD_LABEL

POD_NAME, POD_INDEX = "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index"
_NUMBERED = re.compile(r"(.*)-(0|[1-9][0-9]*)").fullmatch


def ordinal_of(owner: Object, pod: Object) -> int | None:
    """The number in the pod's name; None where the name isn't one of this set."""
    match = _NUMBERED(name_of(pod))
    return int(match[2]) if match and match[1] == name_of(owner) else None


def first(owner: Object) -> int:
    return int(get(owner, "spec.ordinals.start", 0))


def ordinals(owner: Object) -> range:
    replicas = owner["spec"].get("replicas")
    return range(first(owner), first(owner) + (1 if replicas is None else replicas))


def revision_of(pod: Object) -> str:
    return labels_of(pod).get(POD_LABEL, "")


def new_pod(owner: Object, ordinal: int, template: Object, revision: str) -> Object:
    """The pod number `ordinal`, by the template of the revision of that name."""
    pod = pod_facts.from_template(template, owner, owner_reference(owner))
    name = f"{name_of(owner)}-{ordinal}"
    del pod["metadata"]["generateName"]
    pod["metadata"]["name"] = name
    pod["metadata"]["labels"] |= {POD_NAME: name, POD_INDEX: str(ordinal), POD_LABEL: revision}
    spec = pod["spec"]
    spec["hostname"], spec["subdomain"] = name, owner["spec"].get("serviceName") or ""
    claimed = {name_of(claim): claim_name(owner, claim, ordinal) for claim in templates(owner)}
    if claimed:
        own = [{"name": volume, "persistentVolumeClaim": {"claimName": claim}} for volume, claim in claimed.items()]
        spec["volumes"] = own + [volume for volume in spec.get("volumes") or () if volume["name"] not in claimed]
    return pod


def missing_labels(owner: Object, pod: Object, ordinal: int) -> dict[str, str]:
    """The labels of its identity that a pod, adopted perhaps, lacks."""
    wanted = {POD_NAME: f"{name_of(owner)}-{ordinal}", POD_INDEX: str(ordinal)}
    return {label: value for label, value in wanted.items() if labels_of(pod).get(label) != value}


def templates(owner: Object) -> list[Object]:
    return owner["spec"].get("volumeClaimTemplates") or []


def claim_name(owner: Object, template: Object, ordinal: int) -> str:
    return f"{name_of(template)}-{name_of(owner)}-{ordinal}"
