"""An informer sees what the API server's wire shows, through interruptions and compaction."""

import asyncio
from collections.abc import Iterable
from itertools import pairwise

import orjson
import pytest

from podling.aio.http import BodyWriter, Request, Response
from podling.api.objects import Object
from podling.client.client import Client
from podling.client.informer import Informers
from podling.client.resource import PODS
from podling.client.transport import DirectTransport
from podling.testing.clock import ManualClock


def pod(name: str, revision: int, uid: str = "", **labels: str) -> Object:
    return {
        "metadata": {
            "name": name,
            "namespace": "ns",
            "uid": uid or name,
            "resourceVersion": str(revision),
            "labels": labels,
            "ownerReferences": [{"uid": "owner-of-" + name}],
        },
        "spec": {"nodeName": "node-" + name},
    }


class Wire:
    """Plays one pod collection: what lists and watches answer is written by the test."""

    def __init__(self, items: Iterable[Object] = (), revision: int = 1) -> None:
        self.items = list(items)
        self.revision = revision
        self.asked: list[str] = []
        self.lists = 0
        self.watches: list[asyncio.Queue[bytes | None]] = []

    async def __call__(self, request: Request) -> Response:
        if request.query.get("watch"):
            self.asked.append(request.query.get("resourceVersion"))
            queue: asyncio.Queue[bytes | None] = asyncio.Queue()
            self.watches.append(queue)
            return Response(200, lambda writer: self._stream(queue, writer))
        self.lists += 1
        return self._page(request)

    async def _stream(self, queue: asyncio.Queue[bytes | None], writer: BodyWriter) -> None:
        while (data := await queue.get()) is not None:
            writer.write(data)

    def _page(self, request: Request) -> Response:
        start = int(request.query.get("continue", "0"))
        limit = int(request.query.get("limit", "500"))
        metadata: Object = {"resourceVersion": str(self.revision)}
        if start + limit < len(self.items):
            metadata["continue"] = str(start + limit)
        return Response(200, orjson.dumps({"metadata": metadata, "items": self.items[start : start + limit]}))

    def send(self, kind: str, obj: Object) -> None:
        self.watches[-1].put_nowait(orjson.dumps({"type": kind, "object": obj}) + b"\n")

    def end(self) -> None:
        self.watches[-1].put_nowait(None)


def told(informer: object) -> list[tuple[str | None, str | None]]:
    seen: list[tuple[str | None, str | None]] = []

    def name(obj: Object | None) -> str | None:
        return None if obj is None else f"{obj['metadata']['uid']}@{obj['metadata']['resourceVersion']}"

    informer.add_handler(lambda old, new: seen.append((name(old), name(new))))  # type: ignore[attr-defined]
    return seen


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def informers(wire: Wire, clock: ManualClock) -> Informers:
    return Informers(Client(DirectTransport(wire)), clock, lambda: 0.0)


async def test_handlers_hear_of_the_list_and_of_each_change(clock: ManualClock) -> None:
    wire = Wire([pod("a", 1)], revision=1)
    group = informers(wire, clock)
    informer = group.of(PODS)
    seen = told(informer)
    async with group:
        wire_events = [("ADDED", pod("b", 2)), ("MODIFIED", pod("a", 3)), ("DELETED", pod("b", 4))]
        await clock.settle()
        for kind, obj in wire_events:
            wire.send(kind, obj)
        await clock.settle()
    assert seen == [(None, "a@1"), (None, "b@2"), ("a@1", "a@3"), ("b@4", None)]
    assert [obj["metadata"]["name"] for obj in informer.cache] == ["a"]


async def test_an_ended_watch_goes_on_at_the_last_revision_seen(clock: ManualClock) -> None:
    wire = Wire([pod("a", 1)], revision=5)
    async with informers(wire, clock) as group:
        informer = group.of(PODS)
        await clock.settle()
        wire.send("BOOKMARK", {"metadata": {"resourceVersion": "9"}})
        wire.end()
        await clock.advance(1)
        assert wire.asked == ["5", "9"]
        assert wire.lists == 1
        assert len(informer.cache) == 1


async def test_a_compacted_revision_lists_anew_and_tells_the_difference(clock: ManualClock) -> None:
    wire = Wire([pod("a", 1), pod("b", 2), pod("c", 2, uid="c1")], revision=2)
    group = informers(wire, clock)
    seen = told(group.of(PODS))
    async with group:
        await clock.settle()
        seen.clear()
        wire.items, wire.revision = [pod("b", 2), pod("c", 8, uid="c2"), pod("d", 9)], 9
        wire.send("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"})
        await clock.advance(1)
    assert wire.lists == 2
    assert seen == [("a@1", None), ("c1@2", None), (None, "c2@8"), (None, "d@9")]


async def test_a_server_that_is_away_is_asked_again_after_growing_waits(clock: ManualClock) -> None:
    calls: list[float] = []

    async def away(request: Request) -> Response:
        calls.append(clock.monotonic())
        raise ConnectionRefusedError("nobody there")

    group = Informers(Client(DirectTransport(away)), clock, lambda: 0.0)
    running = group.of(PODS).run()
    task = asyncio.get_running_loop().create_task(running)
    await clock.advance(100)
    task.cancel()
    waits = [round(b - a, 2) for a, b in pairwise(calls)]
    assert waits[:4] == [0.1, 0.2, 0.4, 0.8]
    assert max(waits) == 30


async def test_objects_are_found_by_owner_node_namespace_and_label(clock: ManualClock) -> None:
    wire = Wire([pod("a", 1, app="web"), pod("b", 1, app="db")])
    async with informers(wire, clock) as group:
        cache = group.of(PODS).index("owner").index("node").index("namespace").index("label").cache
        await clock.settle()

        def names(index: str, value: str) -> list[str]:
            return [obj["metadata"]["name"] for obj in cache.find(index, value)]

        assert names("owner", "owner-of-a") == ["a"]
        assert names("node", "node-b") == ["b"]
        assert names("namespace", "ns") == ["a", "b"]
        assert names("label", "ns/app=web") == ["a"]
        wire.send("MODIFIED", pod("a", 2, app="db"))
        await clock.settle()
        assert names("label", "ns/app=web") == []
        assert sorted(names("label", "ns/app=db")) == ["a", "b"]


async def test_long_lists_come_in_pages(clock: ManualClock) -> None:
    wire = Wire([pod(f"p{number}", 1) for number in range(1201)])
    async with informers(wire, clock) as group:
        informer = group.of(PODS)
        await clock.settle()
        assert len(informer.cache) == 1201
        assert wire.lists == 3
