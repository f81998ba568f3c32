"""Simulated time: a small day, the same twice; what the checks find; the example of the README."""

import re
from pathlib import Path

import pytest

from podling.apiserver.encoding import encode
from podling.client.resource import JOBS, PODS, STATEFUL_SETS
from podling.testing.applications import job, stateful_set
from podling.testing.day import Day
from podling.testing.invariants import Broken, Invariants
from podling.testing.simulation import Simulation

README = Path(__file__).parents[2] / "README.md"


def small(seed: int) -> Day:
    return Day(nodes=5, teams=1, applications=2, hours=0.5, seed=seed)


@pytest.mark.timeout(300)
async def test_a_day_repeats_from_its_seed():
    first, second = [await small(7).run() for _ in range(2)]
    assert (first.digest, first.writes, first.day.acts) == (second.digest, second.writes, second.day.acts)
    assert first.day.acts["containers started"] > 10
    assert first.steps > 200


async def test_the_example_of_the_readme(simulation):
    (block,) = [block for block in re.findall(r"```python\n(.*?)```", README.read_text(), re.S) if "simulation" in block]
    scope: dict = {}
    exec(compile(block, str(README), "exec"), scope)
    await scope["test_a_lost_node_costs_no_replica"](simulation)


async def test_a_pod_that_is_torn_out_is_lost():
    async with Simulation(checked=True) as cluster:
        await cluster.deploy("web", 2)
        await cluster.advance(10)
        pod = (await cluster.pods())[0]["metadata"]
        await cluster.store.delete(f"/core/pods/default/{pod['name']}")
        with pytest.raises(Broken, match=f"pod default/{pod['name']} is lost: nobody deleted it"):
            await cluster.advance(1)


async def test_two_pods_of_one_identity_or_claim_are_found():
    async with Simulation(checked=True) as cluster:
        await cluster.client.create(STATEFUL_SETS, stateful_set("db", 1))
        await cluster.advance(10)
        (pod,) = await cluster.pods()
        checks: Invariants = cluster.invariants
        checks.runs({**pod, "metadata": {**pod["metadata"], "uid": "another"}}, True)
        with pytest.raises(Broken, match="default/db-0 runs twice"):
            checks.require()
        checks.broken.clear()
        volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "mine"}}]
        for name in ("a", "b"):
            metadata = {"name": name, "namespace": "default", "uid": name}
            checks.runs({"metadata": metadata, "spec": {"nodeName": "n", "volumes": volumes}}, True)
        with pytest.raises(Broken, match="claim mine is in default/b and in default/a at once"):
            checks.require()


async def test_quotas_and_job_counts_are_checked():
    async with Simulation(checked=True) as cluster:
        await cluster.advance(1)
        await cluster.client.create(JOBS, job("sum", completions=3))
        status = {"status": {"succeeded": 2}}
        await cluster.client.patch(JOBS, "sum", status, "default", subresource="status")
        with pytest.raises(Broken, match="job default/sum counts 2 succeeded pods of 0"):
            await cluster.advance(1)
        cluster.invariants.broken.clear()
        metadata = {"name": "q", "namespace": "default"}
        quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": {"pods": "1"}}}
        for name in ("a", "b"):
            containers = [{"name": "main", "image": "web:1"}]
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": containers}}
            await cluster.client.create(PODS, pod, "default")
            # put where the API server would have refused it
            await cluster.store.put("/core/resourcequotas/default/q", encode(quota))
        with pytest.raises(Broken, match=r"default has \d of pods, where 1 are allowed"):
            await cluster.advance(1)
