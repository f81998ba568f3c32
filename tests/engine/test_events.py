import asyncio

from podling.aio.tasks import Tasks
from podling.engine.events import Events
from podling.engine.types import Event
from podling.testing.clock import ManualClock


async def actions(events: Events, **options: object) -> list[str]:
    return [event.action async for event in events.subscribe(**options)]  # type: ignore[arg-type]


async def test_the_past_is_told_between_two_times() -> None:
    clock = ManualClock(start=100.0)
    events = Events(clock)
    for action in ("a", "b", "c"):
        events.publish("container", action, "id")
        await clock.advance(10)
    assert await actions(events, since=105, until=115) == ["b"]
    assert await actions(events, since=0, until=130, wanted=lambda event: event.action != "b") == ["a", "c"]


async def test_what_comes_later_arrives_in_order_and_times_rise() -> None:
    events = Events(ManualClock())
    seen: list[Event] = []

    async def listen() -> None:
        async for event in events.subscribe():
            seen.append(event)
            if len(seen) == 3:
                return

    async with Tasks("test") as tasks:
        listening = tasks.start(listen(), "listen")
        await asyncio.sleep(0)
        for action in ("a", "b", "c"):
            events.publish("image", action, "id", {"name": "x"})
        await listening
    assert [event.action for event in seen] == ["a", "b", "c"]
    assert seen[0].time < seen[1].time < seen[2].time
    assert dict(seen[0].attributes) == {"name": "x"}


async def test_the_past_is_bounded() -> None:
    clock = ManualClock(start=100.0)
    events = Events(clock)
    for number in range(1000):
        events.publish("container", str(number), "id")
    await clock.advance(1)
    told = await actions(events, since=0, until=100.5)
    assert (len(told), told[-1]) == (256, "999")
