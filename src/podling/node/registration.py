"""The node as the API sees it: the Node object, its status, its Lease.

Source: Kubernetes, "Nodes", "Node Status", "Leases"; well-known labels.
"""

import asyncio
import logging
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from podling.aio.clock import Clock
from podling.api.timestamps import micro, rfc3339
from podling.base import quantity
from podling.client.backoff import Backoff
from podling.client.client import Client
from podling.client.errors import FAILURES, AlreadyExists, NotFound
from podling.client.resource import LEASES, NODES
from podling.node.admission import Room, allocatable_of
from podling.node.place import NodeConfig
from podling.node.pod.spec import Object
from podling.node.runtime import HeldImage, PodRuntime

log = logging.getLogger(__name__)

LEASE_NAMESPACE = "kube-node-lease"
_RENEWALS = 4  # within the time that a lease is good for
_STATUS_EVERY = 300.0
_MOST_IMAGES = 50
_HUGE_PAGES = Path("/sys/kernel/mm/hugepages")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

_PRESSURES = {
    "MemoryPressure": ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    "DiskPressure": ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    "PIDPressure": ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
}

_WANTS = {
    "MemoryPressure": ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
    "DiskPressure": ("KubeletHasDiskPressure", "kubelet has disk pressure"),
    "PIDPressure": ("KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
}


@dataclass(frozen=True, slots=True)
class Machine:
    """What the node says about its host."""

    architecture: str
    kernel: str
    os_image: str
    machine_id: str
    boot_id: str
    disk: int
    runtime: str
    version: str
    hugepages: Mapping[str, int] = field(default_factory=dict)


def read_machine(root: Path, runtime: str, version: str) -> Machine:
    """Reads the host; `root` is on the disk that containers live on."""
    uname = platform.uname()
    space = os.statvfs(root)
    return Machine(
        architecture=_ARCHITECTURES.get(uname.machine, uname.machine),
        kernel=uname.release,
        os_image=_os_name(_first("/etc/os-release")),
        machine_id=_first("/etc/machine-id").strip(),
        boot_id=_first("/proc/sys/kernel/random/boot_id").strip(),
        disk=space.f_blocks * space.f_frsize,
        hugepages=_huge_pages(),
        runtime=runtime,
        version=version,
    )


def _huge_pages() -> dict[str, int]:
    """Bytes reserved for huge pages, by their size as a resource is named: 2Mi, 1Gi. Source: hugetlbpage.rst."""
    found: dict[str, int] = {}
    for place in sorted(_HUGE_PAGES.glob("hugepages-*kB")):
        size = int(place.name.removeprefix("hugepages-").removesuffix("kB")) << 10
        found[str(quantity.of(size, "BinarySI"))] = size * int(_first(f"{place}/nr_hugepages") or 0)
    return found


def _first(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _os_name(release: str) -> str:
    for line in release.splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return "Linux"


def labels_of(config: NodeConfig, machine: Machine) -> dict[str, str]:
    return {
        "kubernetes.io/hostname": config.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": machine.architecture,
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": machine.architecture,
        **config.labels,
    }


def new_node(config: NodeConfig, machine: Machine) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": config.name, "labels": labels_of(config, machine)},
        "spec": {"podCIDR": config.pod_cidr, "podCIDRs": [config.pod_cidr]} if config.pod_cidr else {},
    }


def capacity_of(config: NodeConfig, machine: Machine) -> dict[str, str]:
    return {
        "cpu": str(config.cpus),
        "memory": f"{config.memory // 1024}Ki",
        "pods": str(config.settings.max_pods),
        "ephemeral-storage": f"{machine.disk // 1024}Ki",
        **{f"hugepages-{size}": str(quantity.of(amount, "BinarySI")) for size, amount in machine.hugepages.items()},
    }


def node_status(
    config: NodeConfig,
    machine: Machine,
    images: Sequence[HeldImage],
    old: Sequence[Object],
    now: float,
    *,
    ready: bool = True,
    pressures: Sequence[str] = (),
) -> Object:
    """The status; `old` are the conditions known, for the times of their transitions."""
    capacity = capacity_of(config, machine)
    return {
        "capacity": capacity,
        "allocatable": capacity,
        "conditions": _conditions(old, now, ready, pressures),
        "addresses": [{"type": "InternalIP", "address": config.address}, {"type": "Hostname", "address": config.name}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": config.kubelet_port}},
        "nodeInfo": {
            "machineID": machine.machine_id,
            "systemUUID": machine.machine_id,
            "bootID": machine.boot_id,
            "kernelVersion": machine.kernel,
            "osImage": machine.os_image,
            "containerRuntimeVersion": machine.runtime,
            "kubeletVersion": machine.version,
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": machine.architecture,
        },
        "images": _images(images),
    }


def _images(images: Sequence[HeldImage]) -> list[Object]:
    """The largest ones, which are what the scheduler asks for."""
    named = [image for image in images if image.names]
    largest = sorted(named, key=lambda image: -image.size)[:_MOST_IMAGES]
    return [{"names": list(image.names), "sizeBytes": image.size} for image in largest]


def _conditions(old: Sequence[Object], now: float, ready: bool, pressures: Sequence[str]) -> list[Object]:
    known = {condition["type"]: condition for condition in old}
    verdicts = {kind: ("False", reason, message) for kind, (reason, message) in _PRESSURES.items()}
    verdicts |= {kind: ("True", *_WANTS[kind]) for kind in pressures}
    verdicts["Ready"] = (
        ("True", "KubeletReady", "kubelet is posting ready status")
        if ready
        else ("False", "KubeletNotReady", "node is shutting down")
    )
    return [_condition(kind, *verdict, known.get(kind), now) for kind, verdict in verdicts.items()]


def _condition(kind: str, status: str, reason: str, message: str, old: Object | None, now: float) -> Object:
    stamp = rfc3339(now)
    since = old["lastTransitionTime"] if old and old["status"] == status else stamp
    return {
        "type": kind,
        "status": status,
        "lastHeartbeatTime": stamp,
        "lastTransitionTime": since,
        "reason": reason,
        "message": message,
    }


class Registration:
    """Keeps the Node and its Lease."""

    def __init__(self, config: NodeConfig, client: Client, clock: Clock, runtime: PodRuntime) -> None:
        self._config = config
        self._client = client
        self._clock = clock
        self._runtime = runtime
        self._machine: Machine | None = None
        self.node: Object = {}
        self._pressures: tuple[str, ...] = ()
        self._changed = asyncio.Event()
        self.leaving = False

    async def register(self) -> Object:
        """Make the Node, or take the one that is there; tries until the API server answers. The node as it is now."""
        backoff = Backoff(first=0.02, most=5.0)  # server and agent mostly start side by side
        while True:
            try:
                self.node = await self._take()
                return self.node
            except FAILURES as error:
                log.warning("node %s is not registered yet: %s", self._config.name, error)
                await self._clock.sleep(backoff.next())

    async def _take(self) -> Object:
        config = self._config
        self._machine = read_machine(config.root, f"{self._runtime.name}://{self._runtime.version}", version())
        wanted = new_node(config, self._machine)
        try:
            return await self._client.create(NODES, wanted)
        except AlreadyExists:
            found = await self._client.get(NODES, config.name)
        patch: Object = {}
        if _lacks(found["metadata"].get("labels") or {}, wanted["metadata"]["labels"]):
            patch["metadata"] = {"labels": wanted["metadata"]["labels"]}
        if wanted["spec"] and not found["spec"].get("podCIDR"):
            patch["spec"] = wanted["spec"]
        return await self._client.patch(NODES, config.name, patch) if patch else found

    def room(self) -> Room:
        """What the node has to give to pods, as far as is known."""
        assert self._machine is not None
        known = (self.node.get("status") or {}).get("allocatable") or {}
        own = capacity_of(self._config, self._machine)
        return Room(
            name=self._config.name,
            allocatable=allocatable_of({"status": {"allocatable": {**known, **own}}}),
            labels=self.node["metadata"].get("labels") or {},
            taints=tuple(self.node["spec"].get("taints") or ()),
            pressures=self._pressures,
            leaving=self.leaving,
            sysctls=self._config.settings.sysctls,
        )

    def press(self, conditions: tuple[str, ...]) -> None:
        """These conditions of want hold now: the API is told soon."""
        if conditions != self._pressures:
            self._pressures = conditions
            self._changed.set()

    async def tell_changes(self) -> None:
        """Write the status whenever the conditions have changed, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self.report()
            except FAILURES as error:
                log.warning("conditions of node %s are not written, again soon: %s", self._config.name, error)
                self._changed.set()
                await self._clock.sleep(1.0)

    async def look(self) -> None:
        """Have the Node as the API server knows it now; as before where it doesn't answer."""
        try:
            self.node = await self._client.get(NODES, self._config.name)
        except FAILURES as error:
            log.warning("node %s can't be read: %s", self._config.name, error)

    async def report(self, *, ready: bool = True) -> None:
        """Write the status."""
        assert self._machine is not None
        old = (self.node.get("status") or {}).get("conditions") or []
        images = await self._runtime.images()
        status = node_status(
            self._config,
            self._machine,
            images,
            old,
            self._clock.now(),
            ready=ready and not self.leaving,
            pressures=self._pressures,
        )
        self.node = await self._client.patch(NODES, self._config.name, {"status": status}, type="strategic", subresource="status")

    async def run(self) -> None:
        """Renew the Lease, and now and then the status, until cancelled."""
        reported = self._clock.monotonic()
        while True:
            await self._clock.sleep(self._config.lease_seconds / _RENEWALS)
            try:
                await self.renew()
                self.node = await self._client.get(NODES, self._config.name)
                if self._clock.monotonic() - reported >= _STATUS_EVERY or self._is_doubted():
                    await self.report()
                    reported = self._clock.monotonic()
            except NotFound:
                await self.register()
                await self.report()
            except FAILURES as error:
                log.warning("lease of node %s is not renewed: %s", self._config.name, error)

    def _is_doubted(self) -> bool:
        """Whether somebody, having heard nothing of us, has said that we aren't ready."""
        conditions = (self.node.get("status") or {}).get("conditions") or []
        return not any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    async def renew(self) -> None:
        """Say that the node lives."""
        name, now = self._config.name, self._clock.now()
        spec = {"holderIdentity": name, "leaseDurationSeconds": self._config.lease_seconds, "renewTime": micro(now)}
        try:
            await self._client.patch(LEASES, name, {"spec": spec}, LEASE_NAMESPACE)
        except NotFound:
            await self._client.create(LEASES, self._new_lease(spec))

    def _new_lease(self, spec: Mapping[str, object]) -> Object:
        metadata = self.node["metadata"]
        owner = {"apiVersion": "v1", "kind": "Node", "name": metadata["name"], "uid": metadata["uid"]}
        lease = {"name": metadata["name"], "namespace": LEASE_NAMESPACE, "ownerReferences": [owner]}
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": lease, "spec": dict(spec)}


def _lacks(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return any(labels.get(key) != value for key, value in wanted.items())


def version() -> str:
    """The node's, as it tells it."""
    from podling import __version__

    return f"v1.36.0+podling.{__version__}"
