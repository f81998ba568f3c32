"""What a DaemonSet decides, and how its pods follow nodes and templates in simulated time."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from podling.api.objects import Object, labels_of, name_of, owner_reference
from podling.api.timestamps import rfc3339
from podling.client.resource import CONTROLLER_REVISIONS, DAEMON_SETS, EVENTS, NODES, PODS
from podling.controllers.daemon_set import controller, placement
from podling.controllers.history import data_of
from podling.controllers.plan import Create, Delete, Event, Plan
from podling.controllers.view import View
from podling.testing.applications import daemon_set
from podling.testing.simulation import Simulation

NOW = 1_700_000_000.0


def the_set(**spec: Any) -> Object:
    obj = daemon_set("log", **spec)
    obj["metadata"] |= {"uid": "ds", "generation": 1, "annotations": {"deprecated.daemonset.template.generation": "3"}}
    return obj


def node(name: str, taint: str = "", effect: str = "NoSchedule", **labels: str) -> Object:
    taints = [{"key": taint, "effect": effect}] if taint else []
    return {"metadata": {"name": name, "labels": labels}, "spec": {"taints": taints}}


def pod(owner: Object, on: str, *, at: str = "new", ready: float | None = 100.0, phase: str = "Running", **meta: Any) -> Object:
    name = f"log-{on}-{at}"
    labels = {"app": "log", "controller-revision-hash": at}
    metadata = {"name": name, "namespace": "default", "uid": name, "labels": labels, "ownerReferences": [owner_reference(owner)]}
    state = {"type": "Ready", "status": "False" if ready is None else "True", "lastTransitionTime": rfc3339(NOW - (ready or 0))}
    metadata["creationTimestamp"] = rfc3339(NOW - 100)
    return {"metadata": metadata | meta, "spec": {"nodeName": on}, "status": {"phase": phase, "conditions": [state]}}


def plan_for(owner: Object, nodes: list[Object], *pods: Object) -> Plan:
    labels = {"app": "log", "controller-revision-hash": "new"}
    metadata = {
        "name": "log-new",
        "namespace": "default",
        "uid": "r",
        "labels": labels,
        "ownerReferences": [owner_reference(owner)],
    }
    revision = {"metadata": metadata, "data": data_of(owner["spec"]["template"]), "revision": 2}
    view = View.of({DAEMON_SETS: [owner], PODS: pods, CONTROLLER_REVISIONS: [revision], NODES: nodes})
    return controller.reconcile(owner, view, NOW)


def does(plan: Plan) -> list[str]:
    made = [f"+{placement.node_of(one.object)}" for one in plan.actions if isinstance(one, Create)]
    return made + [f"-{name_of(one.object)}" for one in plan.actions if isinstance(one, Delete)]


@pytest.mark.parametrize(
    ("where", "spec", "comes", "stays"),
    [
        (node("a"), {}, True, True),
        (node("a", "special"), {}, False, True),
        (node("a", "special", "NoExecute"), {}, False, False),
        (node("a", "special", "PreferNoSchedule"), {}, True, True),
        (node("a", "special"), {"tolerations": [{"operator": "Exists"}]}, True, True),
        (node("a", "node.kubernetes.io/unschedulable"), {}, True, True),
        (node("a", "node.kubernetes.io/not-ready", "NoExecute"), {}, True, True),
        (node("a", "node.kubernetes.io/network-unavailable"), {}, False, True),
        (node("a", "node.kubernetes.io/network-unavailable"), {"hostNetwork": True}, True, True),
        (node("a", disk="ssd"), {"nodeSelector": {"disk": "ssd"}}, True, True),
        (node("a"), {"nodeSelector": {"disk": "ssd"}}, False, False),
        (node("a"), {"nodeName": "b"}, False, False),
    ],
)
def test_where_its_pods_belong(where: Object, spec: Object, comes: bool, stays: bool) -> None:
    owner = the_set()
    owner["spec"]["template"]["spec"] |= spec
    assert placement.belongs(owner, where) == (comes, stays)
    assert does(plan_for(owner, [where])) == (["+a"] if comes else [])
    assert does(plan_for(owner, [where], pod(owner, "a"))) == ([] if stays else ["-log-a-new"])


def test_a_pod_is_meant_for_its_node_and_bears_what_nodes_suffer() -> None:
    owner = the_set()
    owner["spec"]["template"]["spec"]["affinity"] = {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [{"key": "disk", "operator": "Exists"}]}]
            }
        }
    }
    (action,) = plan_for(owner, [node("a", disk="ssd"), node("b")]).actions
    made = action.object
    required = made["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert required["nodeSelectorTerms"] == [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}]
    assert len(made["spec"]["tolerations"]) == 6
    assert labels_of(made) == {"app": "log", "controller-revision-hash": "new", "pod-template-generation": "3"}


def test_too_many_and_finished_pods_go() -> None:
    owner, nodes = the_set(), [node("a"), node("b")]
    newer = pod(owner, "a", creationTimestamp=rfc3339(NOW), name="newer")
    failed = pod(owner, "b", phase="Failed")
    plan = plan_for(owner, nodes, pod(owner, "a"), newer, failed)
    assert does(plan) == ["-newer", "-log-b-new"] or does(plan) == ["-log-b-new", "-newer"]
    told = [one.message for one in plan.actions if isinstance(one, Event)]
    assert told == ["Found failed daemon pod default/log-b-new on node b, will try to kill it"]
    young = pod(owner, "b", phase="Failed", creationTimestamp=rfc3339(NOW - 4))
    plan = plan_for(owner, nodes, pod(owner, "a"), young)
    assert (does(plan), plan.requeue_after) == ([], 6)


@pytest.mark.parametrize(
    ("rolling", "pods", "expected"),
    [
        ({"maxUnavailable": 1}, [("a", "old", 9), ("b", "old", 9)], ["-log-a-old"]),
        ({"maxUnavailable": 2}, [("a", "old", 9), ("b", "old", 9)], ["-log-a-old", "-log-b-old"]),
        ({"maxUnavailable": 1}, [("a", "new", None), ("b", "old", 9)], []),
        ({"maxUnavailable": 1}, [("a", "old", None), ("b", "old", 9)], ["-log-a-old"]),
        ({"maxUnavailable": 1}, [("a", "new", 9), ("b", "old", 9)], ["-log-b-old"]),
        ({"maxUnavailable": 0, "maxSurge": 1}, [("a", "old", 9), ("b", "old", 9)], ["+a"]),
        ({"maxUnavailable": 0, "maxSurge": "100%"}, [("a", "old", 9), ("b", "old", 9)], ["+a", "+b"]),
        ({"maxUnavailable": 0, "maxSurge": 1}, [("a", "old", 9), ("a", "new", None), ("b", "old", 9)], []),
        ({"maxUnavailable": 0, "maxSurge": 1}, [("a", "old", 9), ("a", "new", 9), ("b", "old", 9)], ["+b", "-log-a-old"]),
        ({"maxUnavailable": 0, "maxSurge": 1}, [("a", "old", None), ("a", "new", None), ("b", "new", 9)], ["-log-a-old"]),
    ],
)
def test_a_new_template_spreads_at_the_pace_asked_for(rolling: Object, pods: list[Any], expected: list[str]) -> None:
    owner = the_set(updateStrategy={"type": "RollingUpdate", "rollingUpdate": rolling})
    found = [pod(owner, on, at=at, ready=ready) for on, at, ready in pods]
    assert does(plan_for(owner, [node("a"), node("b")], *found)) == expected
    owner["spec"]["updateStrategy"] = {"type": "OnDelete"}
    if len(pods) == 2:
        assert does(plan_for(owner, [node("a"), node("b")], *found)) == []


STATES = some.sampled_from(["nothing", "old", "old unready", "new", "new unready", "going"])


def pods_in(owner: Object, state: str, on: str) -> list[Object]:
    if state == "nothing":
        return []
    if state == "going":
        return [pod(owner, on, at="old", deletionTimestamp=rfc3339(NOW))]
    age, _, unready = state.partition(" ")
    return [pod(owner, on, at=age, ready=None if unready else 100.0)]


@given(some.lists(STATES, min_size=1, max_size=8), some.integers(1, 9))
def test_no_more_nodes_lose_their_pod_than_may_be_without(states: list[str], most: int) -> None:
    owner = the_set(updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": most}})
    nodes = [node(f"n{number}") for number in range(len(states))]
    pods = [one for number, state in enumerate(states) for one in pods_in(owner, state, f"n{number}")]
    going = {name for name in does(plan_for(owner, nodes, *pods)) if name.startswith("-")}
    serving = sum(state in ("old", "new") for state in states)
    lost = sum(f"-log-n{number}-old" in going for number, state in enumerate(states) if state == "old")
    assert not any(name.endswith("-new") for name in going)
    assert lost == 0 or len(states) - serving + lost <= most


def test_the_status_counts_nodes() -> None:
    owner = the_set(minReadySeconds=50, updateStrategy={"type": "OnDelete"})
    nodes = [node("a"), node("b"), node("c", "special"), node("d")]
    pods = [pod(owner, "a"), pod(owner, "b", at="old", ready=20.0), pod(owner, "c")]
    plan = plan_for(owner, nodes, *pods)
    assert plan.status == {
        "currentNumberScheduled": 2,
        "numberMisscheduled": 1,
        "desiredNumberScheduled": 3,
        "numberReady": 2,
        "observedGeneration": 1,
        "updatedNumberScheduled": 1,
        "numberAvailable": 1,
        "numberUnavailable": 2,
    }
    assert plan.requeue_after == 30


# in simulated time


async def images(cluster: Simulation) -> dict[str, str]:
    return {one["spec"]["nodeName"]: one["spec"]["containers"][0]["image"] for one in await cluster.pods()}


async def set_image(cluster: Simulation, image: str) -> None:
    template = {"spec": {"containers": [{"name": "main", "image": image}]}}
    await cluster.client.patch(DAEMON_SETS, "log", {"spec": {"template": template}}, "default")


async def test_its_pods_follow_the_nodes(cluster: Simulation) -> None:
    await cluster.client.create(DAEMON_SETS, daemon_set("log"))
    await cluster.advance(5)
    assert set(await images(cluster)) == {"node-0", "node-1", "node-2"}
    await cluster.kubelet.register("node-3")
    await cluster.advance(5)
    assert set(await images(cluster)) == {"node-0", "node-1", "node-2", "node-3"}
    cluster.kubelet.silent.add("node-3")
    await cluster.advance(600)  # it bears a lost node
    assert set(await images(cluster)) == {"node-0", "node-1", "node-2", "node-3"}
    await cluster.client.delete(NODES, "node-3")
    await cluster.advance(120)
    assert set(await images(cluster)) == {"node-0", "node-1", "node-2"}


@pytest.mark.parametrize("rolling", [{"maxUnavailable": 1}, {"maxUnavailable": 0, "maxSurge": 1}])
async def test_a_rollout_and_its_undo(cluster: Simulation, rolling: Object) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": rolling}
    await cluster.client.create(DAEMON_SETS, daemon_set("log", updateStrategy=strategy))
    await cluster.advance(5)
    await set_image(cluster, "web:2")
    await cluster.advance(10)
    assert await images(cluster) == dict.fromkeys(("node-0", "node-1", "node-2"), "web:2")
    (first,) = [one for one in (await cluster.client.list(CONTROLLER_REVISIONS, "default")).items if one["revision"] == 1]
    await cluster.client.patch(DAEMON_SETS, "log", first["data"], "default", type="strategic")  # as kubectl undoes
    await cluster.advance(10)
    assert await images(cluster) == dict.fromkeys(("node-0", "node-1", "node-2"), "web:1")
    status = (await cluster.client.get(DAEMON_SETS, "log", "default"))["status"]
    assert (status["updatedNumberScheduled"], status["numberAvailable"]) == (3, 3)
    numbers = sorted(one["revision"] for one in (await cluster.client.list(CONTROLLER_REVISIONS, "default")).items)
    assert numbers == [2, 3]
    told = {event["reason"] for event in (await cluster.client.list(EVENTS, "default")).items}
    assert {"SuccessfulCreate", "SuccessfulDelete"} <= told


async def test_a_broken_template_costs_no_more_nodes_than_allowed(cluster: Simulation) -> None:
    cluster.kubelet.broken.add("web:2")
    await cluster.client.create(DAEMON_SETS, daemon_set("log"))
    await cluster.advance(5)
    await set_image(cluster, "web:2")
    await cluster.advance(60)
    assert sorted((await images(cluster)).values()) == ["web:1", "web:1", "web:2"]
    status = (await cluster.client.get(DAEMON_SETS, "log", "default"))["status"]
    assert (status["numberUnavailable"], status["updatedNumberScheduled"]) == (1, 1)
