"""A pod goes where its volumes are, or can be: bound claims bind it to their nodes; claims that wait for their first consumer
get their volume, or the name of the node to make it for, before the pod is bound.

Source: Kubernetes documentation "Storage Classes", Volume Binding Mode; k8s.io/kubernetes plugins/volumebinding, for the words.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from podling.api.objects import Object, get, is_deleting, key_of, name_of, namespace_of, uid_of
from podling.client.resource import CLAIMS
from podling.scheduler import volumes
from podling.scheduler.events import Action, EventWithHint, on
from podling.scheduler.framework import Handle, Rejection, State
from podling.scheduler.node_info import NodeInfo
from podling.scheduler.pod_info import PodInfo
from podling.scheduler.snapshot import Snapshot


@dataclass(slots=True)
class Found:
    """The pod's claims, and what they would get by node."""

    claims: volumes.Claims
    choices: dict[str, volumes.Choice] = field(default_factory=dict)


class VolumeBinding:
    name = "VolumeBinding"

    def __init__(self, args: Object | None = None, handle: Handle | None = None) -> None:
        handle = handle or Handle()
        self._seconds = float((args or {}).get("bindTimeoutSeconds", 600))
        self._claims, self._volumes = handle.objects(CLAIMS), handle.objects(volumes.VOLUMES)
        self._classes = handle.objects(volumes.CLASSES)
        self._client, self._until = handle.client, handle.until
        self._assumed: dict[str, str] = {}  # volume -> the claim (its key) that it is meant for

    def events_to_register(self) -> Iterable[EventWithHint]:
        return (
            on("StorageClass", Action.ADD | Action.UPDATE, self._class_changed),
            on("PersistentVolumeClaim", Action.ADD | Action.UPDATE, self._is_mine),
            on("PersistentVolume", Action.ADD | Action.UPDATE),
            on("Node", Action.ADD | Action.UPDATE_NODE_LABEL),
        )

    def _class_changed(self, pod: PodInfo, old: Object | None, new: Object) -> bool:
        return old is None or old.get("allowedTopologies") != new.get("allowedTopologies")

    def _is_mine(self, pod: PodInfo, old: Object | None, new: Object) -> bool:
        names = {name for name, _ in volumes.names_of(pod.pod)}
        return namespace_of(new) == pod.namespace and name_of(new) in names

    def pre_filter(self, state: State, pod: PodInfo, snapshot: Snapshot) -> bool | Rejection:
        found: list[Object] = []
        for name, ephemeral in volumes.names_of(pod.pod):
            claim = self._claims.get(volumes.key_in(pod.pod, name))
            if complaint := self._complaint(pod.pod, name, claim, ephemeral):
                return Rejection(self.name, (complaint,), resolvable=False)
            assert claim is not None
            found.append(claim)
        if not found:
            return False
        claims = volumes.classify(found, self._classes)
        if claims.immediate:
            return Rejection(self.name, ("pod has unbound immediate PersistentVolumeClaims",), resolvable=False)
        state.kept[self.name] = Found(claims)
        return True

    def _complaint(self, pod: Object, name: str, claim: Object | None, ephemeral: bool) -> str:
        if claim is None:
            waits = f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{name}"'
            return waits if ephemeral else f'persistentvolumeclaim "{name}" not found'
        if get(claim, "status.phase") == "Lost":
            volume = get(claim, "spec.volumeName", "")
            return f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{volume}"'
        if is_deleting(claim):
            return f'persistentvolumeclaim "{name}" is being deleted'
        if ephemeral and not volumes.is_made_for(pod, claim):
            return f"PVC {key_of(claim)} was not created for pod {key_of(pod)} (pod is not owner)"
        return ""

    def filter(self, state: State, pod: PodInfo, node: NodeInfo) -> Rejection | None:
        found: Found = state.kept[self.name]
        choice = volumes.choose(found.claims, node, self._volumes, self._classes, self._assumed)
        if choice.reasons:
            return Rejection(self.name, choice.reasons, resolvable=False)
        found.choices[node.name] = choice
        return None

    # --- once the node is chosen

    def _choice(self, state: State, node: str) -> volumes.Choice:
        found: Found | None = state.kept.get(self.name)
        return volumes.Choice() if found is None else found.choices.get(node, volumes.Choice())

    def reserve(self, state: State, pod: PodInfo, node: str) -> Rejection | None:
        for volume, claim in self._choice(state, node).bind:
            self._assumed[name_of(volume)] = key_of(claim)
        return None

    def unreserve(self, state: State, pod: PodInfo, node: str) -> None:
        for volume, _ in self._choice(state, node).bind:
            self._assumed.pop(name_of(volume), None)

    async def pre_bind(self, state: State, pod: PodInfo, node: str) -> Rejection | None:
        choice = self._choice(state, node)
        for volume, claim in choice.bind:
            await self._client.patch(volumes.VOLUMES, name_of(volume), _meant_for(claim))
        for claim in choice.provision:
            patch = {"metadata": {"annotations": {volumes.SELECTED_NODE: node}}}
            await self._client.patch(CLAIMS, name_of(claim), patch, namespace_of(claim))
        for claim in (*(claim for _, claim in choice.bind), *choice.provision):
            if self._until is None or not await self._until(CLAIMS, key_of(claim), _is_ready, self._seconds):
                return Rejection(self.name, ("binding volumes: context deadline exceeded",))
        self.unreserve(state, pod, node)
        return None


def _is_ready(claim: Object | None) -> bool:
    return claim is not None and volumes.is_bound(claim)


def _meant_for(claim: Object) -> Object:
    reference = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": namespace_of(claim),
        "name": name_of(claim),
        "uid": uid_of(claim),
        "resourceVersion": claim["metadata"].get("resourceVersion"),
    }
    bound_by = {"annotations": {"pv.kubernetes.io/bound-by-controller": "yes"}}
    return {"metadata": bound_by, "spec": {"claimRef": reference}}
