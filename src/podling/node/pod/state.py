"""The values of the pod machine: what is known of a pod, what can happen to it, what shall be done."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from podling.node.pod.backoff import FRESH, Backoff
from podling.node.pod.spec import Object

ProbeKind = Literal["startup", "liveness", "readiness"]
Role = Literal["init", "sidecar", "app", "ephemeral"]


class Life(StrEnum):
    """Where one container is. PULLING, LAUNCHING and STOPPING have work under way that reports by an event."""

    WAITING = "waiting"
    PULLING = "pulling"
    PULLED = "pulled"
    LAUNCHING = "launching"
    RUNNING = "running"
    STOPPING = "stopping"
    EXITED = "exited"


class Part(StrEnum):
    """Where the pod's sandbox, or its volumes, are."""

    ABSENT = "absent"
    MAKING = "making"
    READY = "ready"
    CLEARING = "clearing"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Exit:
    """How one incarnation ended. Times are unix seconds."""

    code: int
    reason: str
    finished_at: float
    started_at: float = 0.0
    message: str = ""
    container_id: str = ""


@dataclass(frozen=True, slots=True)
class Streak:
    """A probe's latest results: how many of the same in a row."""

    successes: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Container:
    """One container of the pod, over all its incarnations; `restarts` counts those after the first."""

    name: str
    role: Role
    life: Life = Life.WAITING
    id: str = ""
    image: str = ""
    image_id: str = ""
    restarts: int = 0
    launched: bool = False
    reason: str = ""
    message: str = ""
    started_at: float = 0.0
    started: bool = False
    ready: bool = False
    exit: Exit | None = None
    previous: Exit | None = None
    restart_backoff: Backoff = FRESH
    pull_backoff: Backoff = FRESH
    retry_at: float = 0.0
    reason_settles_at: float = 0.0
    grace: float = 0.0
    streaks: Mapping[str, Streak] = field(default_factory=dict)
    size: Object | None = None  # the resources that its cgroup has been given; None: it has not been launched
    resizing: bool = False  # work to change `size` is under way
    resize_error: str = ""
    renewed: bool = False  # it is stopped to be started anew, whatever the restart policy

    @property
    def alive(self) -> bool:
        return self.life in (Life.RUNNING, Life.STOPPING)

    @property
    def busy(self) -> bool:
        """Whether a process may exist, or come to exist, without a further instruction."""
        return self.alive or self.life is Life.LAUNCHING


@dataclass(frozen=True, slots=True)
class Place:
    """The sandbox, or the set of volumes."""

    part: Part = Part.ABSENT
    message: str = ""
    retry_at: float = 0.0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class State:
    """All that the machine knows of a pod. `containers`: init containers first, ephemeral ones last, in the spec's order."""

    pod: Object
    containers: tuple[Container, ...]
    sandbox: Place = Place()
    volumes: Place = Place()
    addresses: tuple[str, ...] = ()
    started_at: float = 0.0
    initialized: bool = False
    ended: bool = False  # the API knew it as Succeeded or Failed before we knew it
    deleting: bool = False
    failure: tuple[str, str] | None = None
    rejected: bool = False  # the node has not taken it in
    hurry: float | None = None  # seconds that its containers get at most, whatever the pod says
    disruption: tuple[str, str] | None = None  # why its node ends it: reason and message of the condition
    sizes: Mapping[str, Object] = field(default_factory=dict)  # what the node has granted, by container
    asking: bool = False  # the node has been asked to grant other sizes
    unmet: tuple[str, str] | None = None  # why it has not: Deferred or Infeasible, and the message
    traces: Literal["kept", "clearing", "cleared"] = "kept"
    over: bool = False

    def container(self, name: str) -> Container:
        for container in self.containers:
            if container.name == name:
                return container
        raise KeyError(name)

    @property
    def inits(self) -> list[Container]:
        return [c for c in self.containers if c.role in ("init", "sidecar")]

    @property
    def apps(self) -> list[Container]:
        return [c for c in self.containers if c.role == "app"]

    @property
    def ephemerals(self) -> list[Container]:
        return [c for c in self.containers if c.role == "ephemeral"]


# Events


@dataclass(frozen=True, slots=True)
class Seen:
    """The pod's object, new or changed."""

    pod: Object


@dataclass(frozen=True, slots=True)
class Vanished:
    """The object is gone from the API without our having deleted it."""


@dataclass(frozen=True, slots=True)
class SandboxUp:
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SandboxFailed:
    message: str


@dataclass(frozen=True, slots=True)
class SandboxDown:
    pass


@dataclass(frozen=True, slots=True)
class VolumesUp:
    pass


@dataclass(frozen=True, slots=True)
class VolumesFailed:
    message: str


@dataclass(frozen=True, slots=True)
class VolumesDown:
    pass


@dataclass(frozen=True, slots=True)
class Pulled:
    """The image is here; `id` is its content id."""

    container: str
    image_id: str


@dataclass(frozen=True, slots=True)
class PullFailed:
    """`reason` as in a waiting container's status: ErrImagePull, ErrImageNeverPull, InvalidImageName."""

    container: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Started:
    """The process runs, and its postStart hook is through."""

    container: str
    id: str
    at: float


@dataclass(frozen=True, slots=True)
class LaunchFailed:
    """It could not be made or started. `reason`: CreateContainerConfigError, CreateContainerError, StartError."""

    container: str
    reason: str
    message: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class HookFailed:
    """The postStart hook failed: the container, which runs, has to go."""

    container: str
    id: str
    message: str


