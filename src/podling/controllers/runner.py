"""The one runner: feeds a controller from informers, does what it decides, and asks again when something has changed.

A key is not decided on anew before the caches show what was last written for it (expectations), so a decider never sees a world
without its own doing. One key is worked on by one worker at a time; failures wait longer each time.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from podling.aio.clock import Clock
from podling.aio.tasks import Tasks
from podling.api.objects import Object, is_deleting, key_of, uid_of
from podling.api.status import ApiError
from podling.client.backoff import Backoff, Jitter
from podling.client.client import Client
from podling.client.discovery import discover
from podling.client.errors import FAILURES, Conflict
from podling.client.events import EventRecorder
from podling.client.informer import Handler, Informer, Informers, Scope
from podling.client.leader import LeaderElector
from podling.client.resource import DEFINITIONS, Resource
from podling.client.workqueue import WorkQueue
from podling.controllers.actions import IN_FLIGHT, Doer, Written
from podling.controllers.autoscaling.controller import PERIOD
from podling.controllers.controller import Controller, Watch
from podling.controllers.list import over_all, standing
from podling.controllers.nodes.lifecycle import GRACE
from podling.controllers.plan import Patch, Plan, difference
from podling.controllers.view import Failure, Fetched, Key, View

log = logging.getLogger(__name__)

Start = Callable[[Controller, Tasks], None]
Discover = Callable[[], Awaitable[list[Resource]]]

NAME = "kube-controller-manager"
SETTLE_SECONDS = 0.2  # definitions of custom resources come in groups
UNSEEN_SECONDS = 30.0  # how long a written object may take to show; then we decide on what we see


def prepare(controllers: tuple[Controller, ...], informers: Informers) -> None:
    """Have the informers and indexes that `controllers` need. Full ones first, so that metadata-only ones can share them."""
    watches = [watch for controller in controllers for watch in (*controller.primary, *controller.watches)]
    for watch in sorted(watches, key=lambda watch: watch.metadata_only):
        informer = _informer(informers, watch)
        for index in watch.indexes:
            informer.index(index)


def _informer(informers: Informers, watch: Watch) -> Informer:
    return informers.of(watch.resource, Scope(fields=watch.fields, metadata_only=watch.metadata_only))


class Runner:
    """Runs one controller. `prepare` the informers before."""

    def __init__(self, controller: Controller, informers: Informers, doer: Doer, clock: Clock, jitter: Jitter) -> None:
        self._controller = controller
        self._doer = doer
        self._clock = clock
        self._queue: WorkQueue[Key] = WorkQueue(clock, jitter)
        self._informers = {watch.resource: _informer(informers, watch) for watch in (*controller.primary, *controller.watches)}
        self._changed: dict[Key, float] = {}
        self._failures: dict[Key, Failure] = {}
        caches = {resource: informer.cache for resource, informer in self._informers.items()}
        self._fetched: dict[Key, dict[str, Fetched]] = {}
        self._memory: dict[Key, Any] = {}
        self._view = View(caches, self._changed, clock.now(), self._failures, memory=self._memory)
        self._unseen: dict[Key, tuple[float, list[Written]]] = {}  # what was written for a key, and until when to wait for it
        self._awaited: dict[Key, Key] = {}  # written object -> the key it was written for
        self._handlers: list[tuple[Informer, Handler]] = []

    async def run(self) -> None:
        """Reconcile until cancelled."""
        self._listen()
        try:
            async with Tasks(self._controller.name) as tasks:
                for number in range(self._controller.workers):
                    tasks.start(self._work(), f"worker {number}")
                await self._queue.run()
        finally:
            for informer, handler in self._handlers:
                informer.remove_handler(handler)

    # --- what has changed

    def _listen(self) -> None:
        for resource in self._controller.timed:
            self._add_handler(self._informers[resource], self._timing(resource))
        for watch in self._controller.primary:
            self._add_handler(self._informers[watch.resource], self._primary(watch))
        for watch in self._controller.watches:
            self._add_handler(self._informers[watch.resource], self._secondary(watch))

    def _add_handler(self, informer: Informer, handler: Handler) -> None:
        self._handlers.append((informer, handler))
        informer.add_handler(handler)

    def _timing(self, resource: Resource) -> Handler:
        known = self._informers[resource].cache.keys()  # what is there already hasn't changed in our sight

        def handler(old: Object | None, new: Object | None) -> None:
            key = key_of(new or old or {})
            if old is not None or key not in known:
                self._changed[resource, key] = self._clock.now()

        return handler

    def _primary(self, watch: Watch) -> Handler:
        def handler(old: Object | None, new: Object | None) -> None:
            obj = new or old or {}
            key = (watch.resource, key_of(obj))
            self._seen(key)
            if watch.matters(old, new):
                self._queue.add(key)
                self._concern(watch, old, new)

        return handler

    def _secondary(self, watch: Watch) -> Handler:
        def handler(old: Object | None, new: Object | None) -> None:
            self._seen((watch.resource, key_of(new or old or {})))
            if watch.matters(old, new):
                self._concern(watch, old, new)

        return handler

    def _concern(self, watch: Watch, old: Object | None, new: Object | None) -> None:
        for obj in (old, new):
            if obj is not None:
                for key in watch.concerns(obj, self._view):
                    self._queue.add(key)

    def _seen(self, key: Key) -> None:
        if (waiting := self._awaited.pop(key, None)) is not None:
            self._queue.add(waiting)

    # --- what to do about it

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                if self._has_seen_its_writes(key):
                    await self._reconcile(key)
            except Exception:
                log.exception("%s: %s", self._controller.name, key[1])
                self._queue.retry(key)
            finally:
                self._queue.done(key)

    async def _reconcile(self, key: Key) -> None:
        resource, name = key
        obj = self._view.caches[resource].get(name)
        view = replace(self._view, fetched=self._fetched[key]) if key in self._fetched else self._view
        plan = self._controller.reconcile(obj, view, self._clock.now()) if obj is not None else self._gone(name)
        written, errors = await self._doer.do(plan.actions)
        if obj is not None and (patch := status_patch(obj.get("status") or {}, plan.status)) is not None:
            more, failed = await self._doer.do([Patch(resource, obj, {"status": patch}, subresource="status")])
            written, errors = written + more, errors + failed
        await self._keep(key, obj, plan)
        self._expect(key, written)
        self._settle(key, plan, errors)

    async def _keep(self, key: Key, obj: Object | None, plan: Plan) -> None:
        """Remember what the plan says, and fetch what the next one needs."""
        if obj is None:
            self._memory.pop(key, None)
        elif plan.memory is not None:
            self._memory[key] = plan.memory
        if not plan.fetch:
            self._fetched.pop(key, None)
            return
        answers = await asyncio.gather(*(self._doer.fetch(path) for path in plan.fetch))
        self._fetched.setdefault(key, {}).update(zip(plan.fetch, answers, strict=True))
        self._queue.add(key)

    def _gone(self, name: str) -> Plan:
        if self._controller.gone is None:
            return Plan()
        namespace, _, bare = name.rpartition("/")
        return self._controller.gone({"metadata": {"name": bare, "namespace": namespace}}, self._view)

    def _settle(self, key: Key, plan: Plan, errors: list[Exception]) -> None:
        for error in errors:
            if isinstance(error, ApiError) and not isinstance(error, Conflict):
                self._failures[key] = Failure(error.reason, error.message)
                log.warning("%s %s: %s", self._controller.name, key[1], error)
        if errors:
            self._queue.retry(key)
            return
        self._failures.pop(key, None)
        self._queue.forget(key)
        if plan.requeue_after is not None:
            self._queue.add_after(key, plan.requeue_after)

    # --- expectations

    def _expect(self, key: Key, written: list[Written]) -> None:
        ours = [one for one in written if one.resource in self._informers]
        watched = [one for one in ours if not self._shows(one)]
        if len(watched) < len(ours):  # those have been told of already, when nobody awaited them
            self._queue.add(key)
        if watched:
            self._unseen[key] = (self._clock.monotonic() + UNSEEN_SECONDS, watched)
            for one in watched:
                self._awaited[one.resource, one.key] = key
            self._queue.add_after(key, UNSEEN_SECONDS)

    def _has_seen_its_writes(self, key: Key) -> bool:
        if key not in self._unseen:
            return True
        deadline, written = self._unseen[key]
        left = [one for one in written if not self._shows(one)]
        if left and self._clock.monotonic() < deadline:
            self._unseen[key] = (deadline, left)
            return False
        for one in written:
            self._awaited.pop((one.resource, one.key), None)
        del self._unseen[key]
        return True

    def _shows(self, one: Written) -> bool:
        informer = self._informers[one.resource]
        if one.deleted:
            found = informer.cache.get(one.key)
            return found is None or uid_of(found) != one.uid or is_deleting(found)
        return not informer.revision.isdecimal() or int(informer.revision) >= one.revision


def status_patch(old: Object, new: Object | None) -> Object | None:
    """The merge patch from the status `old` to `new`; None where they are the same."""
    return None if new is None or old == new else difference(old, new)


async def run_controllers(
    client: Client,
    informers: Informers,
    clock: Clock,
    *,
    ca: bytes,
    jitter: Jitter,
    identity: str = "",
    more: tuple[Controller, ...] = (),
    node_grace: float = GRACE,
    autoscaling_period: float = PERIOD,
) -> None:
    """Run all controllers until cancelled, while `identity` leads; without an identity there is no election.

    `more` are those that hold something of the caller's, such as a key. A node may be silent for `node_grace` seconds; an
    autoscaler looks every `autoscaling_period` seconds.

    A server that comes back with the same identity leads at once.
    """
    resources = await _discovered(client, clock, jitter)
    fixed = (*standing(ca, node_grace, autoscaling_period), *more)
    prepare((*fixed, *over_all(resources)), informers)
    await informers.start()

    async def work() -> None:
        slots = asyncio.Semaphore(IN_FLIGHT)

        def start(controller: Controller, tasks: Tasks) -> None:
            recorder = EventRecorder(client, clock, controller.source or f"{controller.name}-controller")
            tasks.start(recorder.run(), f"{controller.name} events")
            runner = Runner(controller, informers, Doer(client, recorder, slots), clock, jitter)
            tasks.start(runner.run(), controller.name)

        async with Tasks("controllers") as tasks:
            for controller in fixed:
                start(controller, tasks)
            await _run_over_all(resources, start, informers, lambda: _discovered(client, clock, jitter), clock)

    if identity:
        await LeaderElector(client, clock, NAME, identity).run(work)
    else:
        await work()


async def _run_over_all(
    resources: list[Resource], start: Start, informers: Informers, discovered: Discover, clock: Clock
) -> None:
    """Run the controllers of all resources until cancelled: again and again, since custom resources come and go."""
    changed = asyncio.Event()
    if DEFINITIONS in resources:
        informers.of(DEFINITIONS, Scope(metadata_only=True)).add_handler(lambda old, new: changed.set())
    while True:
        chosen = over_all(resources)
        prepare(chosen, informers)
        async with Tasks("controllers of all resources") as tasks:
            for controller in chosen:
                start(controller, tasks)
            found = resources
            while found == resources:
                await changed.wait()
                await clock.sleep(SETTLE_SECONDS)
                changed.clear()
                found = await discovered()
        for gone in set(resources) - set(found):
            await informers.forget(gone)
        resources = found


async def _discovered(client: Client, clock: Clock, jitter: Jitter) -> list[Resource]:
    """What the server has, as soon as it answers."""
    backoff = Backoff(jitter=jitter)
    while True:
        try:
            return await discover(client)
        except FAILURES as error:
            log.warning("the API server doesn't tell its resources yet: %s", error)
            await clock.sleep(backoff.next())
