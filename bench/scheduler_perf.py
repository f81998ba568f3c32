"""How many pods a second are scheduled and bound? Upstream's scheduler_perf shapes: real API server, real store on the disk.

One process holds API server, SQLite store and scheduler, as `podling server` does. Nodes are objects. The pods that are measured
are created before the scheduler starts: the time is from its start until the last one is bound, all writes durable, events too.
"""

import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy  # noqa: F401 - its import is no part of what is measured
import uvloop

from podling.aio.clock import SystemClock
from podling.aio.tasks import Tasks
from podling.api.objects import Object
from podling.apiserver.server import ApiServer
from podling.app import process
from podling.client.client import Client
from podling.client.informer import Informers
from podling.client.resource import NAMESPACES, NODES, PODS, SERVICE_ACCOUNTS, Resource
from podling.client.transport import DirectTransport
from podling.scheduler.loop import run_scheduler
from podling.store.sqlite import SqliteStore
from podling.testing.simulation import Everybody, node

PRIORITIES = Resource("scheduling.k8s.io", "v1", "priorityclasses", namespaced=False, kind="PriorityClass")
ZONE, HOST = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
COLOR = {"matchLabels": {"color": "blue"}}
REQUIRED, PREFERRED = "requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"


def near(key: str) -> Object:
    return {"topologyKey": key, "labelSelector": COLOR, "namespaces": ["sched-0", "sched-1"]}


def spread(when: str) -> Object:
    return {"topologySpreadConstraints": [{"maxSkew": 5, "topologyKey": ZONE, "whenUnsatisfiable": when, "labelSelector": COLOR}]}


def in_zones(*zones: str) -> Object:
    term = {"matchExpressions": [{"key": ZONE, "operator": "In", "values": list(zones)}]}
    return {"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [term]}}}}


def on_node(number: int) -> Object:
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [f"node-{number}"]}]}
    return {"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [term]}}}}


@dataclass(frozen=True)
class Shape:
    """`spec` of the measured pods by their number; `hopeless` pods stand in the way, `placed` ones are there already, a node."""

    spec: Callable[[int], Object]
    threshold: int = 0  # upstream's, at 5,000 nodes; 0 where none is in our goals
    pods: int = 2000
    nodes: int = 5000
    zones: int = 3
    before: int = 1000  # pods of the same spec that are there already
    hopeless: int = 0
    cpu: str = "100m"
    priority: int = 0
    placed: tuple[int, str] = (0, "")


SHAPES: dict[str, Shape] = {
    "basic": Shape(lambda number: {}, 680),
    "topology spread": Shape(lambda number: spread("DoNotSchedule"), 460),
    "preferred topology spread": Shape(lambda number: spread("ScheduleAnyway")),
    "unschedulable": Shape(lambda number: {}, 590, hopeless=200),
    "node affinity": Shape(lambda number: in_zones("z0", "z1"), 220),
    "pod affinity": Shape(lambda number: {"affinity": {"podAffinity": {REQUIRED: [near(ZONE)]}}}, 35, zones=1),
    "pod anti-affinity": Shape(lambda number: {"affinity": {"podAntiAffinity": {REQUIRED: [near(HOST)]}}}),
    "preferred pod affinity": Shape(
        lambda number: {"affinity": {"podAffinity": {PREFERRED: [{"weight": 1, "podAffinityTerm": near(HOST)}]}}}
    ),
    "preferred pod anti-affinity": Shape(
        lambda number: {"affinity": {"podAntiAffinity": {PREFERRED: [{"weight": 1, "podAffinityTerm": near(HOST)}]}}}
    ),
    "preemption": Shape(lambda number: {}, pods=500, before=0, cpu="3", priority=10, placed=(4, "900m"), nodes=5000),
    "daemonset, 15,000 nodes": Shape(on_node, nodes=15000, pods=5000, before=0),
}


class Cluster:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def __aenter__(self) -> "Cluster":
        self._stack = AsyncExitStack()
        clock = SystemClock()
        store = await SqliteStore.open(self._folder / "state.db")
        self._stack.push_async_callback(store.close)
        api = ApiServer(store, authorizer=Everybody(), clock=clock)
        await api.start()
        self._stack.push_async_callback(api.close)
        self.client = Client(DirectTransport(api.handle))
        self.informers = await self._stack.enter_async_context(Informers(self.client, clock, random.Random(1).random))
        self._tasks = await self._stack.enter_async_context(Tasks("scheduler_perf"))
        self._clock = clock
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    def start_scheduler(self) -> None:
        work = run_scheduler(self.client, self.informers, self._clock, jitter=random.Random(1).random)
        self._tasks.start(work, "scheduler")

    async def create(self, objects: list[tuple[Any, Object]]) -> None:
        """Many at once, so that they share the store's transactions."""
        free = asyncio.Semaphore(64)

        async def one(resource: Any, obj: Object) -> None:
            async with free:
                await self.client.create(resource, obj)

        kinds = list(dict.fromkeys(resource for resource, _ in objects))  # namespaces before what is in them
        objects.sort(key=lambda pair: kinds.index(pair[0]))
        firsts = [start for start in range(len(objects)) if start % 2000 == 0 or objects[start][0] is not objects[start - 1][0]]
        for start, end in pairwise([*firsts, len(objects)]):
            await asyncio.gather(*(one(*pair) for pair in objects[start:end]))


def pod(name: str, spec: Object, cpu: str = "100m", priority: int = 0, namespace: str = "sched-1") -> Object:
    requests = {"cpu": cpu, "memory": "500Mi"}
    container = {"name": "pause", "image": "registry.k8s.io/pause:3.10", "resources": {"requests": requests}}
    metadata = {"name": name, "namespace": namespace, "labels": {"color": "blue"}}
    important = {"priorityClassName": "important"} if priority else {}
    whole = {"containers": [container], **important, **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": whole}


def objects_of(shape: Shape) -> list[tuple[Any, Object]]:
    found: list[tuple[Any, Object]] = [
        (NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}) for name in ("sched-0", "sched-1")
    ]
    important = {"apiVersion": PRIORITIES.api_version, "kind": PRIORITIES.kind, "metadata": {"name": "important"}, "value": 10}
    found.append((PRIORITIES, important))
    for name in ("sched-0", "sched-1"):
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}}
        found.append((SERVICE_ACCOUNTS, account))
    for number in range(shape.nodes):
        found.append((NODES, node(f"node-{number}", "4", "32Gi", **{ZONE: f"z{number % shape.zones}"})))
    for number in range(shape.before):
        spec = shape.spec(number) | {"nodeName": f"node-{number}"}
        found.append((PODS, pod(f"before-{number}", spec, namespace="sched-0")))
    for number in range(shape.nodes if shape.placed[0] else 0):
        for each in range(shape.placed[0]):
            spec = {"nodeName": f"node-{number}", "terminationGracePeriodSeconds": 0}
            found.append((PODS, pod(f"low-{number}-{each}", spec, shape.placed[1], namespace="sched-0")))
    return found


