"""The scheduler at work against the API server, in simulated time."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from podling.api.objects import Object, condition, get, name_of
from podling.client.resource import EVENTS, NODES, PODS
from podling.testing.simulation import Simulation, node


@pytest.fixture
async def cluster() -> AsyncIterator[Simulation]:
    async with Simulation(nodes=2) as simulation:
        yield simulation


def pod(name: str, cpu: str = "100m", **spec: Any) -> Object:
    container = {"name": "main", "image": "web:1", "resources": {"requests": {"cpu": cpu}}}
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container], **spec}}


async def node_of(cluster: Simulation, name: str) -> str:
    found: str = get(await cluster.client.get(PODS, name, "default"), "spec.nodeName", "")
    return found


async def events_of(cluster: Simulation, name: str) -> list[Object]:
    return [one for one in (await cluster.client.list(EVENTS, "default")).items if one["involvedObject"]["name"] == name]


async def test_a_pod_that_fits_nowhere_says_why_and_goes_when_a_node_comes(cluster: Simulation) -> None:
    await cluster.client.create(PODS, pod("big", cpu="6"))
    await cluster.advance(1)
    words = (
        "0/2 nodes are available: 2 Insufficient cpu. "
        "preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
    )
    scheduled = condition(await cluster.client.get(PODS, "big", "default"), "PodScheduled")
    assert scheduled is not None
    assert (scheduled["status"], scheduled["reason"], scheduled["message"]) == ("False", "Unschedulable", words)
    (event,) = await events_of(cluster, "big")
    assert (event["type"], event["reason"], event["message"]) == ("Warning", "FailedScheduling", words)
    await cluster.client.create(NODES, node("large", cpu="16"))
    await cluster.advance(5)
    assert await node_of(cluster, "big") == "large"


async def test_room_that_is_made_is_used_and_other_changes_do_not_wake(cluster: Simulation) -> None:
    for name in ("a", "b"):
        await cluster.client.create(PODS, pod(name, cpu="3"))
    await cluster.advance(1)
    await cluster.client.create(PODS, pod("waiting", cpu="2"))
    await cluster.advance(1)
    assert await node_of(cluster, "waiting") == ""
    await cluster.client.create(PODS, pod("small", cpu="100m"))
    await cluster.advance(30)
    assert (await events_of(cluster, "waiting"))[0]["count"] == 1
    await cluster.client.delete(PODS, "a", "default")
    await cluster.advance(15)
    assert await node_of(cluster, "waiting") != ""


async def test_a_gated_pod_waits_until_its_gates_are_gone(cluster: Simulation) -> None:
    await cluster.client.create(PODS, pod("gated", schedulingGates=[{"name": "example.com/ready"}]))
    await cluster.advance(400)
    assert await node_of(cluster, "gated") == ""
    await cluster.client.patch(PODS, "gated", {"spec": {"schedulingGates": None}}, "default")
    await cluster.advance(1)
    assert await node_of(cluster, "gated") != ""


async def test_pods_of_another_scheduler_are_left_alone(cluster: Simulation) -> None:
    await cluster.client.create(PODS, pod("foreign", schedulerName="mine"))
    await cluster.advance(10)
    assert await node_of(cluster, "foreign") == ""


async def test_an_uncordoned_node_takes_what_waited(cluster: Simulation) -> None:
    for name in ("node-0", "node-1"):
        await cluster.client.patch(NODES, name, {"spec": {"unschedulable": True}})
    await cluster.advance(1)
    await cluster.client.create(PODS, pod("a"))
    await cluster.advance(1)
    (event,) = await events_of(cluster, "a")
    assert "2 node(s) were unschedulable" in event["message"]
    await cluster.client.patch(NODES, "node-1", {"spec": {"unschedulable": None}})
    await cluster.advance(12)
    assert await node_of(cluster, "a") == "node-1"


async def test_a_hundred_pods_fill_two_nodes_and_no_more(cluster: Simulation) -> None:
    for number in range(100):
        await cluster.client.create(PODS, pod(f"p{number}", cpu="100m"))
    await cluster.advance(2)
    placed = [get(one, "spec.nodeName", "") for one in (await cluster.client.list(PODS, "default")).items]
    assert sorted(placed.count(name) for name in ("node-0", "node-1", "")) == [20, 40, 40]


async def test_a_more_important_pod_takes_the_place_of_others(cluster: Simulation) -> None:
    for name in ("a", "b"):
        await cluster.client.create(PODS, pod(name, cpu="3"))
    await cluster.advance(1)
    priority = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 1000}
    await cluster.client.call("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", body=priority)
    await cluster.client.create(PODS, pod("vip", cpu="3", priorityClassName="high", priority=1000))
    await cluster.advance(30)
    assert await node_of(cluster, "vip") != ""
    left = {name_of(one) for one in (await cluster.client.list(PODS, "default")).items}
    assert len(left & {"a", "b"}) == 1


async def test_the_same_seed_gives_the_same_cluster() -> None:
    async def run() -> list[str]:
        async with Simulation(nodes=3, seed=7) as simulation:
            for number in range(20):
                await simulation.client.create(PODS, pod(f"p{number}"))
            await simulation.advance(1)
            return [await node_of(simulation, f"p{number}") for number in range(20)]

    assert await run() == await run()
