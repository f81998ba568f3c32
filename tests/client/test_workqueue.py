"""Keys: each once, one worker a key, failed ones later."""

import asyncio

import pytest

from podling.aio.tasks import Tasks
from podling.client.workqueue import WorkQueue
from podling.testing.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def queue(clock: ManualClock) -> WorkQueue[str]:
    return WorkQueue(clock, lambda: 0.0)


async def test_a_key_added_twice_is_handed_out_once(queue: WorkQueue[str]) -> None:
    for key in ("a", "b", "a"):
        queue.add(key)
    assert [await queue.get(), await queue.get(), len(queue)] == ["a", "b", 0]


async def test_a_key_added_while_it_is_worked_on_comes_again_but_only_then(queue: WorkQueue[str]) -> None:
    queue.add("a")
    key = await queue.get()
    queue.add("a")
    assert len(queue) == 0
    queue.done(key)
    assert await queue.get() == "a"
    queue.done("a")
    assert queue.idle


async def test_failures_wait_longer_each_time_until_forgotten(queue: WorkQueue[str]) -> None:
    assert [queue.retry("a") for _ in range(4)] == [0.005, 0.01, 0.02, 0.04]
    queue.forget("a")
    assert queue.retry("a") == 0.005


async def test_delayed_keys_come_when_due_and_the_earliest_counts(queue: WorkQueue[str], clock: ManualClock) -> None:
    got: list[tuple[str, float]] = []

    async def work() -> None:
        while True:
            key = await queue.get()
            got.append((key, clock.monotonic()))
            queue.done(key)

    async with Tasks("test") as tasks:
        tasks.start(queue.run(), "delays")
        tasks.start(work(), "worker")
        queue.add_after("late", 10)
        queue.add_after("a", 5)
        queue.add_after("a", 2)
        await clock.advance(1)
        queue.add_after("soon", 0.5)
        await clock.advance(20)
    assert got == [("soon", 1.5), ("a", 2.0), ("late", 10.0)]


async def test_a_waiting_worker_is_woken(queue: WorkQueue[str]) -> None:
    async with Tasks("test") as tasks:
        waiting = tasks.start(queue.get(), "worker")
        await asyncio.sleep(0)
        queue.add("a")
        assert await waiting == "a"
