"""A day in the life of a large simulated cluster: rollouts, jobs, lost nodes, deleted pods, all drawn from a seed.

Every write is checked (`podling.testing.invariants`); at the end everything has converged. The same seed gives the same digest.
"""

import hashlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from podling.api.objects import Object, controller_of, get, is_deleting, key_of, name_of, namespace_of, uid_of
from podling.client.resource import CRON_JOBS, DEPLOYMENTS, JOBS, NAMESPACES, NODES, PODS, STATEFUL_SETS, Resource
from podling.testing.applications import cron_job, job, stateful_set
from podling.testing.invariants import Broken
from podling.testing.simulation import Simulation, deployment

RESOURCE_QUOTAS = Resource("", "v1", "resourcequotas", kind="ResourceQuota")
HOUR = 3600.0
STEP = 300.0  # seconds between two acts
QUIET = 3600.0  # after the last act, until all must have converged
PODS_OF_TEAM = 400
KEPT = 100_000  # writes of the store that are remembered


@dataclass
class Day:
    """`nodes` modelled nodes and `teams` namespaces, each with so many `applications` and its databases and reports."""

    nodes: int = 1000
    teams: int = 10
    applications: int = 8
    hours: float = 24.0
    seed: int = 1
    beat: float = 300.0
    acts: Counter[str] = field(default_factory=Counter)

    async def run(self) -> "Outcome":
        """Live through it. Raises Broken."""
        self._chance = random.Random(self.seed)
        async with Simulation(self.nodes, self.seed, checked=True, beat=self.beat, node_grace=4 * self.beat) as self._cluster:
            self._cluster.kubelet.script = self._script
            self._digest = hashlib.sha256()
            self._cluster.kubelet.watchers.append(self._note)
            for team in self._teams:
                await self._settle_in(team)
            for _ in range(int(self.hours * HOUR / STEP)):
                await self._act()
                await self._cluster.advance(STEP)
                await self._cluster.store.compact(max(0, self._cluster.store.revision - KEPT))
            return await self._end()

    @property
    def _teams(self) -> list[str]:
        return [f"team-{number}" for number in range(self.teams)]

    def _script(self, pod: Object) -> tuple[float, int] | None:
        """Pods of jobs take minutes; one in twenty fails."""
        if (controller_of(pod) or {}).get("kind") != "Job":
            return None
        return self._chance.uniform(30, 900), int(self._chance.random() < 0.05)

    def _note(self, pod: Object, on: bool) -> None:
        self.acts["containers started" if on else "containers ended"] += 1
        self._digest.update(
            f"{self._cluster.clock.monotonic()} {key_of(pod)} {uid_of(pod)} {pod['spec']['nodeName']} {on}".encode()
        )

    async def _settle_in(self, team: str) -> None:
        create, chance = self._cluster.client.create, self._chance
        await create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": team}})
        await self._cluster.advance(1)
        hard = {"pods": str(PODS_OF_TEAM), "requests.cpu": "60"}
        metadata = {"name": "all", "namespace": team}
        await create(RESOURCE_QUOTAS, {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard}})
        for number in range(self.applications):
            await create(DEPLOYMENTS, deployment(f"web-{number}", chance.randint(2, 40), "web:1", namespace=team))
        made = [stateful_set("db", chance.randint(2, 5)), cron_job("report", "*/20 * * * *"), cron_job("backup", "7 * * * *")]
        for obj, resource in zip(made, (STATEFUL_SETS, CRON_JOBS, CRON_JOBS), strict=True):
            _ask_for_a_little(obj)
            await create(resource, {**obj, "metadata": {**obj["metadata"], "namespace": team}})

    # --- what happens

    async def _act(self) -> None:
        acts: list[tuple[Callable[[str], Awaitable[None]], int]] = [
            (self._roll_out, 30),
            (self._scale, 15),
            (self._delete_pods, 15),
            (self._start_job, 10),
            (self._break_rollout, 3),
            (self._lose_node, 6),
            (self._find_node, 6),
            (self._nothing, 15),
        ]
        act = self._chance.choices([act for act, _ in acts], [weight for _, weight in acts])[0]
        self.acts[act.__name__[1:].replace("_", " ")] += 1
        await act(self._chance.choice(self._teams))

    async def _change(self, team: str, spec: Object) -> None:
        name = f"web-{self._chance.randrange(self.applications)}"
        await self._cluster.client.patch(DEPLOYMENTS, name, {"spec": spec}, team, type="strategic")

    async def _roll_out(self, team: str, image: str = "") -> None:
        container = {"name": "main", "image": image or f"web:{self._chance.randrange(1_000_000)}"}
        await self._change(team, {"template": {"spec": {"containers": [container]}}})

    async def _break_rollout(self, team: str) -> None:
        self._cluster.kubelet.broken.add("broken:1")
        await self._roll_out(team, "broken:1")

    async def _scale(self, team: str) -> None:
        await self._change(team, {"replicas": self._chance.randint(0, 60)})

    async def _delete_pods(self, team: str) -> None:
        pods = await self._cluster.pods(team)
        for pod in self._chance.sample(pods, min(len(pods), 5)):
            await self._cluster.client.delete(PODS, name_of(pod), team)

    async def _start_job(self, team: str) -> None:
        completions = self._chance.randint(1, 30)
        made = job(f"sum-{self.acts['start job']}", completions=completions, parallelism=5, backoffLimit=1000)
        _ask_for_a_little(made)
        await self._cluster.client.create(JOBS, {**made, "metadata": {**made["metadata"], "namespace": team}})

    async def _lose_node(self, team: str) -> None:
        if len(self._cluster.kubelet.silent) < self.nodes // 20:
            self._cluster.kubelet.silent.add(f"node-{self._chance.randrange(self.nodes)}")

    async def _find_node(self, team: str) -> None:
        if self._cluster.kubelet.silent:
            self._cluster.kubelet.silent.discard(self._chance.choice(sorted(self._cluster.kubelet.silent)))

    async def _nothing(self, team: str) -> None:
        pass

    # --- what must have come of it

    async def _end(self) -> "Outcome":
        cluster = self._cluster
        cluster.kubelet.silent.clear()
        cluster.kubelet.broken.clear()
        for team in self._teams:
            for number in range(self.applications):
                spec = {"replicas": 10, "template": {"spec": {"containers": [{"name": "main", "image": "last:1"}]}}}
                await cluster.client.patch(DEPLOYMENTS, f"web-{number}", {"spec": spec}, team, type="strategic")
            for name in ("report", "backup"):
                await cluster.client.patch(CRON_JOBS, name, {"spec": {"suspend": True}}, team)
        await cluster.advance(QUIET)
        if wrong := [text for team in self._teams for text in await self._unfinished(team)]:
            raise Broken("\n".join(wrong))
        invariants = cluster.invariants
        assert invariants is not None
        nodes, pods = [(await cluster.client.list(resource)).items for resource in (NODES, PODS)]
        return Outcome(self, len(nodes), len(pods), invariants.steps, cluster.store.revision, self._digest.hexdigest()[:16])

    async def _unfinished(self, team: str) -> list[str]:
        cluster = self._cluster
        done: list[tuple[Resource, Callable[[Object], bool]]] = [
            (DEPLOYMENTS, lambda one: get(one, "status.updatedReplicas") == 10 == get(one, "status.availableReplicas")),
            (STATEFUL_SETS, lambda one: bool(get(one, "status.readyReplicas") == one["spec"]["replicas"])),
            (JOBS, lambda one: bool(get(one, "status.succeeded") == one["spec"]["completions"])),
        ]
        wrong = [
            f"{resource.kind} {key_of(one)} has not converged: {one.get('status')}"
            for resource, is_done in done
            for one in (await cluster.client.list(resource, team)).items
            if not is_done(one)
        ]
        pods = (await cluster.client.list(PODS, team)).items
        alive = {uid_of(pod) for pod in pods if get(pod, "status.phase") == "Running" and not is_deleting(pod)}
        running = {uid for uid, pod in cluster.kubelet.running.items() if namespace_of(pod) == team}
        return [*wrong, *(f"pod {uid} of {team} runs or is told to, not both" for uid in sorted(alive ^ running))]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a day came to. `steps` were checked; `digest` is of each container's start and end, in their order."""

    day: Day
    nodes: int
    pods: int
    steps: int
    writes: int
    digest: str


def _ask_for_a_little(obj: Object) -> None:
    spec = obj["spec"].get("jobTemplate", obj)["spec"] if "jobTemplate" in obj["spec"] else obj["spec"]
    spec["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "50m"}}
