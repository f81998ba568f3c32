"""Deletion: at once, in grace, held by finalizers, one by one or by the collection."""

from typing import Any

from podling.testing.apiserver import CONFIG_MAPS, PODS, Api

Object = dict[str, Any]
MERGE = "application/merge-patch+json"


async def make(api: Api, name: str = "c", **metadata: Any) -> Object:
    return await api.create(CONFIG_MAPS, {"metadata": {"name": name, **metadata}})


async def test_a_delete_answers_with_what_is_gone(api: Api) -> None:
    created = await make(api)
    answer = await api("DELETE", f"{CONFIG_MAPS}/c")
    assert answer.body == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {"name": "c", "kind": "configmaps", "uid": created["metadata"]["uid"]},
    }
    gone = await api("DELETE", f"{CONFIG_MAPS}/c")
    assert (gone.status, gone.message) == (404, 'configmaps "c" not found')


async def test_preconditions(api: Api) -> None:
    created = await make(api)
    for wrong in ({"uid": "x"}, {"resourceVersion": "1"}):
        assert (await api("DELETE", f"{CONFIG_MAPS}/c", {"preconditions": wrong})).status == 409
    right = {name: created["metadata"][name] for name in ("uid", "resourceVersion")}
    assert (await api("DELETE", f"{CONFIG_MAPS}/c", {"preconditions": right})).status == 200


async def test_finalizers_hold_an_object(api: Api) -> None:
    await make(api, finalizers=["example.com/hold"])
    marked = await api("DELETE", f"{CONFIG_MAPS}/c")
    assert marked.body["metadata"]["deletionTimestamp"] == "2023-11-14T22:13:20Z"
    taken = await api("POST", CONFIG_MAPS, {"metadata": {"name": "c"}})
    assert taken.message == 'object is being deleted: configmaps "c" already exists'
    more = await api("PATCH", f"{CONFIG_MAPS}/c", {"metadata": {"finalizers": ["example.com/hold", "a.b/c"]}}, type=MERGE)
    assert more.status == 422
    last = await api("PATCH", f"{CONFIG_MAPS}/c", {"metadata": {"finalizers": None}}, type=MERGE)
    assert last.status == 200
    assert (await api("GET", f"{CONFIG_MAPS}/c")).status == 404


async def test_propagation_policies_are_finalizers(api: Api) -> None:
    for policy, finalizers in (("Foreground", ["foregroundDeletion"]), ("Orphan", ["orphan"])):
        await make(api, policy.lower())
        marked = await api("DELETE", f"{CONFIG_MAPS}/{policy.lower()}", {"propagationPolicy": policy})
        assert marked.body["metadata"]["finalizers"] == finalizers
    await make(api)
    assert (await api("DELETE", f"{CONFIG_MAPS}/c", {"propagationPolicy": "Sometimes"})).status == 422
    assert (await api("DELETE", f"{CONFIG_MAPS}/c", propagationPolicy="Background")).body["status"] == "Success"


async def test_a_pod_on_a_node_gets_its_grace(api: Api, pod: Object) -> None:
    await api.create(PODS, pod)
    await api("POST", f"{PODS}/p/binding", {"target": {"kind": "Node", "name": "n"}})
    first = (await api("DELETE", f"{PODS}/p")).body["metadata"]
    assert (first["deletionGracePeriodSeconds"], first["deletionTimestamp"]) == (30, "2023-11-14T22:13:50Z")
    again = (await api("DELETE", f"{PODS}/p")).body["metadata"]
    assert again["deletionTimestamp"] == first["deletionTimestamp"]
    hurried = (await api("DELETE", f"{PODS}/p", {"gracePeriodSeconds": 5})).body["metadata"]
    assert (hurried["deletionGracePeriodSeconds"], hurried["deletionTimestamp"]) == (5, "2023-11-14T22:13:25Z")
    assert (await api("DELETE", f"{PODS}/p", gracePeriodSeconds="0")).body["kind"] == "Pod"
    assert (await api("GET", f"{PODS}/p")).status == 404


async def test_a_pod_without_a_node_goes_at_once(api: Api, pod: Object) -> None:
    await api.create(PODS, pod)
    assert (await api("DELETE", f"{PODS}/p")).body["kind"] == "Pod"
    assert (await api("GET", f"{PODS}/p")).status == 404


async def test_a_collection_goes_by_selector(api: Api) -> None:
    for name, tier in (("a", "x"), ("b", "x"), ("c", "y")):
        await make(api, name, labels={"tier": tier})
    answer = await api("DELETE", CONFIG_MAPS, labelSelector="tier=x")
    assert [item["metadata"]["name"] for item in answer.body["items"]] == ["a", "b"]
    left = await api("GET", CONFIG_MAPS)
    assert [item["metadata"]["name"] for item in left.body["items"]] == ["c"]


async def test_a_namespace_waits_for_its_finalizer(api: Api) -> None:
    await api.create("/api/v1/namespaces", {"metadata": {"name": "n"}})
    marked = await api("DELETE", "/api/v1/namespaces/n")
    assert marked.body["status"]["phase"] == "Terminating"
    assert (await api("DELETE", "/api/v1/namespaces/n")).status == 409
    refused = await api("POST", "/api/v1/namespaces/n/configmaps", {"metadata": {"name": "c"}})
    assert refused.message == (
        'configmaps "c" is forbidden: unable to create new content in namespace n because it is being terminated'
    )
    assert refused.body["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    finalized = {**marked.body, "spec": {}}
    assert (await api("PUT", "/api/v1/namespaces/n/finalize", finalized)).status == 200
    assert (await api("GET", "/api/v1/namespaces/n")).status == 404
    kept = await api("DELETE", "/api/v1/namespaces/default")
    assert (kept.status, kept.message) == (403, 'namespaces "default" is forbidden: this namespace may not be deleted')


async def test_eviction_is_a_delete(api: Api, pod: Object) -> None:
    await api.create(PODS, pod)
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}}
    assert (await api("POST", f"{PODS}/p/eviction", eviction)).status == 201
    assert (await api("GET", f"{PODS}/p")).status == 404
