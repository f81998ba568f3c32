"""Attaching to containers, and their logs. Source: Docker Engine API, ContainerAttach, ContainerLogs."""

from collections.abc import AsyncIterator

from podling.aio import websocket
from podling.aio.http import Response
from podling.base.errors import InvalidInput
from podling.docker import streams, timestamps
from podling.docker.answers import frame
from podling.docker.daemon import Daemon
from podling.docker.routing import Call, Routes
from podling.engine.attach import Attachment
from podling.engine.container import Container
from podling.engine.types import LogRecord

routes = Routes()


@routes.post("/containers/{name}/attach")
async def attach(call: Call, daemon: Daemon) -> Response | None:
    container = daemon.engine.containers.find(call.path["name"])
    keys = streams.parse_keys(call.query.get("detachKeys"))
    attachment = await _attachment(call, container)
    terminal = container.spec.tty
    try:
        client = await streams.take_over(call, terminal=terminal)
        if not await streams.carry(client, attachment, framed=not terminal, detach_keys=keys if terminal else b""):
            container.tell("detach")
    finally:
        await attachment.close()
    return None


async def _attachment(call: Call, container: Container) -> Attachment:
    return await container.attach(
        call.flag("stdin"), call.flag("stdout"), call.flag("stderr"), logs=call.flag("logs"), stream=call.flag("stream")
    )


@routes.get("/containers/{name}/attach/ws")
async def attach_by_websocket(call: Call, daemon: Daemon) -> Response | None:
    """The streams unframed, in binary messages. There is no half close: who leaves detaches."""
    container = daemon.engine.containers.find(call.path["name"])
    keys = streams.parse_keys(call.query.get("detachKeys"))
    websocket.check_handshake(call.request)
    attachment = await _attachment(call, container)
    try:
        client = websocket.MessageStream(await websocket.accept(call.request))
        if not await streams.carry(client, attachment, framed=False, detach_keys=keys, leaving_detaches=True):
            container.tell("detach")
        await client.close()
    finally:
        await attachment.close()
    return None


@routes.get("/containers/{name}/logs")
async def logs(call: Call, daemon: Daemon) -> Response:
    container = daemon.engine.containers.find(call.path["name"])
    stdout, stderr = call.flag("stdout"), call.flag("stderr")
    if not stdout and not stderr:
        raise InvalidInput("Bad parameters: you must choose at least one stream")
    dated = call.flag("timestamps")
    records = container.logs(
        follow=call.flag("follow"),
        since=timestamps.parse(call.query.get("since")),
        until=timestamps.parse(call.query.get("until")),
        tail=tail_of(call.query.get("tail")),
        stdout=stdout,
        stderr=stderr,
        joined="dated" if dated else "plain",
    )
    terminal = container.spec.tty
    body = _lines(records, framed=not terminal, dated=dated)
    return Response(200, body, [("Content-Type", streams.content_type(call, terminal=terminal))])


def tail_of(text: str) -> int | None:
    """How many lines from the end; None for all, also for what is no number, as the daemon has it."""
    return int(text) if text.isdecimal() else None


async def _lines(records: AsyncIterator[LogRecord], *, framed: bool, dated: bool) -> AsyncIterator[bytes]:
    fresh = {"stdout": True, "stderr": True}  # whether the next record of the stream begins a line
    async for record in records:
        data = record.data
        if dated and record.time and fresh[record.stream]:  # joined lines bring their times
            data = f"{timestamps.from_nanoseconds(record.time, padded=True)} ".encode() + data
        fresh[record.stream] = not record.partial
        yield frame(record.stream, data) if framed else data
