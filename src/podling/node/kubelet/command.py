"""exec and attach: a process's stdio joined with a client's channels. Source: PodExecOptions, PodAttachOptions."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from podling.aio import websocket
from podling.aio.http import Query, Request
from podling.aio.tasks import Tasks
from podling.base.errors import InvalidInput, PodlingError
from podling.node.kubelet.remote import (
    SPDY_PROTOCOLS,
    WEBSOCKET_PROTOCOLS,
    Remote,
    SpdyRemote,
    Status,
    WebSocketRemote,
    accept_spdy,
    gather_streams,
    is_spdy,
)
from podling.node.runtime import Session

_TRUE = ("1", "true", "True")


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """Which channels the client wants."""

    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    tty: bool = False

    def kinds(self) -> set[str]:
        """The SPDY streams that the client opens."""
        wanted = {"stdin": self.stdin, "stdout": self.stdout, "stderr": self.stderr and not self.tty, "resize": self.tty}
        return {"error", *(kind for kind, is_wanted in wanted.items() if is_wanted)}


def parse_streams(query: Query) -> StreamOptions:
    """Raises InvalidInput where nothing is asked for."""
    options = StreamOptions(*(query.get(name) in _TRUE for name in ("input", "output", "error", "tty")))
    if not (options.stdin or options.stdout or options.stderr):
        raise InvalidInput("you must specify at least 1 of stdin, stdout, stderr")
    return options


Begin = Callable[[], Awaitable[Session]]


async def serve(request: Request, options: StreamOptions, begin: Begin, *, reports_code: bool) -> None:
    """Speak with the client until the process has ended. `begin` starts or attaches; what it raises goes to the client."""
    if is_spdy(request):
        connection, protocol = await accept_spdy(request, SPDY_PROTOCOLS)
        async with connection:
            remote = SpdyRemote(connection, protocol, await gather_streams(connection, options.kinds()))
            await _converse(remote, options, begin, reports_code)
            await connection.wait_ended()
        return
    socket = await websocket.accept(request, WEBSOCKET_PROTOCOLS)
    async with WebSocketRemote(socket) as remote_socket:
        await _converse(remote_socket, options, begin, reports_code)


async def _converse(remote: Remote, options: StreamOptions, begin: Begin, reports_code: bool) -> None:
    try:
        session = await begin()
    except (PodlingError, OSError) as error:
        await remote.finish(internal_error(str(error)))
        return
    try:
        async with Tasks("stdio") as tasks:
            if options.stdin:
                tasks.start(_quietly(_feed(remote, session)), "stdin")
            if options.tty:
                tasks.start(_quietly(_resize(remote, session)), "terminal size")
            shown = tasks.start(_quietly(_show(remote, session, options)), "output")
            gone = tasks.start(remote.wait_gone(), "client")
            await asyncio.wait((shown, gone), return_when=asyncio.FIRST_COMPLETED)
            if not shown.done():
                return  # nobody is there to hear how it ends
            await shown
            await remote.finish(exit_status(await session.wait() if reports_code else 0))
    except ConnectionError:
        return
    finally:
        await session.close()


async def _quietly(work: Awaitable[None]) -> None:
    """That one side has gone ends a conversation; it is no failure of ours."""
    with suppress(ConnectionError):
        await work


async def _feed(remote: Remote, session: Session) -> None:
    while data := await remote.read_stdin():
        session.write(data)
        await session.drain()
    session.close_stdin()


async def _resize(remote: Remote, session: Session) -> None:
    while (size := await remote.read_size()) is not None:
        await session.resize(*size)


async def _show(remote: Remote, session: Session, options: StreamOptions) -> None:
    while (piece := await session.read()) is not None:
        stream, data = piece
        if options.stdout if stream == "stdout" else options.stderr:
            await remote.write(stream, data)


def exit_status(code: int) -> Status:
    """How a command ended, as a meta/v1 Status."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def internal_error(message: str) -> Status:
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"Internal error occurred: {message}",
        "reason": "InternalError",
        "details": {"causes": [{"message": message}]},
        "code": 500,
    }