async def measure(shape: Shape, folder: Path) -> tuple[float, float]:
    async with Cluster(folder) as cluster:
        await cluster.create(objects_of(shape))
        await cluster.create([(PODS, pod(f"hopeless-{number}", {}, cpu="9")) for number in range(shape.hopeless)])
        wanted = [pod(f"pod-{number}", shape.spec(number), shape.cpu, shape.priority) for number in range(shape.pods)]
        await cluster.create([(PODS, one) for one in wanted])
        return await timed(cluster, shape)


async def timed(cluster: Cluster, shape: Shape) -> tuple[float, float]:
    """Pods a second, and pods a second of this process's CPU time, which neighbours on the machine slow down less.

    From the first hundred on: the scheduler has read the cluster by then.
    """
    bound: set[str] = set()
    done = asyncio.Event()
    marks: list[tuple[int, float, float]] = []

    def look(old: Object | None, new: Object | None) -> None:
        if new is not None and new["metadata"]["name"].startswith("pod-") and new["spec"].get("nodeName"):
            bound.add(new["metadata"]["name"])
            if len(bound) % 100 == 0 and (not marks or marks[-1][0] != len(bound)):
                marks.append((len(bound), time.perf_counter(), time.process_time()))
            if len(bound) == shape.pods:
                done.set()

    for resource in (NODES, PODS):
        cluster.informers.of(resource)
    await cluster.informers.start()
    cluster.informers.of(PODS).add_handler(look)
    process._quiet_garbage_collection()  # as the server does when it has started
    cluster.start_scheduler()
    try:
        await asyncio.wait_for(done.wait(), 300)
    except TimeoutError:
        print(f"only {len(bound)} of {shape.pods} are bound", file=sys.stderr)
    (first, *start), (last, *end) = marks[0], marks[-1]
    return (last - first) / (end[0] - start[0]), (last - first) / (end[1] - start[1])


def main() -> None:
    names = sys.argv[1:] or list(SHAPES)
    print(f"{'':30}{'nodes':>8}{'pods':>7}{'bound':>10}{'of CPU':>10}{'threshold':>12}{'ratio':>8}", flush=True)
    for name in names:
        shape = SHAPES[name]
        with tempfile.TemporaryDirectory(prefix="podling-bench-", dir="/var/tmp") as folder:
            rate, of_cpu = uvloop.run(measure(shape, Path(folder)))
        against = f"{shape.threshold:10}/s{rate / shape.threshold:7.1f}x" if shape.threshold else ""
        print(f"{name:30}{shape.nodes:8}{shape.pods:7}{rate:8.0f}/s{of_cpu:8.0f}/s{against}", flush=True)


if __name__ == "__main__":
    main()
