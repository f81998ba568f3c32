"""Streams of containers: nothing is lost, neither before the start nor by slow readers."""

import asyncio

import pytest

from podling.engine.attach import Attachment
from podling.engine.engine import Engine
from podling.engine.types import ContainerSpec
from podling.testing.engine import output_of, run

pytestmark = pytest.mark.root


async def everything(attachment: Attachment) -> dict[str, bytes]:
    """All that comes, by stream."""
    out = {"stdout": b"", "stderr": b""}
    while (chunk := await attachment.read()) is not None:
        out[chunk[0]] += chunk[1]
    await attachment.close()
    return out


async def test_attached_before_the_start_every_byte_arrives(engine: Engine) -> None:
    container = await engine.containers.create(
        ContainerSpec("busybox", command=("sh", "-c", "echo first; echo bad >&2; echo last"))
    )
    attachment = await container.attach()
    await container.start()
    assert await everything(attachment) == {"stdout": b"first\nlast\n", "stderr": b"bad\n"}
    assert await container.wait() == 0


async def test_a_slow_reader_loses_nothing(engine: Engine) -> None:
    container = await engine.containers.create(ContainerSpec("busybox", command=("sh", "-c", "seq 1 300000; printf end")))
    attachment = await container.attach()
    await container.start()
    await asyncio.sleep(0.2)
    out = await everything(attachment)
    assert out["stdout"] == "".join(f"{number}\n" for number in range(1, 300001)).encode() + b"end"


async def test_stdin_goes_in_and_ends(engine: Engine) -> None:
    container = await engine.containers.create(
        ContainerSpec("busybox", command=("sh", "-c", "cat; echo over"), open_stdin=True, stdin_once=True)
    )
    attachment = await container.attach(stdin=True)
    attachment.write(b"early ")  # kept until the process is there
    await container.start()
    big = bytes(range(256)) * 1000
    attachment.write(big)
    await attachment.drain()
    attachment.close_stdin()
    assert (await everything(attachment))["stdout"] == b"early " + big + b"over\n"
    assert await container.wait() == 0


async def test_a_terminal(engine: Engine) -> None:
    script = 'read x; until [ "$(stty size)" = "33 77" ]; do sleep 0.05; done; test -t 1 && echo tty $x'
    container = await engine.containers.create(
        ContainerSpec("busybox", command=("sh", "-c", script), tty=True, console_size=(20, 50), open_stdin=True)
    )
    attachment = await container.attach(stdin=True)
    await container.start()
    await container.resize(33, 77)
    attachment.write(b"go\n")
    out = await everything(attachment)
    assert b"tty go\r\n" in out["stdout"]
    assert out["stderr"] == b""


async def test_a_terminal_begins_with_the_size_asked_for(engine: Engine) -> None:
    container = await run(engine, "stty", "size", tty=True, console_size=(20, 50))
    assert await output_of(container) == ("20 50\r\n", 0)


async def test_two_see_the_same(engine: Engine) -> None:
    container = await run(engine, "sh", "-c", "read x; echo got $x", open_stdin=True)
    one, two = await container.attach(stdin=True), await container.attach()
    await asyncio.sleep(0.1)  # conmon takes connections in its own time
    one.write(b"it\n")
    assert await everything(one) == await everything(two) == {"stdout": b"got it\n", "stderr": b""}


async def test_letting_go_leaves_the_container_running(engine: Engine) -> None:
    container = await run(engine, "sh", "-c", "cat; sleep 100", open_stdin=True)
    attachment = await container.attach(stdin=True)
    await attachment.close()
    again = await container.attach(stdin=True)
    again.write(b"hello\n")
    assert await again.read() == ("stdout", b"hello\n")
    await again.close()
    assert container.running


async def test_only_the_wanted_stream_is_given(engine: Engine) -> None:
    container = await engine.containers.create(ContainerSpec("busybox", command=("sh", "-c", "echo out; echo err >&2")))
    attachment = await container.attach(stdout=False)
    await container.start()
    assert await everything(attachment) == {"stdout": b"", "stderr": b"err\n"}


async def test_the_past_comes_first(engine: Engine) -> None:
    container = await run(engine, "sh", "-c", "echo before; read x; echo after", open_stdin=True)
    async for _ in container.logs(follow=True):
        break
    attachment = await container.attach(stdin=True, logs=True)
    attachment.write(b"\n")
    assert (await everything(attachment))["stdout"] == b"before\nafter\n"


async def test_an_attachment_ends_with_a_container_that_never_starts(engine: Engine) -> None:
    container = await engine.containers.create(ContainerSpec("busybox", command=("true",)))
    attachment = await container.attach()
    await container.remove()
    assert await attachment.read() is None


async def test_the_past_and_the_present_join_without_a_seam(engine: Engine) -> None:
    container = await run(engine, "sh", "-c", "seq 1 60000")
    out = await everything(await container.attach(logs=True))
    assert out["stdout"] == "".join(f"{number}\n" for number in range(1, 60001)).encode()
    again = await container.attach(logs=True)
    await container.start()
    assert (await everything(again))["stdout"] == out["stdout"] * 2
