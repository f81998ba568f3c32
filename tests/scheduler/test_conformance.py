"""What the conformance tests of sig-scheduling look at, in simulated time (limit ranges, priority classes: tests/apiserver)."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from podling.api.objects import Object, condition, get, name_of
from podling.client.resource import EVENTS, NODES, PODS, REPLICA_SETS
from podling.testing.simulation import Simulation


@pytest.fixture
async def cluster() -> AsyncIterator[Simulation]:
    async with Simulation(nodes=2) as simulation:
        yield simulation


def pod(name: str, requests: Object | None = None, ports: list[Object] | None = None, **spec: Any) -> Object:
    container: Object = {"name": "main", "image": "pause", "resources": {"requests": requests or {}}}
    if ports:
        container["ports"] = ports
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container], **spec}}


async def node_of(cluster: Simulation, name: str) -> str:
    found: str = get(await cluster.client.get(PODS, name, "default"), "spec.nodeName", "")
    return found


async def why(cluster: Simulation, name: str) -> str:
    events = (await cluster.client.list(EVENTS, "default")).items
    (found,) = [one for one in events if one["involvedObject"]["name"] == name and one["reason"] == "FailedScheduling"]
    return str(found["message"])


async def test_resource_limits_of_pods_that_are_allowed_to_run(cluster: Simulation) -> None:
    for number in (0, 1):
        filler = pod(f"filler-{number}", {"cpu": "2800m"}, nodeSelector={"kubernetes.io/hostname": f"node-{number}"})
        await cluster.client.create(PODS, filler)
    await cluster.advance(1)
    await cluster.client.create(PODS, pod("additional", {"cpu": "2"}))
    await cluster.advance(1)
    assert (await why(cluster, "additional")).startswith("0/2 nodes are available: 2 Insufficient cpu. ")


async def test_resource_limits_of_an_extended_resource(cluster: Simulation) -> None:
    for place in ("capacity", "allocatable"):
        patch = {"status": {place: {"example.com/beardsecond": "1k"}}}
        await cluster.client.patch(NODES, "node-0", patch, subresource="status")
    await cluster.client.create(PODS, pod("half", {"example.com/beardsecond": "500"}))
    await cluster.advance(1)
    assert await node_of(cluster, "half") == "node-0"
    await cluster.client.create(PODS, pod("more", {"example.com/beardsecond": "600"}))
    await cluster.advance(1)
    assert (await why(cluster, "more")).startswith("0/2 nodes are available: 2 Insufficient example.com/beardsecond. ")


async def test_a_node_selector_is_respected(cluster: Simulation) -> None:
    await cluster.client.create(PODS, pod("restricted", nodeSelector={"label": "nonempty"}))
    await cluster.advance(1)
    assert (await why(cluster, "restricted")).startswith(
        "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/sele"
    )
    await cluster.client.patch(NODES, "node-1", {"metadata": {"labels": {"label": "nonempty"}}})
    await cluster.advance(2)
    assert await node_of(cluster, "restricted") == "node-1"


@pytest.mark.parametrize(
    ("first", "second", "fits"),
    [
        ({"hostIP": "0.0.0.0"}, {"hostIP": "127.0.0.1"}, False),
        ({}, {"hostIP": "127.0.0.1"}, False),
        ({"hostIP": "127.0.0.1"}, {"hostIP": "127.0.0.2"}, True),
        ({"hostIP": "127.0.0.1"}, {"hostIP": "127.0.0.1", "protocol": "UDP"}, True),
        ({"hostIP": "127.0.0.1"}, {"hostIP": "127.0.0.1", "hostPort": 54323}, True),
    ],
)
async def test_host_ports(cluster: Simulation, first: Object, second: Object, fits: bool) -> None:
    here = {"nodeSelector": {"kubernetes.io/hostname": "node-0"}}
    for name, port in (("first", first), ("second", second)):
        await cluster.client.create(PODS, pod(name, ports=[{"containerPort": 80, "hostPort": 54322, **port}], **here))
        await cluster.advance(1)
    assert await node_of(cluster, "first") == "node-0"
    assert bool(await node_of(cluster, "second")) is fits


async def classes(cluster: Simulation, **values: int) -> None:
    for name, value in values.items():
        priority = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": value}
        await cluster.client.call("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", body=priority)


@pytest.mark.parametrize("preemptor", [{"priorityClassName": "high"}, {"priorityClassName": "system-cluster-critical"}])
async def test_a_pod_of_high_priority_and_a_critical_one_preempt(cluster: Simulation, preemptor: Object) -> None:
    await classes(cluster, low=1, medium=100, high=1000)
    await cluster.client.create(PODS, pod("low", {"cpu": "3"}, priorityClassName="low"))
    await cluster.advance(1)
    await cluster.client.create(PODS, pod("medium", {"cpu": "3"}, priorityClassName="medium"))
    await cluster.advance(1)
    taken = await node_of(cluster, "low")
    await cluster.client.create(PODS, pod("preemptor", {"cpu": "3"}, **preemptor))
    await cluster.advance(35)
    assert await node_of(cluster, "preemptor") == taken
    assert {name_of(one) for one in (await cluster.client.list(PODS, "default")).items} == {"medium", "preemptor"}


async def test_a_preempted_pod_with_a_finalizer_carries_the_condition(cluster: Simulation) -> None:
    await classes(cluster, low=1, high=1000)
    victim = pod("victim", {"cpu": "3"}, priorityClassName="low", nodeSelector={"kubernetes.io/hostname": "node-0"})
    victim["metadata"]["finalizers"] = ["example.com/test-finalizer"]
    await cluster.client.create(PODS, victim)
    await cluster.advance(1)
    here = {"priorityClassName": "high", "nodeSelector": {"kubernetes.io/hostname": "node-0"}}
    await cluster.client.create(PODS, pod("preemptor", {"cpu": "3"}, **here))
    await cluster.advance(5)
    left = await cluster.client.get(PODS, "victim", "default")
    assert left["metadata"]["deletionTimestamp"]
    found = condition(left, "DisruptionTarget")
    assert found is not None
    assert (found["status"], found["reason"]) == ("True", "PreemptionByScheduler")


async def test_replica_sets_preempt_each_other_in_the_order_of_their_priority(cluster: Simulation) -> None:
    await classes(cluster, p1=1, p2=2, p3=3, p4=4)
    resource = "example.com/fakecpu"
    for place in ("capacity", "allocatable"):
        await cluster.client.patch(NODES, "node-0", {"status": {place: {resource: "1000"}}}, subresource="status")
    for number, (replicas, asks) in enumerate(((5, "1"), (4, "2"), (4, "3"), (1, "1000")), 1):
        labels = {"name": f"pod{number}"}
        template = {
            "metadata": {"labels": labels},
            "spec": pod("x", {resource: f"{int(asks) * 30 if number < 4 else 600}"})["spec"],
        }
        template["spec"]["priorityClassName"] = f"p{number}"
        spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
        metadata = {"name": f"rs-pod{number}", "namespace": "default"}
        made = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": spec}
        await cluster.client.create(REPLICA_SETS, made)
        await cluster.advance(40)
    ready = {}
    for number in (1, 2, 3, 4):
        found = await cluster.client.get(REPLICA_SETS, f"rs-pod{number}", "default")
        ready[number] = get(found, "status.readyReplicas", 0)
    assert (ready[3], ready[4]) == (4, 1)  # 4 x 90 and 600 of 1000: 40 are left for one of the first
    assert (ready[1], ready[2]) == (1, 0)
