"""What the pod machine knows of a pod."""

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
    runtime: str = "podling"  # whose ids its containers have

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


@dataclass(frozen=True, slots=True)
class Found:
    """What `lifecycle.restore` takes: a container as the runtime holds it, its latest incarnation."""

    container: str
    id: str
    image_id: str
    restarts: int
    running: bool
    started_at: float
    exit: Exit | None = None
