"""One pod on this node: feeds its machine with events and carries out what the machine asks."""

import asyncio
import logging
import shutil
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from podling.aio.tasks import Tasks
from podling.base.errors import NotFound
from podling.client.errors import FAILURES
from podling.client.resource import PODS
from podling.node import ending, launch
from podling.node.admission import Claim, claim_of
from podling.node.crew import Crew
from podling.node.manifests import is_static
from podling.node.placing import PodVolumes, references_of
from podling.node.pod.events import (
    ClockJumped,
    ConfigurationChanged,
    Event,
    Exited,
    HookFailed,
    Resized,
    ResizeFailed,
    SandboxDown,
    SandboxFailed,
    SandboxUp,
    Seen,
    Started,
    TracesCleared,
    VolumesDown,
    VolumesFailed,
    VolumesUp,
    Woke,
)
from podling.node.pod.instructions import (
    AskForRoom,
    CancelPull,
    ClearTraces,
    DropSandbox,
    DropVolumes,
    Forget,
    Instruction,
    Launch,
    MakeSandbox,
    MakeVolumes,
    Pull,
    Record,
    Resize,
    Stop,
)
from podling.node.pod.lifecycle import next_wake, probes_wanted, step
from podling.node.pod.plan import is_finished
from podling.node.pod.sizes import Sizes, with_sizes
from podling.node.pod.spec import Object, container_of, key_of, uid_of
from podling.node.pod.state import Life, Part, ProbeKind, State
from podling.node.pod.status import pod_status
from podling.node.probes import ProbeRunner
from podling.node.pulls import ensure_image
from podling.node.reporter import StatusReporter, is_gone
from podling.node.resources import container_resources
from podling.node.runtime_classes import handler_of
from podling.node.sandbox import sandbox_of
from podling.node.tally import Tally

log = logging.getLogger(__name__)

_UNDO_AGAIN = 5.0
_CLOCK_SET = 1.0  # seconds by which the wall clock has to leave its course for it to have been set
_LAST_STATUS = 30.0  # seconds that the last status may take


