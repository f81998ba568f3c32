"""What every cluster has from its first second: the namespaces, and the Service `kubernetes` with its endpoint.

Each start makes it so again: what is missing is created, what differs is set right, what is right is left alone.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from podling.api.kind import Kind
from podling.api.objects import name_of, namespace_of, thaw
from podling.api.scheduling.priorityclass import SYSTEM as SYSTEM_CLASSES
from podling.apiserver import flowcontrol_bootstrap
from podling.apiserver.call import Backend
from podling.apiserver.identity import Attributes, User
from podling.apiserver.storage import Stale
from podling.apiserver.write import create_object

Object = dict[str, Any]

SYSTEM = User("system:apiserver", ("system:masters",))
NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


@dataclass(frozen=True, slots=True)
class ClusterInfo:
    """Where pods reach this server: behind the Service `kubernetes`; and the roles that a cluster starts with."""

    address: str = "127.0.0.1"
    port: int = 6443
    roles: tuple[Object, ...] = ()


async def namespaces(backend: Backend, _: ClusterInfo) -> None:
    found = ({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in NAMESPACES)
    await asyncio.gather(*(ensure(backend, namespace) for namespace in found))


async def kubernetes_service(backend: Backend, info: ClusterInfo) -> None:
    labels = {"component": "apiserver", "provider": "kubernetes"}
    port = {"name": "https", "port": 443, "protocol": "TCP", "targetPort": info.port}
    spec = {"type": "ClusterIP", "clusterIP": backend.addresses.first, "sessionAffinity": "None", "ports": [port]}
    metadata = {"name": "kubernetes", "namespace": "default", "labels": labels}
    await ensure(backend, {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})


async def kubernetes_endpoints(backend: Backend, info: ClusterInfo) -> None:
    """The endpoint slice, and the Endpoints that older clients read."""
    port = {"name": "https", "port": info.port, "protocol": "TCP"}
    labels = {"kubernetes.io/service-name": "kubernetes"}
    metadata = {"name": "kubernetes", "namespace": "default"}
    await ensure(
        backend,
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": labels},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [info.address], "conditions": {"ready": True}}],
            "ports": [port],
        },
    )
    mirror = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    await ensure(
        backend,
        {
            "apiVersion": "v1",
            "kind": "Endpoints",
            "metadata": {**metadata, "labels": mirror},
            "subsets": [{"addresses": [{"ip": info.address}], "ports": [port]}],
        },
    )


async def roles(backend: Backend, info: ClusterInfo) -> None:
    await asyncio.gather(*(ensure(backend, thaw(wanted)) for wanted in info.roles))


async def priority_classes(backend: Backend, _: ClusterInfo) -> None:
    for name, value in SYSTEM_CLASSES.items():
        metadata = {"name": name}
        words = "Used for system critical pods that must " + (
            "not be moved from their current node." if "node" in name else "run in the cluster, but can be moved to another node."
        )
        await ensure(
            backend,
            {
                "apiVersion": "scheduling.k8s.io/v1",
                "kind": "PriorityClass",
                "metadata": metadata,
                "value": value,
                "description": words,
            },
        )


async def flow_control(backend: Backend, _: ClusterInfo) -> None:
    await asyncio.gather(*(ensure(backend, thaw(wanted)) for wanted in flowcontrol_bootstrap.objects()))


STEPS: tuple[Callable[[Backend, ClusterInfo], Awaitable[None]], ...] = (
    namespaces,
    kubernetes_service,
    kubernetes_endpoints,
    roles,
    priority_classes,
    flow_control,
)


async def bootstrap(backend: Backend, info: ClusterInfo) -> None:
    for step in STEPS:
        await step(backend, info)


_IDENTITY = ("kind", "apiVersion", "metadata")


async def ensure(backend: Backend, wanted: Object) -> None:
    """Create `wanted`, or set the members that it names where they differ. A kind that isn't served is passed over."""
    kind = backend.registry.kind(wanted["apiVersion"], wanted["kind"])
    if kind is None:
        return
    seen = backend.storage.get(kind, namespace_of(wanted), name_of(wanted))
    if seen is None:
        await _create(backend, kind, wanted)
        return
    old = seen.object
    kept = {*_IDENTITY, "spec"} | ({"rules"} if "aggregationRule" in wanted else set())  # a controller gathers those
    facts = {name: value for name, value in wanted.items() if name not in kept}
    if any(old.get(name) != value for name, value in facts.items()):
        kind.default(new := {**old, **facts})
        try:
            await backend.storage.replace(kind, seen, new)
        except Stale:
            await ensure(backend, wanted)


async def _create(backend: Backend, kind: Kind, wanted: Object) -> None:
    namespace = namespace_of(wanted)
    attributes = Attributes(SYSTEM, "create", "", kind.group, kind.version, kind.plural, "", namespace, name_of(wanted))
    await create_object(backend, attributes, kind, wanted)
