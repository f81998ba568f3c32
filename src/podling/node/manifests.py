"""Static pods as files: what a manifest means on this node, and the mirror that the API has of it. Pure.

Source: Kubernetes, "Create static Pods"; kubelet pkg/kubelet/config, pkg/kubelet/pod.
"""

import hashlib
from typing import Any

import yaml

from podling.api.core.pod import POD
from podling.api.decode import decoded_as
from podling.base.errors import InvalidInput
from podling.node.pod.spec import Object

HASH = "kubernetes.io/config.hash"
SOURCE = "kubernetes.io/config.source"
SEEN = "kubernetes.io/config.seen"
MIRROR = "kubernetes.io/config.mirror"
_OBJECTS = ("secret", "configMap", "persistentVolumeClaim", "projected", "csi")


def parse(text: str, path: str, node: str, seen: str) -> Object:
    """The pod of one manifest (YAML or JSON), as it runs on `node`. Raises InvalidInput."""
    try:
        found = yaml.load(text, yaml.CSafeLoader)
        if not isinstance(found, dict) or (found.get("apiVersion"), found.get("kind")) != ("v1", "Pod"):
            raise InvalidInput("it is no v1 Pod")
        pod = decoded_as(found, "v1", "Pod").obj
        _name(pod, text, path, node, seen)
        POD.default(pod)
    except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidInput(f"{path}: {error}") from None
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error}") from None
    if errors := POD.errors(pod):
        raise InvalidInput(f"{path}: {'; '.join(str(error) for error in errors)}")
    return pod


def _name(pod: Object, text: str, path: str, node: str, seen: str) -> None:
    metadata, spec = pod["metadata"], pod["spec"]
    uid = metadata.get("uid") or hashlib.md5(f"{node}\n{path}\n{text}".encode(), usedforsecurity=False).hexdigest()
    annotations = {**(metadata.get("annotations") or {}), HASH: uid, SOURCE: "file", SEEN: seen}
    metadata.update(
        uid=uid,
        name=f"{metadata['name']}-{node}".lower(),
        namespace=metadata.get("namespace") or "default",
        annotations=annotations,
        creationTimestamp=seen,
    )
    pod["status"] = {}
    spec["nodeName"] = node
    spec["tolerations"] = [*(spec.get("tolerations") or ()), {"operator": "Exists", "effect": "NoExecute"}]
    spec["automountServiceAccountToken"] = False
    _alone(spec)


def _alone(spec: Object) -> None:
    """A static pod is there before the API is: it can't refer to its objects."""
    if spec.get("serviceAccountName"):
        raise InvalidInput("static pods may not reference serviceaccounts")
    for volume in spec.get("volumes") or ():
        if kind := next((kind for kind in _OBJECTS if volume.get(kind) and not _is_downward(volume[kind])), ""):
            raise InvalidInput(f"static pods may not reference {kind.lower()}s")
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        sources = [variable.get("valueFrom") or {} for variable in container.get("env") or ()]
        if container.get("envFrom") or any(each.get("secretKeyRef") or each.get("configMapKeyRef") for each in sources):
            raise InvalidInput("static pods may not reference configmaps or secrets")


def _is_downward(volume: Any) -> bool:
    sources = volume.get("sources") or ()
    return bool(sources) and all("downwardAPI" in source for source in sources)


def mirror_of(pod: Object, node: Object) -> Object:
    """What the API gets to see of a static pod. `node` is the Node object."""
    metadata = pod["metadata"]
    owner = {
        "apiVersion": "v1",
        "kind": "Node",
        "name": node["metadata"]["name"],
        "uid": node["metadata"]["uid"],
        "controller": True,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": metadata.get("labels") or {},
            "annotations": {**metadata["annotations"], MIRROR: metadata["uid"]},
            "ownerReferences": [owner],
        },
        "spec": pod["spec"],
    }


def mirrored(pod: Object) -> str:
    """The uid of the static pod that this object mirrors; "" where it is a pod of its own."""
    return str((pod["metadata"].get("annotations") or {}).get(MIRROR) or "")


def is_static(pod: Object) -> bool:
    annotations = pod["metadata"].get("annotations") or {}
    return SOURCE in annotations and MIRROR not in annotations


def due(pod: Object | None, mirror: Object | None) -> str:
    """What is to be done with a mirror: "create", "delete" or nothing. `pod` is the static pod of that name, if there is one."""
    if mirror is None:
        return "create" if pod is not None else ""
    if pod is None or mirrored(mirror) != pod["metadata"]["uid"] or mirror["metadata"].get("deletionTimestamp"):
        return "delete"
    return ""
