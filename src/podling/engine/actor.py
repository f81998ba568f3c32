"""What happens to one container: events go into its life (`lifecycle`), whose instructions are carried out here.

Instructions of one container are carried out one after the other, and to their end even when the caller has gone.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from podling.base.errors import Conflict, Failed, InvalidInput, NotFound, NotModified, PodlingError
from podling.base.ids import short
from podling.engine import lifecycle, logdriver
from podling.engine.attach import Attachments
from podling.engine.bell import Bell
from podling.engine.bringup import bring_up, expect, take_down, take_down_lost
from podling.engine.health import Health
from podling.engine.lifecycle import Event, Exited, Instruction, Started, StartFailed
from podling.engine.logdriver import LogDriver
from podling.engine.naming import hostname_of
from podling.engine.plan import cgroup_path
from podling.engine.record import Record
from podling.engine.surroundings import Surroundings
from podling.engine.types import (
    ContainerSpec,
    ContainerState,
)
from podling.linux.cgroup import Group
from podling.network.base import Endpoint
from podling.network.ports import Published
from podling.runtime.base import StartFailed as ProgramFailed

log = logging.getLogger(__name__)
_LOST = 255


class Actor:
    """The life of one container, its record, and the kernel's objects that it has while it runs."""

    health: Health
    _attachments: Attachments

    def __init__(self, record: Record, around: Surroundings) -> None:
        self._record = record
        self._around = around
        self._lock = asyncio.Lock()
        self._changed = Bell()
        self._exits = 0
        self._gone = False
        self._timers: dict[str, asyncio.Task[None]] = {}
        self._start_error: PodlingError | None = None

    # -- facts

    @property
    def id(self) -> str:
        return self._record.id

    @property
    def name(self) -> str:
        """Without a leading slash."""
        return self._record.name

    @property
    def created(self) -> float:
        """Unix seconds."""
        return self._record.created

    @property
    def image_id(self) -> str:
        return self._record.image_id

    @property
    def hostname(self) -> str:
        """Its name inside."""
        try:
            return hostname_of(self._record, self._around)
        except NotFound:  # the container whose network it shared has gone
            return short(self.id)

    @property
    def spec(self) -> ContainerSpec:
        """What was asked, with the image's defaults filled in."""
        return self._record.spec

    @property
    def state(self) -> ContainerState:
        state, health = self._record.life.state, self.health.state
        return state if health is state.health else replace(state, health=health)

    @property
    def running(self) -> bool:
        """Whether a process exists; paused counts."""
        return lifecycle.is_running(self._record.life)

    @property
    def log_path(self) -> Path:
        """The file that its log driver writes."""
        return self._around.records.log_path(self._record)

    @property
    def record(self) -> Record:
        return self._record

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """Where it is connected, while it runs."""
        return self._around.networks.endpoints_of(self.id)

    @property
    def published(self) -> Sequence[Published]:
        return self._around.networks.published(self.id)

    @property
    def cgroup(self) -> Group:
        return Group(cgroup_path(self._record, self._around), self._around.hierarchies)

    # -- events and instructions

    async def start(self) -> None:
        """Raises NotModified when it runs, InvalidInput (126, 127) or Failed when its program can't be started."""
        self._start_error = None
        await self._handle(lifecycle.StartAsked())
        if self._start_error is not None:
            raise self._start_error

    async def _handle(self, event: Event) -> None:
        await self._lock.acquire()
        before = self._record.life
        try:
            life, instructions = lifecycle.step(before, event)
        except BaseException:
            self._lock.release()
            raise
        self._record = replace(self._record, life=life)
        work = self._around.tasks.start(self._carry_out(instructions, before), f"{short(self.id)} {type(event).__name__}")
        await asyncio.shield(work)

    async def _carry_out(self, instructions: list[Instruction], before: lifecycle.Life) -> None:
        """All of them; what completes at once is the next event. Holds the lock, and gives it back at the end."""
        try:
            queue = list(instructions)
            while queue:
                if (event := await self._do(queue.pop(0), before)) is not None:
                    life, more = lifecycle.step(self._record.life, event)
                    self._record = replace(self._record, life=life)
                    queue += more
        finally:
            self._lock.release()
            self._changed.ring()

    async def _do(self, instruction: Instruction, before: lifecycle.Life) -> Event | None:
        match instruction:
            case lifecycle.Launch():
                return await self._launch()
            case lifecycle.Signal(number):
                self._signal(number)
            case lifecycle.Freeze(on):
                await self._freeze(on, before)
            case lifecycle.SetTimer(timer, seconds):
                self._stop_timer(timer)
                self._timers[timer] = self._around.tasks.start(self._expire(timer, seconds), f"{short(self.id)} {timer}")
            case lifecycle.StopTimers():
                for name in list(self._timers):
                    self._stop_timer(name)
            case lifecycle.Release():
                self.health.stop()
                await take_down(self._record, self._around)
            case lifecycle.Persist():
                await self._save()
            case lifecycle.Remove(volumes):
                await self._delete(with_volumes=volumes)
            case lifecycle.Publish(action, attributes):
                self.tell(action, attributes)
        return None

    async def _launch(self) -> Started | StartFailed:
        expect(self._around)
        try:
            pid = await bring_up(self._record, self._around)
            self._attachments.connect()
            at = self._around.clock.now()
            await self._around.runtime.start(self.id)
        except (PodlingError, OSError) as error:
            await take_down(self._record, self._around)
            return self._failed(error)
        self._watch()
        self._around.started(self.id)
        return Started(pid, at)

    def _failed(self, error: PodlingError | OSError) -> StartFailed:
        code = 128
        if isinstance(error, ProgramFailed):
            code = error.code
            message = (
                "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: "
                f"unable to start container process: error during container init: {error.message}: unknown"
            )
            self._start_error = (InvalidInput if code in (126, 127) else Failed)(message)
        else:
            self._start_error = error if isinstance(error, PodlingError) else Failed(str(error))
        self._attachments.give_up()
        return StartFailed(self._start_error.message, code, self._around.clock.now())

    def _watch(self) -> None:
        self._around.tasks.start(self._wait_for_end(), f"{short(self.id)} end")
        self.health.start()

    async def _wait_for_end(self) -> None:
        keeping = self._around.tasks.start(self._log_driver.keep(self.log_path, self.spec.log_options), f"{short(self.id)} log")
        try:
            ended = await self._around.runtime.wait(self.id)
        finally:
            keeping.cancel()
        out_of_memory = ended.oom_killed or (ended.code != 0 and self.cgroup.oom_kills() > 0)
        # A file's time is some milliseconds behind the clock.
        at = max(ended.at or self._around.clock.now(), self.state.started_at)
        self._exits += 1
        await self._handle(Exited(ended.code, at, out_of_memory, ended.error))

    @property
    def _log_driver(self) -> LogDriver:
        return logdriver.find(self.spec.log_driver)

    def _may_write(self) -> bool:
        return self.running or self._record.life.launching or self.state.status == "restarting"

    def _signal(self, number: int) -> None:
        # One that has just ended is no error: its end is on the way.
        with contextlib.suppress(NotFound):
            self._around.runtime.signal(self.id, number)

    async def _freeze(self, on: bool, before: lifecycle.Life) -> None:
        runtime = self._around.runtime
        try:
            await (runtime.pause(self.id) if on else runtime.resume(self.id))
        except PodlingError:
            self._record = replace(self._record, life=before)
            raise

    async def _expire(self, timer: lifecycle.Timer, seconds: float) -> None:
        await self._around.clock.sleep(seconds)
        self._timers.pop(timer, None)
        await self._handle(lifecycle.Expired(timer))

    def _stop_timer(self, timer: str) -> None:
        task = self._timers.pop(timer, None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    async def _save(self) -> None:
        await asyncio.to_thread(self._around.records.save, self._record)

    async def _delete(self, *, with_volumes: bool) -> None:
        """All that is the container's own. The record goes first: what is left of a crash is swept up at the next start."""
        around = self._around
        volumes = [mount.source for mount in self.spec.mounts if mount.type == "volume"]
        own = [mount.source for mount in self.spec.mounts if mount.options.get("anonymous")] if with_volumes else []
        await asyncio.to_thread(around.records.revoke, self.id, own)
        for name in volumes:
            around.volumes.forget(name, self.id)
        for name in own:
            with contextlib.suppress(Conflict, NotFound):
                await around.volumes.remove(name)
        await asyncio.to_thread(around.images.snapshots.remove, self.id)
        await around.images.release(self.id)
        await asyncio.to_thread(around.records.delete, self.id)
        self._attachments.give_up()
        self._gone = True
        around.gone(self.id)

    def tell(self, action: str, attributes: dict[str, str] | None = None) -> None:
        """Publish an event of this container."""
        facts = {**self.spec.labels, "image": self.spec.image, "name": self.name, **(attributes or {})}
        self._around.events.publish("container", action, self.id, facts)

    # -- after a restart of the engine

    async def adopt(self) -> bool:
        """Take up what an earlier process left: whether it runs."""
        try:
            pid = await self._around.runtime.adopt(self.id)
        except NotFound:
            pid = 0
        was_running = lifecycle.is_running(self._record.life)
        if pid and was_running:
            self._record = replace(
                self._record, life=lifecycle.recover(self._record.life, pid=pid, frozen=self.cgroup.is_frozen())
            )
            self._watch()
            return True
        return False

    async def settle(self) -> None:
        """Of one that does not run: learn how it ended, give back what the run held, start it if its policy says so."""
        if self.running:
            ended = self._around.runtime.ended(self.id)
            code, at = (ended.code, ended.at) if ended else (_LOST, self._around.clock.now())
            self._exits += 1
            await self._handle(Exited(code, at, bool(ended and ended.oom_killed)))
        else:
            async with self._lock:
                await take_down_lost(self._record, self._around)
        if lifecycle.starts_with_engine(self._record.life):
            with contextlib.suppress(NotModified):
                await self.start()
