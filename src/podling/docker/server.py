"""The Docker Engine API as one HTTP handler: finds the route, and turns what it raises into Docker's error object."""

import logging

from podling.aio.framing import BadMessage
from podling.aio.http import BodyTooLarge, Request, Response
from podling.aio.tasks import Tasks
from podling.base.errors import NotFound, PodlingError
from podling.build.builder import Builder
from podling.docker import (
    absent,
    answers,
    archive,
    attach,
    build,
    containers,
    exec,
    images,
    limits,
    networks,
    stats,
    system,
    transfer,
    volumes,
)
from podling.docker.daemon import Daemon
from podling.docker.routing import Call, Routes, split_version
from podling.engine.engine import Engine

log = logging.getLogger(__name__)
# In this order: the first route that fits decides.
GROUPS = (system, containers, attach, exec, stats, archive, transfer, images, networks, volumes, build, absent)


class DockerApi:
    """`handle` serves one request. `close` ends what the edge itself runs in the background; containers go on."""

    def __init__(self, engine: Engine, builder: Builder) -> None:
        self._tasks = Tasks("docker api")
        self._daemon = Daemon(engine, builder, self._tasks, limits.kernel(engine.host))
        self._routes = Routes()
        for group in GROUPS:
            self._routes.include(group.routes)

    async def handle(self, request: Request) -> Response | None:
        """The answer; None when the handler has taken the connection over."""
        try:
            response = await self._dispatch(request)
        except PodlingError as error:
            response = answers.error(error)
        except BadMessage as error:  # the body's framing
            response = answers.json({"message": str(error)}, error.status)
        except BodyTooLarge as error:
            response = answers.json({"message": str(error)}, 413)
        except Exception as error:
            log.error("%s %s: %s", request.method, request.path, error, exc_info=error)
            response = answers.json({"message": f"internal error: {error}"}, 500)
        if response is not None:
            response.headers = [*system.identity(), *response.headers]
        return response

    async def _dispatch(self, request: Request) -> Response | None:
        version, path = split_version(request.path)
        found = self._routes.find(request.method, path)
        if found is None:
            raise NotFound("page not found")
        handler, placeholders = found
        return await handler(Call(request, placeholders, version), self._daemon)

    async def close(self) -> None:
        await self._tasks.cancel()
