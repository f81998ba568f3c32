"""One container, as it is asked for things. What changes its life becomes an event of it (`actor`)."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from podling.base.errors import Conflict, Forbidden, NotFound
from podling.base.ids import short
from podling.engine import lifecycle, links
from podling.engine.actor import Actor
from podling.engine.archive import Files, visible_changes
from podling.engine.attach import Attachment, Attachments
from podling.engine.bringup import expect
from podling.engine.defaults import DEFAULT_STOP_SIGNAL, DEFAULT_STOP_TIMEOUT, check_name
from podling.engine.devices import block_numbers
from podling.engine.execution import Exec, prepare_exec
from podling.engine.health import Health
from podling.engine.logs import Joined
from podling.engine.mounts import hide_volumes, show_mounts
from podling.engine.naming import write_files
from podling.engine.network import join, owns_network, wanted_networks
from podling.engine.record import Record
from podling.engine.signals import signal_number
from podling.engine.surroundings import Surroundings
from podling.engine.types import (
    Change,
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
from podling.linux.mount import unmount_if_mounted
from podling.runtime.spec import limits_of
from podling.runtime.types import Resources

log = logging.getLogger(__name__)
_LOST = 255


class Container(Actor):
    """A container of this engine. Errors are those of `podling.base.errors`, in Docker's words."""

    def __init__(self, record: Record, around: Surroundings) -> None:
        super().__init__(record, around)
        self.health = Health(self, around)
        self._attachments = Attachments(self, around.runtime)

    # -- what is asked

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

    def networks(self) -> list[str]:
        """The names of the networks that it is to be in."""
        return list(wanted_networks(self.spec)) if owns_network(self.spec) else []

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
        else:
            self._attachments.add(attachment, logs=logs)
        self.tell("attach")
        return attachment

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
        return self._log_driver.read(self.log_path, wanted, since=since, until=until, tail=tail, ended=ended, joined=joined)

    async def exec(self, spec: ExecSpec) -> Exec:
        """A further process, not yet started. Raises Conflict when the container does not run or is paused."""
        self._check_running()
        if self.state.status == "paused":
            raise Conflict(f"container {self.name} is paused, unpause the container before exec")
        expect(self._around)
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

    async def archive_put(self, path: str, source: AsyncIterable[bytes], *, overwrite: bool = True, own: bool = False) -> None:
        """Unpack a tar into the directory `path` (see `Files.put`). With `own` all becomes its user's, where it has one."""
        await self.files.put(path, source, overwrite=overwrite, user=self.spec.user if own else "")

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


def _merged(old: Resources, new: Resources) -> Resources:
    """`old` with what is set in `new`."""
    fields = {name: value for name in Resources.__slots__ if (value := getattr(new, name))}
    return replace(old, **fields)
