"""What every store driver must do. Subclass `StoreContract` in a test module and give it a `store` fixture."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing

import pytest

from podling.store.base import ABSENT, Compacted, Event, FutureRevision, KeyExists, RevisionMismatch, Store, Watch


async def take(watch: Watch, count: int) -> list[Event]:
    """The next `count` events; fails after five seconds."""
    events: list[Event] = []
    async with asyncio.timeout(5):
        while len(events) < count:
            events += await anext(watch)
    return events


def told(events: Sequence[Event]) -> list[tuple[str, bytes | None, int]]:
    return [(event.key, event.value, event.revision) for event in events]


class StoreContract:
    """The cases; `store` is empty and is closed by the fixture."""

    async def test_an_empty_store_is_at_revision_zero(self, store: Store) -> None:
        assert store.revision == 0
        assert await store.get("/a") is None
        assert (await store.range("/")).entries == []

    async def test_what_was_written_is_read(self, store: Store) -> None:
        revision = await store.create("/a", b"one")
        entry = await store.get("/a")
        assert entry is not None
        assert (entry.key, entry.value, entry.revision) == ("/a", b"one", revision)
        assert store.revision == revision == 1

    async def test_each_write_takes_the_next_revision(self, store: Store) -> None:
        assert [await store.create("/a", b"1"), await store.put("/a", b"2"), await store.delete("/a")] == [1, 2, 3]
        assert await store.create("/a", b"3") == 4

    async def test_create_refuses_an_existing_key(self, store: Store) -> None:
        await store.create("/a", b"one")
        with pytest.raises(KeyExists) as refused:
            await store.create("/a", b"two")
        assert refused.value.revision == 1
        assert store.revision == 1

    async def test_put_swaps_only_what_was_seen(self, store: Store) -> None:
        first = await store.create("/a", b"1")
        second = await store.put("/a", b"2", expected=first)
        with pytest.raises(RevisionMismatch) as refused:
            await store.put("/a", b"3", expected=first)
        assert refused.value.current == second
        with pytest.raises(RevisionMismatch):
            await store.put("/b", b"1", expected=second)
        assert await store.put("/b", b"1", expected=ABSENT) == second + 1

    async def test_delete_swaps_only_what_was_seen(self, store: Store) -> None:
        with pytest.raises(RevisionMismatch) as refused:
            await store.delete("/a")
        assert refused.value.current == ABSENT
        first = await store.create("/a", b"1")
        with pytest.raises(RevisionMismatch):
            await store.delete("/a", expected=first + 1)
        await store.delete("/a", expected=first)
        assert await store.get("/a") is None

    async def test_of_many_writers_that_saw_the_same_state_one_wins(self, store: Store) -> None:
        seen = await store.create("/a", b"0")
        outcomes = await asyncio.gather(
            *(store.put("/a", b"%d" % number, expected=seen) for number in range(20)), return_exceptions=True
        )
        winners = [outcome for outcome in outcomes if isinstance(outcome, int)]
        assert len(winners) == 1
        assert all(isinstance(outcome, int | RevisionMismatch) for outcome in outcomes)
        assert store.revision == winners[0]

    async def test_writes_of_one_tick_see_each_other_in_order(self, store: Store) -> None:
        outcomes = await asyncio.gather(
            store.create("/a", b"1"), store.put("/a", b"2", expected=1), store.delete("/a"), store.create("/a", b"3")
        )
        assert list(outcomes) == [1, 2, 3, 4]

    async def test_a_range_is_a_prefix_in_the_order_of_keys(self, store: Store) -> None:
        for key in ("/b/2", "/a/1", "/b", "/b/1", "/b0", "/c"):
            await store.create(key, key.encode())
        page = await store.range("/b/")
        assert [entry.key for entry in page.entries] == ["/b/1", "/b/2"]
        assert page.revision == store.revision
        assert not page.more
        assert await store.count("/b") == 4

    async def test_a_range_in_pages_shows_one_state(self, store: Store) -> None:
        for number in range(5):
            await store.create(f"/a/{number}", b"old")
        first = await store.range("/a/", limit=2)
        await store.put("/a/3", b"new")
        await store.delete("/a/4")
        await store.create("/a/5", b"late")
        rest = await store.range("/a/", start_after=first.entries[-1].key, limit=9, revision=first.revision)
        assert first.more
        assert not rest.more
        assert [(entry.key, entry.value) for entry in first.entries + rest.entries] == [(f"/a/{n}", b"old") for n in range(5)]
        assert [entry.key for entry in (await store.range("/a/", start_after="/a/2")).entries] == ["/a/3", "/a/5"]

    async def test_the_future_cannot_be_read(self, store: Store) -> None:
        with pytest.raises(FutureRevision):
            await store.range("/", revision=1)

    async def test_a_watch_tells_what_happens(self, store: Store) -> None:
        async with aclosing(store.watch("/a/", after=0)) as watch:
            await store.create("/a/1", b"1")
            await store.create("/b/1", b"other")
            await store.put("/a/1", b"2")
            await store.delete("/a/1")
            assert told(await take(watch, 3)) == [
                ("/a/1", b"1", 1),
                ("/a/1", b"2", 3),
                ("/a/1", None, 4),
            ]

    async def test_a_watch_waits_for_the_next_event(self, store: Store) -> None:
        async with aclosing(store.watch("/", after=0)) as watch, asyncio.TaskGroup() as group:
            waiting = group.create_task(take(watch, 1))
            await asyncio.sleep(0)
            await store.create("/a", b"1")
            assert told(await waiting) == [("/a", b"1", 1)]

    async def test_a_watch_starts_in_the_past(self, store: Store) -> None:
        for number in range(5):
            await store.put("/a", b"%d" % number)
        async with aclosing(store.watch("/", after=2)) as watch:
            await store.put("/a", b"5")
            assert told(await take(watch, 4)) == [
                ("/a", b"2", 3),
                ("/a", b"3", 4),
                ("/a", b"4", 5),
                ("/a", b"5", 6),
            ]

    async def test_a_watcher_that_does_not_read_loses_nothing(self, store: Store) -> None:
        async with aclosing(store.watch("/", after=0)) as watch:
            for _ in range(20):
                await asyncio.gather(*(store.put(f"/{number}", b"x") for number in range(1000)))
            events = await take(watch, 20_000)
            assert [event.revision for event in events] == list(range(1, 20_001))
            await store.put("/last", b"x")
            assert told(await take(watch, 1)) == [("/last", b"x", 20_001)]

    async def test_closing_a_watch_ends_its_reader(self, store: Store) -> None:
        watch = store.watch("/", after=0)
        async with asyncio.TaskGroup() as group:
            reader = group.create_task(_drain(watch))
            await asyncio.sleep(0)
            await watch.aclose()
        assert reader.result() == 0

    async def test_compaction_keeps_the_state_and_forgets_the_way_to_it(self, store: Store) -> None:
        await store.create("/a", b"1")
        await store.put("/a", b"2")
        await store.create("/b", b"1")
        await store.delete("/b")
        await store.put("/a", b"3")
        await store.compact(4)
        assert [(entry.key, entry.value) for entry in (await store.range("/", revision=4)).entries] == [("/a", b"2")]
        assert [(entry.key, entry.value) for entry in (await store.range("/")).entries] == [("/a", b"3")]
        with pytest.raises(Compacted) as refused:
            await store.range("/", revision=3)
        assert refused.value.oldest == 4
        async with aclosing(store.watch("/", after=3)) as watch:
            with pytest.raises(Compacted):
                await anext(watch)
        async with aclosing(store.watch("/", after=4)) as watch:
            assert told(await take(watch, 1)) == [("/a", b"3", 5)]

    async def test_compacting_everything_keeps_the_revision(self, store: Store) -> None:
        await store.create("/a", b"1")
        await store.delete("/a")
        await store.compact(2)
        await store.compact(1)
        assert await store.create("/a", b"2") == 3
        with pytest.raises(FutureRevision):
            await store.compact(9)

    async def test_values_are_opaque(self, store: Store) -> None:
        value = bytes(range(256)) * 8192
        await store.create("/a", value)
        await store.create("/b", b"")
        entries = (await store.range("/")).entries
        assert [entry.value for entry in entries] == [value, b""]


async def _drain(watch: Watch) -> int:
    count = 0
    async for events in watch:
        count += len(events)
    return count
