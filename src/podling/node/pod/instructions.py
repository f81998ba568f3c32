"""What shall be done for a pod: the instructions of its machine, each answered by an event."""

from dataclasses import dataclass, field
from typing import Literal


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
