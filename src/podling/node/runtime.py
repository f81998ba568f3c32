"""What the node agent needs of a container runtime: shaped as CRI, so that containerd or CRI-O can stand behind it.

A sandbox is known by the pod's uid; a container by the runtime's id. A container's configuration is the engine's
`ContainerSpec`, whose labels say whose it is; from these labels all is found again after a restart of the agent.
Errors are those of `podling.base.errors`.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from podling.aio.http import ByteStream
from podling.engine.types import ContainerSpec, ExecSpec, LogRecord, StreamName
from podling.runtime.types import Resources

# Labels, as the kubelet gives them.
POD_NAME = "io.kubernetes.pod.name"
POD_NAMESPACE = "io.kubernetes.pod.namespace"
POD_UID = "io.kubernetes.pod.uid"
CONTAINER_NAME = "io.kubernetes.container.name"
POD_GRACE = "io.kubernetes.pod.terminationGracePeriod"
RESTART_COUNT = "io.kubernetes.container.restartCount"
TERMINATION_PATH = "io.kubernetes.container.terminationMessagePath"
TERMINATION_POLICY = "io.kubernetes.container.terminationMessagePolicy"


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """One pod's surroundings. `ports` are host ports: (host ip, host port, container port, protocol).

    `share_processes`: its containers see each other's processes; `cgroup` is the pod's control group. `ingress` and `egress` are
    bytes in a second that it may be sent and send, 0 for no limit.
    """

    uid: str
    name: str
    namespace: str
    hostname: str
    host_network: bool = False
    host_ipc: bool = False
    share_processes: bool = False
    cgroup: str = ""
    ingress: int = 0
    egress: int = 0
    sysctls: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[tuple[str, int, int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Ended:
    """How a container ended; `at` in unix seconds."""

    code: int
    at: float
    oom_killed: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """A container as the runtime holds it. Times are unix seconds; `ended` is None while it runs or has not been started."""

    id: str
    image_id: str
    labels: Mapping[str, str]
    started_at: float = 0.0
    running: bool = False
    ended: Ended | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """What a command in a container gave back."""

    code: int
    output: bytes


@dataclass(frozen=True, slots=True)
class HeldImage:
    """An image on this node; size in bytes."""

    id: str
    names: tuple[str, ...]
    size: int


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What the kubelet asks of an image before it makes a container of it. `local`: never seen in its name's registry."""

    id: str
    user: str = ""
    local: bool = False


@dataclass(frozen=True, slots=True)
class Login:
    """Registry credentials."""

    username: str
    password: str = field(repr=False)


class Session(Protocol):
    """A process's stdio: what `exec` and `attach` give."""

    async def read(self) -> tuple[StreamName, bytes] | None:
        """The next piece of output; None when both streams have ended."""

    def write(self, data: bytes) -> None: ...

    async def drain(self) -> None: ...

    def close_stdin(self) -> None: ...

    async def resize(self, rows: int, columns: int) -> None: ...

    async def wait(self) -> int:
        """The exit code, once the process has ended."""

    async def close(self) -> None:
        """Let go of the streams. The process of an exec goes on, as does the container."""


class PodRuntime(Protocol):
    """The runtime. Every call may raise PodlingError; stop and remove of what is gone succeed."""

    name: str
    version: str

    async def prepare(self) -> None:
        """Learn `name` and `version`; before all other calls."""

    async def close(self) -> None:
        """Let go of the runtime; sandboxes and containers stay."""

    async def run_sandbox(self, spec: SandboxSpec) -> tuple[str, ...]:
        """Make the pod's namespaces and network; its addresses. Called again for a sandbox that is there, it gives these."""

    async def remove_sandbox(self, uid: str) -> None: ...

    async def sandboxes(self) -> dict[str, tuple[str, ...]]:
        """The sandboxes that are there: uid → addresses."""

    async def create(self, spec: ContainerSpec, sandbox: str) -> str:
        """A container in the pod's sandbox; its id."""

    async def start(self, id: str) -> float:
        """Start it; unix seconds of when that was."""

    async def stop(self, id: str, grace: float) -> None:
        """The stop signal, and KILL after `grace` seconds; returns when it has ended. A second call may be more impatient."""

    async def resize(self, id: str, resources: Resources) -> None:
        """Give a running container these limits. Raises Conflict where it uses more memory than it may from now on."""

    async def wait(self, id: str) -> Ended:
        """Return when the container has ended."""

    async def remove(self, id: str) -> None: ...

    async def containers(self) -> list[Held]:
        """All pods' containers, running or not."""

    async def run(self, id: str, command: tuple[str, ...], timeout: float) -> Output:
        """Run a command in the container to its end. Raises TimedOut."""

    async def exec(self, id: str, spec: ExecSpec) -> Session: ...

    async def attach(self, id: str) -> Session: ...

    def logs(self, id: str, *, follow: bool = False, since: float = 0, tail: int | None = None) -> AsyncIterator[LogRecord]: ...

    async def dial(self, sandbox: str, port: int) -> ByteStream:
        """A TCP connection to 127.0.0.1:`port` inside the sandbox."""

    async def image(self, reference: str) -> ImageFacts | None: ...

    async def pull(self, reference: str, login: Login | None) -> ImageFacts: ...

    async def images(self) -> list[HeldImage]: ...

    async def show_image(self, id: str, owner: str, target: Path) -> None:
        """Mount an image's files read-only at `target`, and keep it for `owner`. The caller unmounts."""

    async def hide_images(self, owner: str) -> None:
        """Let go of what `owner` was shown, once that is unmounted; nothing if there is nothing."""

    async def remove_image(self, id: str) -> None:
        """Remove it with all its names. Raises Conflict where a container is made of it."""
