"""A whole control plane in one process, without sockets, containers or the machine's time.

The real API server over a memory store, the real controllers and scheduler; nodes are objects, and a toy kubelet makes pods run.
Time stands still until the test turns it. The same seed gives the same history, to the last uid.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any, Self

from podling.aio.http import Request, Response
from podling.aio.tasks import Tasks
from podling.api.objects import Object, is_deleting, name_of
from podling.apiserver.identity import Attributes, Decision, User
from podling.apiserver.server import ApiServer
from podling.base import ids
from podling.client.client import Client
from podling.client.informer import Informers
from podling.client.resource import DEPLOYMENTS, NAMESPACES, PODS, REPLICA_SETS
from podling.client.transport import DirectTransport
from podling.controllers.nodes.lifecycle import GRACE
from podling.controllers.runner import run_controllers
from podling.scheduler.configuration.file import Configuration
from podling.scheduler.loop import run_scheduler
from podling.store.memory import MemoryStore
from podling.testing.clock import ManualClock
from podling.testing.invariants import Invariants
from podling.testing.kubelet import ToyKubelet, node

__all__ = ["CA", "Everybody", "Handle", "Simulation", "deployment", "node"]
CA = b"-----BEGIN CERTIFICATE-----\nsimulated\n-----END CERTIFICATE-----\n"


Handle = Callable[[Request], Awaitable[Response | None]]
Reach = Callable[[Handle, Request], Awaitable[Response | None]]


class Everybody:
    """An authorizer that allows all."""

    def authorize(self, attributes: Attributes) -> Decision:
        return Decision(True)

    def rules(self, user: User, namespace: str) -> list[Object]:
        return []


@contextmanager
def _time_of(clock: ManualClock) -> Iterator[None]:
    """Have the event loop's own time-outs and slices follow `clock`: how fast the machine is must decide nothing.

    Time passes by itself only while nothing can run, so that who waits for what never comes is told in the end.
    """
    loop: Any = asyncio.get_running_loop()
    if not hasattr(loop, "_selector"):
        yield  # uvloop has its own idea of time
        return
    idle, selector = 0.0, loop._selector
    wait = selector.select

    def select(timeout: float | None = None) -> Any:
        nonlocal idle
        began = time.perf_counter()
        events = wait(timeout)
        if timeout is None or timeout > 0:
            idle += time.perf_counter() - began
        return events

    loop.time, selector.select = lambda: clock.monotonic() + idle, select
    try:
        yield
    finally:
        del loop.time, selector.select


@dataclass
class Simulation:
    """`async with Simulation(nodes=3) as cluster`: then use `cluster.client`, and let time pass by `cluster.advance`.

    `checked`: what must hold is checked at each write, and `advance` raises `podling.testing.invariants.Broken`. Nodes give a
    sign of life every `beat` seconds; the cluster does without for `node_grace`.
    """

    nodes: int = 3
    seed: int = 1
    clock: ManualClock = field(default_factory=ManualClock)
    controlled: bool = True  # else the test starts the controllers
    scheduling: Configuration | None = None
    checked: bool = False
    beat: float = 10.0
    node_grace: float = GRACE

    async def __aenter__(self) -> Self:
        self._stack = AsyncExitStack()
        self._stack.enter_context(ids.drawn_from(random.Random(self.seed).randbytes))
        self._stack.enter_context(_time_of(self.clock))
        self.store = MemoryStore()
        self.api = ApiServer(self.store, authorizer=Everybody(), clock=self.clock)
        await self.api.start()
        self._stack.push_async_callback(self.api.close)
        self.invariants = Invariants(self.api.storage, self.clock) if self.checked else None
        self.client = Client(DirectTransport(self.api.handle))
        jitter = random.Random(self.seed).random
        self.informers = await self._stack.enter_async_context(Informers(self.client, self.clock, jitter))
        self._tasks = await self._stack.enter_async_context(Tasks("simulation"))
        self.kubelet = ToyKubelet(self.client, self.clock, self.informers, self._tasks, self.store, self.beat)
        if self.invariants is not None:
            self.kubelet.watchers.append(self.invariants.runs)
        for number in range(self.nodes):
            await self.kubelet.register(f"node-{number}")
        if self.controlled:
            controllers = run_controllers(
                self.client, self.informers, self.clock, ca=CA, jitter=jitter, node_grace=self.node_grace
            )
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
        if self.invariants is not None:
            self.invariants.require()

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
