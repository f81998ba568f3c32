"""The scheduler's choice as tables: which node, and the words when there is none. Each on lists and on numpy's arrays."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from podling.api.objects import Object, thaw
from podling.api.selectors import Selector, of_labels
from podling.scheduler.configuration.plugins import ProfileSpec
from podling.scheduler.cycle import Placed, Unplaced, schedule
from podling.scheduler.ledger import Ledger
from podling.scheduler.pod_info import PodInfo
from podling.scheduler.snapshot import Snapshot
from podling.testing.simulation import node

DEFAULT = ProfileSpec().build()
ZONE, HOST = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
WEB = {"matchLabels": {"app": "web"}}


def pod(name: str = "new", cpu: str = "100m", labels: dict[str, str] | None = None, **spec: Any) -> Object:
    container = {"name": "main", "image": "web:1", "resources": {"requests": {"cpu": cpu, "memory": "64Mi"}}}
    metadata = {"name": name, "namespace": "default", "uid": name, "labels": labels or {"app": "web"}}
    return {"metadata": metadata, "spec": {"containers": [container], **spec}}


def with_taint(one: Object, effect: str = "NoSchedule", key: str = "dedicated", value: str = "gpu") -> Object:
    return {**one, "spec": {"taints": [{"key": key, "value": value, "effect": effect}]}}


@pytest.fixture(params=["lists", "arrays"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    return Ledger(Snapshot(vector_from=10**9 if request.param == "lists" else 0))


def fill(ledger: Ledger, *nodes: Object, **placed: list[Object]) -> None:
    for one in nodes:
        ledger.put_node(one)
    for name, pods in placed.items():
        for each in pods:
            ledger.put_pod(PodInfo.of(each), name)


def place(ledger: Ledger, new: Object, default_selector: Selector | None = None) -> Placed | Unplaced:
    return schedule(PodInfo.of(new, default_selector), ledger.snapshot, DEFAULT, lambda count: 0)


def node_for(ledger: Ledger, new: Object, default_selector: Selector | None = None) -> str:
    found = place(ledger, new, default_selector)
    assert isinstance(found, Placed), found
    return found.node


def message_for(ledger: Ledger, new: Object) -> str:
    found = place(ledger, new)
    assert isinstance(found, Unplaced), found
    return found.message


def test_without_nodes_it_says_so(ledger: Ledger) -> None:
    assert message_for(ledger, pod()) == "no nodes available to schedule pods"


def test_the_emptier_node_is_better(ledger: Ledger) -> None:
    fill(ledger, node("a"), node("b"), a=[pod("old", cpu="2")])
    assert node_for(ledger, pod()) == "b"


def test_a_full_node_is_out(ledger: Ledger) -> None:
    fill(ledger, node("a", cpu="1"), node("b", cpu="8"), b=[pod("old", cpu="7500m")])
    assert node_for(ledger, pod(cpu="900m")) == "a"


def test_reasons_are_counted_and_sorted_in_the_event_words(ledger: Ledger) -> None:
    cordoned = {**node("c"), "spec": {"unschedulable": True}}
    fill(ledger, with_taint(node("a")), node("b", cpu="1"), cordoned, node("d", cpu="1"))
    assert message_for(ledger, pod(cpu="2")) == (
        "0/4 nodes are available: 1 node(s) had untolerated taint {dedicated: gpu}, 1 node(s) were unschedulable, "
        "2 Insufficient cpu. preemption: 0/4 nodes are available: 4 Preemption is not helpful for scheduling."
    )


def test_when_only_others_are_in_the_way_preemption_says_why_it_does_not_help(ledger: Ledger) -> None:
    fill(ledger, node("a", cpu="1"), a=[pod("old", cpu="800m")])
    assert message_for(ledger, pod(cpu="500m")) == (
        "0/1 nodes are available: 1 Insufficient cpu. "
        "preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
    )


def test_too_many_pods_and_too_little_memory_are_two_reasons_of_one_node(ledger: Ledger) -> None:
    small = thaw(node("a", memory="1Mi"))
    small["status"]["allocatable"] = {**small["status"]["allocatable"], "pods": "0"}
    fill(ledger, small)
    assert message_for(ledger, pod()).startswith("0/1 nodes are available: 1 Insufficient memory, 1 Too many pods.")


TOLERATIONS = [
    ({"operator": "Exists"}, True),
    ({"key": "dedicated", "operator": "Equal", "value": "gpu"}, True),
    ({"key": "dedicated", "operator": "Equal", "value": "gpu", "effect": "NoExecute"}, False),
    ({"key": "dedicated", "value": "cpu"}, False),
    ({"key": "other", "operator": "Exists"}, False),
]


@pytest.mark.parametrize(("toleration", "fits"), TOLERATIONS)
def test_tolerations(ledger: Ledger, toleration: Object, fits: bool) -> None:
    fill(ledger, with_taint(node("a")))
    assert isinstance(place(ledger, pod(tolerations=[toleration])), Placed) is fits


def test_taints_to_be_avoided_are_avoided(ledger: Ledger) -> None:
    fill(ledger, with_taint(node("a"), "PreferNoSchedule"), node("b"), b=[pod("old", cpu="1")])
    assert node_for(ledger, pod()) == "b"


def term(operator: str, *values: str, key: str = "disk") -> Object:
    expression = {"key": key, "operator": operator} | ({"values": list(values)} if values else {})
    selector = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": selector}}


@pytest.mark.parametrize(
    ("affinity", "chosen"),
    [
        (term("In", "ssd"), "a"),
        (term("NotIn", "ssd"), "b"),
        (term("Exists"), "a"),
        (term("DoesNotExist"), "b"),
        (term("Gt", "3", key="cores"), "b"),
        (term("Lt", "3", key="cores"), "a"),
    ],
)
def test_node_affinity(ledger: Ledger, affinity: Object, chosen: str) -> None:
    fill(ledger, node("a", disk="ssd", cores="2"), node("b", cores="4"))
    assert node_for(ledger, pod(affinity=affinity)) == chosen


def test_a_node_selector_that_nothing_matches(ledger: Ledger) -> None:
    fill(ledger, node("a"))
    assert message_for(ledger, pod(nodeSelector={"disk": "ssd"})).startswith(
        "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
    )


def test_host_ports_are_not_shared(ledger: Ledger) -> None:
    port = [{"containerPort": 80, "hostPort": 80}]
    taken = pod("old")
    taken["spec"]["containers"][0]["ports"] = port
    new = pod()
    new["spec"]["containers"][0]["ports"] = port
    fill(ledger, node("a"), a=[taken])
    assert "1 node(s) didn't have free ports for the requested pod ports." in message_for(ledger, new)
    new["spec"]["containers"][0]["ports"] = [{**port[0], "protocol": "UDP"}]
    assert node_for(ledger, new) == "a"


def spread(key: str, when: str, skew: int = 1, **more: Any) -> Object:
    return {"maxSkew": skew, "topologyKey": key, "whenUnsatisfiable": when, "labelSelector": WEB, **more}


def zones(*names: str) -> list[Object]:
    return [node(f"n{number}", **{ZONE: name}) for number, name in enumerate(names)]


def test_a_hard_spread_fills_the_emptiest_zone(ledger: Ledger) -> None:
    fill(ledger, *zones("x", "x", "y"), n0=[pod("1")], n1=[pod("2")])
    assert node_for(ledger, pod(topologySpreadConstraints=[spread(ZONE, "DoNotSchedule")])) == "n2"


def test_a_hard_spread_that_cannot_be_kept(ledger: Ledger) -> None:
    fill(ledger, *zones("x", "y"), node("bare"), n0=[pod("1")])
    full = with_taint(zones("x", "y")[1])
    ledger.put_node(full)
    assert message_for(ledger, pod(topologySpreadConstraints=[spread(ZONE, "DoNotSchedule")])).startswith(
        "0/3 nodes are available: 1 node(s) didn't match pod topology spread constraints, "
        "1 node(s) didn't match pod topology spread constraints (missing required label), "
        "1 node(s) had untolerated taint {dedicated: gpu}."
    )


def test_min_domains_hold_back_while_there_are_too_few(ledger: Ledger) -> None:
    fill(ledger, *zones("x"), n0=[pod("1")])
    assert isinstance(place(ledger, pod(topologySpreadConstraints=[spread(ZONE, "DoNotSchedule")])), Placed)
    constraint = spread(ZONE, "DoNotSchedule", minDomains=2)
    assert isinstance(place(ledger, pod(topologySpreadConstraints=[constraint])), Unplaced)


def test_a_soft_spread_prefers(ledger: Ledger) -> None:
    fill(ledger, *zones("x", "y"), n0=[pod("1"), pod("2")], n1=[pod("3", cpu="2", labels={"app": "other"})])
    assert node_for(ledger, pod(topologySpreadConstraints=[spread(ZONE, "ScheduleAnyway")])) == "n1"


def test_pods_of_one_service_are_spread_over_nodes_by_default(ledger: Ledger) -> None:
    fill(ledger, node("a"), node("b"), node("c"))
    chosen = []
    for number in range(6):
        new = pod(str(number))
        chosen.append(node_for(ledger, new, of_labels({"app": "web"})))
        ledger.assume(PodInfo.of(new), chosen[-1])
    assert sorted(chosen) == ["a", "a", "b", "b", "c", "c"]


def near(key: str, kind: str = "podAffinity") -> Object:
    return {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": key, "labelSelector": WEB}]}}


def test_pod_affinity_goes_where_the_others_are(ledger: Ledger) -> None:
    fill(ledger, *zones("x", "y", "y"), n1=[pod("1")])
    new = pod(labels={"app": "cache"}, affinity=near(ZONE))
    assert node_for(ledger, new) == "n2"


def test_the_first_of_a_group_that_wants_itself_near_may_go_anywhere(ledger: Ledger) -> None:
    fill(ledger, *zones("x"))
    assert node_for(ledger, pod(affinity=near(ZONE))) == "n0"
    assert "1 node(s) didn't match pod affinity rules." in message_for(ledger, pod(labels={"app": "cache"}, affinity=near(ZONE)))


def test_anti_affinity_holds_both_ways(ledger: Ledger) -> None:
    apart = near(HOST, "podAntiAffinity")
    fill(ledger, node("a"), node("b"), a=[pod("1", affinity=apart)], b=[pod("2", labels={"app": "x"}, affinity=apart)])
    message = message_for(ledger, pod(affinity=apart))
    assert (
        "1 node(s) didn't match pod anti-affinity rules, 1 node(s) didn't satisfy existing pods anti-affinity rules." in message
    )


def test_preferred_affinity_weighs(ledger: Ledger) -> None:
    wanted = {"weight": 100, "podAffinityTerm": {"topologyKey": HOST, "labelSelector": WEB}}
    fill(ledger, node("a"), node("b"), a=[pod("1", cpu="1")])
    affinity = {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [wanted]}}
    assert node_for(ledger, pod(labels={"app": "cache"}, affinity=affinity)) == "a"
    affinity = {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [wanted]}}
    assert node_for(ledger, pod(labels={"app": "cache"}, affinity=affinity)) == "b"


def test_a_node_that_has_the_image_is_better(ledger: Ledger) -> None:
    has = thaw(node("b"))
    has["status"]["images"] = [{"names": ["web:1"], "sizeBytes": 900 << 20}]
    fill(ledger, node("a"), has)
    assert node_for(ledger, pod()) == "b"


def test_preemption_takes_the_fewest_and_least_important(ledger: Ledger) -> None:
    def low(name: str, cpu: str, priority: int) -> Object:
        return pod(name, cpu, labels={}, priority=priority)

    fill(
        ledger,
        node("a", cpu="2"),
        node("b", cpu="2"),
        a=[low("1", "1", 10), low("2", "1", 5)],
        b=[low("3", "1", 100), low("4", "1", 100)],
    )
    found = place(ledger, pod(cpu="1", priority=50))
    assert isinstance(found, Unplaced)
    assert found.preemption is not None
    assert (found.preemption.nominated, [victim.uid for victim in found.preemption.victims]) == ("a", ["2"])


def test_changes_of_nodes_and_pods_show_in_the_next_cycle(ledger: Ledger) -> None:
    fill(ledger, node("a"), node("b"))
    selective = pod(nodeSelector={"disk": "ssd"})
    assert isinstance(place(ledger, selective), Unplaced)
    ledger.put_node(node("b", disk="ssd"))
    assert node_for(ledger, selective) == "b"
    ledger.remove_node("b")
    assert isinstance(place(ledger, selective), Unplaced)
    ledger.put_pod(PodInfo.of(pod("big", cpu="4")), "a")
    assert isinstance(place(ledger, pod()), Unplaced)
    ledger.remove_pod("big")
    assert node_for(ledger, pod()) == "a"


def test_a_pod_may_come_before_its_node(ledger: Ledger) -> None:
    ledger.put_pod(PodInfo.of(pod("early", cpu="4")), "a")
    fill(ledger, node("a"))
    assert "Insufficient cpu" in message_for(ledger, pod())


@pytest.mark.parametrize(
    ("spec", "cpu"),
    [
        ({"containers": ["1", "2"]}, 3000),
        ({"containers": ["1"], "initContainers": ["5", "3"]}, 5000),
        ({"containers": ["1"], "initContainers": ["2 always", "3"]}, 5000),
        ({"containers": ["4"], "initContainers": ["2 always", "3"]}, 6000),
        ({"containers": ["1"], "overhead": {"cpu": "250m"}}, 1250),
    ],
)
def test_what_a_pod_takes(spec: Object, cpu: int) -> None:
    def container(text: str) -> Object:
        amount, _, always = text.partition(" ")
        return {"resources": {"requests": {"cpu": amount}}} | ({"restartPolicy": "Always"} if always else {})

    built = {key: [container(one) for one in value] if isinstance(value, list) else value for key, value in spec.items()}
    assert PodInfo.of({"metadata": {"name": "p", "namespace": "n"}, "spec": built}).requests["cpu"] == cpu


labels = some.fixed_dictionaries({}, optional={ZONE: some.sampled_from("xyz"), "disk": some.sampled_from(["ssd", "hdd"])})
amounts = some.sampled_from(["0", "100m", "1", "3"])
specs = some.fixed_dictionaries(
    {},
    optional={
        "nodeSelector": some.just({"disk": "ssd"}),
        "topologySpreadConstraints": some.lists(
            some.builds(spread, some.sampled_from([ZONE, HOST]), some.sampled_from(["DoNotSchedule", "ScheduleAnyway"])),
            max_size=2,
        ),
        "affinity": some.sampled_from([near(ZONE), near(HOST, "podAntiAffinity"), term("Exists")]),
        "tolerations": some.just([{"operator": "Exists"}]),
    },
)


@given(
    nodes=some.lists(some.tuples(labels, some.booleans()), min_size=1, max_size=6),
    pods=some.lists(some.tuples(amounts, specs, some.sampled_from(["web", "db"])), max_size=8),
)
@settings(max_examples=150, deadline=None)
def test_lists_and_arrays_choose_alike(nodes: list[Any], pods: list[Any]) -> None:
    ledgers = [Ledger(Snapshot(vector_from=limit)) for limit in (10**9, 0)]
    for number, (given_labels, tainted) in enumerate(nodes):
        one = node(f"n{number}", **given_labels)
        for ledger in ledgers:
            ledger.put_node(with_taint(one) if tainted else one)
    for number, (cpu, spec, app) in enumerate(pods):
        info = PodInfo.of(pod(f"p{number}", cpu, {"app": app}, **spec), of_labels({"app": app}))
        found = [schedule(info, ledger.snapshot, DEFAULT, lambda count: 0) for ledger in ledgers]
        assert found[0] == found[1]
        if isinstance(found[0], Placed):
            for ledger in ledgers:
                ledger.assume(info, found[0].node)
