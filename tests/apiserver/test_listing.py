"""Lists: order, selectors, pages of one snapshot, revisions."""

from typing import Any

import pytest

from podling.testing.apiserver import CONFIG_MAPS, PODS, Api

Object = dict[str, Any]


async def fill(api: Api, *names: str) -> None:
    for name in names:
        await api.create(CONFIG_MAPS, {"metadata": {"name": name, "labels": {"app": name[0]}}})


def names(body: Object) -> list[str]:
    return [item["metadata"]["name"] for item in body["items"]]


async def test_a_list_is_in_order_and_names_its_revision(api: Api) -> None:
    await fill(api, "b", "a", "c")
    await api.create("/api/v1/namespaces/kube-system/configmaps", {"metadata": {"name": "a"}})
    body = (await api("GET", CONFIG_MAPS)).body
    assert (body["kind"], body["apiVersion"], names(body)) == ("ConfigMapList", "v1", ["a", "b", "c"])
    assert body["metadata"] == {"resourceVersion": str(api.server.storage.revision)}
    assert len((await api("GET", "/api/v1/configmaps")).body["items"]) == 4


async def test_selectors(api: Api, pod: Object) -> None:
    await fill(api, "a1", "a2", "b1")
    assert names((await api("GET", CONFIG_MAPS, labelSelector="app in (a)")).body) == ["a1", "a2"]
    assert names((await api("GET", CONFIG_MAPS, fieldSelector="metadata.name=b1")).body) == ["b1"]
    assert names((await api("GET", CONFIG_MAPS, fieldSelector="metadata.name!=b1", labelSelector="app=a")).body) == ["a1", "a2"]
    await api.create(PODS, pod)
    assert names((await api("GET", "/api/v1/pods", fieldSelector="spec.nodeName=")).body) == ["p"]
    assert names((await api("GET", "/api/v1/pods", fieldSelector="spec.nodeName=n")).body) == []
    wrong = await api("GET", CONFIG_MAPS, fieldSelector="data.a=1")
    assert (wrong.status, wrong.body["reason"]) == (400, "BadRequest")
    assert "field label not supported: data.a" in wrong.message
    assert (await api("GET", CONFIG_MAPS, labelSelector="a in (")).status == 400


async def test_pages_show_one_state(api: Api) -> None:
    await fill(api, "a", "b", "c", "d", "e")
    first = (await api("GET", CONFIG_MAPS, limit="2")).body
    assert names(first) == ["a", "b"]
    assert first["metadata"]["remainingItemCount"] == 3
    await api("DELETE", f"{CONFIG_MAPS}/c")
    await api("DELETE", f"{CONFIG_MAPS}/a")
    await fill(api, "bb")
    patch = {"metadata": {"labels": {"new": "er"}}}
    await api("PATCH", f"{CONFIG_MAPS}/d", patch, type="application/merge-patch+json")
    second = (await api("GET", CONFIG_MAPS, **{"limit": "2", "continue": first["metadata"]["continue"]})).body
    assert names(second) == ["c", "d"]
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert "new" not in second["items"][1]["metadata"]["labels"]
    last = (await api("GET", CONFIG_MAPS, **{"limit": "2", "continue": second["metadata"]["continue"]})).body
    assert names(last) == ["e"]
    assert "continue" not in last["metadata"]


async def test_pages_of_a_selection(api: Api) -> None:
    await fill(api, "a1", "b1", "a2", "a3")
    first = (await api("GET", CONFIG_MAPS, limit="2", labelSelector="app=a")).body
    assert (names(first), "remainingItemCount" in first["metadata"]) == (["a1", "a2"], False)
    token = first["metadata"]["continue"]
    assert names((await api("GET", CONFIG_MAPS, **{"limit": "2", "labelSelector": "app=a", "continue": token})).body) == ["a3"]


async def test_a_snapshot_that_is_gone(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("podling.apiserver.cache.RING_EVENTS", 2)
    await fill(api, "a", "b", "c")
    first = (await api("GET", CONFIG_MAPS, limit="1")).body
    await fill(api, "d", "e", "f")
    gone = await api("GET", CONFIG_MAPS, **{"limit": "9", "continue": first["metadata"]["continue"]})
    assert (gone.status, gone.body["reason"]) == (410, "Expired")
    rest = await api("GET", CONFIG_MAPS, **{"limit": "9", "continue": gone.body["metadata"]["continue"]})
    assert names(rest.body) == ["b", "c", "d", "e", "f"]
    exact = await api("GET", CONFIG_MAPS, resourceVersion="5", resourceVersionMatch="Exact")
    assert (exact.status, exact.body["reason"]) == (410, "Expired")


async def test_revisions(api: Api) -> None:
    await fill(api, "a")
    revision = str(api.server.storage.revision)
    await fill(api, "b")
    exact = await api("GET", CONFIG_MAPS, resourceVersion=revision, resourceVersionMatch="Exact")
    assert (names(exact.body), exact.body["metadata"]["resourceVersion"]) == (["a"], revision)
    newer = await api("GET", CONFIG_MAPS, resourceVersion=revision, resourceVersionMatch="NotOlderThan")
    assert names(newer.body) == ["a", "b"]
    assert names((await api("GET", CONFIG_MAPS, resourceVersion="0")).body) == ["a", "b"]
    ahead = await api("GET", CONFIG_MAPS, resourceVersion="999")
    assert (ahead.status, ahead.body["details"]["causes"][0]["reason"]) == (504, "ResourceVersionTooLarge")
    assert ahead.message == f"Timeout: Too large resource version: 999, current: {api.server.storage.revision}"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"resourceVersion": "x"}, 400),
        ({"resourceVersionMatch": "Exact"}, 422),
        ({"resourceVersionMatch": "Roughly", "resourceVersion": "1"}, 422),
        ({"resourceVersionMatch": "Exact", "resourceVersion": "0"}, 422),
        ({"continue": "???"}, 400),
        ({"continue": "e30"}, 400),
        ({"limit": "x"}, 400),
        ({"sendInitialEvents": "true"}, 422),
    ],
)
async def test_what_a_list_may_not_ask(api: Api, query: dict[str, str], code: int) -> None:
    assert (await api("GET", CONFIG_MAPS, **query)).status == code
