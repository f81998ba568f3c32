"""What runs containers. Contract: `podling.testing.runtime_contract`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from podling.base.errors import Failed
from podling.runtime.stdio import Stdio


@dataclass(frozen=True, slots=True)
class Launch:
    """How to run one container: the OCI runtime spec, and what becomes of its streams.

    `keep_stdin_open` holds stdin open when an attached client has gone. Without `log_path` nothing is kept; `log_size` bounds the
    file in bytes (0: no bound), beyond which it is begun anew. `program` names the OCI runtime; empty is the default.
    """

    id: str
    spec: Mapping[str, Any]
    log_path: Path | None
    terminal: bool = False
    stdin: bool = False
    keep_stdin_open: bool = False
    log_size: int = 0
    program: str = ""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container ended: 128 + n after signal n; unix seconds; whether the kernel killed it for want of memory."""

    code: int
    at: float
    oom_killed: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class ExecLaunch:
    """A further process: the `process` part of the runtime spec."""

    process: Mapping[str, Any]
    stdin: bool = False
    rows: int = 0
    columns: int = 0


class StartFailed(Failed):
    """A process could not be started: 126, 127 or 128 in `code`, the OCI runtime's words without their lead in the message."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class ExecProcess(Protocol):
    """A process started beside a container's first one."""

    @property
    def stdio(self) -> Stdio: ...

    @property
    def pid(self) -> int:
        """Its pid on the host; 0 before it runs."""

    async def started(self) -> bool:
        """Whether it could be started, as soon as that is known."""

    async def wait(self) -> Exit:
        """Its end. `error` is set, and the code 126 or 127, when it could not be started at all."""

    def resize(self, rows: int, columns: int) -> None: ...

    def kill(self) -> None:
        """Kill it; nothing before it has been `started`."""


class Runtime(Protocol):
    """Containers by id. Each survives the process that made it.

    Errors: NotFound for an id that is not there, Failed with the runtime's own words, TimedOut.
    """

    async def create(self, launch: Launch) -> int:
        """Make the container, ready to start; its first process's pid. Leaves nothing behind when it fails.

        Raises StartFailed when the program can't be run.
        """

    async def start(self, container: str) -> None: ...

    async def wait(self, container: str) -> Exit:
        """Return when the container has ended and all its output is in the log. An exit is kept until `delete`."""

    def signal(self, container: str, number: int) -> bool:
        """Signal its first process. False if that has ended."""

    async def pause(self, container: str) -> None: ...

    async def resume(self, container: str) -> None: ...

    async def update(self, container: str, resources: Mapping[str, Any]) -> None:
        """Change limits; `resources` is the spec's linux.resources."""

    async def delete(self, container: str) -> None:
        """Kill what runs, and forget the container. Safe without `create`, and twice."""

    def attach(self, container: str, *, stdin: bool) -> Stdio:
        """Its streams from now on. Between `create` and `start`: from the first byte."""

    def resize(self, container: str, rows: int, columns: int) -> None: ...

    def reopen_log(self, container: str) -> None:
        """Write to the log path anew, after the file was renamed."""

    async def execute(self, container: str, launch: ExecLaunch) -> ExecProcess: ...

    async def adopt(self, container: str) -> int:
        """Take up a container of an earlier process: its pid, 0 if it has ended. NotFound if there is none."""

    def ended(self, container: str) -> Exit | None:
        """How one that `adopt` found ended did so; None where nobody saw it."""

    def process_of(self, container: str) -> dict[str, Any]:
        """The `process` part of the spec that it was made with; the caller may change it. Raises NotFound."""

    async def list(self) -> list[str]:
        """The ids of all containers that exist, running or ended, half-made ones included."""
