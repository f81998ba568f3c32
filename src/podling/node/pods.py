"""All pods of this node: what the API gives to it, against what the runtime holds."""

import asyncio
import logging
import shutil
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator

from podling.aio.tasks import Tasks
from podling.client.errors import FAILURES
from podling.client.informer import Informer
from podling.node import runtime
from podling.node.admission import Claim, Room, admit, grant, make_way
from podling.node.crew import Crew
from podling.node.ending import read_message
from podling.node.launch import termination_file
from podling.node.manifests import is_static, mirrored
from podling.node.pod.events import Doomed, Granted, NotGranted, RoomMade, Seen, Vanished
from podling.node.pod.lifecycle import begin, restore
from podling.node.pod.spec import DEFAULT_GRACE, Object, containers, ephemeral_containers, init_containers, key_of, uid_of
from podling.node.pod.state import Exit, Found, State
from podling.node.runtime import Held
from podling.node.static_pods import StaticPods
from podling.node.worker import PodWorker

log = logging.getLogger(__name__)

_PREEMPTED = "Preempted in order to admit critical pod"


class Pods:
    """One worker a pod. `informer` holds the pods that are bound to this node; `room` is what the node has to give, as far as is
    known, and `refresh_room` asks the API server; `node` is its object.
    """

    def __init__(
        self,
        crew: Crew,
        informer: Informer,
        room: Callable[[], Room],
        refresh_room: Callable[[], Awaitable[object]],
        node: Callable[[], Object],
    ) -> None:
        self._crew = crew
        self._informer = informer
        self._workers: dict[str, PodWorker] = {}
        self._held: dict[str, list[Held]] = {}
        self._sandboxes: dict[str, tuple[str, ...]] = {}
        self._static: StaticPods | None = None
        self._doubted: dict[str, Object] = {}
        self._room = room
        self._node = node
        self._refresh_room = refresh_room
        self._tasks = Tasks("pods")

    async def start(self) -> None:
        """List what the runtime holds, go on with the pods that the API knows, clear away the rest."""
        self._sandboxes = await self._crew.runtime.sandboxes()
        self._held = by_pod(await self._crew.runtime.containers())
        self._informer.add_handler(self._on_pod)
        await self._informer.synced.wait()
        if manifests := self._crew.config.settings.manifests:
            find = self._informer.cache.get
            self._static = StaticPods(self._crew, manifests, self._take_in, self.worker, find, self._node)
            await self._static.start()
        self._tasks.start(self._clear_orphans(), "orphans")

    async def close(self) -> None:
        """Stop working; containers go on running."""
        self._informer.remove_handler(self._on_pod)
        if self._static is not None:
            await self._static.close()
        await self._tasks.cancel()
        await asyncio.gather(*(worker.close() for worker in self._workers.values()))

    def worker(self, uid: str) -> PodWorker | None:
        return self._workers.get(uid)

    def find(self, namespace: str, name: str) -> PodWorker | None:
        """The worker of the pod of this name."""
        pod = self._informer.cache.get(f"{namespace}/{name}")
        return self._workers.get(mirrored(pod) or uid_of(pod)) if pod else None

    def refresh(self, uid: str) -> None:
        """Something that the pod's volumes are made of has changed."""
        if worker := self._workers.get(uid):
            worker.refresh()

    def states(self) -> list[State]:
        return [worker.state for worker in self]

    def __iter__(self) -> Iterator[PodWorker]:
        return iter(list(self._workers.values()))

    def _on_pod(self, old: Object | None, new: Object | None) -> None:
        pod = new or old
        assert pod is not None
        if mirrored(pod):
            if self._static is not None:
                self._static.reflect(key_of(pod))
            return
        worker = self._workers.get(uid_of(pod))
        if new is None:
            if worker is not None and worker.state.over:
                self._dismiss(worker)
            elif worker is not None:
                worker.post(Seen(pod))
                worker.post(Vanished())
            return
        uid = uid_of(new)
        if uid in self._doubted:
            self._doubted[uid] = new
        elif worker is not None:
            worker.post(Seen(new))
        else:
            self._take_in(new)

    def _take_in(self, pod: Object) -> None:
        """Begin with a pod, or refuse it."""
        known = uid_of(pod) in self._held or uid_of(pod) in self._sandboxes
        worker = self._begin(pod)
        refusal = None if known or worker.state.ended or worker.state.deleting else self._refusal(worker)
        if refusal is not None and refusal.reason == "NodeAffinity":
            self._doubted[worker.uid] = pod
            self._tasks.start(self._look_again(worker), "admission")
            return
        if refusal is not None and not self._make_way(worker):
            worker.post(refusal)
        worker.post(Seen(pod))

    def _make_way(self, worker: PodWorker) -> bool:
        """Have other pods leave for this one, where it matters so much."""
        others = {uid: other.granted for uid, other in self._workers.items() if uid != worker.uid and other.claim is not None}
        leaving = make_way(worker.state.pod, others.values(), self._room())
        for pod in leaving:
            self._workers[uid_of(pod)].post(Doomed("Preempting", _PREEMPTED, None, "TerminationByKubelet"))
        return bool(leaving)

    def _refusal(self, worker: PodWorker) -> Doomed | None:
        return admit(worker.state.pod, self._claims(worker.uid), self._room())

    async def _look_again(self, worker: PodWorker) -> None:
        """The labels of the node may have changed in this moment."""
        await self._refresh_room()
        if refusal := self._refusal(worker):
            worker.post(refusal)
        worker.post(Seen(self._doubted.pop(worker.uid)))

    def _claims(self, but: str) -> list[Claim]:
        return [claim for uid, worker in self._workers.items() if uid != but and (claim := worker.claim) is not None]

    def grant(self, pod: Object) -> Granted | NotGranted:
        """Whether a running pod may have the sizes that it wishes now."""
        return grant(pod, self._claims(uid_of(pod)), self._room())

    def left(self) -> None:
        """A pod has left room: who waits for some may ask again."""
        for worker in self:
            if worker.state.unmet is not None:
                worker.post(RoomMade())

    def _begin(self, pod: Object) -> PodWorker:
        uid, now = uid_of(pod), self._crew.clock.now()
        held = self._held.pop(uid, [])
        addresses = self._sandboxes.pop(uid, None)
        names = {c["name"] for c in (*init_containers(pod), *containers(pod), *ephemeral_containers(pod))}
        held = [h for h in held if h.labels.get(runtime.CONTAINER_NAME) in names]
        state = restore(pod, latest(held, self._message_of), addresses, now) if held or addresses is not None else begin(pod, now)
        worker = self._workers[uid] = PodWorker(self._crew, state, self._finished)
        worker.start(older(held))
        return worker

    def _message_of(self, held: Held) -> str:
        directory = self._crew.volumes.directory(held.labels[runtime.POD_UID])
        return read_message(termination_file(directory, held.labels[runtime.CONTAINER_NAME], restarts_of(held)))

    def _finished(self, worker: PodWorker) -> None:
        """Nothing is left of it; it goes once the informer knows that too, lest a late event of the pod begins it again."""
        if is_static(worker.state.pod):
            self._dismiss(worker)
            if self._static is not None:
                self._static.finished(worker.state.pod)
            return
        known = self._informer.cache.get(key_of(worker.state.pod))
        if known is None or uid_of(known) != worker.uid:
            self._dismiss(worker)

    def _dismiss(self, worker: PodWorker) -> None:
        if self._workers.pop(worker.uid, None) is not None:
            self._tasks.start(worker.close(), "end of a pod")

    async def _clear_orphans(self) -> None:
        """Pods that were deleted while nobody looked: their containers, sandboxes and directories."""
        orphans = {*self._held, *self._sandboxes, *self._crew.volumes.uids()} - self._workers.keys()
        await asyncio.gather(*(self._clear(uid, self._held.pop(uid, [])) for uid in orphans))

    async def _clear(self, uid: str, held: list[Held]) -> None:
        try:
            await asyncio.gather(*(self._end(each) for each in held))
            await self._crew.runtime.remove_sandbox(uid)
            await self._crew.cgroups.remove(uid)
            await self._crew.volumes.remove(uid)
            await self._crew.runtime.hide_images(f"pod-{uid}")
            for directory in self._crew.config.logs.glob(f"*_{uid}"):
                await asyncio.to_thread(shutil.rmtree, directory, True)
        except FAILURES as error:
            log.warning("what is left of pod %s could not be removed: %s", uid, error)

    async def _end(self, held: Held) -> None:
        if held.running:
            grace = held.labels.get(runtime.POD_GRACE, "")
            await self._crew.runtime.stop(held.id, float(grace) if grace.isdecimal() else DEFAULT_GRACE)
        await self._crew.runtime.remove(held.id)


