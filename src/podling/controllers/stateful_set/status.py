"""The status of a StatefulSet: its pods counted, and the revisions it moves from and to."""

from podling.api.objects import Object, get, is_deleting
from podling.controllers import pods as pod_facts
from podling.controllers.stateful_set.identity import ordinals, revision_of


def is_available(owner: Object, pod: Object, now: float) -> bool:
    """Running, and ready for as long as the set asks."""
    min_ready = owner["spec"].get("minReadySeconds") or 0
    return pod_facts.phase(pod) == "Running" and pod_facts.wait_until_available(pod, min_ready, now) == 0


def is_healthy(owner: Object, pod: Object, now: float) -> bool:
    return is_available(owner, pod, now) and not is_deleting(pod)


def counted(owner: Object, pods: list[Object], current: str, update: str, now: float) -> Object:
    """The status, `current` and `update` being the names of the revisions."""
    staying = [revision_of(pod) for pod in pods if not is_deleting(pod)]
    new: Object = {
        "observedGeneration": owner["metadata"].get("generation", 0),
        "replicas": len(pods),
        "readyReplicas": sum(pod_facts.phase(pod) == "Running" and pod_facts.is_ready(pod) for pod in pods),
        "availableReplicas": sum(is_available(owner, pod, now) for pod in pods),
        "currentReplicas": staying.count(current),
        "updatedReplicas": staying.count(update),
        "currentRevision": current,
        "updateRevision": update,
        "collisionCount": get(owner, "status.collisionCount", 0),
    }
    if _is_complete(owner, new):
        new |= {"currentReplicas": new["updatedReplicas"], "currentRevision": update}
    always = ("observedGeneration", "replicas", "availableReplicas", "collisionCount")
    return {key: value for key, value in new.items() if value or key in always}


def _is_complete(owner: Object, status: Object) -> bool:
    counts = [status[name] for name in ("replicas", "updatedReplicas", "readyReplicas")]
    rolling = get(owner, "spec.updateStrategy.type", "RollingUpdate") == "RollingUpdate"
    return rolling and counts == [len(ordinals(owner))] * 3
