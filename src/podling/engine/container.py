"""One container: what is asked of it becomes events for its life (`lifecycle`), whose instructions are carried out here.

Instructions of one container are carried out one after the other, and to their end even when the caller has gone.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from podling.base.errors import Conflict, Failed, Forbidden, InvalidInput, NotFound, NotModified, PodlingError
from podling.base.ids import short
from podling.engine import lifecycle, links, logdriver
from podling.engine.archive import Files, visible_changes
from podling.engine.attach import Attachment
from podling.engine.bell import Bell
from podling.engine.bringup import (
    block_numbers,
    bring_up,
    cgroup_path,
    expect,
    hide_volumes,
    hostname_of,
    join,
    log_path,
    owns_network,
    show_mounts,
    take_down,
    take_down_lost,
    wanted_networks,
    write_files,
)
from podling.engine.defaults import DEFAULT_STOP_SIGNAL, DEFAULT_STOP_TIMEOUT, check_name
from podling.engine.execution import Exec, prepare_exec
from podling.engine.health import Health
from podling.engine.lifecycle import Event, Exited, Instruction, Started, StartFailed
from podling.engine.logdriver import LogDriver
from podling.engine.logs import Joined
from podling.engine.record import Record
from podling.engine.signals import signal_number
from podling.engine.surroundings import Surroundings
from podling.engine.types import (
    Change,
    ContainerSpec,
    ContainerState,
    ExecSpec,
    LogRecord,
    PathStat,
    ProcessTable,
    RestartPolicy,
    Stats,
    WaitCondition,
)
from podling.engine.types import Endpoint as AskedEndpoint
from podling.engine.usage import listed, processes, sample
from podling.linux.cgroup import Group
from podling.linux.mount import unmount_if_mounted
from podling.network.base import Endpoint
from podling.network.ports import Published
from podling.runtime.base import StartFailed as ProgramFailed
from podling.runtime.spec import limits_of
from podling.runtime.stdio import Stdio
from podling.runtime.types import Resources

log = logging.getLogger(__name__)
_LOST = 255


class Container:
    """A container of this engine. Errors are those of `podling.base.errors`, in Docker's words."""

    def __init__(self, record: Record, around: Surroundings) -> None:
        self._record = record
        self._around = around
        self._lock = asyncio.Lock()
        self._changed = Bell()
        self._exits = 0
        self._gone = False
        self._timers: dict[str, asyncio.Task[None]] = {}
        self._pending: list[tuple[Attachment, bool]] = []  # and whether with the past
        self._start_error: PodlingError | None = None
        self.health = Health(self, around)

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
        return replace(self._record.life.state, health=self.health.state)

    @property
    def running(self) -> bool:
        """Whether a process exists; paused counts."""
        return lifecycle.is_running(self._record.life)

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

    # -- what is asked

    async def start(self) -> None:
        """Raises NotModified when it runs, InvalidInput (126, 127) or Failed when its program can't be started."""
        self._start_error = None
        await self._handle(lifecycle.StartAsked())
        if self._start_error is not None:
            raise self._start_error

    async def stop(self, signal: str | int | None = None, grace: float | None = None) -> None:
        """Signal, and SIGKILL after `grace` seconds; returns when it has ended. NotModified when it does not run."""
        await self._handle(lifecycle.StopAsked(self._stop_signal(signal), self._grace(grace)))
        await self._changed.until(lambda: not self.running)
        self.tell("stop")

    async def restart(self, signal: str | int | None = None, grace: float | None = None) -> None:
        exits = self._exits
        self._start_error = None
        was_running = self.running
        await self._handle(lifecycle.RestartAsked(self._stop_signal(signal), self._grace(grace)))
        if was_running:
            await self._changed.until(lambda: self._exits > exits and not self._record.life.launching)
        if self._start_error is not None:
            raise self._start_error
        self.tell("restart")

    async def kill(self, signal: str | int = "SIGKILL") -> None:
        """Raises Conflict when it does not run."""
        number = signal_number(signal)
        try:
            await self._handle(lifecycle.KillAsked(number, ends=number == self._stop_signal(None)))
        except Conflict:
            raise Conflict(f"cannot kill container: {self.name}: container {self.id} is not running") from None

    async def pause(self) -> None:
        await self._handle(lifecycle.PauseAsked())

    async def unpause(self) -> None:
        await self._handle(lifecycle.UnpauseAsked())

    async def wait(self, condition: WaitCondition = "not-running") -> int:
        """The exit code once the condition holds."""
        if condition == "next-exit":
            exits = self._exits
            await self._changed.until(lambda: self._exits > exits or self._gone)
        elif condition == "removed":
            await self._changed.until(lambda: self._gone)
        else:
            resting = ("created", "exited", "dead", "removing")
            await self._changed.until(lambda: self.state.status in resting and not self._record.life.launching)
        return self.state.exit_code

    async def remove(self, force: bool = False, volumes: bool = False) -> None:
        """Returns when it is gone. `volumes` takes its anonymous volumes too. Raises Conflict while it runs (without `force`)."""
        try:
            await self._handle(lifecycle.RemoveAsked(force, volumes))
        except Conflict as error:
            raise Conflict(f'cannot remove container "/{self.name}": {error.message}') from None
        await self._changed.until(lambda: self._gone)

    async def rename(self, name: str) -> None:
        """Raises InvalidInput, or AlreadyExists where the name is taken."""
        new = check_name(name)
        old = self.name
        self._around.claim(new, self.id)
        async with self._lock:
            self._record = replace(self._record, name=new)
            await self._save()
        self._around.networks.rename(self.id, new)
        self.tell("rename", {"oldName": f"/{old}"})

    async def update(self, resources: Resources | None = None, restart: RestartPolicy | None = None) -> None:
        """Change limits (those that are set) and the restart policy, of a running container at once."""
        async with self._lock:
            spec = self.spec
            if resources is not None:
                merged = _merged(spec.resources, resources)
                if self.running:
                    limits = limits_of(merged, self._around.host, block_numbers(merged))
                    await self._around.runtime.update(self.id, limits)
                spec = replace(spec, resources=merged)
            if restart is not None:
                spec = replace(spec, restart=restart)
                self._record = replace(self._record, life=replace(self._record.life, policy=restart))
            self._record = replace(self._record, spec=spec)
            await self._save()
        self.tell("update")

    async def connect(self, network: str, asked: AskedEndpoint) -> None:
        """Put it into a further network, by name, now if it runs and at each start. Forbidden where it is in it already."""
        async with self._lock:
            if not owns_network(self.spec):
                raise Conflict(
                    "container sharing network namespace with another one or the host cannot be connected to a network"
                )
            if network in self.networks():
                raise Forbidden(f"endpoint with name {self.name} already exists in network {network}")
            if self.running:
                await join(self._record, self._around, network, asked)
            await self._set_networks({**self.spec.networks, network: asked})

    async def disconnect(self, network: str) -> None:
        """Take it out of a network, by name; nothing stays of it in the next start. Raises Forbidden where it is not in it."""
        async with self._lock:
            if network not in self.networks():
                raise Forbidden(f"container {self.id} is not connected to network {network}")
            if self.running:
                await self._around.networks.disconnect(network, self.id)
            await self._set_networks({name: asked for name, asked in self.spec.networks.items() if name != network}, left=network)

    async def _set_networks(self, networks: dict[str, AskedEndpoint], left: str = "") -> None:
        mode = self.spec.namespaces.network
        namespaces = self.spec.namespaces
        if mode in ("none", left):
            namespaces = replace(namespaces, network=next(iter(networks), "none"))
        self._record = replace(self._record, spec=replace(self.spec, networks=networks, namespaces=namespaces))
        await self._save()
        if self.running:
            await asyncio.to_thread(write_files, self._record, self._around)

    def links_to(self, other: "Container") -> bool:
        """Whether one of its links names `other`."""
        return any(links.parse(text)[0] in (other.id, other.name, short(other.id)) for text in self.spec.links)

    async def refresh_hosts(self) -> None:
        """Somebody that it links to has another address now."""
        async with self._lock:
            if self.running:
                await asyncio.to_thread(write_files, self._record, self._around)

    async def idle(self) -> None:
        """Return when nothing is being done with it: one that has ended has given back what its run held."""
        async with self._lock:
            return

    async def resize(self, rows: int, columns: int) -> None:
        """Set the size of its terminal."""
        self._check_running()
        self._around.runtime.resize(self.id, rows, columns)
        self.tell("resize", {"height": str(rows), "width": str(columns)})

    def _stop_signal(self, asked: str | int | None) -> int:
        return signal_number(asked or self.spec.stop_signal or DEFAULT_STOP_SIGNAL)

    def _grace(self, asked: float | None) -> float:
        if asked is not None:
            return asked
        return DEFAULT_STOP_TIMEOUT if self.spec.stop_timeout is None else self.spec.stop_timeout

    # -- streams

    async def attach(
        self, stdin: bool = False, stdout: bool = True, stderr: bool = True, *, logs: bool = False, stream: bool = True
    ) -> Attachment:
        """Its streams; of one that does not run, those of the next start, from the first byte. `logs` gives the past first."""
        if self.state.status == "paused":
            raise Conflict(f"container {self.id} is paused, unpause the container before attach")
        attachment = Attachment(stdin=stdin and self.spec.open_stdin, stdout=stdout, stderr=stderr)
        if not stream:
            attachment.begin(None, self.logs(joined="plain") if logs else None)
        elif self.running:
            self._begin(attachment, logs=logs)
        else:
            self._pending.append((attachment, logs))
        self.tell("attach")
        return attachment

    def _begin(self, attachment: Attachment, *, logs: bool) -> None:
        attachment.begin(self._connect(attachment), self.logs(follow=True, joined="plain") if logs else None)

    def _connect(self, attachment: Attachment) -> Stdio | None:
        try:
            return self._around.runtime.attach(self.id, stdin=attachment.wants_stdin)
        except NotFound:
            return None  # it has ended in this moment

    def _connect_pending(self) -> None:
        for attachment, logs in self._pending:
            if attachment.pending:
                self._begin(attachment, logs=logs)
        self._pending.clear()

    def _give_up_pending(self) -> None:
        for attachment, _ in self._pending:
            attachment.begin(None)
        self._pending.clear()

    def logs(
        self,
        follow: bool = False,
        since: float | None = None,
        until: float | None = None,
        tail: int | None = None,
        stdout: bool = True,
        stderr: bool = True,
        joined: Joined = "",
    ) -> AsyncGenerator[LogRecord, None]:
        """What it has written; `since` and `until` in unix seconds, `tail` lines of the end, `follow` to its end.

        `joined`: records may be of many lines (see `podling.engine.logs.read_log`).
        """
        wanted = {name for name, on in (("stdout", stdout), ("stderr", stderr)) if on}
        ended = (lambda: self._changed.until(lambda: self._gone or not self._may_write())) if follow else None
        place = log_path(self._record, self._around)
        return self._log_driver.read(place, wanted, since=since, until=until, tail=tail, ended=ended, joined=joined)

    @property
    def _log_driver(self) -> LogDriver:
        return logdriver.find(self.spec.log_driver)

    def _may_write(self) -> bool:
        return self.running or self._record.life.launching or self.state.status == "restarting"

    async def exec(self, spec: ExecSpec) -> Exec:
        """A further process, not yet started. Raises Conflict when the container does not run or is paused."""
        self._check_running()
        if self.state.status == "paused":
            raise Conflict(f"container {self.name} is paused, unpause the container before exec")
        execution = self._around.execs.add(await prepare_exec(self, spec, self._around))
        self.tell(f"exec_create: {' '.join(spec.command)}", {"execID": execution.id})
        return execution

    # -- what is inside

    @property
    def files(self) -> Files:
        return Files(self.id, self._root, self._bare_root, self._check_writable)

    def _check_writable(self, path: str) -> None:
        """Raises Forbidden where its processes may not write either."""
        inside = [m for m in self.spec.mounts if f"{os.path.normpath(path)}/".startswith(f"{m.target.rstrip('/')}/")]
        if any(mount.read_only for mount in inside):
            raise Forbidden("mounted volume is marked read-only")
        if self.spec.security.read_only_root and not inside:
            raise Forbidden("container rootfs is marked read-only")

    async def archive_stat(self, path: str) -> PathStat:
        """Raises NotFound."""
        return await self.files.stat(path)

    async def archive_get(self, path: str) -> tuple[PathStat, AsyncIterator[bytes]]:
        """A tar of `path` and what is below it. Raises NotFound."""
        return await self.files.get(path)

    async def archive_put(self, path: str, source: AsyncIterable[bytes], *, overwrite: bool = True) -> None:
        """Unpack a tar into the directory `path` (see `Files.put`)."""
        await self.files.put(path, source, overwrite=overwrite)

    def export(self) -> AsyncIterator[bytes]:
        """Its whole file system as a tar."""
        return self.files.export()

    async def changes(self) -> list[Change]:
        """What differs from the image."""
        snapshots = self._around.images.snapshots
        return await asyncio.to_thread(lambda: visible_changes(snapshots.changes(self.id)))

    @asynccontextmanager
    async def _root(self) -> AsyncIterator[Path]:
        """Its root as its processes see it, or would."""
        if self.running:
            yield Path(f"/proc/{self.state.pid}/root")
        else:
            async with self._bare_root() as root:
                try:
                    await show_mounts(self._record, self._around, root)
                    yield root
                finally:
                    await hide_volumes(self._record, self._around)

    @asynccontextmanager
    async def _bare_root(self) -> AsyncIterator[Path]:
        """Its root without mounts. One that does not run can't start meanwhile."""
        root = self._around.records.directory(self.id) / "rootfs"
        if self.running:
            yield root
            return
        async with self._lock:
            if self._gone:
                raise NotFound(f"No such container: {self.id}")
            await asyncio.to_thread(self._around.images.snapshots.mount, self.id, root)
            try:
                yield root
            finally:
                await asyncio.to_thread(unmount_if_mounted, root)

    async def top(self, arguments: str = "") -> ProcessTable:
        """Its processes, as ps(1) with `arguments` shows them; without, as `ps -ef`. Raises Conflict when it does not run."""
        self._check_running()
        pids = self.cgroup.pids()
        if arguments in ("", "-ef"):
            return processes(pids, self._around.clock.now())
        return await listed(arguments.split(), pids)

    def stats(self) -> Stats:
        """What it uses now; of one that does not run nothing."""
        now = self._around.clock.now()
        return sample(self.cgroup, self.state.pid, now) if self.running else Stats(now)

    def _check_running(self) -> None:
        if not self.running:
            raise Conflict(f"container {self.id} is not running")

    # -- events and instructions

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
            self._connect_pending()
            at = self._around.clock.now()
            await self._around.runtime.start(self.id)
        except (PodlingError, OSError) as error:
            await take_down(self._record, self._around)
            return self._failed(error)
        self._watch()
        self._around.started(self)
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
        self._give_up_pending()
        return StartFailed(self._start_error.message, code, self._around.clock.now())

    def _watch(self) -> None:
        self._around.tasks.start(self._wait_for_end(), f"{short(self.id)} end")
        self.health.start()

    async def _wait_for_end(self) -> None:
        keeping = self._around.tasks.start(
            self._log_driver.keep(log_path(self._record, self._around), self.spec.log_options), f"{short(self.id)} log"
        )
        try:
            ended = await self._around.runtime.wait(self.id)
        finally:
            keeping.cancel()
        out_of_memory = ended.oom_killed or (ended.code != 0 and self.cgroup.oom_kills() > 0)
        # A file's time is some milliseconds behind the clock.
        at = max(ended.at or self._around.clock.now(), self.state.started_at)
        self._exits += 1
        await self._handle(Exited(ended.code, at, out_of_memory, ended.error))

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
        self._give_up_pending()
        self._gone = True
        around.gone(self)

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

    def networks(self) -> list[str]:
        """The names of the networks that it is to be in."""
        return list(wanted_networks(self.spec)) if owns_network(self.spec) else []


def _merged(old: Resources, new: Resources) -> Resources:
    """`old` with what is set in `new`."""
    fields = {name: value for name in Resources.__slots__ if (value := getattr(new, name))}
    return replace(old, **fields)
