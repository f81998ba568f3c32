"""What a StatefulSet decides, and how its pods come, go and change in simulated time."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from podling.api.objects import Object, get, labels_of, name_of, owner_reference
from podling.api.timestamps import rfc3339
from podling.client.resource import CLAIMS, CONTROLLER_REVISIONS, EVENTS, NODES, PODS, STATEFUL_SETS
from podling.controllers.history import data_of
from podling.controllers.plan import Create, Delete, Event, Patch, Plan
from podling.controllers.stateful_set import controller
from podling.controllers.view import View
from podling.testing.applications import claim, stateful_set, template
from podling.testing.simulation import Simulation

NOW = 1_700_000_000.0


def the_set(replicas: int = 3, **spec: Any) -> Object:
    obj = stateful_set("web", replicas, **spec)
    obj["metadata"] |= {"uid": "sts", "generation": 2}
    return obj


def revision(owner: Object, name: str, number: int, image: str) -> Object:
    return {
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": name,
            "labels": {"app": "web"},
            "ownerReferences": [owner_reference(owner)],
        },
        "data": data_of(template("web", image)),
        "revision": number,
    }


def pod(
    owner: Object, ordinal: int, *, at: str = "r1", ready: float | None = 100.0, phase: str = "Running", **meta: Any
) -> Object:
    name = f"web-{ordinal}"
    labels = {
        "app": "web",
        "controller-revision-hash": at,
        "statefulset.kubernetes.io/pod-name": name,
        "apps.kubernetes.io/pod-index": str(ordinal),
    }
    metadata = {"name": name, "namespace": "default", "uid": name, "labels": labels, "ownerReferences": [owner_reference(owner)]}
    state = {"type": "Ready", "status": "False" if ready is None else "True", "lastTransitionTime": rfc3339(NOW - (ready or 0))}
    return {"metadata": metadata | meta, "spec": {}, "status": {"phase": phase, "conditions": [state]}}


def plan_for(owner: Object, *pods: Object, claims: tuple[Object, ...] = (), at: str = "") -> Plan:
    """`at` is the status' current revision: r1 is the former, r2 the present template."""
    former = [revision(owner, "r1", 1, "web:0")] if at else []
    latest = revision(owner, "r2" if at else "r1", 2, "web:1")
    if at:
        owner = {**owner, "status": {"currentRevision": at}}
    view = View.of({STATEFUL_SETS: [owner], PODS: pods, CONTROLLER_REVISIONS: [*former, latest], CLAIMS: claims})
    return controller.reconcile(owner, view, NOW)


def does(plan: Plan) -> list[str]:
    """The actions in short: `+web-0`, `-web-1`, `~web-2`."""
    signs = {Create: "+", Delete: "-", Patch: "~"}
    return [signs[type(one)] + name_of(one.object) for one in plan.actions if not isinstance(one, Event)]


def test_the_revision_comes_before_the_pods() -> None:
    owner = the_set()
    view = View.of({STATEFUL_SETS: [owner], PODS: [], CONTROLLER_REVISIONS: [], CLAIMS: []})
    (made,) = controller.reconcile(owner, view, NOW).actions
    assert made.object["kind"] == "ControllerRevision"
    assert made.object["data"]["spec"]["template"]["$patch"] == "replace"
    taken = {**made.object, "data": {}, "metadata": {**made.object["metadata"], "ownerReferences": []}}
    view = View.of(
        {
            STATEFUL_SETS: [owner],
            PODS: [],
            CONTROLLER_REVISIONS: [{**taken, "metadata": {"name": name_of(taken), "namespace": "default"}}],
            CLAIMS: [],
        }
    )
    assert controller.reconcile(owner, view, NOW).status == {"collisionCount": 1}


