"""Images come and go: pull, push, load, save, import, commit. Source: Docker Engine API, "Image"."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from podling.aio.http import Response
from podling.base.errors import InvalidInput
from podling.build import archives, configuration
from podling.build.commit import Commit
from podling.build.commit import commit as build_commit
from podling.docker import credentials, inspect
from podling.docker.answers import json
from podling.docker.daemon import Daemon
from podling.docker.images import target_name
from podling.docker.progress import Tell, narrated, reporter
from podling.docker.routing import Call, Routes
from podling.engine.container import Container
from podling.oci import reference
from podling.oci.image import ExecutionConfig

routes = Routes()
_TAR = [("Content-Type", "application/x-tar")]


@routes.post("/images/create")
async def create(call: Call, daemon: Daemon) -> Response:
    """A pull (`fromImage`) or an import (`fromSrc`)."""
    if call.query.get("fromImage"):
        return await _pull(call, daemon)
    if not call.query.get("fromSrc"):
        raise InvalidInput("fromImage or fromSrc is needed")
    return await _import(call, daemon)


async def _pull(call: Call, daemon: Daemon) -> Response:
    name, tag = call.query.get("fromImage"), call.query.get("tag")
    wanted = reference.parse(name)
    if tag:
        wanted = wanted.with_digest(tag) if ":" in tag else wanted.with_tag(tag)
    engine = daemon.engine

    async def pull(tell: Tell) -> None:
        image = await engine.images.pull(str(wanted), call.query.get("platform"), credentials.of_header(call), reporter(tell))
        engine.events.publish("image", "pull", wanted.tagged().familiar, {"name": wanted.familiar_name, "image": image.id})

    # The first message comes before the registry is asked.
    return await narrated(pull, patience=2)


async def _import(call: Call, daemon: Daemon) -> Response:
    source, repository = call.query.get("fromSrc"), call.query.get("repo")
    if source != "-":
        raise InvalidInput(f"import from {source} is not supported: send the archive itself")
    name = target_name(repository, call.query.get("tag")) if repository else ""
    config = configuration.applied({}, call.query.all("changes"))
    engine = daemon.engine
    message = call.query.get("message") or "Imported from -"

    async def take(tell: Tell) -> None:
        image = await engine.images.import_(
            archives.plain(call.request.stream()), name, config, message, call.query.get("platform")
        )
        engine.events.publish("image", "import", image.id, {"name": name or image.id})
        tell({"status": image.id})

    return await narrated(take)


@routes.post("/images/{name...}/push")
async def push(call: Call, daemon: Daemon) -> Response:
    name, tag = reference.parse(call.path["name"]), call.query.get("tag")
    wanted, engine = (name.with_tag(tag) if tag else name.tagged()), daemon.engine

    async def send(tell: Tell) -> None:
        pushed = await engine.images.push(str(wanted), credentials.of_header(call), reporter(tell))
        engine.events.publish("image", "push", wanted.familiar, {"name": wanted.familiar_name})
        tell({"progressDetail": {}, "aux": {"Tag": pushed.tag, "Digest": pushed.digest, "Size": pushed.size}})

    return await narrated(send)


@routes.post("/images/load")
async def load(call: Call, daemon: Daemon) -> Response:
    engine = daemon.engine

    async def take(tell: Tell) -> None:
        for each in await engine.images.load(archives.plain(call.request.stream())):
            tell({"stream": f"Loaded image: {each.name}\n" if each.name else f"Loaded image ID: {each.id}\n"})
            engine.events.publish("image", "load", each.id, {"name": each.name or each.id})

    return await narrated(take)


@routes.get("/images/get")
async def save_several(call: Call, daemon: Daemon) -> Response:
    names = call.query.all("names")
    if not names:
        raise InvalidInput("no image to save is named")
    return _saved([part for name in names for part in name.split(",")], daemon)


@routes.get("/images/{name...}/get")
async def save(call: Call, daemon: Daemon) -> Response:
    return _saved([call.path["name"]], daemon)


def _saved(names: list[str], daemon: Daemon) -> Response:
    engine = daemon.engine
    archive: AsyncIterator[bytes] = engine.images.save(names)
    for name in names:
        engine.events.publish("image", "save", engine.images.get(name).id, {"name": name})
    return Response(200, archive, _TAR)


@routes.post("/commit")
async def commit(call: Call, daemon: Daemon) -> Response:
    engine, query = daemon.engine, call.query
    container = engine.containers.find(query.get("container"))
    repository = query.get("repo")
    given = Commit(
        snapshot=container.id,
        base=container.image_id,
        config=configuration.applied(_config(container, await call.json()), query.all("changes")),
        command=inspect.command_line(container.spec),
        author=query.get("author"),
        comment=query.get("comment"),
        name=target_name(repository, query.get("tag")) if repository else "",
        now=engine.clock.now(),
    )
    async with _still(container, call.flag("pause", default=True)):
        image = await build_commit(engine.images, given)
    container.tell("commit", {"comment": given.comment, "imageID": image.id})
    return json({"Id": image.id}, 201)


@asynccontextmanager
async def _still(container: Container, wanted: bool) -> AsyncIterator[None]:
    """The container paused, if it runs and that is wanted."""
    pause = wanted and container.state.status == "running"
    if pause:
        await container.pause()
    try:
        yield
    finally:
        if pause:
            await container.unpause()


def _config(container: Container, asked: dict[str, Any]) -> ExecutionConfig:
    """The container's own configuration as an image's, and over it what the request says."""
    own = inspect.config(container)
    chosen = {name: own[name] for name in ExecutionConfig.__optional_keys__ if own.get(name)}
    given = {name: asked[name] for name in ExecutionConfig.__optional_keys__ if asked.get(name)}
    return cast(ExecutionConfig, chosen | given)