def by_pod(containers: Iterable[Held]) -> dict[str, list[Held]]:
    found: dict[str, list[Held]] = defaultdict(list)
    for held in containers:
        found[held.labels[runtime.POD_UID]].append(held)
    return dict(found)


def restarts_of(held: Held) -> int:
    return int(held.labels.get(runtime.RESTART_COUNT) or 0)


def latest(held: Iterable[Held], message_of: Callable[[Held], str]) -> list[Found]:
    """The latest incarnation of each container, as the machine takes it; `message_of` an ended one is its termination message."""
    newest: dict[str, Held] = {}
    for each in sorted(held, key=restarts_of):
        newest[each.labels[runtime.CONTAINER_NAME]] = each
    return [_found(name, each, message_of) for name, each in newest.items() if each.started_at]


def _found(name: str, held: Held, message_of: Callable[[Held], str]) -> Found:
    end = None
    if held.ended is not None:
        reason = "OOMKilled" if held.ended.oom_killed else "Error" if held.ended.code else "Completed"
        end = Exit(held.ended.code, reason, held.ended.at, held.started_at, message_of(held), held.id)
    return Found(name, held.id, held.image_id, restarts_of(held), held.running, held.started_at, end)


def older(held: Iterable[Held]) -> dict[str, list[str]]:
    """The incarnations before the latest one: ids by container name."""
    result: dict[str, list[str]] = defaultdict(list)
    for each in sorted(held, key=restarts_of):
        result[each.labels[runtime.CONTAINER_NAME]].append(each.id)
    return {name: ids[:-1] for name, ids in result.items()}
