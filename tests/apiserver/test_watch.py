"""Watches: from the start, from a revision, through selectors, with bookmarks, and their ends."""

from typing import Any

import pytest

from podling.apiserver.watch import BOOKMARK_SECONDS
from podling.testing.apiserver import CONFIG_MAPS, Api

Object = dict[str, Any]
MERGE = "application/merge-patch+json"


async def make(api: Api, name: str, **labels: str) -> Object:
    return await api.create(CONFIG_MAPS, {"metadata": {"name": name, "labels": labels}})


async def label(api: Api, name: str, **labels: str | None) -> Object:
    changed: Object = (await api("PATCH", f"{CONFIG_MAPS}/{name}", {"metadata": {"labels": labels}}, type=MERGE)).body
    return changed


async def test_a_watch_without_a_revision_begins_with_what_is_there(api: Api) -> None:
    await make(api, "b")
    await make(api, "a")
    stream = await api.watch(CONFIG_MAPS)
    await make(api, "c")
    await label(api, "a", x="y")
    await api("DELETE", f"{CONFIG_MAPS}/b")
    expected = [("ADDED", "a"), ("ADDED", "b"), ("ADDED", "c"), ("MODIFIED", "a"), ("DELETED", "b")]
    assert await stream.names(5) == expected


async def test_a_watch_from_a_revision_misses_nothing(api: Api) -> None:
    first = await make(api, "a")
    second = await label(api, "a", x="1")
    await api("DELETE", f"{CONFIG_MAPS}/a")
    stream = await api.watch(CONFIG_MAPS, resourceVersion=first["metadata"]["resourceVersion"])
    assert await stream.next() == ("MODIFIED", second)
    kind, last = await stream.next()
    assert kind == "DELETED"
    assert last["metadata"].pop("resourceVersion") == str(api.server.storage.revision)
    second["metadata"].pop("resourceVersion")
    assert last == second


async def test_a_selector_makes_its_own_history(api: Api) -> None:
    stream = await api.watch(CONFIG_MAPS, labelSelector="show=yes")
    await make(api, "a")
    await label(api, "a", show="yes")
    await label(api, "a", other="1")
    hidden = await label(api, "a", show="no")
    await make(api, "b", show="yes")
    await api("DELETE", f"{CONFIG_MAPS}/b")
    assert await stream.names(2) == [("ADDED", "a"), ("MODIFIED", "a")]
    kind, last = await stream.next()
    assert (kind, last["metadata"]["labels"]["show"]) == ("DELETED", "yes")
    assert last["metadata"]["resourceVersion"] == hidden["metadata"]["resourceVersion"]
    assert await stream.names(2) == [("ADDED", "b"), ("DELETED", "b")]


async def test_one_object_by_field_or_path(api: Api) -> None:
    by_field = await api.watch(CONFIG_MAPS, fieldSelector="metadata.name=a")
    by_path = await api.watch(f"{CONFIG_MAPS}/a")
    by_old_path = await api.watch("/api/v1/watch/namespaces/default/configmaps/a")
    await make(api, "ab")
    await make(api, "a")
    for stream in (by_field, by_path, by_old_path):
        assert await stream.names(1) == [("ADDED", "a")]


async def test_a_namespace_is_not_its_neighbour(api: Api) -> None:
    stream = await api.watch(CONFIG_MAPS)
    await api.create("/api/v1/namespaces/kube-system/configmaps", {"metadata": {"name": "other"}})
    await make(api, "mine")
    assert await stream.names(1) == [("ADDED", "mine")]


async def test_a_revision_that_is_gone(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("podling.apiserver.cache.RING_EVENTS", 2)
    first = await make(api, "a")
    for number in range(4):
        await label(api, "a", x=str(number))
    stream = await api.watch(CONFIG_MAPS, resourceVersion=first["metadata"]["resourceVersion"])
    kind, status = await stream.next()
    assert (kind, status["code"], status["reason"]) == ("ERROR", 410, "Expired")
    assert status["message"].startswith("too old resource version: ")
    assert await stream.ended()


async def test_initial_events_end_with_a_bookmark(api: Api) -> None:
    await make(api, "a")
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
    stream = await api.watch(CONFIG_MAPS, **query)
    assert await stream.names(1) == [("ADDED", "a")]
    kind, bookmark = await stream.next()
    assert kind == "BOOKMARK"
    assert bookmark["kind"] == "ConfigMap"
    assert bookmark["metadata"]["resourceVersion"] == str(api.server.storage.revision)
    assert bookmark["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    await make(api, "b")
    assert await stream.names(1) == [("ADDED", "b")]


async def test_bookmarks_come_to_who_asks(api: Api) -> None:
    asked = await api.watch(CONFIG_MAPS, allowWatchBookmarks="true")
    silent = await api.watch(CONFIG_MAPS)
    await api.clock.settle()
    await api.create("/api/v1/namespaces", {"metadata": {"name": "elsewhere"}})
    await api.clock.advance(BOOKMARK_SECONDS)
    kind, bookmark = await asked.next()
    assert (kind, bookmark["metadata"]["resourceVersion"]) == ("BOOKMARK", str(api.server.storage.revision))
    await make(api, "a")
    assert await silent.names(1) == [("ADDED", "a")]


async def test_a_watch_ends_in_time(api: Api) -> None:
    stream = await api.watch(CONFIG_MAPS, timeoutSeconds="1")
    assert await stream.ended()


async def test_all_watches_end_with_the_server(api: Api) -> None:
    streams = [await api.watch(CONFIG_MAPS) for _ in range(3)]
    await api.clock.settle()
    api.server.drain()
    assert [await stream.ended() for stream in streams] == [True] * 3
    assert await (await api.watch(CONFIG_MAPS)).ended()


async def test_a_client_that_does_not_read_is_let_go(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("podling.apiserver.watch.BACKLOG", 3)
    monkeypatch.setattr("podling.client.transport._Pipe.HIGH_WATER", 1)
    slow, quick = await api.watch(CONFIG_MAPS), await api.watch(CONFIG_MAPS)
    for number in range(8):
        await make(api, f"c{number}")
        assert await quick.names(1) == [("ADDED", f"c{number}")]
    with pytest.raises(StopAsyncIteration):
        for _ in range(8):
            await slow.next()


async def test_tables(api: Api) -> None:
    stream = await api.watch(CONFIG_MAPS, accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    await make(api, "a")
    kind, table = await stream.next()
    assert (kind, table["kind"]) == ("ADDED", "Table")
    assert table["rows"][0]["cells"] == ["a", 0, "0s"]
    assert table["rows"][0]["object"]["metadata"]["name"] == "a"


@pytest.mark.parametrize(
    "query",
    [
        {"sendInitialEvents": "true"},
        {"resourceVersionMatch": "NotOlderThan"},
        {"resourceVersion": "abc"},
        {"timeoutSeconds": "soon"},
    ],
)
async def test_what_a_watch_may_not_ask(api: Api, query: dict[str, str]) -> None:
    assert (await api("GET", CONFIG_MAPS, watch="true", **query)).status in (400, 422)
