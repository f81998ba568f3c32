"""Both drivers against a plain model: any sequence of writes, pages, compactions and restarts agrees with a list of events."""

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from podling.store.base import Compacted, FutureRevision, KeyExists, RevisionMismatch, Store
from podling.store.memory import MemoryStore
from podling.store.sqlite import SqliteStore

KEYS = st.sampled_from(["/a", "/a/", "/a/1", "/a/2", "/a0", "/b/1"])
PREFIXES = st.sampled_from(["", "/", "/a", "/a/", "/b/", "/c"])
VALUES = st.binary(max_size=4)


class Model(RuleBasedStateMachine):
    """`log` is (key, value or None) per revision, from revision 1."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.log: list[tuple[str, bytes | None]] = []
        self.oldest = 0
        self.store = self.opened()

    def opened(self) -> Store:
        return MemoryStore()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        try:
            return self.loop.run_until_complete(work)
        except (KeyExists, RevisionMismatch, Compacted, FutureRevision) as refused:
            return type(refused)

    def state(self, revision: int) -> dict[str, tuple[bytes, int]]:
        live: dict[str, tuple[bytes, int]] = {}
        for number, (key, value) in enumerate(self.log[:revision], 1):
            live.pop(key, None)
            if value is not None:
                live[key] = (value, number)
        return live

    def expect(self, outcome: object, key: str, value: bytes | None) -> None:
        self.log.append((key, value))
        assert outcome == len(self.log)

    @rule(key=KEYS, value=VALUES)
    def create(self, key: str, value: bytes) -> None:
        outcome = self.run(self.store.create(key, value))
        if key in self.state(len(self.log)):
            assert outcome is KeyExists
        else:
            self.expect(outcome, key, value)

    @rule(key=KEYS, value=VALUES, back=st.integers(0, 3))
    def swap(self, key: str, value: bytes, back: int) -> None:
        current = self.state(len(self.log)).get(key, (b"", 0))[1]
        outcome = self.run(self.store.put(key, value, expected=max(current - back, 0)))
        if max(current - back, 0) == current:
            self.expect(outcome, key, value)
        else:
            assert outcome is RevisionMismatch

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        outcome = self.run(self.store.delete(key))
        if key in self.state(len(self.log)):
            self.expect(outcome, key, None)
        else:
            assert outcome is RevisionMismatch

    @rule(prefix=PREFIXES, start_after=st.one_of(st.just(""), KEYS), limit=st.integers(0, 3), back=st.integers(-1, 5))
    def read(self, prefix: str, start_after: str, limit: int, back: int) -> None:
        revision = max(len(self.log) - back, 0)
        page = self.run(self.store.range(prefix, start_after=start_after, limit=limit, revision=revision))
        if revision > len(self.log):
            assert page is FutureRevision
        elif revision < self.oldest:
            assert page is Compacted
        else:
            live = sorted(self.state(revision).items())
            found = [(k, v, r) for k, (v, r) in live if k.startswith(prefix) and k > start_after]
            assert [(e.key, e.value, e.revision) for e in page.entries] == (found[:limit] if limit else found)
            assert page.more == (0 < limit < len(found))

    @rule(back=st.integers(0, 4))
    def compact(self, back: int) -> None:
        revision = max(len(self.log) - back, 0)
        self.run(self.store.compact(revision))
        self.oldest = max(self.oldest, revision)

    @rule(prefix=PREFIXES, back=st.integers(0, 6))
    def replay(self, prefix: str, back: int) -> None:
        after = max(len(self.log) - back, 0)
        due = [(k, v, n) for n, (k, v) in enumerate(self.log, 1) if n > after and k.startswith(prefix)]
        if due:
            events = self.run(anext(self.store.watch(prefix, after=after)))
            if after < self.oldest:
                assert events is Compacted
            else:
                assert [(e.key, e.value, e.revision) for e in events] == due

    @invariant()
    def revisions_agree(self) -> None:
        assert self.store.revision == len(self.log)

    def teardown(self) -> None:
        self.run(self.store.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()


class SqliteModel(Model):
    def opened(self) -> Store:
        self.folder = tempfile.TemporaryDirectory()
        return SqliteStore(Path(self.folder.name) / "state.db")

    @rule()
    def restart(self) -> None:
        self.run(self.store.close())
        self.store = SqliteStore(Path(self.folder.name) / "state.db")

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


@pytest.mark.parametrize(("machine", "examples"), [(Model, 100), (SqliteModel, 25)])
def test_a_driver_agrees_with_the_model(machine: type[Model], examples: int) -> None:
    case = machine.TestCase
    case.settings = settings(max_examples=examples, stateful_step_count=25, deadline=None)
    case("runTest").runTest()
