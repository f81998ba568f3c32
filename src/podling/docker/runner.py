"""RUN of builds in containers of the engine: what the builder asks for, by the engine's means."""

from podling.base.errors import NotFound
from podling.build.base import SCRIPT, Execution, Output, Run
from podling.engine.container import Container
from podling.engine.engine import Engine
from podling.engine.types import ContainerSpec, Health, Mount, Namespaces

LABEL = "podling.build"


class EngineRunner:
    """Implements `podling.build.base.Runner`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def prepare(self, run: Run) -> Execution:
        options = run.options
        container = await self._engine.containers.create(
            ContainerSpec(
                image=run.image,
                entrypoint=(),
                command=run.command,
                env=run.env,
                working_dir=run.working_dir,
                user=run.user,
                labels={LABEL: ""},
                resources=options.limits,
                namespaces=Namespaces(network=run.network or options.network or "bridge"),
                extra_hosts=options.extra_hosts,
                cgroup_parent=options.cgroup_parent,
                shm_size=options.shm_size,
                health=Health(("NONE",)),
                mounts=(Mount("bind", str(run.script), SCRIPT, read_only=True),) if run.script else (),
            )
        )
        return _Execution(container)

    async def sweep(self) -> None:
        for container in self._engine.containers.list():
            if LABEL in container.spec.labels:
                await container.remove(force=True, volumes=True)


class _Execution:
    def __init__(self, container: Container) -> None:
        self.id = container.id
        self._container = container

    async def run(self, output: Output) -> int:
        attachment = await self._container.attach()
        try:
            await self._container.start()
            while (chunk := await attachment.read()) is not None:
                await output(chunk[1])
            return await self._container.wait()
        finally:
            await attachment.close()

    async def remove(self) -> None:
        try:
            await self._container.remove(force=True, volumes=True)
        except NotFound:
            return
