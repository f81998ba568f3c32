"""Attaching: by WebSocket, with input that ends, over TCP with certificates."""

import asyncio
import time
from urllib.parse import quote

import pytest

from podling.aio import websocket
from podling.aio.client import HttpClient, UpgradeRefused

pytestmark = pytest.mark.root


def attached(docker, query, talk, name="box"):
    """What `talk(socket)` gives, over a WebSocket to a container."""

    async def run():
        async with asyncio.timeout(20), HttpClient(f"unix://{quote(str(docker.socket))}") as client:
            url = f"/containers/{name}/attach/ws?{query}"
            return await talk(await websocket.connect(client, url))

    return asyncio.run(run())


async def all_of(socket):
    """All that comes, until the other side closes."""
    said = b""
    while (message := await socket.receive()) is not None:
        said += message.data
    return said


def test_by_websocket(docker):
    docker("create", "-i", "--name", "box", "busybox", "sh", "-c", "read line; echo got $line; echo err >&2; exit 3")

    async def talk(socket):
        await asyncio.to_thread(docker, "start", "box")
        socket.send(b"typed\n")
        return await all_of(socket)

    assert sorted(attached(docker, "stream=1&stdin=1&stdout=1&stderr=1", talk).split(b"\n")) == [b"", b"err", b"got typed"]
    assert docker("wait", "box").stdout == "3\n"
    assert attached(docker, "logs=1&stdout=1", all_of) == b"got typed\n"


def test_leaving_a_websocket_detaches(docker):
    docker("run", "-d", "-i", "--name", "box", "busybox", "cat")

    async def talk(socket):
        socket.send(b"one\n")
        first = await socket.receive()
        await socket.close()
        return first

    assert attached(docker, "stream=1&stdin=1&stdout=1", talk).data == b"one\n"
    until = f"{time.time() + 0.3:.3f}"
    told = docker(
        "events", "--since", "1", "--until", until, "-f", "container=box", "-f", "event=detach", "--format", "{{.Action}}"
    )
    assert told.stdout == "detach\n"
    assert docker("inspect", "-f", "{{.State.Running}}", "box").stdout == "true\n"


def test_detach_keys_on_a_websocket(docker):
    docker("run", "-d", "-it", "--name", "box", "busybox", "cat")

    async def talk(socket):
        socket.send(b"one\n")
        seen = b""
        while b"one\r\none\r\n" not in seen:  # as it is typed, and from cat
            seen += (await socket.receive()).data
        socket.send(b"two\x18")
        return seen + await all_of(socket)

    said = attached(docker, "stream=1&stdin=1&stdout=1&detachKeys=ctrl-x", talk)
    assert b"\x18" not in said
    assert docker("inspect", "-f", "{{.State.Running}}", "box").stdout == "true\n"


def test_what_is_no_websocket(docker):
    docker("create", "--name", "box", "busybox", "true")
    assert docker.api("GET", "/containers/box/attach/ws?stream=1")[0] == 400
    with pytest.raises(UpgradeRefused, match="404"):
        attached(docker, "stream=1", all_of, "other")
