"""What leads from a node to an object that no pod names itself: volumes by claims, attachments by nodes, devices by claims. Pure.

Source: Kubernetes documentation "Using Node Authorization"; the graph of plugin/pkg/auth/authorizer/node.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from podling.api.objects import get

Object = Mapping[str, Any]
Find = Callable[[tuple[str, str], str], Object | None]
"""((group, plural), key) -> the object; a key is `namespace/name`, or the name of what lives in none."""

CLAIMS, VOLUMES = ("", "persistentvolumeclaims"), ("", "persistentvolumes")
ATTACHMENTS = ("storage.k8s.io", "volumeattachments")
# members of a volume's source that name a secret, with its namespace
_SECRETS = (
    *(f"csi.{name}" for name in ("controllerPublishSecretRef", "nodeStageSecretRef", "nodePublishSecretRef")),
    *("csi.controllerExpandSecretRef", "csi.nodeExpandSecretRef", "cephfs.secretRef", "cinder.secretRef", "flexVolume.secretRef"),
    *("iscsi.secretRef", "rbd.secretRef", "scaleIO.secretRef", "storageos.secretRef"),
)


def claims_of(pod: Object) -> Iterator[str]:
    """The names of the persistent volume claims that a pod has."""
    for volume in pod["spec"].get("volumes") or ():
        if name := get(volume, "persistentVolumeClaim.claimName"):
            yield name
        elif volume.get("ephemeral") is not None:
            yield f"{pod['metadata']['name']}-{volume['name']}"


def device_claims_of(pod: Object) -> Iterator[str]:
    """The names of the resource claims that a pod has: named in it, or made for it."""
    for each in pod["spec"].get("resourceClaims") or ():
        if name := each.get("resourceClaimName"):
            yield name
    for status in get(pod, "status.resourceClaimStatuses", ()):
        if name := status.get("resourceClaimName"):
            yield name
    if name := get(pod, "status.extendedResourceClaimStatus.resourceClaimName"):
        yield name


def reaches_volume(pods: Iterable[Object], volume: Object | None) -> bool:
    """Whether one of the pods has the claim that a volume is bound to."""
    claim = get(volume or {}, "spec.claimRef", {})
    home, name = claim.get("namespace"), claim.get("name")
    return bool(name) and any(pod["metadata"]["namespace"] == home and name in claims_of(pod) for pod in pods)


def reaches_secret(pods: Iterable[Object], namespace: str, name: str, find: Find) -> bool:
    """Whether a volume that one of the pods has is opened with this secret."""
    return any((namespace, name) in secrets_of(volume) for pod in pods for volume in volumes_of(pod, find))


def volumes_of(pod: Object, find: Find) -> Iterator[Object]:
    home = pod["metadata"]["namespace"]
    for name in claims_of(pod):
        claim = find(CLAIMS, f"{home}/{name}")
        volume = find(VOLUMES, get(claim or {}, "spec.volumeName", "")) if claim is not None else None
        if volume is not None:
            yield volume


def secrets_of(volume: Object) -> set[tuple[str, str]]:
    """Namespaces and names; a secret without a namespace is in that of the claim."""
    home = get(volume, "spec.claimRef.namespace", "")
    found = (get(volume, f"spec.{path}") for path in _SECRETS)
    secrets = {(each.get("namespace") or home, each["name"]) for each in found if each and each.get("name")}
    if name := get(volume, "spec.azureFile.secretName"):
        secrets.add((get(volume, "spec.azureFile.secretNamespace") or home, name))
    return secrets


def is_attached(node: str, attachment: Object | None) -> bool:
    return attachment is not None and get(attachment, "spec.nodeName") == node