@pytest.mark.parametrize(
    ("spec", "pods", "expected"),
    [
        ({}, [], ["+web-0"]),
        ({}, [{}], ["+web-1"]),
        ({}, [{"ready": None}], []),
        ({"minReadySeconds": 200}, [{}], []),
        ({}, [{"deletionTimestamp": "2023-11-14T22:13:20Z"}], []),
        ({"podManagementPolicy": "Parallel"}, [{"ready": None}], ["+web-1", "+web-2"]),
        ({"ordinals": {"start": 5}}, [], ["+web-5"]),
        ({}, [{"phase": "Failed"}], ["-web-0"]),
        ({"replicas": 0}, [{}, {}, {}], ["-web-2"]),
        ({"replicas": 0}, [{}, {}, {"deletionTimestamp": "2023-11-14T22:13:20Z"}], []),
        ({"replicas": 1}, [{}, {"ready": None}, {}], ["-web-2"]),
        ({"replicas": 1}, [{}, {"ready": None}, {"ready": None}], []),
        ({"replicas": 1}, [{}, {}, {"ready": None}], ["-web-2"]),
        ({"replicas": 1, "podManagementPolicy": "Parallel"}, [{}, {"ready": None}, {"ready": None}], ["-web-2", "-web-1"]),
    ],
)
def test_pods_come_and_go_in_order_or_all_at_once(spec: Object, pods: list[Object], expected: list[str]) -> None:
    owner = the_set(**spec)
    assert does(plan_for(owner, *(pod(owner, number, **one) for number, one in enumerate(pods)))) == expected


@pytest.mark.parametrize(
    ("strategy", "pods", "expected"),
    [
        ({}, ["r1", "r1", "r1"], ["-web-2"]),
        ({}, ["r1", "r1", "r2"], ["-web-1"]),
        ({}, ["r2", "r2", "r2"], []),
        ({"rollingUpdate": {"partition": 2}}, ["r1", "r1", "r1"], ["-web-2"]),
        ({"rollingUpdate": {"partition": 2}}, ["r1", "r1", "r2"], []),
        ({"rollingUpdate": {"maxUnavailable": 2}}, ["r1", "r1", "r1"], ["-web-2", "-web-1"]),
        ({"rollingUpdate": {"maxUnavailable": "50%"}}, ["r1", "r1", "r1"], ["-web-2"]),
        ({"type": "OnDelete"}, ["r1", "r1", "r1"], []),
    ],
)
def test_a_new_template_goes_from_the_last_pod_down(strategy: Object, pods: list[str], expected: list[str]) -> None:
    owner = the_set(updateStrategy=strategy)
    assert does(plan_for(owner, *(pod(owner, number, at=one) for number, one in enumerate(pods)), at="r1")) == expected


STATES = some.sampled_from(["r1", "r1 unready", "r2", "r2 unready", "going", "nothing"])


def pod_in(owner: Object, state: str, ordinal: int) -> list[Object]:
    if state == "nothing":
        return []
    if state == "going":
        return [pod(owner, ordinal, deletionTimestamp=rfc3339(NOW))]
    at, _, unready = state.partition(" ")
    return [pod(owner, ordinal, at=at, ready=None if unready else 100.0)]


@given(some.lists(STATES, min_size=1, max_size=6), some.integers(1, 4), some.integers(0, 6), some.booleans())
def test_a_rollout_keeps_its_bounds_in_any_state(states: list[str], most: int, partition: int, ordered: bool) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": most, "partition": partition}}
    policy = "OrderedReady" if ordered else "Parallel"
    owner = the_set(len(states), updateStrategy=strategy, podManagementPolicy=policy)
    plan = plan_for(owner, *(one for number, state in enumerate(states) for one in pod_in(owner, state, number)), at="r1")
    actions = does(plan)
    deleted = [int(one.rpartition("-")[2]) for one in actions if one.startswith("-")]
    assert all(number >= partition and states[number].startswith("r1") for number in deleted)
    serving = sum(state in ("r1", "r2") for state in states) - sum(states[number] == "r1" for number in deleted)
    assert not any(states[number] == "r1" for number in deleted) or len(states) - serving <= most + states.count("r1 unready")
    if ordered:
        assert len([one for one in actions if one.startswith("+")]) <= 1
        assert not deleted or all(state in ("r1", "r2") for state in states)


def test_a_lost_pod_below_the_partition_comes_back_by_its_former_template() -> None:
    owner = the_set(updateStrategy={"rollingUpdate": {"partition": 1}})
    (made,) = plan_for(owner, pod(owner, 1, at="r2"), pod(owner, 2, at="r2"), at="r1").actions
    assert (labels_of(made.object)["controller-revision-hash"], image_of(made.object)) == ("r1", "web:0")
    (made,) = plan_for(owner, pod(owner, 0), at="r1").actions
    assert (labels_of(made.object)["controller-revision-hash"], image_of(made.object)) == ("r2", "web:1")


def image_of(obj: Object) -> str:
    return str(obj["spec"]["containers"][0]["image"])


