"""Further processes in containers. Source: Docker Engine API, "Exec"."""

from typing import Any

from podling.aio.http import Response
from podling.base.errors import Conflict, InvalidInput, PodlingError
from podling.docker import streams
from podling.docker.answers import empty, frame, json
from podling.docker.daemon import Daemon
from podling.docker.routing import Call, Routes, well_formed
from podling.engine.attach import Attachment
from podling.engine.execution import Exec
from podling.engine.types import ExecSpec

routes = Routes()


@routes.post("/containers/{name}/exec")
async def create(call: Call, daemon: Daemon) -> Response:
    container, body = daemon.engine.containers.find(call.path["name"]), await call.json()
    with well_formed():
        streams.parse_keys(body.get("DetachKeys") or "")
        spec = exec_spec(body)
    return json({"Id": (await container.exec(spec)).id}, 201)


def exec_spec(body: dict[str, Any]) -> ExecSpec:
    """An ExecConfig. Raises InvalidInput."""
    if not body.get("Cmd"):
        raise InvalidInput("No exec command specified")
    return ExecSpec(
        command=tuple(body["Cmd"]),
        env=tuple(body.get("Env") or ()),
        working_dir=body.get("WorkingDir") or "",
        user=body.get("User") or "",
        tty=bool(body.get("Tty")),
        stdin=bool(body.get("AttachStdin")),
        privileged=bool(body.get("Privileged")),
    )


@routes.post("/exec/{id}/start")
async def start(call: Call, daemon: Daemon) -> Response | None:
    execution, body = daemon.engine.execs.find(call.path["id"]), await call.json()
    if execution.running or execution.exit_code is not None:
        raise Conflict(f"exec command {execution.id} has already run")
    with well_formed():
        rows, columns = body.get("ConsoleSize") or (0, 0)
        keys = streams.parse_keys(body.get("DetachKeys") or "")
    if not body.get("Detach"):
        await _attached(call, execution, (rows, columns), keys, daemon)
        return None
    attachment = await execution.start(rows, columns)
    attachment.close_stdin()
    daemon.tasks.start(_discard(attachment), f"exec {execution.id[:12]}")
    return empty(200)


async def _attached(call: Call, execution: Exec, size: tuple[int, int], keys: bytes, daemon: Daemon) -> None:
    """The connection is taken over before the process starts, as by the daemon; what goes wrong then stands on it."""
    terminal = execution.spec.tty
    client = await streams.take_over(call, terminal=terminal)
    try:
        attachment = await execution.start(*size)
    except PodlingError as error:
        message = f"{error.message}\r\n".encode()
        client.write(message if terminal else frame("stderr", message))
        await client.drain()
        return
    finished = False
    try:
        finished = await streams.carry(client, attachment, framed=not terminal, detach_keys=keys if terminal else b"")
    finally:
        daemon.tasks.start(_discard(attachment), f"exec {execution.id[:12]}")
    if finished:
        await execution.wait()  # the client asks for the exit code when the connection has ended


async def _discard(attachment: Attachment) -> None:
    """Take the output of a process that nobody listens to, or it would stand still."""
    try:
        while await attachment.read() is not None:
            pass
    finally:
        await attachment.close()


@routes.post("/exec/{id}/resize")
async def resize(call: Call, daemon: Daemon) -> Response:
    daemon.engine.execs.find(call.path["id"]).resize(call.number("h"), call.number("w"))
    return empty(200)


@routes.get("/exec/{id}/json")
async def inspect(call: Call, daemon: Daemon) -> Response:
    return json(shown(daemon.engine.execs.find(call.path["id"])))


def shown(execution: Exec) -> dict[str, Any]:
    """ExecInspectResponse."""
    spec = execution.spec
    return {
        "ID": execution.id,
        "Running": execution.running,
        "ExitCode": execution.exit_code,
        "ProcessConfig": {
            "tty": spec.tty,
            "entrypoint": spec.command[0],
            "arguments": list(spec.command[1:]),
            "privileged": spec.privileged,
            "user": spec.user,
        },
        "OpenStdin": spec.stdin,
        "OpenStderr": True,
        "OpenStdout": True,
        "CanRemove": execution.exit_code is not None,
        "ContainerID": execution.container.id,
        "DetachKeys": "",
        "Pid": execution.pid,
    }
