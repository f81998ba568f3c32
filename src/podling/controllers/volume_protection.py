"""Claims, volumes and attribute classes stay until nothing uses them.

Source: Kubernetes documentation "Storage Object in Use Protection".
"""

from collections.abc import Callable, Iterable

from podling.api.objects import Object, get, is_deleting, name_of, namespace_of
from podling.client.resource import PODS, Resource
from podling.controllers.controller import Controller, Watch
from podling.controllers.plan import NOTHING, Patch, Plan
from podling.controllers.view import Key, View

CLAIMS = Resource("", "v1", "persistentvolumeclaims", kind="PersistentVolumeClaim")
VOLUMES = Resource("", "v1", "persistentvolumes", namespaced=False, kind="PersistentVolume")
CLASSES = Resource("storage.k8s.io", "v1", "volumeattributesclasses", namespaced=False, kind="VolumeAttributesClass")

InUse = Callable[[Object, View], bool]


def claims_of(pod: Object, view: View) -> Iterable[Key]:
    """The claims that a pod's volumes name."""
    for volume in get(pod, "spec.volumes", ()):
        if name := get(volume, "persistentVolumeClaim.claimName"):
            yield (CLAIMS, f"{namespace_of(pod)}/{name}")
        elif volume.get("ephemeral") is not None:
            yield (CLAIMS, f"{namespace_of(pod)}/{name_of(pod)}-{volume['name']}")


def claim_in_use(claim: Object, view: View) -> bool:
    """Whether a pod that has a node, and hasn't ended, has the claim."""
    mine = (CLAIMS, f"{namespace_of(claim)}/{name_of(claim)}")
    return any(
        mine in claims_of(pod, view)
        for pod in view.within(PODS, namespace_of(claim))
        if get(pod, "status.phase") not in ("Succeeded", "Failed") and not _never_started(pod)
    )


def _never_started(pod: Object) -> bool:
    return is_deleting(pod) and not get(pod, "spec.nodeName")


def volume_in_use(volume: Object, view: View) -> bool:
    return bool(get(volume, "status.phase") == "Bound")


def class_in_use(named: Object, view: View) -> bool:
    name = name_of(named)
    paths = ("spec.volumeAttributesClassName", "status.currentVolumeAttributesClassName")
    return any(get(obj, path) == name for resource in (CLAIMS, VOLUMES) for obj in view.all(resource) for path in paths)


def class_of(obj: Object, view: View) -> Iterable[Key]:
    name = get(obj, "spec.volumeAttributesClassName")
    return ((CLASSES, name),) if name else ()


def protection(name: str, resource: Resource, finalizer: str, in_use: InUse, *watches: Watch) -> Controller:
    """Takes the finalizer from what is being deleted and isn't in use any more."""

    def reconcile(obj: Object, view: View, now: float) -> Plan:
        finalizers = obj["metadata"].get("finalizers") or []
        if not is_deleting(obj) or finalizer not in finalizers or in_use(obj, view):
            return NOTHING
        left = [each for each in finalizers if each != finalizer]
        return Plan([Patch(resource, obj, {"metadata": {"finalizers": left}}, unchanged=True)])

    return Controller(name, primary=(Watch(resource),), reconcile=reconcile, watches=watches)


CLAIM_PROTECTION = protection(
    "pvc-protection",
    CLAIMS,
    "kubernetes.io/pvc-protection",
    claim_in_use,
    Watch(PODS, claims_of, indexes=("namespace",)),
)
VOLUME_PROTECTION = protection("pv-protection", VOLUMES, "kubernetes.io/pv-protection", volume_in_use)
CLASS_PROTECTION = protection(
    "vac-protection", CLASSES, "kubernetes.io/vac-protection", class_in_use, Watch(CLAIMS, class_of), Watch(VOLUMES, class_of)
)
