"""A whole control plane in one process, without sockets, containers or the machine's time.

The real API server over a memory store, the real controllers and scheduler; nodes are objects, and a toy kubelet makes pods run.
Time stands still until the test turns it.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Self

from podling.aio.http import Request, Response
from podling.aio.tasks import Tasks
from podling.api.objects import Object, get, is_deleting, key_of, name_of, namespace_of, uid_of
from podling.api.timestamps import micro, rfc3339
from podling.apiserver.identity import Attributes, Decision, User
from podling.apiserver.server import ApiServer
from podling.client.client import Client
from podling.client.errors import FAILURES
from podling.client.informer import Informers
from podling.client.resource import DEPLOYMENTS, LEASES, NAMESPACES, NODES, PODS, REPLICA_SETS
from podling.client.transport import DirectTransport
from podling.controllers.runner import run_controllers
from podling.scheduler.configuration.file import Configuration
from podling.scheduler.loop import run_scheduler
from podling.store.memory import MemoryStore
from podling.testing.clock import ManualClock

CA = b"-----BEGIN CERTIFICATE-----\nsimulated\n-----END CERTIFICATE-----\n"


Handle = Callable[[Request], Awaitable[Response | None]]
Reach = Callable[[Handle, Request], Awaitable[Response | None]]


class Everybody:
    """An authorizer that allows all."""

    def authorize(self, attributes: Attributes) -> Decision:
        return Decision(True)

    def rules(self, user: User, namespace: str) -> list[Object]:
        return []


@dataclass
class Simulation:
    """`async with Simulation(nodes=3) as cluster`: then use `cluster.client`, and let time pass by `cluster.advance`."""

    nodes: int = 3
    seed: int = 1
    clock: ManualClock = field(default_factory=ManualClock)
    controlled: bool = True  # else the test starts the controllers
    scheduling: Configuration | None = None

    async def __aenter__(self) -> Self:
        self._stack = AsyncExitStack()
        self.api = ApiServer(MemoryStore(), authorizer=Everybody(), clock=self.clock)
        await self.api.start()
        self._stack.push_async_callback(self.api.close)
        self.client = Client(DirectTransport(self.api.handle))
        jitter = random.Random(self.seed).random
        self.informers = await self._stack.enter_async_context(Informers(self.client, self.clock, jitter))
        self._tasks = await self._stack.enter_async_context(Tasks("simulation"))
        self.kubelet = ToyKubelet(self.client, self.clock, self.informers, self._tasks)
        for number in range(self.nodes):
            await self.kubelet.register(f"node-{number}")
        if self.controlled:
            controllers = run_controllers(self.client, self.informers, self.clock, ca=CA, jitter=jitter)
            self._tasks.start(controllers, "controllers")
        scheduler = run_scheduler(self.client, self.informers, self.clock, jitter=jitter, configuration=self.scheduling)
        self._tasks.start(scheduler, "scheduler")
        self._tasks.start(self.kubelet.run(), "kubelet")
        await self.advance(0)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._stack.aclose()

    def start_controllers(self, identity: str = "", reach: Reach | None = None) -> asyncio.Task[None]:
        """Controllers with caches of their own; with an identity they run for leader. Cancel the task to stop them.

        `reach` goes between them and the server.
        """
        client = self.client if reach is None else Client(DirectTransport(partial(reach, self.api.handle)))
        return self._tasks.start(self._control(client, identity), f"controllers {identity}")

    async def _control(self, client: Client, identity: str) -> None:
        jitter = random.Random(self.seed).random
        async with Informers(client, self.clock, jitter) as informers:
            await run_controllers(client, informers, self.clock, ca=CA, jitter=jitter, identity=identity)

    async def advance(self, seconds: float) -> None:
        await self.clock.advance(seconds)

    async def pods(self, namespace: str = "default") -> list[Object]:
        """Those that aren't on their way out."""
        return [pod for pod in (await self.client.list(PODS, namespace)).items if not is_deleting(pod)]

    async def deploy(self, name: str, replicas: int = 3, image: str = "web:1", **spec: Any) -> Object:
        return await self.client.create(DEPLOYMENTS, deployment(name, replicas, image, **spec))

    async def replica_sets(self, namespace: str = "default") -> list[Object]:
        return (await self.client.list(REPLICA_SETS, namespace)).items

    async def exists(self, namespace: str) -> bool:
        return any(name_of(one) == namespace for one in (await self.client.list(NAMESPACES)).items)


def deployment(name: str, replicas: int, image: str, *, namespace: str = "default", **spec: Any) -> Object:
    labels = {"app": name}
    containers = [{"name": "main", "image": image, "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}}]
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template, **spec},
    }


def node(name: str, cpu: str = "4", memory: str = "8Gi", **labels: str) -> Object:
    capacity = {"cpu": cpu, "memory": memory, "pods": "110", "ephemeral-storage": "100Gi"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}},
        "status": {"capacity": capacity, "allocatable": capacity, "conditions": [{"type": "Ready", "status": "True"}]},
    }


Script = Callable[[Object], tuple[float, int] | None]
"""Of a pod: after how many seconds its containers end, and with which exit code; None: never."""


