"""Groups of the API that this engine knows of and has not: answered in Docker's words, so that clients say what is the matter.

Source: Docker Engine API, "Swarm", "Node", "Service", "Task", "Secret", "Config", "Plugin", "Session".
"""

from podling.aio.http import Response
from podling.base.errors import Unavailable, Unsupported
from podling.docker.answers import json
from podling.docker.daemon import Daemon
from podling.docker.routing import Call, Routes

routes = Routes()
NOT_A_MANAGER = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm '
    "and try again."
)
_SWARM = ("configs", "nodes", "secrets", "services", "swarm", "tasks")
_OTHER = ("grpc", "plugins", "session")


@routes.get("/plugins")
async def plugins(call: Call, daemon: Daemon) -> Response:
    return json([])


async def not_a_manager(call: Call, daemon: Daemon) -> Response:
    raise Unavailable(NOT_A_MANAGER)


async def not_built(call: Call, daemon: Daemon) -> Response:
    raise Unsupported(f"{call.request.method} {call.request.path} is not supported by this engine")


for _add in (routes.get, routes.post, routes.put, routes.delete, routes.head):
    for _group in _SWARM:
        _add(f"/{_group}")(not_a_manager)
        _add(f"/{_group}/{{rest...}}")(not_a_manager)
    for _group in _OTHER:
        _add(f"/{_group}")(not_built)
        _add(f"/{_group}/{{rest...}}")(not_built)
