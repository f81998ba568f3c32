"""What a ReplicaSet decides, as tables."""

from typing import Any

import pytest

from podling.api.objects import Object, owner_reference
from podling.api.timestamps import rfc3339
from podling.client.resource import PODS, REPLICA_SETS
from podling.controllers import replica_set
from podling.controllers.plan import Create, Delete, Patch
from podling.controllers.view import Failure, View

NOW = 1_700_000_000.0


def rs(replicas: int = 3, **spec: Any) -> Object:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": "web:1"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": "web", "namespace": "ns", "uid": "rs", "generation": 4},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template, **spec},
    }


def pod(
    name: str,
    *,
    owner: Object | None = None,
    phase: str = "Running",
    ready: float | None = 100.0,
    age: float = 1000.0,
    node: str = "n1",
    deleting: bool = False,
    cost: str = "",
    restarts: int = 0,
    app: str = "web",
) -> Object:
    """`ready` and `age` are seconds ago; None: not ready."""
    metadata: Object = {"name": name, "namespace": "ns", "uid": name, "resourceVersion": "7", "labels": {"app": app}}
    metadata["creationTimestamp"] = rfc3339(NOW - age)
    if owner is not None:
        metadata["ownerReferences"] = [owner_reference(owner)]
    if deleting:
        metadata["deletionTimestamp"] = rfc3339(NOW)
    if cost:
        metadata["annotations"] = {replica_set.DELETION_COST: cost}
    condition = {
        "type": "Ready",
        "status": "False" if ready is None else "True",
        "lastTransitionTime": rfc3339(NOW - (ready or 0)),
    }
    status = {"phase": phase, "conditions": [condition], "containerStatuses": [{"restartCount": restarts}]}
    return {"metadata": metadata, "spec": {"nodeName": node} if node else {}, "status": status}


def plan_for(owner: Object, *pods: Object, **noticed: Any):  # type: ignore[no-untyped-def]
    view = View.of({PODS: pods, REPLICA_SETS: [owner]}, **noticed)
    return replica_set.reconcile(owner, view, NOW)


def test_missing_pods_are_made_all_at_once_with_the_owner_in_them() -> None:
    owner = rs(3)
    plan = plan_for(owner, pod("a", owner=owner))
    assert [type(action) for action in plan.actions] == [Create, Create]
    made = plan.actions[0].object
    assert made["metadata"]["generateName"] == "web-"
    assert made["metadata"]["ownerReferences"] == [owner_reference(owner)]
    assert made["spec"] == owner["spec"]["template"]["spec"]


def test_finished_and_leaving_pods_count_for_nothing() -> None:
    owner = rs(1)
    plan = plan_for(owner, pod("a", owner=owner, phase="Failed"), pod("b", owner=owner, deleting=True))
    assert len(plan.actions) == 1
    assert plan.status == {"replicas": 0, "terminatingReplicas": 1, "observedGeneration": 4}


@pytest.mark.parametrize(
    ("cheap", "dear"),
    [
        ({"node": ""}, {}),
        ({"phase": "Pending", "ready": None}, {"ready": None}),
        ({"ready": None}, {}),
        ({"cost": "-5"}, {}),
        ({"node": "n1"}, {"node": "n2"}),
        ({"ready": 10.0}, {"ready": 1000.0}),
        ({"restarts": 4}, {}),
        ({"age": 10.0}, {"age": 100000.0}),
    ],
)
def test_the_cheapest_pod_goes_first(cheap: Object, dear: Object) -> None:
    owner = rs(2)
    others = [pod("other", owner=owner, node="n1", cost="9")]
    for names in (("a", "b"), ("b", "a")):
        plan = plan_for(owner, *others, pod(names[0], owner=owner, **cheap), pod(names[1], owner=owner, **dear))
        assert [action.object["metadata"]["name"] for action in plan.actions] == [names[0]]
        assert isinstance(plan.actions[0], Delete)


def test_matching_orphans_are_adopted_and_strangers_let_go() -> None:
    owner = rs(2)
    plan = plan_for(owner, pod("orphan"), pod("stranger", owner=owner, app="db"), pod("mine", owner=owner))
    patches = {action.object["metadata"]["name"]: action.patch for action in plan.actions}
    assert all(isinstance(action, Patch) and action.unchanged for action in plan.actions)
    assert patches == {
        "orphan": {"metadata": {"ownerReferences": [owner_reference(owner)]}},
        "stranger": {"metadata": {"ownerReferences": None}},
    }


def test_one_that_goes_makes_and_adopts_nothing() -> None:
    owner = rs(2)
    owner["metadata"]["deletionTimestamp"] = rfc3339(NOW)
    assert list(plan_for(owner, pod("orphan")).actions) == []


def test_available_is_ready_for_long_enough_and_the_rest_is_waited_for() -> None:
    owner = rs(3, minReadySeconds=60)
    plan = plan_for(owner, *(pod(str(seconds), owner=owner, ready=seconds) for seconds in (100.0, 50.0, 20.0)))
    assert (plan.status["readyReplicas"], plan.status["availableReplicas"]) == (3, 1)
    assert plan.requeue_after == 10


def test_a_failure_to_create_becomes_a_condition_until_it_works() -> None:
    owner = rs(1)
    failures = {(REPLICA_SETS, "ns/web"): Failure("Forbidden", "exceeded quota")}
    (condition,) = plan_for(owner, failures=failures).status["conditions"]
    assert (condition["type"], condition["reason"], condition["message"]) == ("ReplicaFailure", "FailedCreate", "exceeded quota")
    owner["status"] = {"conditions": [condition]}
    assert "conditions" not in plan_for(owner, pod("a", owner=owner)).status
