"""What can happen to a pod: the events of its machine."""

from collections.abc import Mapping
from dataclasses import dataclass

from podling.node.pod.spec import Object
from podling.node.pod.state import ProbeKind


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
