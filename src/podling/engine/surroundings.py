"""What a container needs of the engine around it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from podling.aio.clock import Clock
from podling.aio.tasks import Tasks
from podling.engine.events import Events
from podling.engine.record import Records
from podling.images.images import Images
from podling.linux.cgroup import Hierarchies
from podling.network.networks import Networks
from podling.runtime.base import Runtime
from podling.runtime.spec import Host
from podling.volumes.volumes import Volumes

if TYPE_CHECKING:
    from podling.engine.container import Container
    from podling.engine.execution import Execs


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The engine's parts. `find` gives another container by name or id (NotFound); `claim` takes a name for the container with an
    id, in place of the one it has (AlreadyExists); `started` is told the id of each that starts, `gone` of each removed one."""

    images: Images
    networks: Networks
    volumes: Volumes
    runtime: Runtime
    records: Records
    events: Events
    clock: Clock
    tasks: Tasks
    host: Host
    hierarchies: Hierarchies
    run: Path
    cgroup_parent: str
    execs: "Execs"
    find: "Callable[[str], Container]"
    claim: "Callable[[str, str], None]"
    started: Callable[[str], None]
    gone: Callable[[str], None]

    def netns(self, container: str) -> Path:
        """Where a container's network namespace is kept."""
        return self.run / "netns" / container
