"""What the routes work on: the engine, the builder, and the edge's own background tasks."""

from dataclasses import dataclass

from podling.aio.tasks import Tasks
from podling.build.builder import Builder
from podling.docker.limits import Kernel
from podling.engine.engine import Engine


@dataclass(frozen=True, slots=True)
class Daemon:
    """One for each DockerApi. `kernel` is what can be limited on this machine."""

    engine: Engine
    builder: Builder
    tasks: Tasks
    kernel: Kernel
