"""What a PodDisruptionBudget allows, and evictions that keep to it."""

from typing import Any

import pytest

from podling.api.objects import Object, condition, name_of, owner_reference
from podling.api.status import ApiError
from podling.api.timestamps import rfc3339
from podling.client.resource import (
    BUDGETS,
    DEFINITIONS,
    DEPLOYMENTS,
    PODS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    STATEFUL_SETS,
    Resource,
)
from podling.controllers import disruption
from podling.controllers.plan import Event, Plan
from podling.controllers.view import Fetched, View
from podling.testing.simulation import Simulation

NOW = 1_700_000_000.0
SET = {
    "apiVersion": "apps/v1",
    "kind": "ReplicaSet",
    "metadata": {"name": "web", "namespace": "default", "uid": "rs"},
    "spec": {"replicas": 4},
}


def budget(**spec: Any) -> Object:
    whole = {"selector": {"matchLabels": {"app": "web"}}, **spec}
    metadata = {"name": "web", "namespace": "default", "generation": 1}
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": whole}


def pod(name: str, *, ready: bool = True, owner: Object | None = SET, **meta: Any) -> Object:
    metadata = {"name": name, "namespace": "default", "uid": name, "labels": {"app": "web"}}
    metadata["ownerReferences"] = [owner_reference(owner)] if owner else []
    return {"metadata": metadata | meta, "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": str(ready)}]}}


def plan_for(obj: Object, *pods: Object, **sets: list[Object]) -> Plan:
    known = {REPLICA_SETS: [SET], DEPLOYMENTS: [], REPLICATION_CONTROLLERS: [], STATEFUL_SETS: []}
    return disruption.reconcile(obj, View.of({BUDGETS: [obj], PODS: pods, **known}), NOW)


@pytest.mark.parametrize(
    ("spec", "ready", "healthy", "allowed"),
    [
        ({"minAvailable": 3}, 4, 3, 1),
        ({"minAvailable": 3}, 3, 3, 0),
        ({"minAvailable": "50%"}, 4, 2, 2),
        ({"maxUnavailable": 1}, 4, 3, 1),
        ({"maxUnavailable": 1}, 3, 3, 0),
        ({"maxUnavailable": "30%"}, 4, 2, 2),
        ({"maxUnavailable": 0}, 4, 4, 0),
        ({}, 4, 1, 3),
    ],
)
def test_how_many_may_go(spec: Object, ready: int, healthy: int, allowed: int) -> None:
    status = plan_for(budget(**spec), *(pod(str(number), ready=number < ready) for number in range(4))).status
    assert status is not None
    assert (status["desiredHealthy"], status["disruptionsAllowed"]) == (healthy, allowed)
    assert (status["currentHealthy"], status["expectedPods"]) == (ready, 4)
    told = condition({"status": status}, "DisruptionAllowed")
    assert told is not None
    assert (told["status"], told["reason"]) == (("True", "SufficientPods") if allowed else ("False", "InsufficientPods"))


def test_an_eviction_counts_until_it_shows_or_is_overdue() -> None:
    obj = budget(minAvailable=1)
    obj["status"] = {"disruptedPods": {"a": rfc3339(NOW - 20), "b": rfc3339(NOW - 200), "gone": rfc3339(NOW)}}
    plan = plan_for(obj, pod("a"), pod("b"), pod("c"))
    assert plan.status is not None
    assert plan.status["disruptedPods"] == {"a": rfc3339(NOW - 20)}
    assert plan.status["currentHealthy"] == 2
    assert plan.requeue_after == 100
    assert [one.reason for one in plan.actions if isinstance(one, Event)] == ["NotDeleted"]


def test_what_cannot_be_told() -> None:
    assert [one.reason for one in plan_for(budget(minAvailable=1)).actions if isinstance(one, Event)] == ["NoPods"]
    alone = plan_for(budget(maxUnavailable=1), pod("a", owner=None))
    assert [one.reason for one in alone.actions if isinstance(one, Event)] == ["UnmanagedPods"]
    for owner, message in (
        ({**SET, "kind": "DaemonSet"}, "daemonsets.apps does not implement the scale subresource"),
        ({**SET, "kind": "Gadget"}, 'no matches for kind "Gadget" in group "apps"'),
        ({**SET, "metadata": {**SET["metadata"], "name": "gone"}}, 'found no controllers for pod "a"'),
    ):
        plan = asked(budget(maxUnavailable=1), pod("a", owner=owner), SERVED)
        assert plan.status is not None
        told = condition({"status": plan.status}, "DisruptionAllowed")
        assert told is not None
        assert (told["reason"], plan.status["disruptionsAllowed"], told["message"]) == ("SyncFailed", 0, message)