def test_a_pod_has_its_name_number_and_domain() -> None:
    owner = the_set()
    (made,) = plan_for(owner, pod(owner, 0)).actions
    assert made.object["metadata"]["name"] == "web-1"
    assert labels_of(made.object) == {
        "app": "web",
        "statefulset.kubernetes.io/pod-name": "web-1",
        "apps.kubernetes.io/pod-index": "1",
        "controller-revision-hash": "r1",
    }
    assert (made.object["spec"]["hostname"], made.object["spec"]["subdomain"]) == ("web-1", "web")
    assert made.done.message == "create Pod web-1 in StatefulSet web successful"


def test_the_status_tells_how_far_the_revisions_are() -> None:
    owner = the_set(minReadySeconds=50)
    pods = [pod(owner, 0), pod(owner, 1), pod(owner, 2, at="r2", ready=30.0)]
    plan = plan_for(owner, *pods, at="r1")
    assert plan.status == {
        "observedGeneration": 2,
        "replicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 2,
        "currentReplicas": 2,
        "updatedReplicas": 1,
        "currentRevision": "r1",
        "updateRevision": "r2",
        "collisionCount": 0,
    }
    assert plan.requeue_after == 20
    done = plan_for(owner, *(pod(owner, number, at="r2") for number in range(3)), at="r1").status
    assert (done["currentRevision"], done["currentReplicas"]) == ("r2", 3)


# claims


def with_claims(**policy: str) -> Object:
    return the_set(1, volumeClaimTemplates=[claim("data")], persistentVolumeClaimRetentionPolicy=policy)


def held(owner: Object | None = None, **meta: Any) -> Object:
    references = [owner_reference(owner)] if owner else []
    return {"metadata": {"name": "data-web-0", "namespace": "default", "uid": "c", "ownerReferences": references, **meta}}


def test_claims_are_made_first_then_the_pod_that_mounts_them() -> None:
    owner = with_claims()
    plan = plan_for(owner)
    assert does(plan) == ["+data-web-0"]
    assert plan.actions[0].done.message == "create Claim data-web-0 Pod web-0 in StatefulSet web success"
    assert labels_of(plan.actions[0].object) == {"app": "web"}
    (made,) = plan_for(owner, claims=(held(),)).actions
    assert made.object["spec"]["volumes"] == [{"name": "data", "persistentVolumeClaim": {"claimName": "data-web-0"}}]


def test_a_pod_waits_until_a_claim_that_leaves_has_gone() -> None:
    owner = with_claims()
    gone = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-0", "uid": "former"}}
    for one in (held(gone), held(deletionTimestamp="2023-11-14T22:13:20Z")):
        assert does(plan_for(owner, claims=(one,))) == []


@pytest.mark.parametrize(
    ("policy", "replicas", "kind"),
    [
        ({}, 1, None),
        ({"whenDeleted": "Delete"}, 1, "StatefulSet"),
        ({"whenDeleted": "Delete"}, 0, "StatefulSet"),
        ({"whenScaled": "Delete"}, 1, None),
        ({"whenScaled": "Delete"}, 0, "Pod"),
        ({"whenDeleted": "Delete", "whenScaled": "Delete"}, 0, "Pod"),
    ],
)
def test_claims_are_owned_as_the_policy_asks(policy: dict[str, str], replicas: int, kind: str | None) -> None:
    owner = with_claims(**policy)
    owner["spec"]["replicas"] = replicas
    plan = plan_for(owner, pod(owner, 0), claims=(held(),))
    patches = [one.patch["metadata"]["ownerReferences"] for one in plan.actions if isinstance(one, Patch)]
    assert [[reference["kind"] for reference in one] for one in patches] == ([[kind]] if kind else [])
    if kind is None:
        stranger = plan_for(owner, pod(owner, 0), claims=(held(owner),))
        assert [one.patch for one in stranger.actions if isinstance(one, Patch)] == [{"metadata": {"ownerReferences": None}}]


# in simulated time


async def apply(cluster: Simulation, name: str = "web", **spec: Any) -> None:
    await cluster.client.patch(STATEFUL_SETS, name, {"spec": spec}, "default")


async def set_image(cluster: Simulation, image: str) -> None:
    await apply(cluster, template={"spec": {"containers": [{"name": "main", "image": image}]}})


