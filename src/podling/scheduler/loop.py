"""The scheduler at work: informers feed the queue and the ledger, cycles choose, many bindings are in flight at once."""

import asyncio
import logging

from podling.aio.clock import Clock
from podling.aio.tasks import Tasks
from podling.api import selectors
from podling.api.objects import Object, condition, controller_of, is_deleting, labels_of, namespace_of, uid_of
from podling.api.selectors import Selector
from podling.api.timestamps import rfc3339
from podling.base.errors import Unavailable
from podling.client.backoff import Jitter
from podling.client.client import Client
from podling.client.errors import FAILURES, Conflict, NotFound
from podling.client.events import EventRecorder
from podling.client.informer import Informers
from podling.client.leader import LeaderElector
from podling.client.resource import NODES, PODS, REPLICA_SETS, SERVICES
from podling.scheduler.cycle import Placed, Unplaced, schedule
from podling.scheduler.framework import (
    NODE_ADDED,
    NODE_CHANGED,
    POD_CAME,
    POD_LEFT,
    Bind,
    Choose,
    Permit,
    PreBind,
    Preemption,
    PreEnqueue,
    Profile,
    Reserve,
)
from podling.scheduler.ledger import Ledger
from podling.scheduler.node_info import NodeInfo
from podling.scheduler.pod_info import PodInfo
from podling.scheduler.profile import DEFAULT
from podling.scheduler.queue import SchedulingQueue, Waiting

log = logging.getLogger(__name__)

NAME = "kube-scheduler"
BINDINGS = 100  # in flight at once
TURN = 0.002  # seconds of choosing before others have their turn


