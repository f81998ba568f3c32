"""The server as a client on a socket sees it."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from podling.aio.http import BodyTooLarge, BodyWriter, Request, Response, frame_chunk
from podling.aio.server import HttpServer, Limits

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def post(path: str, *fields: str, body: bytes = b"") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: a", *fields]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def echo(request: Request) -> Response:
    return Response(200, await request.body(limit=1 << 20), [("X-Path", request.path)])


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


async def test_pipelined_requests_are_answered_in_order(serve):
    async def handler(request: Request) -> Response:
        if request.path == "/slow":
            await asyncio.sleep(0.05)
        return Response(200, request.path.encode())

    served = await serve(handler)
    answer = await served.talk(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\nGET /quick HTTP/1.1\r\nHost: a\r\n\r\n" + LAST)
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert answer.index(b"/slow") < answer.index(b"/quick")
    assert answer.endswith(b"\r\n\r\n/")


async def test_a_request_in_single_bytes(serve):
    served = await serve(echo)
    raw = post("/a%20b?c=d", "Content-Length: 3", "Connection: close", body=b"xyz")
    answer = await served.talk(*[raw[i : i + 1] for i in range(len(raw))])
    assert body_of(answer) == b"xyz"
    assert b"X-Path: /a b\r\n" in answer


async def test_a_chunked_body_with_extension_and_trailer(serve):
    served = await serve(echo)
    body = b"3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n"
    answer = await served.talk(post("/", "Transfer-Encoding: chunked", body=body) + LAST)
    assert b"\r\n\r\nabc0123456789HTTP/1.1 200" in answer


async def test_a_body_the_handler_ignores_is_read_over(serve):
    async def handler(request: Request) -> Response:
        return Response(404)

    served = await serve(handler)
    answer = await served.talk(post("/", "Content-Length: 5"), b"hello" + LAST)
    assert answer.count(b"HTTP/1.1 404") == 2


async def test_a_huge_ignored_body_closes_but_the_answer_arrives(serve):
    async def handler(request: Request) -> Response:
        return Response(413, b"no")

    served = await serve(handler)
    answer = await served.talk(post("/", "Content-Length: 100000000", body=b"x" * 3_000_000))
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"Connection: close" in answer


async def test_expect_continue_is_sent_when_the_body_is_read(serve):
    served = await serve(echo)
    reader, writer = await served.connect()
    writer.write(post("/", "Content-Length: 2", "Expect: 100-continue", "Connection: close"))
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"ok")
    assert body_of(await reader.read()) == b"ok"
    writer.close()


async def test_expect_continue_is_not_sent_when_it_is_not(serve):
    async def handler(request: Request) -> Response:
        return Response(401)

    served = await serve(handler)
    answer = await served.talk(post("/", "Content-Length: 2", "Expect: 100-continue"))
    assert answer.startswith(b"HTTP/1.1 401")
    assert b"Connection: close" in answer


async def pieces() -> AsyncIterator[bytes]:
    for piece in (b"a", b"", b"bc"):
        yield piece


async def test_an_iterable_leaves_chunked(serve):
    async def handler(request: Request) -> Response:
        return Response(200, pieces())

    served = await serve(handler)
    answer = await served.talk(LAST)
    assert b"Transfer-Encoding: chunked" in answer
    assert body_of(answer) == b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"


async def test_an_iterable_of_known_length_leaves_as_it_is(serve):
    async def handler(request: Request) -> Response:
        return Response(200, pieces(), [("Content-Length", "3")])

    served = await serve(handler)
    answer = await served.talk(LAST)
    assert body_of(answer) == b"abc"
    assert b"chunked" not in answer


async def test_a_producer_writes_framed_and_unframed(serve):
    async def produce(writer: BodyWriter) -> None:
        writer.write(b"one\n")
        writer.write_framed(frame_chunk(b"two\n"))
        await writer.drain()

    async def handler(request: Request) -> Response:
        return Response(200, produce)

    served = await serve(handler)
    assert body_of(await served.talk(LAST)) == b"4\r\none\n\r\n4\r\ntwo\n\r\n0\r\n\r\n"
    assert body_of(await served.talk(b"GET / HTTP/1.0\r\n\r\n")) == b"one\ntwo\n"


async def test_head_has_the_length_but_no_body(serve):
    async def handler(request: Request) -> Response:
        return Response(200, b"hello")

    served = await serve(handler)
    answer = await served.talk(b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert b"Content-Length: 5\r\n" in answer
    assert body_of(answer) == b""


async def test_204_and_304_have_neither(serve):
    async def handler(request: Request) -> Response:
        return Response(int(request.path[1:]))

    served = await serve(handler)
    answer = await served.talk(b"GET /204 HTTP/1.1\r\nHost: a\r\n\r\nGET /304 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert b"Content-Length" not in answer.partition(b"304")[0]
    assert answer.endswith(b"\r\n\r\n")


async def test_what_a_handler_raises_goes_through_the_hook(serve):
    async def handler(request: Request) -> Response:
        await request.body(limit=4)
        raise KeyError("x")

    def on_error(request: Request, error: Exception) -> Response:
        status = 413 if isinstance(error, BodyTooLarge) else 500
        return Response(status, type(error).__name__.encode())

    served = await serve(handler, on_error=on_error)
    answer = await served.talk(post("/", "Content-Length: 9", body=b"too large") + LAST)
    assert b"413" in answer
    assert b"BodyTooLarge" in answer
    assert answer.endswith(b"KeyError")


async def test_a_body_that_breaks_off_is_never_a_whole_one(serve, caplog):
    async def broken() -> AsyncIterator[bytes]:
        yield b"a"
        raise OSError("the disk is gone")

    async def handler(request: Request) -> Response:
        return Response(200, broken())

    served = await serve(handler)
    assert not (await served.talk(GET)).endswith(b"0\r\n\r\n")
    assert "the disk is gone" in caplog.text


async def test_a_header_cannot_be_split(serve, caplog):
    async def handler(request: Request) -> Response:
        return Response(200, b"", [("X", "a\r\nSet-Cookie: b")])

    served = await serve(handler)
    assert b"Set-Cookie" not in await served.talk(GET)


@pytest.mark.parametrize("fields", [(), ("Connection: Upgrade", "Upgrade: tcp")], ids=["bare", "upgrade"])
@pytest.mark.parametrize("status", [101, 200])
async def test_a_hijacked_connection_carries_raw_bytes_and_half_closes(serve, fields, status):
    async def handler(request: Request) -> None:
        assert await request.body() == b"{}"
        stream = await request.hijack(status, [("Content-Type", "application/vnd.docker.raw-stream")])
        while data := await stream.read():
            stream.write(data.upper())
            await stream.drain()
        stream.write(b"!")
        await stream.close()

    served = await serve(handler)
    reader, writer = await served.connect()
    writer.write(post("/exec", *fields, "Content-Length: 2", body=b"{}early "))
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"Content-Length" not in head
    writer.write(b"late")
    writer.write_eof()
    assert await reader.read() == b"EARLY LATE!"
    writer.close()


async def test_a_client_that_leaves_cancels_the_handler(serve):
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def handler(request: Request) -> Response:
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()
        return Response()

    served = await serve(handler)
    _, writer = await served.connect()
    writer.write(GET)
    await started.wait()
    writer.close()
    await asyncio.wait_for(cancelled.wait(), 2)


async def test_a_client_that_leaves_closes_the_body_writer(serve):
    writers: asyncio.Queue[BodyWriter] = asyncio.Queue()

    async def produce(writer: BodyWriter) -> None:
        writers.put_nowait(writer)
        writer.write(b"event")
        await asyncio.sleep(60)

    async def handler(request: Request) -> Response:
        return Response(200, produce)

    served = await serve(handler)
    reader, client = await served.connect()
    client.write(GET)
    await reader.readuntil(b"event\r\n")
    writer = await writers.get()
    assert not writer.closed
    client.close()
    await asyncio.wait_for(writer.wait_closed(), 2)
    assert writer.closed


async def test_chunks_of_one_tick_leave_in_one_write(serve, monkeypatch):
    writes: list[int] = []

    async def produce(writer: BodyWriter) -> None:
        transport = writer._wire.transport
        original = type(transport).write

        class Counting:
            def __getattr__(self, name):
                return getattr(transport, name)

            def write(self, data):
                writes.append(len(data))
                original(transport, data)

        writer._wire._transport = Counting()
        for _ in range(100):
            writer.write(b"x" * 10)

    async def handler(request: Request) -> Response:
        return Response(200, produce)

    served = await serve(handler)
    assert (await served.talk(LAST)).count(b"x" * 10) == 100
    assert len(writes) == 1


async def test_a_client_that_does_not_read_stops_the_producer(serve):
    sent = 0

    async def produce(writer: BodyWriter) -> None:
        nonlocal sent
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    async def handler(request: Request) -> Response:
        return Response(200, produce)

    served = await serve(handler)
    _, writer = await served.connect()
    writer.write(GET)
    before = -1
    while sent != before:
        before = sent
        await asyncio.sleep(0.2)
    assert 0 < sent < 32 << 20
    writer.transport.abort()


async def test_a_handler_that_does_not_read_stops_the_client(serve):
    go = asyncio.Event()

    async def handler(request: Request) -> Response:
        await go.wait()
        return Response(200, str(len(await request.body(limit=1 << 30))).encode())

    served = await serve(handler)
    reader, writer = await served.connect()
    size = 64 << 20
    writer.write(post("/", f"Content-Length: {size}", "Connection: close", body=bytes(size)))
    await asyncio.sleep(0.3)
    (connection,) = served.server._service.open
    assert connection._received_size < 1 << 20
    assert writer.transport.get_write_buffer_size() > size // 2
    go.set()
    assert body_of(await reader.read()) == b"%d" % size
    writer.close()


async def test_a_slow_head_times_out(serve):
    served = await serve(echo, limits=Limits(header_seconds=0.2))
    answer = await served.talk(b"GET / HTTP/1.1\r\n", b"Host: a\r\n")
    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_dripping_bytes_do_not_hold_the_time_out_back(serve):
    served = await serve(echo, limits=Limits(header_seconds=0.2))
    reader, writer = await served.connect()
    started = asyncio.get_running_loop().time()
    writer.write(b"GET / HTTP/1.1\r\nX: ")
    read = asyncio.get_running_loop().create_task(reader.read())
    while not read.done() and asyncio.get_running_loop().time() - started < 2:
        writer.write(b"x")
        await asyncio.sleep(0.02)
    assert (await read).startswith(b"HTTP/1.1 408 ")
    assert asyncio.get_running_loop().time() - started < 1
    writer.close()


async def test_a_body_that_stops_coming_times_out(serve):
    served = await serve(echo, limits=Limits(stall_seconds=0.2))
    reader, writer = await served.connect()
    writer.write(post("/", "Content-Length: 6", body=b"a"))
    for byte in b"bcd":  # slow is not stalled
        await asyncio.sleep(0.1)
        writer.write(bytes([byte]))
    answer = await asyncio.wait_for(reader.read(), 2)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert body_of(answer) == b"the request's body took too long\n"
    writer.close()


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_client_that_takes_nothing_of_its_answer_is_given_up(serve, streamed):
    async def endless(body: BodyWriter) -> None:
        while True:
            body.write(b"x" * 100_000)
            await body.drain()

    async def handler(request: Request) -> Response:
        return Response(200, endless if streamed else b"x" * 50_000_000)

    served = await serve(handler, limits=Limits(stall_seconds=0.2))
    _, writer = await served.connect()
    writer.transport.pause_reading()
    writer.write(LAST)
    await asyncio.sleep(0.1)
    assert served.server.connections == 1
    await asyncio.sleep(0.6)
    assert served.server.connections == 0
    writer.close()


async def test_a_slow_client_gets_its_answer_whole(serve):
    async def handler(request: Request) -> Response:
        return Response(200, b"x" * 20_000_000)

    served = await serve(handler, limits=Limits(stall_seconds=0.3))
    reader, writer = await served.connect()
    writer.write(LAST)
    size = 0
    while piece := await reader.read(1_000_000):
        size += len(piece)
        await asyncio.sleep(0.02)
    assert size > 20_000_000
    writer.close()


async def test_an_idle_connection_is_closed_without_a_word(serve):
    served = await serve(echo, limits=Limits(idle_seconds=0.2))
    answer = await served.talk(GET, seconds=2)
    assert answer.count(b"HTTP/1.1") == 1
    assert await served.talk(seconds=2) == b""


async def test_a_long_request_is_not_an_idle_connection(serve):
    async def handler(request: Request) -> Response:
        await asyncio.sleep(0.4)
        return Response(200, b"done")

    served = await serve(handler, limits=Limits(idle_seconds=0.1, header_seconds=0.1))
    assert (await served.talk(LAST)).endswith(b"done")


async def test_more_connections_than_allowed_are_refused(serve):
    served = await serve(echo, limits=Limits(connections=1))
    _, first = await served.connect()
    await asyncio.sleep(0.05)
    assert (await served.talk(GET)).startswith(b"HTTP/1.1 503 ")
    first.close()
    await asyncio.sleep(0.05)
    assert (await served.talk(LAST)).startswith(b"HTTP/1.1 200 ")


async def test_stopping_lets_a_request_finish_and_closes_the_idle(serve):
    started = asyncio.Event()

    async def handler(request: Request) -> Response:
        started.set()
        await asyncio.sleep(0.3)
        return Response(200, b"finished")

    served = await serve(handler)
    idle_reader, idle_writer = await served.connect()
    reader, writer = await served.connect()
    writer.write(GET)
    await started.wait()
    closing = asyncio.get_running_loop().create_task(served.server.close(5))
    assert await asyncio.wait_for(idle_reader.read(), 0.2) == b""
    with pytest.raises(OSError):
        await served.connect()
    answer = await reader.read()
    assert answer.endswith(b"finished")
    idle_writer.close()
    writer.close()
    await asyncio.wait_for(closing, 2)
    assert served.server.connections == 0


async def test_stopping_aborts_what_is_not_done_in_time(serve):
    async def handler(request: Request) -> Response:
        await asyncio.sleep(60)
        return Response()

    served = await serve(handler)
    _, writer = await served.connect()
    writer.write(GET)
    await asyncio.sleep(0.05)
    started = asyncio.get_running_loop().time()
    await served.server.close(0.2)
    assert asyncio.get_running_loop().time() - started < 1.5
    assert served.server.connections == 0
    writer.close()


async def talk_unix(path: Path) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(LAST)
    answer = await reader.read()
    writer.close()
    return answer


async def test_a_unix_socket_has_its_mode_and_knows_its_peer(tmp_path):
    async def handler(request: Request) -> Response:
        return Response(200, f"{request.peer.uid} {request.peer.pid}".encode())

    path = tmp_path / "a.sock"
    server = HttpServer(handler)
    await server.listen_unix(path, mode=0o600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (await talk_unix(path)).endswith(b"%d %d" % (os.getuid(), os.getpid()))
    await server.close(0)
    assert list(tmp_path.iterdir()) == []


async def test_a_stale_unix_socket_is_replaced_but_a_live_one_is_not(tmp_path):
    path = tmp_path / "a.sock"
    first, second = HttpServer(echo), HttpServer(echo)
    await first.listen_unix(path)
    with pytest.raises(OSError, match="another server"):
        await second.listen_unix(path)
    first._unix.clear()  # as if it had been killed
    await first.close(0)
    assert path.exists()
    await second.listen_unix(path)
    assert (await talk_unix(path)).startswith(b"HTTP/1.1 200")
    await second.close(0)


async def test_a_unix_socket_of_an_unknown_group_leaves_nothing(tmp_path):
    with pytest.raises(LookupError):
        await HttpServer(echo).listen_unix(tmp_path / "a.sock", group="no-such-group")
    assert list(tmp_path.iterdir()) == []


async def test_a_taken_port_is_named(serve):
    served = await serve(echo)
    with pytest.raises(OSError, match=str(served.port)):
        await HttpServer(echo).listen_tcp("127.0.0.1", served.port)