class PodWorker:
    """`finished` is called once, when nothing is left of the pod here and in the API."""

    def __init__(self, crew: Crew, state: State, finished: Callable[["PodWorker"], None]) -> None:
        self.state = replace(state, runtime=crew.runtime.name)
        self._crew = crew
        self._finished = finished
        self._events: deque[Event] = deque()
        self._filled = asyncio.Event()
        self._tasks = Tasks(f"pod {key_of(state.pod)}")
        self._pulls: dict[str, asyncio.Task[None]] = {}
        self._stops: dict[str, asyncio.Task[None]] = {}
        self._older: dict[str, list[str]] = {}
        self._timer: tuple[float, asyncio.Task[None]] | None = None
        self._volumes = PodVolumes(crew, self._tasks, lambda: self.state)
        self._claim: tuple[tuple[int | None, Sizes], Claim] | None = None
        self._ended = asyncio.Event()
        self._offset = crew.clock.now() - crew.clock.monotonic()
        self._reporter = StatusReporter(crew.client, crew.clock, state.pod)
        self._probes = ProbeRunner(crew.runtime, crew.clock, self._tasks, self.post)

    @property
    def uid(self) -> str:
        return uid_of(self.state.pod)

    @property
    def tallies(self) -> Mapping[tuple[str, ProbeKind], Tally]:
        """What the probes have said so far, by container and kind."""
        return self._probes.tallies

    @property
    def granted(self) -> Object:
        """The pod in the sizes that the node has granted."""
        return with_sizes(self.state.pod, self.state.sizes)

    @property
    def claim(self) -> Claim | None:
        """What it takes of the node; None once nothing of it runs or will run."""
        state = self.state
        if state.rejected or ((state.deleting or is_finished(state)) and not any(c.busy for c in state.containers)):
            return None
        known = (state.pod["metadata"].get("generation"), state.sizes)
        if self._claim is None or self._claim[0] != known:
            self._claim = known, claim_of(self.granted)
        return self._claim[1]

    def start(self, older: Mapping[str, list[str]] | None = None) -> None:
        """Begin work. After a restart of the agent, `older` has the ids of ended incarnations by container name."""
        self._older = {name: list(ids) for name, ids in (older or {}).items()}
        self._tasks.start(self._reporter.run(), "status")
        self._tasks.start(self._run(), "events")
        if self.state.sandbox.part is Part.READY:
            self._tasks.start(self._crew.cgroups.make(self.granted), "control group")
        for container in self.state.containers:
            if container.alive:
                self._watch(container.name, container.id, container.restarts)

    async def ended(self) -> None:
        """Return when nothing of it runs any more, and the API knows."""
        await self._ended.wait()
        await self._reporter.settled()

    def aim(self, mirror: Object) -> None:
        """Tell of this static pod at `mirror`."""
        self._reporter.aim(mirror)

    def post(self, event: Event) -> None:
        """Tell the machine what happened."""
        self._events.append(event)
        self._filled.set()

    async def close(self) -> None:
        """Stop working; containers go on running."""
        await self._tasks.cancel()

    async def _run(self) -> None:
        while not self.state.over:
            await self._filled.wait()
            self._filled.clear()
            while self._events:
                self._step(self._events.popleft())
            self._settle()

    def _step(self, event: Event) -> None:
        before = self.state
        held = self.claim is not None
        self._follow_clock()
        self.state, instructions = step(self.state, event, self._crew.clock.now())
        for instruction in instructions:
            self._DOERS[type(instruction)](self, instruction)
        if isinstance(event, Seen) and _labels_of(before.pod) != _labels_of(event.pod):
            self._volumes.refresh_in(0)
        if (held and self.claim is None) or before.sizes is not self.state.sizes:
            self._crew.left()

    def _follow_clock(self) -> None:
        """Where the wall clock has been set, what is to come moves with it."""
        offset = self._crew.clock.now() - self._crew.clock.monotonic()
        if abs(offset - self._offset) > _CLOCK_SET:
            event = ClockJumped(offset - self._offset)
            self.state, _ = step(self.state, event, self._crew.clock.now())
            self._offset = offset

    def _settle(self) -> None:
        """After a round of events: the status, the probes and the timer follow the state."""
        now = self._crew.clock.now()
        if not self.state.ended:
            old = self._reporter.latest
            self._reporter.report(pod_status(self.state, old, self._crew.config.address, now))
        if self.claim is None:
            self._ended.set()
        self._probes.align(probes_wanted(self.state), self.state)
        self._set_timer(next_wake(self.state, now))

    def _set_timer(self, at: float | None) -> None:
        if self._timer is not None:
            if self._timer[0] == at and not self._timer[1].done():
                return
            self._timer[1].cancel()
        self._timer = None if at is None else (at, self._tasks.start(self._wake(at), "timer"))

    async def _wake(self, at: float) -> None:
        await self._crew.clock.sleep(max(at - self._crew.clock.now(), 0.0))
        self._timer = None
        self.post(Woke())

    # Sandbox

    def _make_sandbox(self, order: MakeSandbox) -> None:
        self._tasks.start(self._run_sandbox(), "sandbox")

    async def _run_sandbox(self) -> None:
        try:
            await handler_of(self._crew.client, self.state.pod)
            sandbox = self._crew.runtime.run_sandbox(sandbox_of(self.state.pod, self._crew.config.cgroup))
            addresses, _ = await asyncio.gather(sandbox, self._crew.cgroups.make(self.granted))
            self.post(SandboxUp(addresses))
        except FAILURES as error:
            self.post(SandboxFailed(str(error)))

    def _drop_sandbox(self, order: DropSandbox) -> None:
        self._tasks.start(self._undo(lambda: self._crew.runtime.remove_sandbox(self.uid), SandboxDown()), "sandbox")

    async def _undo(self, work: Callable[[], Coroutine[Any, Any, object]], done: Event) -> None:
        """Tear something down, again and again until it is gone."""
        while True:
            try:
                await work()
            except FAILURES as error:
                log.warning("pod %s: %s, again soon", key_of(self.state.pod), error)
                await self._crew.clock.sleep(_UNDO_AGAIN)
                continue
            self.post(done)
            return

    # Volumes

    def _make_volumes(self, order: MakeVolumes) -> None:
        self._tasks.start(self._set_up_volumes(), "volumes")

    async def _set_up_volumes(self) -> None:
        try:
            await self._crew.sources.hold(self.uid, references_of(self.state.pod))
            await self._volumes.set_up()
        except FAILURES as error:
            self.post(VolumesFailed(str(error) or "timed out waiting for the configuration that the pod refers to"))
        else:
            self.post(VolumesUp())

    def refresh(self) -> None:
        """Something that the pod is made of has changed."""
        self.post(ConfigurationChanged())
        self._volumes.refresh_in(0)

    def _drop_volumes(self, order: DropVolumes) -> None:
        self._volumes.stop()
        self._crew.sources.release(self.uid)
        self._tasks.start(self._undo(self._volumes.tear_down, VolumesDown()), "volumes")

    # Containers

    def _pull(self, order: Pull) -> None:
        self._pulls[order.container] = self._tasks.start(self._ensure_image(order.container), f"image of {order.container}")

    async def _ensure_image(self, name: str) -> None:
        self.post(await ensure_image(self._crew, self.state.pod, name))

    def _cancel_pull(self, order: CancelPull) -> None:
        if task := self._pulls.pop(order.container, None):
            task.cancel()

    def _launch(self, order: Launch) -> None:
        self._tasks.start(self._start_container(order), f"start of {order.container}")

    async def _start_container(self, order: Launch) -> None:
        previous = self.state.container(order.container).id
        pod = self.granted
        wanted = container_of(pod, order.container).get("targetContainerName")
        target = self.state.container(wanted).id if wanted else ""
        event = await launch.launch(self._crew, pod, order, self.state.addresses, self._volumes.placed, target)
        self.post(event)
        if isinstance(event, Started | HookFailed):
            self._watch(order.container, event.id, order.restarts)
        if previous:
            await self._retire(order.container, previous)

    async def _retire(self, name: str, previous: str) -> None:
        """Keep the latest ended incarnation for `kubectl logs --previous`, remove those before."""
        older = self._older.setdefault(name, [])
        for id in older:
            if id != previous:
                await self._crew.runtime.remove(id)
        self._older[name] = [previous]

    def _watch(self, name: str, id: str, restarts: int) -> None:
        self._tasks.start(self._await_end(name, id, restarts), f"end of {name}")

    async def _await_end(self, name: str, id: str, restarts: int) -> None:
        try:
            end = await self._crew.runtime.wait(id)
        except NotFound:
            self.post(Exited(name, id, 137, self._crew.clock.now(), message="The container could not be located"))
            return
        self.post(await ending.ended(self._crew, self.state.pod, name, id, restarts, end))

    def _stop(self, order: Stop) -> None:
        if task := self._stops.get(order.id):
            task.cancel()
        self._stops[order.id] = self._tasks.start(self._stop_container(order), f"stop of {order.container}")

    async def _stop_container(self, order: Stop) -> None:
        address = self.state.addresses[0] if self.state.addresses else ""
        try:
            await ending.stop(self._crew, self.state.pod, order, address)
        except NotFound:
            self.post(Exited(order.container, order.id, 137, self._crew.clock.now()))
        except FAILURES as error:
            self._crew.record(self.state.pod, "Warning", "FailedKillPod", f"error killing pod: {error}", order.container)
            await self._crew.clock.sleep(_UNDO_AGAIN)
            if self.state.container(order.container).life is Life.STOPPING:
                await self._crew.runtime.stop(order.id, 0)

    def _ask_for_room(self, order: AskForRoom) -> None:
        self.post(self._crew.grant(self.state.pod))

    def _resize(self, order: Resize) -> None:
        self._tasks.start(self._resize_container(order), f"size of {order.container}")

    async def _resize_container(self, order: Resize) -> None:
        pod = self.granted
        container = container_of(pod, order.container)
        try:
            await self._crew.runtime.resize(order.id, container_resources(container, self._crew.config.settings.pids_limit))
            await self._crew.cgroups.make(pod)
        except FAILURES as error:
            self.post(ResizeFailed(order.container, order.id, str(error)))
        else:
            self.post(Resized(order.container, order.id, container.get("resources") or {}))

    # The end

    def _clear_traces(self, order: ClearTraces) -> None:
        self._tasks.start(self._undo(lambda: clear_traces(self._crew, self.state.pod), TracesCleared()), "traces")

    def _forget(self, order: Forget) -> None:
        self._tasks.start(self._delete_object(), "object")

    async def _delete_object(self) -> None:
        if is_static(self.state.pod):
            self._finished(self)
            return
        with suppress(TimeoutError):  # a status that is refused again and again must not keep the object
            async with asyncio.timeout(_LAST_STATUS):
                await self._reporter.settled()
        while not self._reporter.gone:
            try:
                await self._delete()
            except FAILURES as error:
                if await is_gone(self._crew.client, self.state.pod, error):
                    break
                log.warning("pod %s is not deleted, again soon: %s", key_of(self.state.pod), error)
                await self._crew.clock.sleep(_UNDO_AGAIN)
            else:
                break
        self._finished(self)

    async def _delete(self) -> None:
        metadata = self.state.pod["metadata"]
        await self._crew.client.delete(PODS, metadata["name"], metadata["namespace"], grace=0, uid=metadata["uid"])

    def _record(self, order: Record) -> None:
        self._crew.record(self.state.pod, order.type, order.reason, order.message, order.container)

    _DOERS: Mapping[type[Instruction], Callable[["PodWorker", Any], None]] = {
        MakeSandbox: _make_sandbox,
        DropSandbox: _drop_sandbox,
        MakeVolumes: _make_volumes,
        DropVolumes: _drop_volumes,
        Pull: _pull,
        CancelPull: _cancel_pull,
        Launch: _launch,
        Stop: _stop,
        AskForRoom: _ask_for_room,
        Resize: _resize,
        ClearTraces: _clear_traces,
        Forget: _forget,
        Record: _record,
    }


async def clear_traces(crew: Crew, pod: Object) -> None:
    """Remove the pod's containers, sandbox, directories and logs. Safe when they are gone."""
    uid = uid_of(pod)
    for held in await crew.runtime.containers():
        if held.labels.get("io.kubernetes.pod.uid") == uid:
            await crew.runtime.remove(held.id)
    await crew.runtime.remove_sandbox(uid)
    await crew.cgroups.remove(uid)
    crew.sources.release(uid)
    crew.tokens.forget(uid)
    await crew.volumes.remove(uid)
    await asyncio.to_thread(shutil.rmtree, crew.config.log_directory(pod), True)


def _labels_of(pod: Object) -> tuple[object, object]:
    return pod["metadata"].get("labels"), pod["metadata"].get("annotations")
