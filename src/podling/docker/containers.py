"""Containers: made, listed, looked at, moved through their life. Source: Docker Engine API, "Container"."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import orjson

from podling.aio.http import Response
from podling.base.errors import Conflict, InvalidInput, NotFound, PodlingError
from podling.docker import filters, inspect, limits, selection
from podling.docker.answers import JSON, empty, json
from podling.docker.create import container_spec, restart_policy
from podling.docker.daemon import Daemon
from podling.docker.events import pruned
from podling.docker.routing import Call, Routes, well_formed
from podling.engine.container import Container
from podling.engine.types import RestartPolicy, WaitCondition

routes = Routes()
_CONDITIONS = ("not-running", "next-exit", "removed")


@routes.get("/containers/json")
async def list_(call: Call, daemon: Daemon) -> Response:
    engine = daemon.engine
    found = selection.select(engine, call.filters(), everything=call.flag("all"), limit=call.number("limit"))
    now = engine.clock.now()
    shown = [inspect.summary(container, engine, now) for container in found]
    if call.flag("size"):
        for container, item in zip(found, shown, strict=True):
            item |= await sizes(container, daemon)
    return json(shown)


async def sizes(container: Container, daemon: Daemon) -> dict[str, int]:
    """Bytes that a container has written, and those with its image's."""
    written = (await asyncio.to_thread(daemon.engine.snapshots.usage, container.id)).size
    try:
        below = daemon.engine.images.get(container.image_id).size
    except NotFound:
        below = 0
    return {"SizeRw": written, "SizeRootFs": below + written}


@routes.post("/containers/create")
async def create(call: Call, daemon: Daemon) -> Response:
    body = await call.json()
    with well_formed():
        spec, warnings = container_spec(body, call.query.get("name"), call.query.get("platform"), daemon.kernel)
    container = await daemon.engine.containers.create(spec)
    return json({"Id": container.id, "Warnings": warnings}, 201)


@routes.get("/containers/{name}/json")
async def inspect_(call: Call, daemon: Daemon) -> Response:
    container = _find(call, daemon)
    shown = inspect.full(container, daemon.engine)
    if call.flag("size"):
        shown |= await sizes(container, daemon)
    return json(shown)


def _find(call: Call, daemon: Daemon) -> Container:
    return daemon.engine.containers.find(call.path["name"])


@routes.post("/containers/{name}/start")
async def start(call: Call, daemon: Daemon) -> Response:
    await _find(call, daemon).start()
    return empty()


@routes.post("/containers/{name}/stop")
async def stop(call: Call, daemon: Daemon) -> Response:
    await _find(call, daemon).stop(call.query.get("signal") or None, _grace(call))
    return empty()


def _grace(call: Call) -> float | None:
    return call.number("t") if call.query.get("t") else None


@routes.post("/containers/{name}/restart")
async def restart(call: Call, daemon: Daemon) -> Response:
    await _find(call, daemon).restart(call.query.get("signal") or None, _grace(call))
    return empty()


@routes.post("/containers/{name}/kill")
async def kill(call: Call, daemon: Daemon) -> Response:
    await _find(call, daemon).kill(call.query.get("signal") or "SIGKILL")
    return empty()


@routes.post("/containers/{name}/pause")
async def pause(call: Call, daemon: Daemon) -> Response:
    await _find(call, daemon).pause()
    return empty()


@routes.post("/containers/{name}/unpause")
async def unpause(call: Call, daemon: Daemon) -> Response:
    await _find(call, daemon).unpause()
    return empty()


@routes.post("/containers/{name}/wait")
async def wait(call: Call, daemon: Daemon) -> Response:
    """The head is answered at once: a client starts the container when it has it, and misses no end."""
    container = _find(call, daemon)
    condition = call.query.get("condition") or "not-running"
    if condition not in _CONDITIONS:
        raise InvalidInput(f'invalid condition: "{condition}"')
    return Response(200, _end(container, cast(WaitCondition, condition)), JSON)


async def _end(container: Container, condition: WaitCondition) -> AsyncIterator[bytes]:
    try:
        shown: dict[str, Any] = {"StatusCode": await container.wait(condition)}
    except PodlingError as error:
        shown = {"StatusCode": 125, "Error": {"Message": error.message}}
    yield orjson.dumps(shown) + b"\n"


@routes.delete("/containers/{name}")
async def remove(call: Call, daemon: Daemon) -> Response:
    if call.flag("link"):
        raise InvalidInput("legacy links are not supported")
    await _find(call, daemon).remove(force=call.flag("force"), volumes=call.flag("v"))
    return empty()


@routes.post("/containers/{name}/rename")
async def rename(call: Call, daemon: Daemon) -> Response:
    container, name = _find(call, daemon), call.query.get("name")
    if not name:
        raise InvalidInput("Neither old nor new names may be empty")
    if name.removeprefix("/") == container.name:
        raise InvalidInput("Renaming a container with the same name as its current name")
    await container.rename(name)
    return empty()


@routes.post("/containers/{name}/update")
async def update(call: Call, daemon: Daemon) -> Response:
    container, body = _find(call, daemon), await call.json()
    with well_formed():
        wanted = _new_policy(body.get("RestartPolicy") or {}, container)
        resources, warnings = limits.resources(body, daemon.kernel, update=True)
    try:
        limits.check_update(container.spec.resources, resources)
        await container.update(resources, wanted)
    except PodlingError as error:
        raise type(error)(f"Cannot update container {container.id}: {error.message}") from error
    return json({"Warnings": warnings})


def _new_policy(given: dict[str, Any], container: Container) -> RestartPolicy | None:
    if not given.get("Name"):
        return None
    if container.spec.auto_remove:
        raise InvalidInput("Restart policy cannot be updated because AutoRemove is enabled for the container")
    return restart_policy(given, auto_remove=False)


@routes.post("/containers/{name}/resize")
async def resize(call: Call, daemon: Daemon) -> Response:
    await _find(call, daemon).resize(call.number("h"), call.number("w"))
    return empty(200)


@routes.get("/containers/{name}/top")
async def top(call: Call, daemon: Daemon) -> Response:
    container = _find(call, daemon)
    table = await container.top(call.query.get("ps_args"))
    container.tell("top")
    return json({"Titles": table.titles, "Processes": table.rows})


@routes.get("/containers/{name}/changes")
async def changes(call: Call, daemon: Daemon) -> Response:
    numbers = {"C": 0, "A": 1, "D": 2}
    found = await _find(call, daemon).changes()
    return json([{"Path": change.path, "Kind": numbers[change.kind]} for change in found] or None)


@routes.get("/containers/{name}/export")
async def export(call: Call, daemon: Daemon) -> Response:
    container = _find(call, daemon)
    container.tell("export")
    return Response(200, container.export(), [("Content-Type", "application/x-tar")])


@routes.post("/containers/prune")
async def prune(call: Call, daemon: Daemon) -> Response:
    given = call.filters()
    filters.check(given, {"label", "label!", "until"})
    until = filters.until(given, daemon.engine.clock.now())
    deleted, freed = [], 0
    for container in daemon.engine.containers.list():
        resting = container.state.status in ("created", "exited", "dead")
        if resting and container.created < until and filters.labels(given, container.spec.labels):
            size = (await sizes(container, daemon))["SizeRw"]
            try:
                await container.remove()
            except (Conflict, NotFound):
                continue  # somebody was quicker
            deleted.append(container.id)
            freed += size
    pruned(daemon.engine.events, "container", freed)
    return json({"ContainersDeleted": deleted, "SpaceReclaimed": freed})
