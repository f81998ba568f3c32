"""The scheduler at work: informers feed the queue and the ledger, cycles choose, many bindings are in flight at once."""

import asyncio
import logging
from collections.abc import Callable

from podling.aio.clock import Clock
from podling.aio.tasks import Tasks
from podling.api.objects import Object
from podling.client.backoff import Jitter
from podling.client.client import Client
from podling.client.events import EventRecorder
from podling.client.informer import Informers
from podling.client.leader import LeaderElector
from podling.client.resource import SERVICES, Resource
from podling.client.workqueue import sleep_or
from podling.scheduler.binding import Binder
from podling.scheduler.configuration.file import Configuration
from podling.scheduler.cycle import Unplaced, schedule
from podling.scheduler.framework import Choose, Handle, Lister, Rejection
from podling.scheduler.intake import NEEDED, Intake
from podling.scheduler.ledger import Ledger
from podling.scheduler.profile import Profile
from podling.scheduler.queue import SchedulingQueue, Waiting
from podling.scheduler.report import Reporter
from podling.scheduler.waiting import WaitingPods

log = logging.getLogger(__name__)

NAME = "kube-scheduler"
TURN = 0.002  # seconds of choosing before others have their turn


class Surroundings:
    """What plugins are handed: caches of whatever resource they ask for, and the pods that wait."""

    def __init__(self, client: Client, informers: Informers, clock: Clock) -> None:
        self.resources: dict[Resource, None] = {}
        self.waiting = WaitingPods(clock)
        self._informers = informers
        self._clock = clock
        self.handle = Handle(self._objects, self.waiting, client, self._until)

    def _objects(self, resource: Resource) -> Lister:
        self.resources[resource] = None
        return self._informers.of(resource).cache

    async def _until(self, resource: Resource, key: str, wanted: Callable[[Object | None], bool], seconds: float) -> bool:
        informer = self._informers.of(resource)
        came = asyncio.Event()

        def look(old: Object | None, new: Object | None) -> None:
            if wanted(informer.cache.get(key)):
                came.set()

        informer.add_handler(look)
        try:
            return wanted(informer.cache.get(key)) or await sleep_or(self._clock, seconds, came)
        finally:
            informer.remove_handler(look)


class Scheduler:
    """The profiles of one configuration over one cluster. `choose` breaks ties between equal nodes.

    Make it before the informers start: they learn here what is needed.
    """

    def __init__(
        self, client: Client, informers: Informers, clock: Clock, choose: Choose, configuration: Configuration | None = None
    ) -> None:
        configuration = configuration or Configuration()
        around = Surroundings(client, informers, clock)
        self.profiles: dict[str, Profile] = {one.name: one.build(around.handle) for one in configuration.profiles}
        self._choose = choose
        self._ledger = Ledger()
        self._queue = SchedulingQueue(self.profiles, clock, configuration.initial_backoff, configuration.max_backoff)
        self._recorders = {name: EventRecorder(client, clock, name) for name in self.profiles}
        self._tasks = Tasks("scheduler")
        self._intake = Intake(informers, self._ledger, self._queue, self.profiles, around.waiting, tuple(around.resources))
        self._reporters: dict[str, Reporter] = {}
        self._binders: dict[str, Binder] = {}
        for name, recorder in self._recorders.items():
            reporter = Reporter(client, clock, recorder, self._ledger, self._queue, around.waiting)
            self._reporters[name] = reporter
            self._binders[name] = Binder(self._ledger, self._queue, around.waiting, recorder, reporter)

    async def run(self) -> None:
        """Schedule until cancelled. The informers must run."""
        self._intake.start()
        try:
            async with self._tasks as tasks:
                tasks.start(self._queue.run(), "queue")
                for recorder in self._recorders.values():
                    tasks.start(recorder.run(), "events")
                await self._choose_nodes()
        finally:
            self._intake.stop()

    async def _choose_nodes(self) -> None:
        loop = asyncio.get_running_loop()
        turn = loop.time()
        while True:
            waiting = await self._queue.pop()
            try:
                self._schedule(waiting)
            except Exception:
                log.exception("scheduling %s failed", waiting.pod.key)
                self._ledger.forget(waiting.pod.uid)
                self._queue.fail(waiting, error=True)
            if loop.time() - turn > TURN:
                await asyncio.sleep(0)
                turn = loop.time()

    def _schedule(self, waiting: Waiting) -> None:
        pod, name = waiting.pod, waiting.profile.name
        result = schedule(pod, self._ledger.snapshot, waiting.profile, self._choose)
        if isinstance(result, Unplaced):
            self._reporters[name].note(waiting, result)
            self._queue.fail(waiting, result.plugins)
            self._tasks.start(self._reporters[name].report(waiting, result), f"report {pod.key}")
            return
        binder = self._binders[name]
        reserved = binder.reserve(waiting, result)
        if isinstance(reserved, Rejection):
            binder.undo(waiting, result)
            self._tasks.start(binder.refuse(waiting, reserved), f"report {pod.key}")
        else:
            self._tasks.start(binder.bind(reserved), f"bind {pod.key}")


async def run_scheduler(
    client: Client,
    informers: Informers,
    clock: Clock,
    *,
    jitter: Jitter,
    identity: str = "",
    configuration: Configuration | None = None,
) -> None:
    """Schedule until cancelled, while `identity` leads; without an identity there is no election. `jitter` breaks ties."""
    for resource in NEEDED:
        informers.of(resource)
    informers.of(SERVICES).index("namespace")

    def make() -> Scheduler:
        return Scheduler(client, informers, clock, lambda count: int(jitter() * count), configuration)

    make()  # for what its plugins look at
    await informers.start()
    if identity and (configuration is None or configuration.elects):
        await LeaderElector(client, clock, NAME, identity).run(lambda: make().run())
    else:
        await make().run()
