"""The plugins' arguments and finer rules, as tables; each on lists and on numpy's arrays."""

from typing import Any

import pytest

from podling.api.objects import Object, thaw
from podling.api.selectors import Selector, of_labels
from podling.scheduler.configuration.plugins import ProfileSpec
from podling.scheduler.cycle import Placed, Unplaced, sample, schedule
from podling.scheduler.ledger import Ledger
from podling.scheduler.plugins.allocation import on_curve
from podling.scheduler.pod_info import PodInfo
from podling.scheduler.snapshot import Snapshot
from podling.testing.simulation import node

ZONE, HOST = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
WEB = {"matchLabels": {"app": "web"}}
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


@pytest.fixture(params=["lists", "arrays"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    return Ledger(Snapshot(vector_from=10**9 if request.param == "lists" else 0))


def pod(
    name: str = "new", cpu: str = "1", memory: str = "1Gi", labels: Object | None = None, namespace: str = "default", **spec: Any
) -> Object:
    container = {"name": "main", "image": "web:1", "resources": {"requests": {"cpu": cpu, "memory": memory}}}
    metadata = {"name": name, "namespace": namespace, "uid": f"{namespace}/{name}", "labels": labels or {"app": "web"}}
    return {"metadata": metadata, "spec": {"containers": [container], **spec}}


def place(
    ledger: Ledger, new: Object, args: Object | None = None, namespaces: dict[str, Object] | None = None, **more: Any
) -> Placed | Unplaced:
    def named(selector: Selector) -> frozenset[str]:
        return frozenset(name for name, labels in (namespaces or {}).items() if selector.matches(labels))

    spec = ProfileSpec(args=args or {}, **{key: value for key, value in more.items() if key != "belongs"})
    info = PodInfo.of(new, more.get("belongs"), named)
    return schedule(info, ledger.snapshot, spec.build(), lambda count: 0)


def fill(ledger: Ledger, *nodes: Object, **placed: list[Object]) -> None:
    for one in nodes:
        ledger.put_node(one)
    for name, pods in placed.items():
        for each in pods:
            ledger.put_pod(PodInfo.of(each), name)


def strategy(kind: str, **more: Any) -> Object:
    return {"NodeResourcesFit": {"scoringStrategy": {"type": kind, **more}}}


CURVE = {"shape": [{"utilization": 0, "score": 0}, {"utilization": 50, "score": 10}, {"utilization": 100, "score": 0}]}


@pytest.mark.parametrize(
    ("args", "chosen"),
    [
        (strategy("LeastAllocated"), "empty"),
        (strategy("MostAllocated"), "full"),
        (strategy("RequestedToCapacityRatio", requestedToCapacityRatio=CURVE), "half"),
        (strategy("MostAllocated", resources=[{"name": "cpu", "weight": 1}]), "full"),
    ],
)
def test_how_full_a_node_should_become(ledger: Ledger, args: Object, chosen: str) -> None:
    used = {"full": ("2", "6Gi"), "half": ("1", "3Gi"), "empty": ("100m", "128Mi")}
    nodes = [node(name, cpu="4", memory="8Gi") for name in ("empty", "half", "full")]
    fill(ledger, *nodes, **{name: [pod(f"on-{name}", *size)] for name, size in used.items()})
    only = {"multiPoint": {"disabled": [{"name": "NodeResourcesBalancedAllocation"}]}}
    assert place(ledger, pod(), args, plugins=only) == Placed(chosen)


@pytest.mark.parametrize(("used", "score"), [(0, 0), (25, 50), (50, 100), (75, 50), (100, 0)])
def test_a_curve_between_its_points(used: int, score: int) -> None:
    assert on_curve(((0, 0), (50, 100), (100, 0)), used) == score


def test_resources_that_somebody_else_looks_after_are_not_checked(ledger: Ledger) -> None:
    asks = pod()
    asks["spec"]["containers"][0]["resources"]["requests"]["example.com/gpu"] = "1"
    fill(ledger, node("a"))
    found = place(ledger, asks)
    assert isinstance(found, Unplaced)
    assert "1 Insufficient example.com/gpu." in found.message
    assert place(ledger, asks, {"NodeResourcesFit": {"ignoredResourceGroups": ["example.com"]}}) == Placed("a")
    assert place(ledger, asks, {"NodeResourcesFit": {"ignoredResources": ["example.com/gpu"]}}) == Placed("a")


def test_a_profile_adds_an_affinity_of_its_own(ledger: Ledger) -> None:
    fill(ledger, node("a"), node("b", disk="ssd"))
    term = {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}
    args = {"NodeAffinity": {"addedAffinity": {REQUIRED: {"nodeSelectorTerms": [term]}}}}
    assert place(ledger, pod(), args) == Placed("b")
    found = place(ledger, pod(nodeSelector={"disk": "hdd"}), args)
    assert isinstance(found, Unplaced)
    assert found.message.startswith(
        "0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, "
        "1 node(s) didn't match scheduler-enforced node affinity."
    )


def named(*names: str) -> Object:
    terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]} for name in names]
    return {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": terms}}}


def test_pods_that_name_their_nodes_look_at_no_others(ledger: Ledger) -> None:
    fill(ledger, node("a"), node("b", cpu="500m"), node("c"), c=[pod("old")])
    assert place(ledger, pod(affinity=named("a", "c"))) == Placed("a")
    found = place(ledger, pod(affinity=named("b")))
    assert isinstance(found, Unplaced)
    assert found.message == (
        "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]. "
        "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
    )


def near(**term: Any) -> Object:
    return {"podAffinity": {REQUIRED: [{"topologyKey": HOST, "labelSelector": WEB, **term}]}}


@pytest.mark.parametrize(
    ("term", "fits"),
    [
        ({}, False),
        ({"namespaces": ["shop"]}, True),
        ({"namespaceSelector": {}}, True),
        ({"namespaceSelector": {"matchLabels": {"team": "web"}}}, True),
        ({"namespaceSelector": {"matchLabels": {"team": "db"}}}, False),
        ({"namespaceSelector": {"matchLabels": {"team": "db"}}, "namespaces": ["shop"]}, True),
    ],
)
def test_whose_namespaces_a_term_is_about(ledger: Ledger, term: Object, fits: bool) -> None:
    fill(ledger, node("a"), node("b"), b=[pod("old", namespace="shop")])
    namespaces = {"shop": {"team": "web"}, "default": {"team": "none"}}
    found = place(ledger, pod(labels={"app": "cache"}, affinity=near(**term)), namespaces=namespaces)
    assert isinstance(found, Placed) is fits


@pytest.mark.parametrize(
    ("keys", "fits"),
    [({"matchLabelKeys": ["version"]}, False), ({"mismatchLabelKeys": ["version"]}, True), ({"matchLabelKeys": ["none"]}, True)],
)
def test_terms_about_pods_of_the_same_or_another_version(ledger: Ledger, keys: Object, fits: bool) -> None:
    fill(ledger, node("a"), a=[pod("old", labels={"app": "web", "version": "1"})])
    new = pod(labels={"app": "cache", "version": "2"}, affinity=near(**keys))
    assert isinstance(place(ledger, new), Placed) is fits


def test_all_terms_must_hold_of_the_same_pods(ledger: Ledger) -> None:
    fill(ledger, node("a"), a=[pod("web", labels={"app": "web"}), pod("db", labels={"tier": "db"})])
    both = [{"topologyKey": HOST, "labelSelector": WEB}, {"topologyKey": HOST, "labelSelector": {"matchLabels": {"tier": "db"}}}]
    assert isinstance(place(ledger, pod(labels={"app": "x"}, affinity={"podAffinity": {REQUIRED: both}})), Unplaced)


def spread(**more: Any) -> list[Object]:
    return [{"maxSkew": 1, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": WEB, **more}]


def zones(**given: str) -> list[Object]:
    return [node(name, **{ZONE: zone}) for name, zone in given.items()]


@pytest.mark.parametrize(("policy", "fits"), [("Honor", True), ("Ignore", False)])
def test_whether_nodes_that_the_pod_does_not_want_count_in_a_spread(ledger: Ledger, policy: str, fits: bool) -> None:
    wanted, other = zones(a="x", b="y")
    wanted["metadata"]["labels"]["disk"] = "ssd"
    fill(ledger, wanted, other, a=[pod("old")])
    new = pod(nodeSelector={"disk": "ssd"}, topologySpreadConstraints=spread(nodeAffinityPolicy=policy))
    assert isinstance(place(ledger, new), Placed) is fits


@pytest.mark.parametrize(("policy", "fits"), [("Honor", True), ("Ignore", False)])
def test_whether_tainted_nodes_count_in_a_spread(ledger: Ledger, policy: str, fits: bool) -> None:
    good, tainted = zones(a="x", b="y")
    tainted["spec"] = {"taints": [{"key": "only", "effect": "NoSchedule"}]}
    fill(ledger, good, tainted, a=[pod("old")])
    assert isinstance(place(ledger, pod(topologySpreadConstraints=spread(nodeTaintsPolicy=policy))), Placed) is fits


def test_a_spread_of_one_version(ledger: Ledger) -> None:
    fill(ledger, *zones(a="x"), a=[pod("old", labels={"app": "web", "version": "1"})])
    fill(ledger, {**zones(b="y")[0], "spec": {"unschedulable": True}})
    new = pod(labels={"app": "web", "version": "2"}, topologySpreadConstraints=spread(matchLabelKeys=["version"]))
    assert place(ledger, new) == Placed("a")
    assert isinstance(place(ledger, pod(topologySpreadConstraints=spread())), Unplaced)


def test_a_pod_that_leaves_is_not_counted_in_a_spread_but_near_it_counts(ledger: Ledger) -> None:
    leaving = thaw(pod("leaving"))
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    fill(ledger, *zones(a="x", b="y"), a=[leaving], b=[pod("b1", cpu="4")])
    assert place(ledger, pod(topologySpreadConstraints=spread())) == Placed("a")
    assert place(ledger, pod(labels={"app": "x"}, affinity=near())) == Placed("a")


def test_a_profiles_own_default_constraints(ledger: Ledger) -> None:
    constraint = {"maxSkew": 1, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule"}
    args = {"PodTopologySpread": {"defaultingType": "List", "defaultConstraints": [constraint]}}
    fill(ledger, *zones(a="x", b="y"), a=[pod("1")])
    fill(ledger, {**zones(b="y")[0], "spec": {"unschedulable": True}})
    assert isinstance(place(ledger, pod(), args, belongs=of_labels({"app": "web"})), Unplaced)
    assert place(ledger, pod(), args) == Placed("a")
    assert place(ledger, pod(), {"PodTopologySpread": {"defaultingType": "List"}}, belongs=of_labels({"app": "web"})) == Placed(
        "a"
    )


def test_an_image_draws_the_more_the_more_nodes_have_it(ledger: Ledger) -> None:
    def with_image(name: str, image: str) -> Object:
        return {**node(name), "status": {**node(name)["status"], "images": [{"names": [image], "sizeBytes": 800 << 20}]}}

    fill(ledger, node("none"), with_image("a", "web:1"), with_image("b", "other:1"))
    assert place(ledger, pod()) == Placed("a")
    asks_both = pod()
    asks_both["spec"]["containers"].append({"name": "side", "image": "other:1"})
    fill(ledger, with_image("c", "other:1"))
    assert place(ledger, asks_both) == Placed("b")


def test_only_a_part_of_many_nodes_is_scored() -> None:
    assert sample(list(range(150)), 10, lambda count: 149) == [149, *range(99)]
    assert sample(list(range(50)), 10, lambda count: 7) == list(range(50))
    many = Ledger(Snapshot(vector_from=10**9))
    fill(many, *(node(f"n{number}") for number in range(200)), n0=[pod("old")])
    assert place(many, pod(), percentage=10) == Placed("n1")
