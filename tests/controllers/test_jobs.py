"""Jobs in simulated time: work that ends, fails, and is counted whatever happens to the controllers."""

import random

import pytest

from podling.api.objects import Object, condition, get, is_deleting, labels_of, name_of
from podling.client.resource import EVENTS, JOBS, NAMESPACES, PODS
from podling.controllers.job.facts import INDEX, is_tracked
from podling.testing.applications import job
from podling.testing.simulation import Simulation


async def status_of(cluster: Simulation, name: str = "sum") -> Object:
    return (await cluster.client.get(JOBS, name, "default"))["status"]


async def all_pods(cluster: Simulation) -> list[Object]:
    return (await cluster.client.list(PODS, "default")).items


async def test_three_completions(cluster: Simulation) -> None:
    cluster.kubelet.script = lambda pod: (2.0, 0)
    await cluster.client.create(JOBS, job("sum", completions=3, parallelism=2))
    await cluster.advance(1)
    status = await status_of(cluster)
    assert (status["active"], status["ready"]) == (2, 2)
    await cluster.advance(10)
    status = await status_of(cluster)
    assert (status["succeeded"], status.get("active"), status["uncountedTerminatedPods"]) == (3, None, {})
    assert [one["type"] for one in status["conditions"]] == ["SuccessCriteriaMet", "Complete"]
    assert not any(is_tracked(pod) for pod in await all_pods(cluster))
    told = [event["message"] for event in (await cluster.client.list(EVENTS, "default")).items]
    assert "Job completed" in told


async def test_failures_wait_longer_until_the_limit(cluster: Simulation) -> None:
    cluster.kubelet.script = lambda pod: (1.0, 3)
    await cluster.client.create(JOBS, job("sum", backoffLimit=2))
    await cluster.advance(8)
    assert len(await all_pods(cluster)) == 1
    await cluster.advance(10)
    assert len(await all_pods(cluster)) == 2
    await cluster.advance(60)
    status = await status_of(cluster)
    assert (status["failed"], len(await all_pods(cluster))) == (3, 3)
    failed = condition({"status": status}, "Failed")
    assert failed is not None
    assert (failed["reason"], failed["message"]) == ("BackoffLimitExceeded", "Job has reached the specified backoff limit")


async def test_indexes_fail_and_succeed_on_their_own(cluster: Simulation) -> None:
    cluster.kubelet.script = lambda pod: (1.0, 1 if labels_of(pod)[INDEX] == "1" else 0)
    spec = {"completionMode": "Indexed", "completions": 4, "parallelism": 4, "backoffLimitPerIndex": 1}
    await cluster.client.create(JOBS, job("sum", **spec))
    await cluster.advance(120)
    status = await status_of(cluster)
    assert (status["completedIndexes"], status["failedIndexes"]) == ("0,2,3", "1")
    assert (status["succeeded"], status["failed"]) == (3, 2)
    assert status["conditions"][-1]["reason"] == "FailedIndexes"


async def test_a_suspended_job_stops_and_goes_on(cluster: Simulation) -> None:
    cluster.kubelet.script = lambda pod: (5.0, 0)
    await cluster.client.create(JOBS, job("sum", completions=2, parallelism=2, suspend=True))
    await cluster.advance(5)
    assert await all_pods(cluster) == []
    for suspend, number in ((False, 2), (True, 0)):
        await cluster.client.patch(JOBS, "sum", {"spec": {"suspend": suspend}}, "default")
        await cluster.advance(2)
        assert len(await all_pods(cluster)) == number
    assert not (await status_of(cluster)).get("failed")
    await cluster.client.patch(JOBS, "sum", {"spec": {"suspend": False}}, "default")
    await cluster.advance(20)
    assert (await status_of(cluster))["succeeded"] == 2


async def test_a_deadline_ends_what_runs(cluster: Simulation) -> None:
    await cluster.client.create(JOBS, job("sum", activeDeadlineSeconds=30))
    await cluster.advance(29)
    assert len(await cluster.pods()) == 1
    await cluster.advance(5)
    assert await cluster.pods() == []
    status = await status_of(cluster)
    assert (status["conditions"][-1]["reason"], status["failed"]) == ("DeadlineExceeded", 1)


