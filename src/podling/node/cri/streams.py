"""Exec and attach of a CRI runtime: the client's side of remotecommand, by SPDY/3.1 to the address that the runtime gave.

Source: k8s.io/client-go, remotecommand; the protocol is v4.channel.k8s.io.
"""

import asyncio
import json

from podling.aio.client import HttpClient
from podling.aio.spdy import SpdyConnection, SpdyStream
from podling.aio.tasks import Tasks
from podling.engine.types import StreamName

_PROTOCOL = "v4.channel.k8s.io"
_UPGRADE = [("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1"), ("X-Stream-Protocol-Version", _PROTOCOL)]
_UNKNOWN = 255  # the exit code of a process whose end nobody told


class RemoteSession:
    """Implements `podling.node.runtime.Session`."""

    def __init__(self, connection: SpdyConnection, streams: dict[str, SpdyStream]) -> None:
        self._connection = connection
        self._streams = streams
        self._chunks: asyncio.Queue[tuple[StreamName, bytes] | None] = asyncio.Queue(8)
        self._tasks = Tasks("session of a CRI runtime")
        names: tuple[StreamName, ...] = ("stdout", "stderr")
        outputs = [(name, streams[name]) for name in names if name in streams]
        self._status = self._tasks.start(_everything(streams["error"]), "status")
        self._tasks.start(self._read_all(outputs), "output")

    async def _read_all(self, outputs: list[tuple[StreamName, SpdyStream]]) -> None:
        async with asyncio.TaskGroup() as group:
            for name, stream in outputs:
                group.create_task(self._read(name, stream))
        await self._chunks.put(None)

    async def _read(self, name: StreamName, stream: SpdyStream) -> None:
        while data := await stream.read():
            await self._chunks.put((name, data))

    async def read(self) -> tuple[StreamName, bytes] | None:
        return await self._chunks.get()

    def write(self, data: bytes) -> None:
        if stdin := self._streams.get("stdin"):
            stdin.write(data)

    async def drain(self) -> None:
        if stdin := self._streams.get("stdin"):
            await stdin.drain()

    def close_stdin(self) -> None:
        if stdin := self._streams.get("stdin"):
            stdin.write_eof()

    async def resize(self, rows: int, columns: int) -> None:
        if sizes := self._streams.get("resize"):
            sizes.write(json.dumps({"Width": columns, "Height": rows}).encode() + b"\n")
            await sizes.drain()

    async def wait(self) -> int:
        return exit_code(await asyncio.shield(self._status))

    async def close(self) -> None:
        await self._tasks.cancel()
        await self._connection.close()


async def connect(url: str, *, stdin: bool, tty: bool) -> RemoteSession:
    """Open the streams of the session at `url`. Raises ConnectionFailed, TimedOut, UpgradeRefused."""
    client = HttpClient()
    _, _, wire = await client.upgrade("POST", url, _UPGRADE)
    connection = SpdyConnection(wire, server=False)
    await connection.__aenter__()
    kinds = ["error", *(["stdin"] if stdin else []), "stdout", *(["resize"] if tty else ["stderr"])]
    try:
        streams = {kind: await connection.open([("streamtype", kind)]) for kind in kinds}
    except BaseException:
        await connection.close()
        raise
    streams["error"].write_eof()
    return RemoteSession(connection, streams)


def exit_code(status: bytes) -> int:
    """From the Status object that ends the conversation."""
    try:
        told = json.loads(status)
        if told["status"] == "Success":
            return 0
        return int(next(cause["message"] for cause in told["details"]["causes"] if cause["reason"] == "ExitCode"))
    except (ValueError, KeyError, TypeError, StopIteration):
        return _UNKNOWN


async def _everything(stream: SpdyStream) -> bytes:
    data = b""
    while piece := await stream.read():
        data += piece
    return data
