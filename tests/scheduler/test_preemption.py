"""Making room: who has to go, who is told what, and whose the room is. Pure tables first, then in simulated time."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from podling.api.objects import Object, condition, get, name_of, thaw
from podling.client.resource import BUDGETS, EVENTS, PODS
from podling.scheduler.configuration.plugins import ProfileSpec
from podling.scheduler.cycle import Placed, Unplaced, schedule
from podling.scheduler.framework import Handle, PostFilterResult
from podling.scheduler.ledger import Ledger
from podling.scheduler.pod_info import PodInfo
from podling.scheduler.profile import Profile
from podling.scheduler.snapshot import Snapshot
from podling.testing.simulation import Simulation, node

ZONE = "topology.kubernetes.io/zone"


def pod(name: str, cpu: str = "1", priority: int = 0, labels: dict[str, str] | None = None, **spec: Any) -> Object:
    container = {"name": "main", "image": "web:1", "resources": {"requests": {"cpu": cpu}}}
    metadata = {"name": name, "namespace": "default", "uid": name, "labels": labels or {"app": name}}
    return {"metadata": metadata, "spec": {"containers": [container], "priority": priority, **spec}}


def budget(app: str, allowed: int) -> Object:
    metadata = {"name": app, "namespace": "default"}
    return {"metadata": metadata, "spec": {"selector": {"matchLabels": {"app": app}}}, "status": {"disruptionsAllowed": allowed}}


def profile_with(budgets: list[Object]) -> Profile:
    class Objects:
        def get(self, key: str) -> Object | None:
            return None

        def __iter__(self) -> Any:
            return iter(budgets)

    class Nothing(Objects):
        def __iter__(self) -> Any:
            return iter(())

    return ProfileSpec().build(Handle(lambda resource: Objects() if resource is BUDGETS else Nothing()))


@pytest.fixture(params=["lists", "arrays"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    return Ledger(Snapshot(vector_from=10**9 if request.param == "lists" else 0))


def fill(ledger: Ledger, cpu: str, **placed: list[Object]) -> None:
    for name, pods in placed.items():
        ledger.put_node(node(name, cpu=cpu, **{ZONE: "z"}))
        for one in pods:
            ledger.put_pod(PodInfo.of(one), name)


def preempt(ledger: Ledger, new: Object, budgets: list[Object] | None = None) -> PostFilterResult:
    found = schedule(PodInfo.of(new), ledger.snapshot, profile_with(budgets or []), lambda count: 0)
    assert isinstance(found, Unplaced), found
    assert found.preemption is not None
    return found.preemption


def outcome(result: PostFilterResult) -> tuple[str | None, list[str]]:
    return result.nominated, [victim.uid for victim in result.victims]


def test_the_least_important_pods_go_and_no_more_than_needed(ledger: Ledger) -> None:
    fill(ledger, "3", a=[pod("a1", priority=5), pod("a2", priority=1), pod("a3", priority=3)])
    assert outcome(preempt(ledger, pod("new", priority=10))) == ("a", ["a2"])


def test_budgets_are_kept_where_that_is_possible(ledger: Ledger) -> None:
    fill(ledger, "1", a=[pod("kept", priority=1)], b=[pod("free", priority=9)])
    assert outcome(preempt(ledger, pod("new", priority=10), [budget("kept", 0)])) == ("b", ["free"])
    assert outcome(preempt(ledger, pod("new", priority=10), [budget("kept", 1)])) == ("a", ["kept"])


def test_where_all_would_violate_a_budget_one_is_violated(ledger: Ledger) -> None:
    fill(ledger, "1", a=[pod("kept", priority=1)])
    assert outcome(preempt(ledger, pod("new", priority=10), [budget("kept", 0)])) == ("a", ["kept"])


def test_on_one_node_those_without_a_budget_go_first(ledger: Ledger) -> None:
    fill(ledger, "2", a=[pod("kept", priority=1), pod("free", priority=2)])
    assert outcome(preempt(ledger, pod("new", priority=10), [budget("kept", 0)])) == ("a", ["free"])


def test_among_equals_the_younger_go(ledger: Ledger) -> None:
    def started(name: str, at: str) -> Object:
        return {**pod(name), "status": {"startTime": at}}

    fill(ledger, "1", a=[started("old", "2026-01-01T00:00:00Z")], b=[started("young", "2026-01-02T00:00:00Z")])
    assert outcome(preempt(ledger, pod("new", priority=10))) == ("b", ["young"])


def test_who_may_not_preempt(ledger: Ledger) -> None:
    fill(ledger, "1", a=[pod("low")])
    result = preempt(ledger, pod("new", priority=10, preemptionPolicy="Never"))
    assert (result.message, outcome(result)) == ("not eligible due to preemptionPolicy=Never.", (None, []))


def test_while_its_victims_end_a_pod_takes_no_more_of_them(ledger: Ledger) -> None:
    leaving = thaw(pod("leaving"))
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    reason = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}
    leaving["status"] = {"conditions": [reason]}
    fill(ledger, "1", a=[leaving], b=[pod("low")])
    new = {**pod("new", priority=10), "status": {"nominatedNodeName": "a"}}
    assert preempt(ledger, new).message == "not eligible due to a terminating pod on the nominated node."


def test_a_cleared_room_is_not_given_to_a_less_important_pod(ledger: Ledger) -> None:
    fill(ledger, "1", a=[])
    promised = PodInfo.of({**pod("first", priority=10), "status": {"nominatedNodeName": "a"}})
    ledger.nominate(promised)
    later = schedule(PodInfo.of(pod("later", priority=5)), ledger.snapshot, ProfileSpec().build(), lambda count: 0)
    assert isinstance(later, Unplaced)
    assert later.message.startswith("0/1 nodes are available: 1 Insufficient cpu.")
    higher = schedule(PodInfo.of(pod("higher", priority=20)), ledger.snapshot, ProfileSpec().build(), lambda count: 0)
    assert isinstance(higher, Placed)
    assert schedule(promised, ledger.snapshot, ProfileSpec().build(), lambda count: 0) == Placed("a")


def test_pods_that_keep_others_away_go_too(ledger: Ledger) -> None:
    term = {"topologyKey": ZONE, "labelSelector": {"matchLabels": {"app": "new"}}}
    apart = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    fill(ledger, "4", a=[pod("shy", affinity=apart), pod("other")])
    assert outcome(preempt(ledger, pod("new", priority=10))) == ("a", ["shy"])


def test_a_spread_that_others_skew_is_made_even(ledger: Ledger) -> None:
    spread = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule"}
    constraint = {**spread, "labelSelector": {"matchLabels": {"app": "web"}}}
    web = {"app": "web"}
    fill(ledger, "2", a=[pod("w1", labels=web), pod("w2", labels=web)], b=[pod("full", cpu="2", priority=99)])
    result = preempt(ledger, pod("new", priority=10, labels=web, topologySpreadConstraints=[constraint]))
    assert result.nominated == "a"
    assert len(result.victims) == 2


def test_why_it_does_not_help_is_said_for_each_node(ledger: Ledger) -> None:
    fill(ledger, "1", a=[pod("peer", priority=10)], b=[pod("low", cpu="100m"), pod("peer2", cpu="900m", priority=10)])
    ledger.put_node({**node("c"), "spec": {"unschedulable": True}})
    found = schedule(PodInfo.of(pod("new", priority=10)), ledger.snapshot, profile_with([]), lambda count: 0)
    assert isinstance(found, Unplaced)
    assert found.message == (
        "0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu. preemption: 0/3 nodes are available: "
        "1 Insufficient cpu, 1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling."
    )


# --- at work


@pytest.fixture
async def cluster() -> AsyncIterator[Simulation]:
    async with Simulation(nodes=2) as simulation:
        for name, value in (("low", 1), ("high", 1000), ("patient", 1000)):
            priority = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": value}
            if name == "patient":
                priority["preemptionPolicy"] = "Never"
            await simulation.client.call("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", body=priority)
        yield simulation


def classed(name: str, cpu: str, priority_class: str, **more: Any) -> Object:
    made = pod(name, cpu, **more)
    del made["spec"]["priority"], made["metadata"]["uid"]
    made["spec"]["priorityClassName"] = priority_class
    return {"apiVersion": "v1", "kind": "Pod", **made}


async def test_a_victim_is_told_and_its_place_is_taken(cluster: Simulation) -> None:
    seen: dict[str, Object] = {}

    def note(old: Object | None, new: Object | None) -> None:
        if new is not None and (found := condition(new, "DisruptionTarget")):
            seen[name_of(new)] = found

    cluster.informers.of(PODS).add_handler(note)
    for name in ("a", "b"):
        await cluster.client.create(PODS, classed(name, "3", "low"))
    await cluster.advance(1)
    vip = await cluster.client.create(PODS, classed("vip", "3", "high"))
    await cluster.advance(35)
    assert get(await cluster.client.get(PODS, "vip", "default"), "spec.nodeName")
    (victim,) = seen
    assert {name: seen[victim][name] for name in ("status", "reason", "message")} == {
        "status": "True",
        "reason": "PreemptionByScheduler",
        "message": "default-scheduler: preempting to accommodate a higher priority pod",
    }
    left = {name_of(one) for one in (await cluster.client.list(PODS, "default")).items}
    assert left == {"a", "b", "vip"} - {victim}
    events = (await cluster.client.list(EVENTS, "default")).items
    (preempted,) = [one for one in events if one["reason"] == "Preempted"]
    uid = vip["metadata"]["uid"]
    assert (preempted["involvedObject"]["name"], preempted["type"]) == (victim, "Normal")
    assert preempted["message"].startswith(f"Preempted by pod {uid} on node node-")


async def test_a_patient_pod_waits_though_it_is_more_important(cluster: Simulation) -> None:
    for name in ("a", "b"):
        await cluster.client.create(PODS, classed(name, "3", "low"))
    await cluster.advance(1)
    await cluster.client.create(PODS, classed("waiter", "3", "patient"))
    await cluster.advance(20)
    found = await cluster.client.get(PODS, "waiter", "default")
    assert get(found, "spec.nodeName") is None
    told = condition(found, "PodScheduled")
    assert told is not None
    assert told["message"].endswith("2 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never.")
    await cluster.client.create(PODS, classed("later", "500m", "low"))
    await cluster.advance(5)
    assert get(await cluster.client.get(PODS, "later", "default"), "spec.nodeName")


async def test_a_pod_whose_victims_take_their_time_keeps_the_room(cluster: Simulation) -> None:
    cluster.kubelet.silent |= {"node-0", "node-1"}  # nobody confirms that a container has ended
    for name in ("a", "b"):
        await cluster.client.create(PODS, classed(name, "3", "low"))
    await cluster.advance(1)
    for name in ("a", "b"):
        running = {"status": {"phase": "Running"}}
        await cluster.client.patch(PODS, name, running, "default", type="strategic", subresource="status")
    await cluster.client.create(PODS, classed("vip", "3", "high"))
    await cluster.advance(2)
    vip = await cluster.client.get(PODS, "vip", "default")
    node_name = get(vip, "status.nominatedNodeName")
    (victim,) = [one for one in (await cluster.client.list(PODS, "default")).items if one["metadata"].get("deletionTimestamp")]
    assert victim["spec"]["nodeName"] == node_name
    await cluster.client.create(PODS, classed("later", "2", "low"))
    await cluster.advance(2)
    assert get(await cluster.client.get(PODS, "later", "default"), "spec.nodeName") is None
    await cluster.client.delete(PODS, name_of(victim), "default", grace=0)
    await cluster.advance(12)
    assert get(await cluster.client.get(PODS, "vip", "default"), "spec.nodeName") == node_name
    assert get(await cluster.client.get(PODS, "later", "default"), "spec.nodeName") is None
