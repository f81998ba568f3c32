"""A claim goes when the last pod that has it has gone, a volume when it is no longer bound."""

import asyncio

from podling.api.objects import Object
from podling.client.resource import PODS, Resource
from podling.controllers.plan import Patch
from podling.controllers.view import View
from podling.controllers.volume_protection import CLAIM_PROTECTION, CLAIMS, VOLUME_PROTECTION, VOLUMES
from podling.testing.simulation import Simulation

GOING = {"deletionTimestamp": "2026-01-01T00:00:00Z"}


def claim(**metadata: object) -> Object:
    return {"metadata": {"name": "c", "namespace": "ns", "finalizers": ["kubernetes.io/pvc-protection", "x"], **metadata}}


def pod(phase: str) -> Object:
    volume = {"name": "v", "persistentVolumeClaim": {"claimName": "c"}}
    return {"metadata": {"name": "p", "namespace": "ns", "uid": "u"}, "spec": {"volumes": [volume]}, "status": {"phase": phase}}


def decide(obj: Object, *pods: Object) -> list[object]:
    return [
        action.patch for action in CLAIM_PROTECTION.reconcile(obj, View.of({PODS: pods}), 0).actions if isinstance(action, Patch)
    ]


def test_a_claim() -> None:
    freed = [{"metadata": {"finalizers": ["x"]}}]
    assert decide(claim()) == []
    assert decide(claim(**GOING)) == freed
    assert decide(claim(**GOING), pod("Running")) == []
    assert decide(claim(**GOING), pod("Succeeded")) == freed


def test_a_volume() -> None:
    volume = {"metadata": {"name": "v", "finalizers": ["kubernetes.io/pv-protection"], **GOING}, "status": {"phase": "Bound"}}
    nothing = View.of({VOLUMES: []})
    assert not VOLUME_PROTECTION.reconcile(volume, nothing, 0).actions
    assert VOLUME_PROTECTION.reconcile({**volume, "status": {"phase": "Released"}}, nothing, 0).actions


async def exists(cluster: Simulation, resource: Resource, name: str) -> bool:
    return any(item["metadata"]["name"] == name for item in (await cluster.client.list(resource)).items)


async def test_a_claim_outlives_its_pod(cluster: Simulation) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    await cluster.client.create(CLAIMS, {"metadata": {"name": "c", "namespace": "default"}, "spec": spec})
    user = {"containers": [{"name": "a", "image": "i"}], "volumes": pod("")["spec"]["volumes"]}
    await cluster.client.create(PODS, {"metadata": {"name": "p", "namespace": "default"}, "spec": user})
    await cluster.advance(1)
    await cluster.client.delete(CLAIMS, "c", "default")
    await cluster.advance(1)
    assert await exists(cluster, CLAIMS, "c")
    await asyncio.gather(cluster.client.delete(PODS, "p", "default", grace=0), cluster.advance(1))
    await cluster.advance(60)
    assert not await exists(cluster, CLAIMS, "c")
