"""Which pod is next, and which waits for what."""

import asyncio
from typing import Any

import pytest

from podling.scheduler.configuration.plugins import ProfileSpec
from podling.scheduler.events import NODE_ADDED, POD_DELETED
from podling.scheduler.node_info import NodeInfo
from podling.scheduler.pod_info import PodInfo
from podling.scheduler.queue import SchedulingQueue, Waiting
from podling.testing.clock import ManualClock
from podling.testing.simulation import node

PROFILE = ProfileSpec().build()
FIT = frozenset({"NodeResourcesFit"})


def pod(name: str, cpu: str = "1", priority: int = 0) -> PodInfo:
    container = {"name": "main", "image": "web:1", "resources": {"requests": {"cpu": cpu}}}
    metadata = {"name": name, "namespace": "default", "uid": name}
    return PodInfo.of({"metadata": metadata, "spec": {"containers": [container], "priority": priority}})


@pytest.fixture
def queue() -> SchedulingQueue:
    return SchedulingQueue({PROFILE.name: PROFILE}, ManualClock())


def add(queue: SchedulingQueue, *pods: PodInfo, **more: Any) -> None:
    for one in pods:
        queue.add(one, PROFILE, **more)


async def taken(queue: SchedulingQueue) -> Waiting | None:
    """The next pod, if one is ready."""
    task = asyncio.ensure_future(queue.pop())
    await asyncio.sleep(0)
    if task.done():
        return task.result()
    task.cancel()
    return None


async def names(queue: SchedulingQueue) -> list[str]:
    found = []
    while (one := await taken(queue)) is not None:
        found.append(one.pod.uid)
    return found


async def test_the_more_important_first_then_the_elder(queue: SchedulingQueue) -> None:
    add(queue, pod("a"), pod("b", priority=5), pod("c"))
    assert await names(queue) == ["b", "a", "c"]


async def fail(queue: SchedulingQueue, name: str, **more: Any) -> Waiting:
    add(queue, pod(name, **more))
    found = await taken(queue)
    assert found is not None
    queue.fail(found, FIT)
    return found


async def test_a_hopeless_pod_waits_for_what_helps(queue: SchedulingQueue) -> None:
    await fail(queue, "big", cpu="6")
    queue.wake(NODE_ADDED, None, NodeInfo.of(node("small", cpu="4")))
    assert await names(queue) == []
    queue.wake(NODE_ADDED, None, NodeInfo.of(node("large", cpu="8")))
    assert await names(queue) == ["big"]  # nothing else is ready: it needn't wait for its time


async def test_what_failed_by_an_error_waits_for_its_time(queue: SchedulingQueue) -> None:
    add(queue, pod("a"))
    found = await taken(queue)
    assert found is not None
    queue.fail(found, error=True)
    assert await names(queue) == []


async def test_what_helped_while_a_pod_was_tried_is_not_missed(queue: SchedulingQueue) -> None:
    add(queue, pod("a"))
    found = await taken(queue)
    assert found is not None
    queue.wake(POD_DELETED, pod("gone"), None)
    queue.fail(found, FIT)
    assert await names(queue) == ["a"]


async def test_a_held_pod_is_tried_when_it_is_released_and_something_helped(queue: SchedulingQueue) -> None:
    add(queue, pod("a"))
    found = await taken(queue)
    assert found is not None
    queue.hold(found)
    queue.fail(found, FIT)
    queue.wake(POD_DELETED, pod("victim"), None)
    assert await names(queue) == []
    queue.release(found)
    assert await names(queue) == ["a"]


async def test_gated_pods_and_removed_ones_are_not_tried(queue: SchedulingQueue) -> None:
    add(queue, pod("gated"), gated=True)
    add(queue, pod("gone"))
    queue.remove("gone")
    queue.wake(NODE_ADDED, None, NodeInfo.of(node("n")))
    assert await names(queue) == []
    add(queue, pod("gated"))
    assert await names(queue) == ["gated"]
