"""A ReplicationController in simulated time."""

from podling.api.objects import Object, controller_of, name_of
from podling.client.resource import PODS, REPLICATION_CONTROLLERS
from podling.testing.applications import replication_controller
from podling.testing.simulation import Simulation


async def test_its_pods_come_go_and_are_replaced(cluster: Simulation) -> None:
    await cluster.client.create(REPLICATION_CONTROLLERS, replication_controller("web", 3))
    await cluster.advance(2)
    first, *_ = pods = await cluster.pods()
    assert [owner["kind"] for owner in map(controller_of, pods) if owner] == ["ReplicationController"] * 3
    assert (await status(cluster))["readyReplicas"] == 3
    await cluster.client.delete(PODS, name_of(first), "default")
    await cluster.advance(2)
    assert len(await cluster.pods()) == 3
    await cluster.client.patch(REPLICATION_CONTROLLERS, "web", {"spec": {"replicas": 1}}, "default")
    await cluster.advance(2)
    assert len(await cluster.pods()) == 1
    assert await status(cluster) == {
        "replicas": 1,
        "fullyLabeledReplicas": 1,
        "readyReplicas": 1,
        "availableReplicas": 1,
        "observedGeneration": 2,
    }


async def test_a_matching_orphan_is_adopted(cluster: Simulation) -> None:
    spec = {"containers": [{"name": "main", "image": "web:1"}]}
    orphan = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "alone", "namespace": "default", "labels": {"app": "web"}}}
    await cluster.client.create(PODS, {**orphan, "spec": spec})
    await cluster.client.create(REPLICATION_CONTROLLERS, replication_controller("web", 1))
    await cluster.advance(2)
    (pod,) = await cluster.pods()
    assert name_of(pod) == "alone"
    assert (controller_of(pod) or {})["name"] == "web"


async def status(cluster: Simulation) -> Object:
    return (await cluster.client.get(REPLICATION_CONTROLLERS, "web", "default"))["status"]
