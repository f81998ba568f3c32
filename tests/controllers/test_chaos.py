"""All workloads at once while nodes fall silent, pods are deleted and controllers die: all converge, nothing is there twice."""

import random
from collections import Counter

import pytest

from podling.api.objects import Object, controller_of, get, name_of
from podling.client.resource import DAEMON_SETS, JOBS, PODS, STATEFUL_SETS
from podling.controllers.job.facts import is_tracked
from podling.testing.applications import daemon_set, job, stateful_set
from podling.testing.simulation import Simulation

NODES = 5


class Chaos:
    def __init__(self, cluster: Simulation, chance: random.Random) -> None:
        self._cluster = cluster
        self._chance = chance
        self._controllers = cluster.start_controllers()

    async def strike(self) -> None:
        kind = self._chance.choice(["controllers", "pod", "silence", "speech", "nothing"])
        if kind == "controllers":
            self._controllers.cancel()
            await self._cluster.advance(self._chance.uniform(0, 5))
            self._controllers = self._cluster.start_controllers()
        elif kind == "pod" and (pods := await self._cluster.pods()):
            await self._cluster.client.delete(PODS, name_of(self._chance.choice(pods)), "default")
        elif kind == "silence" and len(self._cluster.kubelet.silent) < 2:
            self._cluster.kubelet.silent.add(f"node-{self._chance.randrange(NODES)}")
        elif kind == "speech":
            self._cluster.kubelet.silent.clear()
        await self._cluster.advance(self._chance.choice([1, 10, 60, 400]))


def identities(cluster: Simulation) -> Counter[str]:
    running = cluster.kubelet.running.values()
    return Counter(name_of(pod) for pod in running if (controller_of(pod) or {}).get("kind") == "StatefulSet")


def owned_by(pods: list[Object], kind: str) -> list[Object]:
    return [pod for pod in pods if (controller_of(pod) or {}).get("kind") == kind]


@pytest.mark.parametrize("seed", range(2))
async def test_all_converges(seed: int) -> None:
    chance = random.Random(seed)
    async with Simulation(nodes=NODES, seed=seed, controlled=False) as cluster:
        chaos = Chaos(cluster, chance)
        cluster.kubelet.script = lambda pod: (20.0, 0) if owned_by([pod], "Job") else None
        await cluster.deploy("web", 6)
        await cluster.client.create(STATEFUL_SETS, stateful_set("db", 3))
        await cluster.client.create(DAEMON_SETS, daemon_set("log"))
        await cluster.client.create(JOBS, job("sum", completions=25, parallelism=3, backoffLimit=1000))
        for _ in range(25):
            await chaos.strike()
            assert max(identities(cluster).values(), default=0) <= 1
        cluster.kubelet.silent.clear()
        await cluster.advance(1500)
        pods = (await cluster.client.list(PODS, "default")).items
        assert len(owned_by(pods, "ReplicaSet")) == 6
        assert identities(cluster) == {"db-0": 1, "db-1": 1, "db-2": 1}
        assert sorted(pod["spec"]["nodeName"] for pod in owned_by(pods, "DaemonSet")) == [f"node-{n}" for n in range(NODES)]
        status = (await cluster.client.get(JOBS, "sum", "default"))["status"]
        done = [pod for pod in owned_by(pods, "Job") if get(pod, "status.phase") == "Succeeded"]
        assert status["succeeded"] >= 25
        assert status["succeeded"] >= len(done)  # those that were deleted after they had succeeded count too
        assert not any(is_tracked(pod) for pod in pods)
