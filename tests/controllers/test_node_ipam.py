"""Ranges for the pods of nodes: as a table, and in a cluster that runs."""

import pytest

from podling.client.resource import NODES
from podling.controllers.nodes.ipam import node_ipam
from podling.controllers.plan import Event, Patch
from podling.controllers.runner import run_controllers
from podling.controllers.view import View
from podling.testing.simulation import CA, Simulation


def node(name: str, cidr: str = "") -> dict:
    spec = {"podCIDR": cidr, "podCIDRs": [cidr]} if cidr else {}
    return {"metadata": {"name": name, "uid": name, "resourceVersion": "1"}, "spec": spec}


@pytest.mark.parametrize(
    ("cluster", "held", "given"),
    [
        ("10.244.0.0/16", [], "10.244.0.0/24"),
        ("10.244.0.0/16", ["10.244.0.0/24", "10.244.2.0/24"], "10.244.1.0/24"),
        ("10.244.0.0/16", ["10.244.0.0/23", "192.0.2.0/24", "fd00::/64"], "10.244.2.0/24"),
        ("10.244.0.0/25", [], "10.244.0.0/25"),
        ("10.244.0.0/23", ["10.244.0.0/24", "10.244.1.0/24"], None),
    ],
)
def test_the_first_range_that_overlaps_with_none_is_given(cluster, held, given):
    new = node("new")
    view = View.of({NODES: [new, *(node(f"n{number}", cidr) for number, cidr in enumerate(held))]})
    plan = node_ipam(cluster).reconcile(new, view, 0.0)
    (action,) = plan.actions
    if given is None:
        assert isinstance(action, Event)
        assert action.reason == "CIDRNotAvailable"
        assert plan.requeue_after
    else:
        assert isinstance(action, Patch)
        assert action.patch == {"spec": {"podCIDR": given, "podCIDRs": [given]}}
        assert plan.memory == given


def test_what_was_given_is_not_given_again_while_the_cache_is_behind():
    first, second = node("first"), node("second")
    view = View.of({NODES: [first, second]}, memory={(NODES, "first"): "10.244.0.0/24"})
    ipam = node_ipam("10.244.0.0/16")
    assert ipam.reconcile(second, view, 0.0).memory == "10.244.1.0/24"
    assert ipam.reconcile(first, view, 0.0).memory == "10.244.0.0/24"


async def test_many_nodes_at_once_have_different_ranges_and_a_freed_one_is_given_anew():
    async with Simulation(nodes=20, controlled=False) as cluster:
        work = run_controllers(
            cluster.client, cluster.informers, cluster.clock, ca=CA, jitter=lambda: 0.0, more=(node_ipam("10.244.0.0/19"),)
        )
        running = cluster._tasks.start(work, "controllers")
        await cluster.advance(60)
        ranges = {one["metadata"]["name"]: one["spec"].get("podCIDR") for one in (await cluster.client.list(NODES)).items}
        assert len(set(ranges.values())) == 20
        await cluster.client.delete(NODES, "node-3")
        await cluster.kubelet.register("again")
        await cluster.advance(60)
        assert (await cluster.client.get(NODES, "again"))["spec"]["podCIDR"] == ranges["node-3"]
        running.cancel()
