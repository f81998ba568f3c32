"""Who is collected, as tables."""

from typing import Any

import pytest

from podling.api.objects import Object
from podling.client.resource import CONFIG_MAPS, NODES, REPLICA_SETS, Resource
from podling.controllers import garbage
from podling.controllers.plan import Delete, Guarded, Patch, Plan
from podling.controllers.view import View

KNOWN = {(resource.group, resource.kind): resource for resource in (CONFIG_MAPS, REPLICA_SETS, NODES)}


def owner(name: str = "web", uid: str = "o", **metadata: Any) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": name, "namespace": "ns", "uid": uid, "resourceVersion": "1", **metadata},
    }


def reference(name: str = "web", uid: str = "o", kind: str = "ReplicaSet", block: bool = True) -> Object:
    version = {"ReplicaSet": "apps/v1", "Node": "v1"}.get(kind, "example.com/v1")
    return {"apiVersion": version, "kind": kind, "name": name, "uid": uid, "blockOwnerDeletion": block}


def dependent(*references: Object, **metadata: Any) -> Object:
    fields = {"name": "d", "namespace": "ns", "uid": "d", "resourceVersion": "2", "ownerReferences": list(references)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {**fields, **metadata}}


def decide(obj: Object, **objects: list[Object]) -> Plan:
    given: dict[Resource, list[Object]] = {
        CONFIG_MAPS: objects.get("maps", []),
        REPLICA_SETS: objects.get("sets", []),
        NODES: objects.get("nodes", []),
    }
    return garbage.collect(obj, View.of(given), KNOWN)


def test_without_owners_or_with_one_that_is_there_nothing_happens() -> None:
    assert list(decide(dependent()).actions) == []
    assert list(decide(dependent(reference()), sets=[owner()]).actions) == []


@pytest.mark.parametrize("sets", [[], [owner(uid="another")]])
def test_when_all_owners_are_gone_it_goes_once_the_server_agrees(sets: list[Object]) -> None:
    (action,) = decide(dependent(reference()), sets=sets).actions
    assert isinstance(action, Guarded)
    assert [(check.name, check.namespace, check.uid) for check in action.checks] == [("web", "ns", "o")]
    assert isinstance(action.action, Delete)
    assert action.action.propagation == "Background"


def test_owners_of_a_kind_that_nobody_knows_count_as_there() -> None:
    assert list(decide(dependent(reference(kind="Widget"))).actions) == []


def test_a_gone_owner_beside_one_that_is_there_is_dropped() -> None:
    (action,) = decide(dependent(reference(), reference("old", "x")), sets=[owner()]).actions
    assert isinstance(action, Guarded)
    assert isinstance(action.action, Patch)
    assert action.action.patch == {"metadata": {"ownerReferences": [reference()]}}


def test_a_cluster_wide_owner_is_looked_up_without_namespace() -> None:
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "uid": "o"}}
    assert list(decide(dependent(reference("n", kind="Node")), nodes=[node]).actions) == []


LEAVING = {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["foregroundDeletion"]}


def test_foreground_takes_dependents_first_and_then_lets_go() -> None:
    going = owner(**LEAVING)
    mine = dependent(reference())
    (action,) = decide(mine, sets=[going], maps=[mine]).actions
    assert isinstance(action, Delete)
    assert list(decide(going, sets=[going], maps=[mine]).actions) == []
    (action,) = decide(going, sets=[going], maps=[dependent(reference(block=False))]).actions
    assert isinstance(action, Patch)
    assert action.patch == {"metadata": {"finalizers": None}}


def test_orphaning_cuts_all_ties_before_it_lets_go() -> None:
    going = owner(**{**LEAVING, "finalizers": ["orphan", "example.com/x"]})
    (action,) = decide(going, sets=[going], maps=[dependent(reference())]).actions
    assert isinstance(action, Patch)
    assert (action.resource, action.patch) == (CONFIG_MAPS, {"metadata": {"ownerReferences": None}})
    (action,) = decide(going, sets=[going]).actions
    assert isinstance(action, Patch)
    assert action.patch == {"metadata": {"finalizers": ["example.com/x"]}}


def test_only_changes_that_can_matter_are_looked_at() -> None:
    before = dependent(reference())
    assert not garbage.matters(before, {**before, "data": {"x": "1"}})
    assert garbage.matters(before, dependent())
    assert garbage.matters(None, before)