def endless(pod: Object) -> None:
    return None


class ToyKubelet:
    """Makes what is bound to its nodes run and be ready at once, lets go of what is deleted, and renews the nodes' leases.

    `silent` nodes do nothing of it: what ran goes on there. Images named in `broken` never get ready. `script` tells which pods
    end by themselves. `running` has the pods whose containers run, by uid, whatever the API says of them.
    """

    BEAT = 10.0

    def __init__(self, client: Client, clock: ManualClock, informers: Informers, tasks: Tasks) -> None:
        self._client = client
        self._clock = clock
        self._informers = informers
        self._tasks = tasks
        self.silent: set[str] = set()
        self.broken: set[str] = set()
        self.script: Script = endless
        self.running: dict[str, Object] = {}
        self._away: set[str] = set()
        self._addresses = 0

    async def register(self, name: str, **labels: str) -> None:
        await self._client.create(NODES, node(name, **labels))
        status = node(name)["status"] | {"conditions": [self._ready()]}
        await self._client.patch(NODES, name, {"status": status}, subresource="status")
        spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": micro(self._clock.now())}
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}, "spec": spec}
        await self._client.create(LEASES, lease, "kube-node-lease")

    def _ready(self) -> Object:
        now = rfc3339(self._clock.now())
        return {
            "type": "Ready",
            "status": "True",
            "reason": "KubeletReady",
            "message": "kubelet is posting ready status",
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
        }

    async def run(self) -> None:
        self._informers.of(PODS).add_handler(self._pod)
        while True:
            await self._clock.sleep(self.BEAT)
            for one in (await self._client.list(NODES)).items:
                if name_of(one) not in self.silent:
                    await self._beat(one)
                    self._catch_up(name_of(one))
            self._away = set(self.silent)

    def _catch_up(self, name: str) -> None:
        """A node that was silent sees what it has missed."""
        if name in self._away:
            for pod in self._informers.of(PODS).cache:
                if pod["spec"].get("nodeName") == name:
                    self._pod(None, pod)

    async def _beat(self, one: Object) -> None:
        renewed = {"spec": {"renewTime": micro(self._clock.now())}}
        await self._client.patch(LEASES, name_of(one), renewed, "kube-node-lease")
        conditions = get(one, "status.conditions", [])
        if any(entry["type"] == "Ready" and entry["status"] != "True" for entry in conditions):
            patch = {"status": {"conditions": [self._ready()]}}
            await self._client.patch(NODES, name_of(one), patch, type="strategic", subresource="status")

    def _pod(self, old: Object | None, new: Object | None) -> None:
        if new is None or not new["spec"].get("nodeName") or new["spec"]["nodeName"] in self.silent:
            return
        if is_deleting(new):
            self._tasks.start(self._let_go(new), f"let go of {key_of(new)}")
        elif get(new, "status.phase") == "Pending":
            self._tasks.start(self._start(new), f"start {key_of(new)}")

    async def _start(self, pod: Object) -> None:
        now = rfc3339(self._clock.now())
        ready = "False" if pod["spec"]["containers"][0]["image"] in self.broken else "True"
        self._addresses += 1
        address = f"10.42.{self._addresses >> 8}.{self._addresses & 255}"
        conditions = [{"type": kind, "status": ready, "lastTransitionTime": now} for kind in ("Ready", "ContainersReady")]
        status = {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "startTime": now,
            "conditions": conditions,
        }
        self.running[uid_of(pod)] = pod
        await self._try(self._patch(pod, status))
        if (ending := self.script(pod)) is not None:
            await self._end(pod, *ending)

    async def _end(self, pod: Object, seconds: float, code: int) -> None:
        await self._clock.sleep(seconds)
        self.running.pop(uid_of(pod), None)
        if pod["spec"]["nodeName"] in self.silent:
            return
        now = rfc3339(self._clock.now())
        ended = {"exitCode": code, "reason": "Error" if code else "Completed", "finishedAt": now}
        statuses = [{"name": one["name"], "state": {"terminated": ended}} for one in pod["spec"]["containers"]]
        conditions = [{"type": "Ready", "status": "False", "reason": "PodCompleted", "lastTransitionTime": now}]
        phase = "Failed" if code else "Succeeded"
        await self._try(self._patch(pod, {"phase": phase, "containerStatuses": statuses, "conditions": conditions}))

    async def _patch(self, pod: Object, status: Object) -> None:
        patch = {"metadata": {"uid": uid_of(pod)}, "status": status}
        await self._client.patch(PODS, name_of(pod), patch, namespace_of(pod), type="strategic", subresource="status")

    async def _let_go(self, pod: Object) -> None:
        self.running.pop(uid_of(pod), None)
        if pod["metadata"].get("finalizers") and get(pod, "status.phase") == "Running":
            await self._try(self._patch(pod, {"phase": "Failed"}))  # somebody wants to know how it ended
        await self._try(self._client.delete(PODS, name_of(pod), namespace_of(pod), grace=0, uid=uid_of(pod)))

    async def _try(self, work: Awaitable[object]) -> None:
        with suppress(*FAILURES):  # it went meanwhile
            await work