class Scheduler:
    """One profile over one cluster. `choose` breaks ties between equal nodes."""

    def __init__(self, client: Client, informers: Informers, clock: Clock, choose: Choose, profile: Profile = DEFAULT) -> None:
        self._client = client
        self._clock = clock
        self._choose = choose
        self._profile = profile
        self._ledger = Ledger()
        self._queue = SchedulingQueue(profile, clock)
        self._recorder = EventRecorder(client, clock, profile.name)
        self._bindings = asyncio.Semaphore(BINDINGS)
        self._tasks = Tasks("scheduler")
        self._nodes = informers.of(NODES)
        self._pods = informers.of(PODS)
        self._services = informers.of(SERVICES).index("namespace").cache
        self._sets = informers.of(REPLICA_SETS).cache

    async def run(self) -> None:
        """Schedule until cancelled. The informers must run."""
        self._nodes.add_handler(self._node)
        self._pods.add_handler(self._pod)
        try:
            async with self._tasks as tasks:
                tasks.start(self._queue.run(), "queue")
                tasks.start(self._recorder.run(), "events")
                await self._choose_nodes()
        finally:
            self._nodes.remove_handler(self._node)
            self._pods.remove_handler(self._pod)

    async def _choose_nodes(self) -> None:
        loop = asyncio.get_running_loop()
        turn = loop.time()
        while True:
            waiting = await self._queue.pop()
            try:
                self._schedule(waiting)
            except Exception:
                log.exception("scheduling %s failed", waiting.pod.key)
                self._queue.fail(waiting, error=True)
            if loop.time() - turn > TURN:
                await asyncio.sleep(0)
                turn = loop.time()

    def _schedule(self, waiting: Waiting) -> None:
        pod = waiting.pod
        result = schedule(pod, self._ledger.snapshot, self._profile, self._choose)
        if isinstance(result, Unplaced):
            self._queue.fail(waiting, result.plugins)
            self._tasks.start(self._report(pod, result), f"report {pod.key}")
            return
        self._ledger.assume(pod, result.node)
        for plugin in self._profile.of(Reserve):
            plugin.reserve(pod, result.node)
        self._tasks.start(self._bind(waiting, result), f"bind {pod.key}")

    # --- binding

    async def _bind(self, waiting: Waiting, placed: Placed) -> None:
        pod = waiting.pod
        try:
            async with self._bindings:
                await self._run_binding(pod, placed.node)
        except (NotFound, Conflict) as error:  # deleted, or bound by somebody else
            log.info("binding %s: %s", pod.key, error)
            self._undo(waiting, placed)
        except FAILURES as error:
            log.warning("binding %s to %s failed: %s", pod.key, placed.node, error)
            self._undo(waiting, placed)
            self._recorder.event(pod.pod, "Warning", "FailedScheduling", f"binding rejected: {error}")
        else:
            self._queue.remove(pod.uid)
            message = f"Successfully assigned {pod.key} to {placed.node}"
            self._recorder.event(pod.pod, "Normal", "Scheduled", message)

    async def _run_binding(self, pod: PodInfo, node: str) -> None:
        for gate in self._profile.of(Permit):
            if (rejection := await gate.permit(pod, node)) is not None:
                raise Unavailable("; ".join(rejection.reasons))
        for preparing in self._profile.of(PreBind):
            await preparing.pre_bind(pod, node)
        for binder in self._profile.of(Bind):
            await binder.bind(pod, node)
            return
        await self._client.bind(pod.pod, node)

    def _undo(self, waiting: Waiting, placed: Placed) -> None:
        for plugin in self._profile.of(Reserve):
            plugin.unreserve(waiting.pod, placed.node)
        self._ledger.forget(waiting.pod.uid)
        self._queue.fail(waiting, error=True)

    # --- no node

    async def _report(self, pod: PodInfo, result: Unplaced) -> None:
        self._recorder.event(pod.pod, "Warning", "FailedScheduling", result.message)
        try:
            await self._mark(pod, result)
            if result.preemption is not None and result.preemption.victims:
                await self._preempt(pod, result.preemption)
        except FAILURES as error:
            log.info("reporting on %s: %s", pod.key, error)

    async def _mark(self, pod: PodInfo, result: Unplaced) -> None:
        """The pod's condition PodScheduled, and the node that is being cleared for it."""
        old = condition(pod.pod, "PodScheduled") or {}
        status: Object = {}
        if (old.get("status"), old.get("message")) != ("False", result.message):
            now = rfc3339(self._clock.now())
            new = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": result.message}
            since = old["lastTransitionTime"] if old.get("status") == "False" else now
            status["conditions"] = [{**new, "lastTransitionTime": since}]
        if result.preemption is not None and result.preemption.node:
            status["nominatedNodeName"] = result.preemption.node
        if status:
            patch = {"metadata": {"uid": pod.uid}, "status": status}
            name = pod.pod["metadata"]["name"]
            await self._client.patch(PODS, name, patch, pod.namespace, type="strategic", subresource="status")

    async def _preempt(self, pod: PodInfo, preemption: Preemption) -> None:
        for victim in preemption.victims:
            message = f"Preempted by pod {pod.uid} on node {preemption.node}"
            self._recorder.event(victim.pod, "Normal", "Preempted", message)
            try:
                await self._client.delete(PODS, victim.pod["metadata"]["name"], victim.namespace, uid=victim.uid)
            except (NotFound, Conflict) as error:
                log.info("preempting %s: %s", victim.key, error)

    # --- what the informers tell

    def _node(self, old: Object | None, new: Object | None) -> None:
        if new is None:
            assert old is not None
            self._ledger.remove_node(old["metadata"]["name"])
            return
        self._ledger.put_node(new)
        if old is None:
            self._queue.wake(NODE_ADDED)
        elif _offers(old) != _offers(new):
            self._queue.wake(NODE_CHANGED)

    def _pod(self, old: Object | None, new: Object | None) -> None:
        if new is None or _is_finished(new):
            self._pod_left(new or old or {})
        elif node := new["spec"].get("nodeName"):
            self._pod_placed(old, new, node)
        elif new["spec"].get("schedulerName", self._profile.name) == self._profile.name:
            self._pod_waits(old, new)

    def _pod_left(self, pod: Object) -> None:
        uid = uid_of(pod)
        placed = uid in self._ledger
        self._ledger.remove_pod(uid)
        self._queue.remove(uid)
        if placed:
            self._queue.wake(POD_LEFT)

    def _pod_placed(self, old: Object | None, new: Object, node: str) -> None:
        came = old is None or not old["spec"].get("nodeName")
        self._queue.remove(uid_of(new))
        if not came and old is not None and _weighs(old) == _weighs(new):
            return
        self._ledger.put_pod(PodInfo.of(new), node)
        self._queue.wake(POD_CAME if came else POD_LEFT)

    def _pod_waits(self, old: Object | None, new: Object) -> None:
        uid = uid_of(new)
        if is_deleting(new):
            self._queue.remove(uid)
            return
        if uid in self._ledger:  # assumed: its binding is on the way
            return
        pod = PodInfo.of(new, self._belongs_with(new))
        if old is not None and uid in self._queue and _weighs(old) == _weighs(new):
            self._queue.replace(pod)
            return
        gated = any(one.pre_enqueue(pod) is not None for one in self._profile.of(PreEnqueue))
        self._queue.add(pod, gated=gated)

    def _belongs_with(self, pod: Object) -> Selector | None:
        """What selects the pod's like: all Services that select it, and its owner. None where there are none."""
        labels = labels_of(pod)
        requirements: list[selectors.Requirement] = []
        for service in self._services.find("namespace", namespace_of(pod)):
            selector = selectors.of_labels(service["spec"].get("selector"))
            if not selector.nothing and selector.matches(labels):
                requirements += selector.requirements
        owner = controller_of(pod)
        if owner is not None and owner["kind"] == REPLICA_SETS.kind:
            owned_by = self._sets.get(f"{namespace_of(pod)}/{owner['name']}")
            if owned_by is not None:
                requirements += selectors.of_object(owned_by["spec"].get("selector")).requirements
        return Selector(tuple(dict.fromkeys(requirements))) if requirements else None


def _offers(node: Object) -> tuple[object, ...]:
    info = NodeInfo.of(node)
    return (info.allocatable, info.judged_by()[:3])


def _weighs(pod: Object) -> tuple[object, ...]:
    """What of a pod a scheduler looks at."""
    metadata = pod["metadata"]
    return (pod["spec"], metadata.get("labels"), metadata.get("deletionTimestamp"))


def _is_finished(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


async def run_scheduler(
    client: Client,
    informers: Informers,
    clock: Clock,
    *,
    jitter: Jitter,
    identity: str = "",
    profile: Profile = DEFAULT,
) -> None:
    """Schedule until cancelled, while `identity` leads; without an identity there is no election. `jitter` breaks ties."""
    for resource in (NODES, PODS, REPLICA_SETS):
        informers.of(resource)
    informers.of(SERVICES).index("namespace")
    await informers.start()

    async def work() -> None:
        await Scheduler(client, informers, clock, lambda count: int(jitter() * count), profile).run()

    if identity:
        await LeaderElector(client, clock, NAME, identity).run(work)
    else:
        await work()
