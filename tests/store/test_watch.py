"""A watcher between the log and memory: what is written while it catches up comes once, and in order."""

from podling.store.base import Event
from podling.store.watch import BACKLOG, LogWatch


def events(first: int, last: int) -> list[Event]:
    return [Event(f"/{number}", b"x", number) for number in range(first, last + 1)]


async def revisions(watch: LogWatch, until: int) -> list[int]:
    seen: list[int] = []
    while not seen or seen[-1] < until:
        seen += [event.revision for event in await anext(watch)]
    return seen


async def test_writes_during_the_catching_up() -> None:
    async def history(prefix: str, after: int, limit: int) -> list[Event]:
        watch.feed(events(4, 5))  # committed while the log is read; the log shows one of them already
        return events(after + 1, 4)

    watch = LogWatch("/", 0, 3, history, lambda *_: None)
    assert await revisions(watch, 5) == [1, 2, 3, 4, 5]


async def test_more_writes_during_it_than_memory_takes() -> None:
    log = events(1, 3)

    async def history(prefix: str, after: int, limit: int) -> list[Event]:
        found = [event for event in log if event.revision > after][:limit]
        if len(log) == 3:
            late = events(4, 4 + BACKLOG)
            log.extend(late)
            watch.feed(late)
        return found

    watch = LogWatch("/", 0, 3, history, lambda *_: None)
    last = 4 + BACKLOG
    assert await revisions(watch, last) == list(range(1, last + 1))
    watch.feed(events(last + 1, last + 1))
    assert await revisions(watch, last + 1) == [last + 1]
