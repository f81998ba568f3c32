"""Silent nodes and the pods on them, as tables."""

from math import inf
from typing import Any

import pytest

from podling.api.objects import Object
from podling.api.timestamps import rfc3339
from podling.client.resource import LEASES, NODES, PODS
from podling.controllers.nodes import eviction, lifecycle, pod_garbage
from podling.controllers.plan import Delete, Guarded, Patch
from podling.controllers.view import View

NOW = 1_700_000_000.0
TAINT = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "timeAdded": rfc3339(NOW - 100)}


def node(status: str = "True", taints: list[Object] | None = None, **spec: Any) -> Object:
    conditions = [{"type": "Ready", "status": status, "lastHeartbeatTime": rfc3339(NOW - 10)}]
    metadata = {"name": "n1", "uid": "n", "resourceVersion": "3", "creationTimestamp": rfc3339(NOW - 9999)}
    return {
        "metadata": metadata,
        "spec": {**spec, **({"taints": taints} if taints else {})},
        "status": {"conditions": conditions},
    }


def lease() -> Object:
    return {"metadata": {"name": "n1", "namespace": "kube-node-lease"}}


def pod(*tolerations: Object, ready: bool = True, node: str = "n1", **metadata: Any) -> Object:
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {
        "metadata": {"name": "p", "namespace": "ns", "uid": "p", "creationTimestamp": rfc3339(NOW - 500), **metadata},
        "spec": {"tolerations": list(tolerations)} | ({"nodeName": node} if node else {}),
        "status": {"phase": "Running", "conditions": conditions},
    }


def view(*nodes: Object, pods: tuple[Object, ...] = (), heard: float = NOW, since: float = 0.0) -> View:
    changed = {(LEASES, "kube-node-lease/n1"): heard}
    return View.of({NODES: nodes, PODS: pods, LEASES: [lease()]}, changed=changed, since=since)


def test_a_node_that_is_heard_of_is_asked_about_when_it_may_have_fallen_silent() -> None:
    plan = lifecycle.reconcile(node(), view(node(), heard=NOW - 15), NOW)
    assert (list(plan.actions), plan.status, plan.requeue_after) == ([], None, 25)


def test_after_forty_seconds_it_is_unknown_tainted_and_its_pods_are_not_ready() -> None:
    plan = lifecycle.reconcile(node(), view(node(), pods=(pod(),), heard=NOW - 41), NOW)
    ready = plan.status["conditions"][0]
    assert (ready["type"], ready["status"], ready["message"]) == ("Ready", "Unknown", "Kubelet stopped posting node status.")
    tainting, unready = [action for action in plan.actions if isinstance(action, Patch)]
    assert [(taint["key"], taint["effect"]) for taint in tainting.patch["spec"]["taints"]] == [
        ("node.kubernetes.io/unreachable", "NoSchedule"),
        ("node.kubernetes.io/unreachable", "NoExecute"),
    ]
    assert unready.patch["status"]["conditions"][0]["status"] == "False"


def test_a_controller_that_just_started_gives_everybody_its_time() -> None:
    fresh = View.of({NODES: [node()], PODS: [], LEASES: [lease()]}, since=NOW - 5)
    assert lifecycle.reconcile(node(), fresh, NOW).requeue_after == 35


@pytest.mark.parametrize(
    ("state", "unschedulable", "keys"),
    [
        ("True", False, []),
        ("False", False, [("not-ready", "NoSchedule"), ("not-ready", "NoExecute")]),
        ("Unknown", False, [("unreachable", "NoSchedule"), ("unreachable", "NoExecute")]),
        ("True", True, [("unschedulable", "NoSchedule")]),
    ],
)
def test_taints_follow_conditions_and_leave_others_alone(state: str, unschedulable: bool, keys: list[tuple[str, str]]) -> None:
    mine = {"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}
    old = {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute", "timeAdded": rfc3339(NOW - 500)}
    found = lifecycle.wanted_taints(node(state, [mine, old], unschedulable=unschedulable), NOW)
    assert found[0] == mine
    assert sorted((taint["key"].partition("/")[2], taint["effect"]) for taint in found[1:]) == sorted(keys)
    if ("not-ready", "NoExecute") in keys:
        assert old in found  # since when is not forgotten


def test_a_node_that_is_ready_again_is_told_of() -> None:
    (patch,) = lifecycle.reconcile(node(taints=[TAINT]), view(), NOW).actions
    assert isinstance(patch, Patch)
    assert patch.done is not None
    assert (patch.done.reason, patch.patch) == ("NodeReady", {"spec": {"taints": None}})
    drained = lifecycle.reconcile(node(unschedulable=True), view(), NOW).actions[0]
    assert isinstance(drained, Patch)
    assert drained.done is None


def test_a_new_node_that_has_said_nothing_stays_tainted() -> None:
    taint = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
    silent = {**node(taints=[taint]), "status": {}}
    assert lifecycle.wanted_taints(silent, NOW) == [taint]


def test_a_taint_that_drives_pods_away_is_stamped_with_its_time() -> None:
    (taint,) = lifecycle.wanted_taints(node("True", [{"key": "broken", "effect": "NoExecute"}]), NOW)
    assert taint == {"key": "broken", "effect": "NoExecute", "timeAdded": rfc3339(NOW)}


@pytest.mark.parametrize(
    ("tolerations", "due"),
    [
        ((), NOW),
        (({"key": TAINT["key"], "operator": "Exists"},), inf),
        (({"key": TAINT["key"], "operator": "Exists", "tolerationSeconds": 300},), NOW + 200),
        (({"operator": "Exists", "tolerationSeconds": 50}, {"operator": "Exists", "tolerationSeconds": 500}), NOW - 50),
        (({"key": "other", "operator": "Exists"},), NOW),
    ],
)
def test_how_long_a_pod_stays(tolerations: tuple[Object, ...], due: float) -> None:
    assert eviction.evicted_at(pod(*tolerations), node(taints=[TAINT]), NOW) == due
    plan = eviction.reconcile(pod(*tolerations), view(node(taints=[TAINT])), NOW)
    assert any(isinstance(action, Delete) for action in plan.actions) is (due <= NOW)
    assert plan.requeue_after == (due - NOW if NOW < due < inf else None)


def test_pods_of_a_missing_node_have_forty_seconds_and_are_checked_at_the_server() -> None:
    gone = View.of({NODES: [], PODS: [pod()]}, changed={(NODES, "n1"): NOW - 30})
    assert pod_garbage.reconcile(pod(), gone, NOW).requeue_after == 10
    actions = pod_garbage.reconcile(pod(), gone, NOW + 10).actions
    assert [type(action) for action in actions] == [Guarded, Guarded]


def test_a_pod_that_never_had_a_node_and_is_deleted_goes_at_once() -> None:
    (action,) = pod_garbage.reconcile(pod(node="", deletionTimestamp=rfc3339(NOW)), view(), NOW).actions
    assert isinstance(action, Delete)
    assert action.grace == 0
    assert list(pod_garbage.reconcile(pod(node=""), view(), NOW).actions) == []
