"""Which volumes a pod's claims have, or could have, on a node. Pure.

Source: Kubernetes documentation "Persistent Volumes", "Storage Classes" (Volume Binding Mode, Allowed Topologies).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from podling.api import selectors
from podling.api.node_affinity import matches
from podling.api.objects import Object, annotations_of, get, key_of, labels_of, name_of, namespace_of, uid_of
from podling.base import quantity
from podling.client.resource import Resource
from podling.scheduler.framework import Lister
from podling.scheduler.node_info import NodeInfo

VOLUMES = Resource("", "v1", "persistentvolumes", namespaced=False, kind="PersistentVolume")
CLASSES = Resource("storage.k8s.io", "v1", "storageclasses", namespaced=False, kind="StorageClass")
SELECTED_NODE = "volume.kubernetes.io/selected-node"
BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
NO_PROVISIONER = "kubernetes.io/no-provisioner"
CONFLICT = "node(s) had volume node affinity conflict"
NO_VOLUME = "node(s) didn't find available persistent volumes to bind"
NO_SUCH_VOLUME = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"


@dataclass(frozen=True, slots=True)
class Claims:
    """A pod's claims: those that have a volume, those that get one when the node is known, and those that wait for theirs."""

    bound: list[Object] = field(default_factory=list)
    delayed: list[Object] = field(default_factory=list)
    immediate: list[Object] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Choice:
    """What has to be done for the claims on one node: volumes to bind, claims to provision for. Or why it doesn't do."""

    bind: tuple[tuple[Object, Object], ...] = ()  # volume, claim
    provision: tuple[Object, ...] = ()
    reasons: tuple[str, ...] = ()


def names_of(pod: Object) -> Iterable[tuple[str, bool]]:
    """The claims that a pod's volumes name, and whether each is made for the pod."""
    for volume in pod["spec"].get("volumes") or ():
        if volume.get("persistentVolumeClaim"):
            yield volume["persistentVolumeClaim"]["claimName"], False
        elif volume.get("ephemeral") is not None:
            yield f"{name_of(pod)}-{volume['name']}", True


def classify(claims: Iterable[Object], classes: Lister) -> Claims:
    found = Claims()
    for claim in claims:
        if is_bound(claim):
            found.bound.append(claim)
        elif is_delayed(claim, classes) and not get(claim, "spec.volumeName"):
            found.delayed.append(claim)
        else:
            found.immediate.append(claim)
    return found


def is_bound(claim: Object) -> bool:
    named = bool(get(claim, "spec.volumeName"))
    return named and (BIND_COMPLETED in annotations_of(claim) or get(claim, "status.phase") == "Bound")


def is_delayed(claim: Object, classes: Lister) -> bool:
    found = classes.get(class_of(claim))
    return found is not None and found.get("volumeBindingMode") == "WaitForFirstConsumer"


def class_of(obj: Object) -> str:
    return str(annotations_of(obj).get(BETA_CLASS) or get(obj, "spec.storageClassName", ""))


def reaches(volume: Object, node: NodeInfo) -> bool:
    """Whether the volume's node affinity lets it be used on the node."""
    terms = get(volume, "spec.nodeAffinity.required.nodeSelectorTerms")
    return terms is None or any(matches(term, node.name, node.labels) for term in terms)


def choose(claims: Claims, node: NodeInfo, volumes: Lister, classes: Lister, assumed: Mapping[str, str]) -> Choice:
    """What the claims would get on `node`. `assumed` has the claims (by key) for which volumes (by name) are meant already."""
    reasons = _bound_reasons(claims.bound, node, volumes)
    bind: list[tuple[Object, Object]] = []
    provision: list[Object] = []
    taken: set[str] = set()
    for claim in sorted(claims.delayed, key=size_of):
        selected = annotations_of(claim).get(SELECTED_NODE)
        volume = None if selected else _smallest(claim, node, volumes, assumed, taken)
        if volume is not None:
            taken.add(name_of(volume))
            bind.append((volume, claim))
        elif (selected and selected != node.name) or not _can_be_made(claim, node, classes):
            reasons.append(NO_VOLUME)
            break
        else:
            provision.append(claim)
    return Choice(tuple(bind), tuple(provision), tuple(reasons))


def _bound_reasons(claims: list[Object], node: NodeInfo, volumes: Lister) -> list[str]:
    found = [volumes.get(claim["spec"]["volumeName"]) for claim in claims]
    if any(volume is not None and not reaches(volume, node) for volume in found):
        return [CONFLICT]
    return [NO_SUCH_VOLUME] if None in found else []


def size_of(claim: Object) -> int:
    return quantity.whole(str(get(claim, "spec.resources.requests.storage", "0")))


def _smallest(claim: Object, node: NodeInfo, volumes: Lister, assumed: Mapping[str, str], taken: set[str]) -> Object | None:
    """The volume that is meant for the claim, or the smallest free one that does."""
    best: tuple[int, Object] | None = None
    for volume in volumes:
        if name_of(volume) in taken or not _suits(volume, claim) or not reaches(volume, node):
            continue
        owner = assumed.get(name_of(volume)) or _owner(volume)
        if owner == key_of(claim):
            return volume
        size = quantity.whole(str(get(volume, "spec.capacity.storage", "0")))
        free = not owner and get(volume, "status.phase", "Available") == "Available"
        if free and size >= size_of(claim) and (best is None or size < best[0]):
            best = (size, volume)
    return best[1] if best else None


def _owner(volume: Object) -> str:
    reference = get(volume, "spec.claimRef", {})
    return f"{reference.get('namespace')}/{reference.get('name')}" if reference else ""


def _suits(volume: Object, claim: Object) -> bool:
    spec, wish = volume["spec"], claim["spec"]
    return (
        class_of(volume) == class_of(claim)
        and set(wish.get("accessModes") or ()) <= set(spec.get("accessModes") or ())
        and spec.get("volumeMode", "Filesystem") == wish.get("volumeMode", "Filesystem")
        and not volume["metadata"].get("deletionTimestamp")
        and (not wish.get("selector") or selectors.of_object(wish["selector"]).matches(labels_of(volume)))
    )


def _can_be_made(claim: Object, node: NodeInfo, classes: Lister) -> bool:
    found = classes.get(class_of(claim))
    if found is None or found.get("provisioner", NO_PROVISIONER) == NO_PROVISIONER:
        return False
    topologies = found.get("allowedTopologies")
    return not topologies or any(_within(term, node) for term in topologies)


def _within(term: Object, node: NodeInfo) -> bool:
    wanted = term.get("matchLabelExpressions") or ()
    return all(node.labels.get(one["key"]) in one["values"] for one in wanted)


def is_made_for(pod: Object, claim: Object) -> bool:
    owners = claim["metadata"].get("ownerReferences") or ()
    return any(owner.get("controller") and owner.get("uid") == uid_of(pod) for owner in owners)


def key_in(pod: Object, claim: str) -> str:
    return f"{namespace_of(pod)}/{claim}"
