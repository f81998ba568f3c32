"""Facts about a pod that several controllers ask for. Source: k8s.io/kubernetes pkg/api/v1/pod."""

from podling.api.objects import Object, condition, is_deleting, thaw
from podling.api.timestamps import parse


def phase(pod: Object) -> str:
    return (pod.get("status") or {}).get("phase") or "Pending"


def is_finished(pod: Object) -> bool:
    return phase(pod) in ("Succeeded", "Failed")


def is_active(pod: Object) -> bool:
    return not is_finished(pod) and not is_deleting(pod)


def node_of(pod: Object) -> str:
    return pod["spec"].get("nodeName") or ""


def is_ready(pod: Object) -> bool:
    ready = condition(pod, "Ready")
    return ready is not None and ready["status"] == "True"


def ready_since(pod: Object) -> float | None:
    """When the pod became ready, None while it isn't."""
    ready = condition(pod, "Ready")
    if ready is None or ready["status"] != "True" or not ready.get("lastTransitionTime"):
        return None
    return parse(ready["lastTransitionTime"])


def wait_until_available(pod: Object, min_ready: float, now: float) -> float | None:
    """Seconds until the pod has been ready for `min_ready`: 0 if it has, None while it isn't ready."""
    if not is_ready(pod):
        return None
    since = ready_since(pod)
    return max(0.0, min_ready - (now - since)) if since is not None and min_ready else 0.0


def restarts(pod: Object) -> int:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return max((status.get("restartCount", 0) for status in statuses), default=0)


def addresses(pod: Object) -> list[str]:
    status = pod.get("status") or {}
    return [entry["ip"] for entry in status.get("podIPs") or ()] or ([status["podIP"]] if status.get("podIP") else [])


def from_template(template: Object, owner: Object, reference: Object) -> Object:
    """A new pod by `template`, named after `owner` by the server, owned by `reference`."""
    metadata = template.get("metadata") or {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": owner["metadata"]["name"] + "-",
            "namespace": owner["metadata"]["namespace"],
            "labels": dict(metadata.get("labels") or {}),
            "annotations": dict(metadata.get("annotations") or {}),
            "finalizers": list(metadata.get("finalizers") or []),
            "ownerReferences": [reference],
        },
        "spec": thaw(template["spec"]),
    }
