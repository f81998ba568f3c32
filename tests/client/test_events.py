"""Events as kubectl shows them: counted, combined, limited, never in the way of who records them."""

from collections.abc import AsyncIterator

import pytest

from podling.aio.tasks import Tasks
from podling.api.objects import Object
from podling.client.events import EventRecorder
from podling.client.resource import EVENTS
from podling.testing.simulation import Simulation

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "default", "uid": "u1"}}


@pytest.fixture
async def cluster() -> AsyncIterator[Simulation]:
    async with Simulation(nodes=0) as simulation:
        yield simulation


async def recorded(cluster: Simulation) -> list[Object]:
    return [one for one in (await cluster.client.list(EVENTS, "default")).items if one["involvedObject"]["name"] == "web"]


async def test_the_same_event_again_counts_up(cluster: Simulation) -> None:
    recorder = EventRecorder(cluster.client, cluster.clock, "kubelet", "node-1")
    async with Tasks("test") as tasks:
        tasks.start(recorder.run(), "events")
        for _ in range(3):
            recorder.event(POD, "Warning", "BackOff", "restarting failed container")
            await cluster.advance(10)
    (event,) = await recorded(cluster)
    assert (event["count"], event["type"], event["reason"]) == (3, "Warning", "BackOff")
    assert event["source"] == {"component": "kubelet", "host": "node-1"}
    assert event["lastTimestamp"] > event["firstTimestamp"]


async def test_many_similar_ones_become_one(cluster: Simulation) -> None:
    recorder = EventRecorder(cluster.client, cluster.clock, "kubelet")
    async with Tasks("test") as tasks:
        tasks.start(recorder.run(), "events")
        for number in range(20):
            recorder.event(POD, "Warning", "Unhealthy", f"probe {number} failed")
        await cluster.advance(1)
    events = await recorded(cluster)
    assert len(events) == 11
    assert max(event["count"] for event in events) == 10
    assert any(event["message"] == "(combined from similar events): probe 19 failed" for event in events)


async def test_an_object_that_never_stops_is_limited(cluster: Simulation) -> None:
    recorder = EventRecorder(cluster.client, cluster.clock, "kubelet")
    async with Tasks("test") as tasks:
        tasks.start(recorder.run(), "events")
        for number in range(100):
            recorder.event(POD, "Normal", f"Reason{number}", "text")
        await cluster.advance(1)
    assert len(await recorded(cluster)) == 25


async def test_an_event_that_has_expired_is_written_anew(cluster: Simulation) -> None:
    recorder = EventRecorder(cluster.client, cluster.clock, "kubelet")
    async with Tasks("test") as tasks:
        tasks.start(recorder.run(), "events")
        recorder.event(POD, "Normal", "Pulled", "text")
        await cluster.advance(1)
        (event,) = await recorded(cluster)
        await cluster.client.delete(EVENTS, event["metadata"]["name"], "default")
        recorder.event(POD, "Normal", "Pulled", "text")
        await cluster.advance(1)
    assert [one["count"] for one in await recorded(cluster)] == [1]
