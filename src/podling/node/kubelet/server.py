"""The HTTPS server of the node. Source: the kubelet's paths, as the API server's proxy and kubectl use them."""

import json
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any

from podling.aio.clock import Clock
from podling.aio.http import Request, Response
from podling.aio.server import HttpServer
from podling.base.errors import Conflict, InvalidInput, NotFound, PodlingError
from podling.engine.types import ExecSpec
from podling.node.kubelet import command, forward
from podling.node.kubelet.access import Access, Forbidden, Unauthorized
from podling.node.kubelet.logs import parse_options, stream_logs
from podling.node.kubelet.stats.endpoints import Stats
from podling.node.pod.spec import Object, uid_of
from podling.node.pod.state import Container
from podling.node.pods import Pods
from podling.node.runtime import PodRuntime
from podling.node.worker import PodWorker

_RUN_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class _Target:
    """What a path names: {namespace}/{pod}[/{uid}]/{container}."""

    worker: PodWorker
    container: Container | None

    @property
    def id(self) -> str:
        assert self.container is not None
        return self.container.id


class KubeletServer:
    """Serves what the API server asks, and who else `access` lets in."""

    def __init__(self, pods: Pods, runtime: PodRuntime, clock: Clock, access: Access, stats: Stats) -> None:
        self._pods = pods
        self._runtime = runtime
        self._clock = clock
        self._access = access
        self._stats = stats
        self._http = HttpServer(self._handle)

    async def start(self, host: str, port: int, tls: SSLContext) -> int:
        """Listen; the port. Raises OSError with the address."""
        return (await self._http.listen_tcp(host, port, tls))[1]

    async def close(self) -> None:
        await self._http.close(grace=1.0)

    async def _handle(self, request: Request) -> Response | None:
        if request.path == "/healthz":
            return _text(200, "ok")
        try:
            await self._access.check(request)
            self._stats.served(request.method, request.path)
            return await self._route(request)
        except Unauthorized as error:
            return _text(401, error.message)
        except Forbidden as error:
            return _text(403, error.message)
        except NotFound as error:
            return _text(404, error.message)
        except (InvalidInput, ValueError) as error:
            return _text(400, str(error))
        except Conflict as error:
            return _text(409, error.message)
        except PodlingError as error:
            return _text(500, error.message)

    async def _route(self, request: Request) -> Response | None:
        verb, *rest = request.path.strip("/").split("/")
        match verb:
            case "pods":
                return _json({"kind": "PodList", "apiVersion": "v1", "items": [worker.state.pod for worker in self._pods]})
            case "containerLogs":
                return await self._logs(request, self._find(rest))
            case "run":
                return await self._run(request, self._running(rest))
            case "exec":
                return await self._exec(request, self._running(rest))
            case "attach":
                return await self._attach(request, self._running(rest))
            case "portForward":
                return await self._port_forward(request, self._find(rest, has_container=False))
            case "stats" | "metrics" if (found := await self._stats.answer(request)) is not None:
                return found
        return _text(404, f"404 page not found: {request.path}")

    # What a path names

    def _find(self, parts: list[str], *, has_container: bool = True) -> _Target:
        """Raises NotFound in the kubelet's words."""
        least = 3 if has_container else 2
        if len(parts) not in (least, least + 1):
            raise InvalidInput("the path has to be namespace/pod[/uid][/container]")
        worker = self._pods.find(parts[0], parts[1])
        if worker is None or (len(parts) > least and parts[2] != uid_of(worker.state.pod)):
            raise NotFound(f'pod "{parts[1]}" not found in namespace "{parts[0]}"')
        if not has_container:
            return _Target(worker, None)
        try:
            return _Target(worker, worker.state.container(parts[-1]))
        except KeyError:
            raise NotFound(f'container "{parts[-1]}" not found in pod "{parts[1]}"') from None

    def _running(self, parts: list[str]) -> _Target:
        target = self._find(parts)
        if target.container is None or not target.container.alive:
            raise NotFound(f'unable to upgrade connection: container not found ("{parts[-1]}")')
        return target

    # Verbs

    async def _logs(self, request: Request, target: _Target) -> Response:
        options = parse_options(request.query, self._clock.now())
        assert target.container is not None
        id, name = target.container.id, target.container.name
        if options.previous:
            id = target.container.previous.container_id if target.container.previous else ""
        if not id:
            pod = target.worker.state.pod["metadata"]["name"]
            kind = "previous terminated container" if options.previous else "container"
            raise InvalidInput(f'{kind} "{name}" in pod "{pod}" not found')
        return Response(200, stream_logs(self._runtime, id, options), [("Content-Type", "text/plain")])

    async def _run(self, request: Request, target: _Target) -> Response:
        words = request.query.get("cmd").split()
        done = await self._runtime.run(target.id, tuple(words), _RUN_SECONDS)
        return Response(200, done.output, [("Content-Type", "text/plain")])

    async def _exec(self, request: Request, target: _Target) -> Response | None:
        options = command.parse_streams(request.query)
        words = tuple(request.query.all("command"))
        if not words:
            raise InvalidInput("you must specify at least 1 command for the container")
        spec = ExecSpec(command=words, tty=options.tty, stdin=options.stdin)
        await command.serve(request, options, lambda: self._runtime.exec(target.id, spec), reports_code=True)
        return None

    async def _attach(self, request: Request, target: _Target) -> Response | None:
        options = command.parse_streams(request.query)
        await command.serve(request, options, lambda: self._runtime.attach(target.id), reports_code=False)
        return None

    async def _port_forward(self, request: Request, target: _Target) -> Response | None:
        uid = target.worker.uid
        await forward.serve(request, lambda port: self._runtime.dial(uid, port))
        return None


def _text(status: int, message: str) -> Response:
    return Response(status, f"{message}\n".encode(), [("Content-Type", "text/plain; charset=utf-8")])


def _json(value: Object | dict[str, Any]) -> Response:
    return Response(200, json.dumps(value).encode(), [("Content-Type", "application/json")])