async def named(cluster: Simulation) -> dict[str, str]:
    return {name_of(one): image_of(one) for one in sorted(await cluster.pods(), key=name_of)}


async def test_a_rollout_and_its_undo_leave_one_pod_of_each_name(cluster: Simulation) -> None:
    await cluster.client.create(STATEFUL_SETS, stateful_set("web"))
    await cluster.advance(5)
    assert await named(cluster) == dict.fromkeys(("web-0", "web-1", "web-2"), "web:1")
    await set_image(cluster, "web:2")
    await cluster.advance(10)
    assert await named(cluster) == dict.fromkeys(("web-0", "web-1", "web-2"), "web:2")
    first, second = sorted((await cluster.client.list(CONTROLLER_REVISIONS, "default")).items, key=lambda one: one["revision"])
    await cluster.client.patch(STATEFUL_SETS, "web", first["data"], "default", type="strategic")  # as kubectl undoes
    await cluster.advance(10)
    assert await named(cluster) == dict.fromkeys(("web-0", "web-1", "web-2"), "web:1")
    status = (await cluster.client.get(STATEFUL_SETS, "web", "default"))["status"]
    assert (status["currentRevision"], status["updateRevision"]) == (name_of(first), name_of(first))
    numbers = {name_of(one): one["revision"] for one in (await cluster.client.list(CONTROLLER_REVISIONS, "default")).items}
    assert numbers == {name_of(first): 3, name_of(second): 2}
    told = {event["message"] for event in (await cluster.client.list(EVENTS, "default")).items}
    assert {"create Pod web-0 in StatefulSet web successful", "delete Pod web-2 in StatefulSet web successful"} <= told


async def test_a_broken_template_stops_at_the_last_pod(cluster: Simulation) -> None:
    cluster.kubelet.broken.add("web:2")
    await cluster.client.create(STATEFUL_SETS, stateful_set("web"))
    await cluster.advance(5)
    await set_image(cluster, "web:2")
    await cluster.advance(60)
    assert await named(cluster) == {"web-0": "web:1", "web-1": "web:1", "web-2": "web:2"}


async def test_history_keeps_as_many_revisions_as_asked(cluster: Simulation) -> None:
    await cluster.client.create(STATEFUL_SETS, stateful_set("web", 1, revisionHistoryLimit=1))
    for number in range(2, 6):
        await cluster.advance(5)
        await set_image(cluster, f"web:{number}")
    await cluster.advance(10)
    kept = (await cluster.client.list(CONTROLLER_REVISIONS, "default")).items
    assert sorted(one["revision"] for one in kept) == [4, 5]


async def test_scaling_and_claims_that_go_with_the_pods(cluster: Simulation) -> None:
    policy = {"whenScaled": "Delete", "whenDeleted": "Delete"}
    spec = {"volumeClaimTemplates": [claim("data")], "persistentVolumeClaimRetentionPolicy": policy}
    await cluster.client.create(STATEFUL_SETS, stateful_set("web", **spec))
    await cluster.advance(5)
    await apply(cluster, replicas=1)
    await cluster.advance(10)
    assert set(await named(cluster)) == {"web-0"}
    assert await claims_of(cluster) == ["data-web-0"]
    await cluster.client.delete(STATEFUL_SETS, "web", "default")
    await cluster.advance(10)
    assert await cluster.pods() == []
    assert await claims_of(cluster) == []


async def claims_of(cluster: Simulation) -> list[str]:
    return sorted(name_of(one) for one in (await cluster.client.list(CLAIMS, "default")).items)


async def test_a_pod_of_a_lost_node_is_not_replaced_until_it_is_surely_gone(cluster: Simulation) -> None:
    await cluster.client.create(STATEFUL_SETS, stateful_set("web"))
    await cluster.advance(5)
    (lost,) = [one for one in await cluster.pods() if name_of(one) == "web-1"]
    node = lost["spec"]["nodeName"]
    cluster.kubelet.silent.add(node)
    await cluster.advance(600)
    (still,) = [one for one in (await cluster.client.list(PODS, "default")).items if name_of(one) == "web-1"]
    assert still["metadata"]["uid"] == lost["metadata"]["uid"]
    assert get(still, "metadata.deletionTimestamp")
    await cluster.client.delete(NODES, node)
    await cluster.advance(120)
    (new,) = [one for one in await cluster.pods() if name_of(one) == "web-1"]
    assert new["spec"]["nodeName"] != node