@dataclass(frozen=True, slots=True)
class Exited:
    container: str
    id: str
    code: int
    at: float
    oom_killed: bool = False
    message: str = ""


@dataclass(frozen=True, slots=True)
class Probed:
    """One run of a probe came back."""

    container: str
    id: str
    kind: ProbeKind
    ok: bool
    output: str = ""


@dataclass(frozen=True, slots=True)
class Doomed:
    """The node ends the pod: an eviction, its own shutdown. `grace`: seconds that containers get at most; `disruption`: the
    reason of the condition DisruptionTarget, "" for none. With `rejected` it has not even taken it in.
    """

    reason: str
    message: str
    grace: float | None = None
    disruption: str = ""
    rejected: bool = False


@dataclass(frozen=True, slots=True)
class Granted:
    """The node has room for the sizes that the pod wishes, and keeps it for the pod."""

    sizes: Mapping[str, Object]


@dataclass(frozen=True, slots=True)
class NotGranted:
    """It has not. `reason`: Deferred (not now) or Infeasible (never)."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class RoomMade:
    """Another pod of the node has left, or has become smaller."""


@dataclass(frozen=True, slots=True)
class Resized:
    """A running container has its new size."""

    container: str
    id: str
    size: Object


@dataclass(frozen=True, slots=True)
class ResizeFailed:
    container: str
    id: str
    message: str


@dataclass(frozen=True, slots=True)
class ClockJumped:
    """The wall clock has been set: forward by `seconds`, or back where that is negative."""

    seconds: float


@dataclass(frozen=True, slots=True)
class TracesCleared:
    """Containers, logs and directories of the pod are removed."""


@dataclass(frozen=True, slots=True)
class Woke:
    """The time that `next_wake` named has come."""


@dataclass(frozen=True, slots=True)
class ConfigurationChanged:
    """An object that the pod refers to has appeared or changed."""


@dataclass(frozen=True, slots=True)
class Found:
    """No event, but what `lifecycle.restore` takes: a container as the runtime holds it, its latest incarnation."""

    container: str
    id: str
    image_id: str
    restarts: int
    running: bool
    started_at: float
    exit: Exit | None = None


Event = (
    Seen
    | Vanished
    | SandboxUp
    | SandboxFailed
    | SandboxDown
    | VolumesUp
    | VolumesFailed
    | VolumesDown
    | Pulled
    | PullFailed
    | Started
    | LaunchFailed
    | HookFailed
    | Exited
    | Probed
    | Doomed
    | Granted
    | NotGranted
    | RoomMade
    | Resized
    | ResizeFailed
    | ClockJumped
    | TracesCleared
    | Woke
    | ConfigurationChanged
)

# Instructions


@dataclass(frozen=True, slots=True)
class MakeSandbox:
    """Answered by SandboxUp or SandboxFailed."""


@dataclass(frozen=True, slots=True)
class DropSandbox:
    """Answered by SandboxDown."""


@dataclass(frozen=True, slots=True)
class MakeVolumes:
    """Answered by VolumesUp or VolumesFailed."""


@dataclass(frozen=True, slots=True)
class DropVolumes:
    """Answered by VolumesDown."""


@dataclass(frozen=True, slots=True)
class Pull:
    """Have the container's image here, as its pull policy says. Answered by Pulled or PullFailed."""

    container: str


@dataclass(frozen=True, slots=True)
class CancelPull:
    container: str


@dataclass(frozen=True, slots=True)
class Launch:
    """Create and start incarnation number `restarts`. Answered by Started, LaunchFailed or HookFailed."""

    container: str
    restarts: int
    image_id: str


@dataclass(frozen=True, slots=True)
class Stop:
    """preStop hook, TERM, and KILL after `grace` seconds in all. Answered by Exited; a later Stop replaces an earlier."""

    container: str
    id: str
    grace: float


@dataclass(frozen=True, slots=True)
class AskForRoom:
    """Ask the node for the sizes that the pod wishes. Answered by Granted or NotGranted."""


@dataclass(frozen=True, slots=True)
class Resize:
    """Give a running container the size that it has been granted. Answered by Resized or ResizeFailed."""

    container: str
    id: str


@dataclass(frozen=True, slots=True)
class ClearTraces:
    """Remove what is left of the pod on this node. Answered by TracesCleared."""


@dataclass(frozen=True, slots=True)
class Forget:
    """Delete the object from the API (grace 0) once its last status is written; the machine has ended."""


@dataclass(frozen=True, slots=True)
class Record:
    """An Event object about the pod, or about `container` in it."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    container: str = ""


Instruction = (
    MakeSandbox
    | DropSandbox
    | MakeVolumes
    | DropVolumes
    | Pull
    | CancelPull
    | Launch
    | Stop
    | AskForRoom
    | Resize
    | ClearTraces
    | Forget
    | Record
)


@dataclass(slots=True)
class Outbox:
    """The instructions of one step, in order."""

    items: list[Instruction] = field(default_factory=list)

    def put(self, instruction: Instruction) -> None:
        self.items.append(instruction)

    def warn(self, reason: str, message: str, container: str = "") -> None:
        self.items.append(Record("Warning", reason, message, container))

    def note(self, reason: str, message: str, container: str = "") -> None:
        self.items.append(Record("Normal", reason, message, container))
