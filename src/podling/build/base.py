"""What a build is asked for, and what it needs of who runs its containers."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from podling.base.errors import Failed
from podling.images.model import Credentials
from podling.runtime.types import EMPTY, Resources

SCRIPT = "/dev/pipes/script"  # in a directory that is no part of the image
Message = dict[str, Any]
Output = Callable[[bytes], Awaitable[None]]


class Listener(Protocol):
    """Takes the messages of a build, in the shapes of Docker's JSON stream: `stream`, `status`, `aux`."""

    def __call__(self, message: Message) -> None: ...

    async def drain(self) -> None:
        """Return when it has taken most of what it was told: who says much waits here."""


class BuildFailed(Failed):
    """A step failed. `code` is the exit code of its command, 0 where none ran."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Options:
    """How to build. `limits` and `network` are those of RUN's containers; `credentials` by registry host."""

    dockerfile: str = "Dockerfile"
    names: tuple[str, ...] = ()
    arguments: Mapping[str, str | None] = EMPTY
    labels: Mapping[str, str] = EMPTY
    target: str = ""
    platform: str = ""
    use_cache: bool = True
    pull: bool = False
    quiet: bool = False
    network: str = ""
    limits: Resources = field(default_factory=Resources)
    shm_size: int = 0
    extra_hosts: tuple[str, ...] = ()
    cgroup_parent: str = ""
    credentials: Mapping[str, Credentials] = EMPTY


@dataclass(frozen=True, slots=True)
class Run:
    """One command over an image: `image` is an id, `command` the whole of its words.

    `script` is a file of the host that the command finds at SCRIPT.
    """

    image: str
    command: tuple[str, ...]
    env: tuple[str, ...]
    working_dir: str
    user: str
    options: Options
    network: str = ""
    script: Path | None = None


class Execution(Protocol):
    """A command that is about to run. What it writes ends in the active snapshot that is named by its `id`."""

    id: str

    async def run(self, output: Output) -> int:
        """Run it to its end, giving what it says; its exit code. Cancelling kills it."""

    async def remove(self) -> None:
        """Take away what is left of it; also the snapshot, if nobody has sealed it. Safe twice."""


class Runner(Protocol):
    """Runs the commands of builds in containers."""

    async def prepare(self, run: Run) -> Execution: ...

    async def sweep(self) -> None:
        """Take away what builds of an earlier process left."""