MISSING = Fetched({}, "the server could not find the requested resource", 404)
SERVED = {
    "/apis/apps": Fetched({"versions": [{"version": "v1"}]}),
    "/apis/apps/v1": Fetched({"resources": [{"name": "daemonsets", "kind": "DaemonSet", "namespaced": True}]}),
    "/apis/example.com": Fetched({"versions": [{"version": "v1"}]}),
    "/apis/example.com/v1": Fetched(
        {
            "resources": [
                {"name": "widgets", "kind": "Widget", "namespaced": True},
                {"name": "widgets/scale", "kind": "Scale", "namespaced": True},
            ]
        }
    ),
    "/apis/example.com/v1/namespaces/default/widgets/web/scale": Fetched({"metadata": {"uid": "w"}, "spec": {"replicas": 5}}),
}


def asked(obj: Object, one: Object, answers: dict[str, Fetched]) -> Plan:
    """The plan when all that it wants to know has been fetched."""
    known = {BUDGETS: [obj], PODS: [one], REPLICA_SETS: [SET], DEPLOYMENTS: [], REPLICATION_CONTROLLERS: [], STATEFUL_SETS: []}
    fetched: dict[str, Fetched] = {}
    for _ in range(5):
        plan = disruption.reconcile(obj, View.of(known, fetched=fetched), NOW)
        if not plan.fetch:
            return plan
        fetched |= {path: answers.get(path, MISSING) for path in plan.fetch}
    raise AssertionError(f"it asks again and again for {plan.fetch}")


def test_a_custom_owner_is_asked_for_its_scale() -> None:
    widget = {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "web", "namespace": "default", "uid": "w"}}
    plan = asked(budget(maxUnavailable=1), pod("a", owner=widget), SERVED)
    assert plan.status is not None
    assert (plan.status["expectedPods"], plan.status["desiredHealthy"]) == (5, 4)


# evictions


async def evict(cluster: Simulation, name: str) -> None:
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": "default"}}
    await cluster.client.create(PODS, eviction, "default", name=name, subresource="eviction")


async def test_evictions_keep_to_the_budget(cluster: Simulation) -> None:
    await cluster.deploy("web", 3)
    await cluster.client.create(BUDGETS, budget(maxUnavailable=1) | {"metadata": {"name": "web", "namespace": "default"}})
    await cluster.advance(2)
    first, second, _ = await cluster.pods()
    cluster.kubelet.broken.add("web:1")
    await evict(cluster, name_of(first))
    with pytest.raises(ApiError) as refused:
        await evict(cluster, name_of(second))
    assert (refused.value.code, refused.value.message) == (
        429,
        "Cannot evict pod as it would violate the pod's disruption budget.",
    )
    await cluster.advance(5)
    with pytest.raises(ApiError) as refused:
        await evict(cluster, name_of(second))
    assert refused.value.details["causes"] == [
        {"reason": "DisruptionBudget", "message": "The disruption budget web needs 2 healthy pods and has 2 currently"}
    ]
    (unready,) = [one for one in await cluster.pods() if (condition(one, "Ready") or {})["status"] == "False"]
    await evict(cluster, name_of(unready))  # it serves nobody
    await cluster.client.patch(BUDGETS, "web", {"spec": {"maxUnavailable": 2}}, "default")
    await cluster.advance(2)
    await evict(cluster, name_of(second))


async def test_two_budgets_for_one_pod_are_an_error(cluster: Simulation) -> None:
    await cluster.deploy("web", 1)
    for name in ("a", "b"):
        await cluster.client.create(BUDGETS, budget(maxUnavailable=1) | {"metadata": {"name": name, "namespace": "default"}})
    await cluster.advance(2)
    (pod_,) = await cluster.pods()
    with pytest.raises(ApiError, match="This pod has more than one PodDisruptionBudget"):
        await evict(cluster, name_of(pod_))


async def test_pods_of_a_custom_resource_have_its_budget(cluster: Simulation) -> None:
    await cluster.client.create(DEFINITIONS, scalable("Gadget", "gadgets"))
    await cluster.advance(5)
    kept = {"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": "web"}, "spec": {"size": 3}}
    gadget = await cluster.client.create(Resource("example.com", "v1", "gadgets", kind="Gadget"), kept, "default")
    for name in ("a", "b", "c"):
        metadata = {"name": name, "namespace": "default", "labels": {"app": "web"}, "ownerReferences": [owner_reference(gadget)]}
        spec = {"containers": [{"name": "main", "image": "web:1"}]}
        await cluster.client.create(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    await cluster.client.create(BUDGETS, budget(maxUnavailable=1) | {"metadata": {"name": "web", "namespace": "default"}})
    await cluster.advance(5)
    status = (await cluster.client.get(BUDGETS, "web", "default"))["status"]
    assert (status["expectedPods"], status["desiredHealthy"], status["disruptionsAllowed"]) == (3, 2, 1)
    await evict(cluster, "a")
    with pytest.raises(ApiError) as refused:
        await evict(cluster, "b")
    assert refused.value.code == 429


def scalable(kind: str, plural: str) -> Object:
    """The definition of a custom resource that has a scale."""
    paths = {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size", "labelSelectorPath": ".status.selector"}
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    version["subresources"] = {"status": {}, "scale": paths}
    names = {"plural": plural, "kind": kind, "singular": kind.lower()}
    spec = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]}
    metadata = {"name": f"{plural}.example.com"}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": metadata, "spec": spec}
