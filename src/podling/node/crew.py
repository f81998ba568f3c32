"""What the workers of all pods share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from podling.aio.clock import Clock
from podling.client.client import Client
from podling.client.events import EventRecorder
from podling.node.cgroups import PodCgroups
from podling.node.place import NodeConfig
from podling.node.pod.events import Granted, NotGranted
from podling.node.pod.spec import Object
from podling.node.runtime import PodRuntime
from podling.node.sources import Sources
from podling.node.tokens import TokenCache
from podling.node.volumes.volumes import Volumes


@dataclass(frozen=True, slots=True)
class Crew:
    """`services(namespace)` are the service variables that a pod of that namespace gets. `grant(pod)` says whether a running pod
    may have the sizes that it wishes; `left()` tells that a pod has left room.
    """

    config: NodeConfig
    runtime: PodRuntime
    client: Client
    clock: Clock
    recorder: EventRecorder
    sources: Sources
    tokens: TokenCache
    volumes: Volumes
    cgroups: PodCgroups
    services: Callable[[str], Mapping[str, str]]
    grant: Callable[[Object], Granted | NotGranted]
    left: Callable[[], None]

    def record(self, pod: Object, type: str, reason: str, message: str, container: str = "") -> None:
        """An Event about the pod, or one container of it."""
        metadata = pod["metadata"]
        about = {"kind": "Pod", "apiVersion": "v1"} | {key: metadata[key] for key in ("name", "namespace", "uid")}
        if container:
            lists = ("initContainers", "ephemeralContainers")
            kind = next((one for one in lists if any(c["name"] == container for c in pod["spec"].get(one) or [])), "containers")
            about["fieldPath"] = f"spec.{kind}{{{container}}}"
        self.recorder.event(about, type, reason, message)
