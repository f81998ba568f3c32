"""Further processes in a running container."""

import asyncio
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from podling.base.errors import Conflict, InvalidInput, NotFound
from podling.base.ids import container_id
from podling.engine.attach import Attachment
from podling.engine.defaults import merge_env
from podling.engine.surroundings import Surroundings
from podling.engine.types import ExecSpec
from podling.linux.inside import read_inside
from podling.runtime.base import ExecLaunch, ExecProcess
from podling.runtime.capability import effective
from podling.runtime.types import Security
from podling.runtime.user import lookup

if TYPE_CHECKING:
    from podling.engine.container import Container

_KEPT = 1000  # ended execs that can still be asked for their exit code


class Exec:
    """One exec: made, started once, ended. `exit_code` is None before its end."""

    def __init__(self, container: "Container", spec: ExecSpec, launch: ExecLaunch, around: Surroundings) -> None:
        self.id = container_id()
        self.container = container
        self.spec = spec
        self.exit_code: int | None = None
        self.error = ""
        self._launch = launch
        self._around = around
        self._process: ExecProcess | None = None
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def running(self) -> bool:
        return self._process is not None and self.exit_code is None

    @property
    def pid(self) -> int:
        """On the host; 0 when it does not run."""
        return self._process.pid if self.running and self._process is not None else 0

    async def start(self, rows: int = 0, columns: int = 0) -> Attachment:
        """Start it. That its program can't be found is told on its stderr and by the exit codes 126 and 127, as Docker does."""
        if self._process is not None:
            raise Conflict(f"exec command {self.id} is already running")
        launch = replace(self._launch, rows=rows, columns=columns)
        self._process = await self._around.runtime.execute(self.container.id, launch)
        attachment = Attachment(stdin=self.spec.stdin)
        attachment.begin(self._process.stdio, last_words=self._last_words)
        self.container.tell(f"exec_start: {' '.join(self.spec.command)}", {"execID": self.id})
        self._around.tasks.start(self._wait_for_end(self._process), f"exec {self.id[:12]}")
        return attachment

    async def _wait_for_end(self, running: ExecProcess) -> None:
        ended = await running.wait()
        self.error = ended.error
        self.exit_code = ended.code
        self._ended.set_result(ended.code)
        self.container.tell("exec_die", {"execID": self.id, "exitCode": str(ended.code)})

    async def _last_words(self) -> bytes:
        await self.wait()
        if not self.error:
            return b""
        return f"OCI runtime exec failed: exec failed: unable to start container process: {self.error}: unknown\r\n".encode()

    async def wait(self) -> int:
        """The exit code; 128 + n after signal n."""
        return await asyncio.shield(self._ended)

    async def run(self, limit: int) -> tuple[bytes, int]:
        """Start it and wait for its end: at most `limit` bytes of its output, and the exit code."""
        attachment = await self.start()
        output = b""
        try:
            while (chunk := await attachment.read()) is not None:
                output = (output + chunk[1])[:limit]
            return output, await self.wait()
        finally:
            await attachment.close()

    def resize(self, rows: int, columns: int) -> None:
        if self._process is None or self.exit_code is not None:
            raise Conflict(f"exec {self.id} is not running")
        self._process.resize(rows, columns)

    def kill(self) -> None:
        """Kill it, as soon as it is there to be killed."""
        if self.running and self._process is not None:
            self._around.tasks.start(self._kill(self._process), f"exec {self.id[:12]} kill")

    async def _kill(self, running: ExecProcess) -> None:
        if await running.started():
            running.kill()


async def prepare_exec(container: "Container", spec: ExecSpec, around: Surroundings) -> Exec:
    """An exec by the container's own process, changed as `spec` says. Raises InvalidInput for an unknown user."""
    if not spec.command:
        raise InvalidInput("No exec command specified")
    process = await asyncio.to_thread(_process, container, spec, around)
    return Exec(container, spec, ExecLaunch(process, stdin=spec.stdin), around)


def _process(container: "Container", spec: ExecSpec, around: Surroundings) -> dict[str, Any]:
    process = around.runtime.process_of(container.id)
    terminal = ("TERM=xterm",) if spec.tty else ()
    process["args"] = list(spec.command)
    process["env"] = list(merge_env((*terminal, *process["env"]), spec.env))
    process["terminal"] = spec.tty
    process["cwd"] = spec.working_dir or process["cwd"]
    if spec.user:
        root = around.records.directory(container.id) / "rootfs"
        passwd, group = (read_inside(root, path).decode(errors="replace") for path in ("etc/passwd", "etc/group"))
        user = lookup(spec.user, passwd, group)
        process["user"] = {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.groups)}
    if spec.privileged:
        names = effective(Security(privileged=True), (), around.host.capabilities)
        process["capabilities"] = {"bounding": names, "effective": names, "permitted": names}
    return process


class Execs:
    """All execs by id; of the ended ones the latest."""

    def __init__(self) -> None:
        self._execs: OrderedDict[str, Exec] = OrderedDict()

    def add(self, execution: Exec) -> Exec:
        self._execs[execution.id] = execution
        ended = [key for key, held in self._execs.items() if held.exit_code is not None]
        for key in ended[: max(len(ended) - _KEPT, 0)]:
            del self._execs[key]
        return execution

    def find(self, reference: str) -> Exec:
        """Raises NotFound."""
        if (execution := self._execs.get(reference)) is None:
            raise NotFound(f"No such exec instance: {reference}")
        return execution

    def of(self, container: str) -> list[Exec]:
        """Those of a container that run, or have not been started yet."""
        return [held for held in self._execs.values() if held.container.id == container and held.exit_code is None]

    def forget(self, container: str) -> None:
        for key in [key for key, held in self._execs.items() if held.container.id == container]:
            del self._execs[key]