async def test_a_finished_job_goes_when_its_time_is_up(cluster: Simulation) -> None:
    cluster.kubelet.script = lambda pod: (1.0, 0)
    await cluster.client.create(JOBS, job("sum", ttlSecondsAfterFinished=60))
    await cluster.advance(50)
    assert condition(await cluster.client.get(JOBS, "sum", "default"), "Complete")
    await cluster.advance(20)
    assert (await cluster.client.list(JOBS, "default")).items == []
    assert await all_pods(cluster) == []


@pytest.mark.parametrize("propagation", ["Background", "Foreground", "Orphan"])
async def test_a_deleted_job_leaves_no_pod_held(cluster: Simulation, propagation: str) -> None:
    await cluster.client.create(JOBS, job("sum", completions=3, parallelism=3))
    await cluster.advance(2)
    await cluster.client.delete(JOBS, "sum", "default", propagation=propagation)
    await cluster.advance(5)
    assert (await cluster.client.list(JOBS, "default")).items == []
    assert len(await all_pods(cluster)) == (3 if propagation == "Orphan" else 0)
    assert not any(is_tracked(pod) for pod in await all_pods(cluster))


async def test_a_namespace_goes_with_its_jobs(cluster: Simulation) -> None:
    await cluster.client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "batch"}})
    await cluster.advance(1)
    await cluster.client.create(JOBS, {**job("sum"), "metadata": {"name": "sum", "namespace": "batch"}})
    await cluster.advance(2)
    await cluster.client.delete(NAMESPACES, "batch")
    await cluster.advance(30)
    assert not await cluster.exists("batch")


async def test_pods_of_a_lost_node_are_made_again(cluster: Simulation) -> None:
    await cluster.client.create(JOBS, job("sum"))
    await cluster.advance(2)
    (lost,) = await all_pods(cluster)
    cluster.kubelet.silent.add(lost["spec"]["nodeName"])
    cluster.kubelet.script = lambda pod: (1.0, 0)
    await cluster.advance(500)
    status = await status_of(cluster)
    assert (status.get("succeeded"), status["failed"]) == (1, 1)


async def test_a_matching_orphan_is_adopted_and_a_stranger_released(cluster: Simulation) -> None:
    await cluster.client.create(JOBS, job("sum", completions=2, parallelism=2))
    await cluster.advance(2)
    first, second = await cluster.pods()
    await cluster.client.patch(PODS, name_of(first), {"metadata": {"ownerReferences": None}}, "default")
    await cluster.client.patch(PODS, name_of(second), {"metadata": {"labels": None}}, "default")
    await cluster.advance(2)
    pods = {name_of(pod): pod for pod in await cluster.pods()}
    assert len(pods) == 3
    assert pods[name_of(first)]["metadata"]["ownerReferences"]
    assert is_tracked(pods[name_of(first)])
    assert not pods[name_of(second)]["metadata"].get("ownerReferences")
    assert not is_tracked(pods[name_of(second)])


@pytest.mark.parametrize("seed", range(2))
async def test_nothing_is_lost_or_counted_twice_when_controllers_die(seed: int) -> None:
    chance = random.Random(seed)
    endings: dict[str, int] = {}

    def script(pod: Object) -> tuple[float, int]:
        endings[name_of(pod)] = code = int(chance.random() < 0.2)
        return chance.uniform(0.1, 3.0), code

    async with Simulation(nodes=3, seed=seed, controlled=False) as cluster:
        cluster.kubelet.script = script
        await cluster.client.create(JOBS, job("sum", completions=30, parallelism=6, backoffLimit=1000))
        for _ in range(40):
            controllers = cluster.start_controllers()
            await cluster.advance(chance.uniform(0.05, 2.0))
            controllers.cancel()
            await cluster.advance(0)
        cluster.start_controllers()
        await cluster.advance(400)
        status = await status_of(cluster)
        pods = await all_pods(cluster)
        ended = [get(pod, "status.phase") for pod in pods]
        assert status["succeeded"] == ended.count("Succeeded") >= 30
        assert status.get("failed", 0) == ended.count("Failed")
        assert [one["type"] for one in status["conditions"]] == ["SuccessCriteriaMet", "Complete"]
        assert not any(is_tracked(pod) or is_deleting(pod) for pod in pods)
