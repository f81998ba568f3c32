"""The SQLite driver keeps the store's contract, and what it acknowledged survives anything."""

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TextIO

import pytest

from podling.base.errors import Conflict, Unavailable
from podling.store.base import Compacted
from podling.store.sqlite import SqliteStore
from podling.testing.store_contract import StoreContract, take, told


class TestSqlite(StoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[SqliteStore]:
        store = await SqliteStore.open(tmp_path / "state.db")
        yield store
        await store.close()


async def test_a_restart_finds_the_state_and_its_history(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "state.db")
    await store.create("/a", b"1")
    await store.put("/a", b"2")
    await store.create("/b", b"1")
    await store.compact(1)
    await store.delete("/b")
    await store.close()
    store = await SqliteStore.open(tmp_path / "state.db")
    try:
        assert store.revision == 4
        assert [entry.key for entry in (await store.range("/")).entries] == ["/a"]
        assert told(await take(store.watch("/", after=2), 2)) == [("/b", b"1", 3), ("/b", None, 4)]
        with pytest.raises(Compacted):
            await anext(store.watch("/", after=0))
    finally:
        await store.close()


async def test_the_files_are_for_their_owner_and_one_process_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store = await SqliteStore.open(path)
    await store.create("/secret", b"1")
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in os.listdir(tmp_path)} == {0o600}
    with pytest.raises(Conflict, match="in use"):
        SqliteStore(path)
    await store.close()
    await store.close()
    await (await SqliteStore.open(path)).close()


async def test_a_failed_commit_is_told_to_its_writers_and_leaves_nothing(tmp_path: Path) -> None:
    store = await SqliteStore.open(tmp_path / "state.db")
    await store.create("/a", b"1")
    blocker = sqlite3.connect(tmp_path / "state.db")
    pages = blocker.execute("PRAGMA page_count").fetchone()[0]
    blocker.close()
    store._writing.execute(f"PRAGMA max_page_count = {pages}")  # as good as a full disk
    try:
        with pytest.raises(Unavailable, match="full"):
            await store.put("/a", b"x" * 1_000_000)
        assert store.revision == 1
        store._writing.execute("PRAGMA max_page_count = 1000000")
        assert await store.put("/a", b"2", expected=1) == 2
    finally:
        await store.close()


WRITER = """
import asyncio, os, sys
from pathlib import Path
from podling.store.sqlite import SqliteStore

async def write(store, number, worker):
    for count in range(1_000_000):
        revision = await store.put(f"/{number}/{worker}/{count % 7}", b"%d" % count)
        os.write(1, b"%d /%d/%d/%d %d\\n" % (revision, number, worker, count % 7, count))

def serve():
    for number, line in enumerate(sys.stdin):
        child = os.fork()
        if child == 0:
            asyncio.run(run(Path(line.strip()), number))
        os.write(1, b"pid %d\\n" % child)
        os.waitpid(child, 0)
        os.write(1, b"dead\\n")

async def run(path, number):
    store = await SqliteStore.open(path)
    await asyncio.gather(*(write(store, number, worker) for worker in range(8)))

serve()
"""


def until_dead(lines: TextIO) -> Iterator[str]:
    """The lines before `dead`."""
    for line in lines:
        if line == "dead\n":
            return
        yield line
    raise AssertionError("the writers' parent ended")


def killed_writers(path: Path, turns: int) -> dict[int, tuple[str, bytes]]:
    """Revision -> what was acknowledged, by `turns` processes that were each killed a little later than the one before."""
    acknowledged: dict[int, tuple[str, bytes]] = {}
    with subprocess.Popen([sys.executable, "-c", WRITER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        for turn in range(turns):
            print(path, file=writer.stdin, flush=True)
            child = int(writer.stdout.readline().split()[1])
            first = writer.stdout.readline()
            time.sleep(turn * 0.0003)
            os.kill(child, 9)
            for line in (first, *until_dead(writer.stdout)):
                revision, key, count = line.split()
                acknowledged[int(revision)] = (key, count.encode())
        writer.stdin.close()
    return acknowledged


async def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    acknowledged = await asyncio.to_thread(killed_writers, path, 100)
    assert len(acknowledged) >= 100
    store = await SqliteStore.open(path)
    try:
        events = {event.revision: (event.key, event.value) for event in await take(store.watch("/", after=0), store.revision)}
        assert sorted(events) == list(range(1, store.revision + 1))
        assert acknowledged.items() <= events.items()
    finally:
        await store.close()
