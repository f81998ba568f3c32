"""SPDY frames as properties; conversations over real sockets, bare and inside a WebSocket."""

import asyncio
import contextlib
import itertools
import zlib
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.aio import pump, websocket
from podling.aio import spdy_frames as frames
from podling.aio.client import HttpClient
from podling.aio.http import Headers, Request
from podling.aio.spdy import SpdyConnection, SpdyStream
from podling.aio.tasks import Tasks
from podling.aio.websocket import MessageStream

IDS = st.integers(1, 2**31 - 1)
NAMES = st.text("abcdefgh-", min_size=1, max_size=10)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
HEADERS = st.dictionaries(NAMES, VALUES, max_size=5).map(lambda fields: Headers(fields.items()))
FRAMES = st.one_of(
    st.builds(frames.SynStream, IDS, HEADERS, st.booleans(), st.booleans()),
    st.builds(frames.SynReply, IDS, HEADERS, st.booleans()),
    st.builds(frames.MoreHeaders, IDS, HEADERS, st.booleans()),
    st.builds(frames.Data, IDS, st.binary(max_size=100), st.booleans()),
    st.builds(frames.Reset, IDS, st.integers(1, 11)),
    st.builds(frames.Ping, st.integers(0, 2**32 - 1)),
    st.builds(frames.GoAway, IDS, st.integers(0, 2)),
    st.builds(frames.Settings, st.dictionaries(st.integers(1, 8), st.integers(0, 2**31), max_size=3)),
    st.builds(frames.WindowUpdate, IDS, st.integers(1, 2**31 - 1)),
)


def plain(frame: frames.Frame) -> object:
    """A frame that can be compared."""
    if isinstance(frame, frames.SynStream | frames.SynReply | frames.MoreHeaders):
        return type(frame), frame.id, list(frame.headers), frame.fin, getattr(frame, "unidirectional", None)
    return frame


def joined(received: list[frames.Frame]) -> list[object]:
    """The frames with the pieces of a data frame put together again."""
    out: list[object] = []
    open_data: frames.Data | None = None
    for frame in received:
        if isinstance(frame, frames.Data) and open_data is not None and open_data.id == frame.id and not open_data.fin:
            open_data = frames.Data(frame.id, open_data.data + frame.data, frame.fin)
            out[-1] = open_data
            continue
        open_data = frame if isinstance(frame, frames.Data) else None
        out.append(plain(frame))
    return out


@given(st.lists(FRAMES, max_size=6), st.lists(st.integers(0, 10_000), max_size=5))
def test_frames_come_back_however_they_are_cut(sent, places):
    encoder, decoder = frames.Encoder(), frames.Decoder()
    raw = b"".join(encoder.encode(frame) for frame in sent)
    edges = [0, *sorted(place % (len(raw) + 1) for place in places), len(raw)]
    received = [frame for start, end in itertools.pairwise(edges) for frame in decoder.feed(raw[start:end])]
    assert joined(received) == joined(sent)


@given(st.binary(max_size=80))
def test_arbitrary_bytes_only_raise_protocol_errors(raw):
    with contextlib.suppress(frames.SpdyError):
        frames.Decoder().feed(raw)


@given(st.integers(1, 9), st.binary(max_size=80))
def test_arbitrary_control_frames_only_raise_protocol_errors(kind, payload):
    with contextlib.suppress(frames.SpdyError):
        frames.Decoder().feed(frames.control(kind, 0, payload))


def test_the_dictionary_is_the_protocols():
    assert zlib.adler32(frames.DICTIONARY) == 0xE3C6A7C2


def test_a_header_bomb_is_refused():
    bomb = frames.Encoder().encode(frames.SynStream(1, Headers([("a", "x" * (1 << 20))])))
    assert len(bomb) < 10_000
    with pytest.raises(frames.SpdyError, match="headers"):
        frames.Decoder().feed(bomb)


async def answer(stream: SpdyStream) -> None:
    match stream.headers.get("streamtype"):
        case "echo":
            await pump.copy(stream, stream)
        case "source":
            for _ in range(64):
                stream.write(b"x" * 65536)
                await stream.drain()
        case "refused":
            stream.refuse()
            return
        case "size":
            size = 0
            while data := await stream.read():
                size += len(data)
            stream.write(b"%d" % size)
    stream.write_eof()


async def handler(request: Request) -> None:
    if websocket.is_upgrade(request):
        transport = MessageStream(await websocket.accept(request, ["SPDY/3.1+portforward.k8s.io"]))
    else:
        transport = await request.hijack(101, [("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1")])
    async with SpdyConnection(transport, server=True) as connection, Tasks("streams") as tasks:
        while (stream := await connection.accept()) is not None:
            tasks.start(answer(stream), "stream")
        await connection.wait_ended()


@pytest.fixture(params=["bare", "websocket"])
async def connection(request, serve) -> AsyncIterator[SpdyConnection]:
    served = await serve(handler)
    async with HttpClient(served.url) as client:
        if request.param == "bare":
            fields = [("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1")]
            _, _, transport = await client.upgrade("POST", "/", fields)
        else:
            transport = MessageStream(await websocket.connect(client, "/", protocols=["SPDY/3.1+portforward.k8s.io"]))
        async with SpdyConnection(transport, server=False) as connection:
            yield connection


async def read_all(stream: SpdyStream) -> bytes:
    pieces = []
    while data := await asyncio.wait_for(stream.read(), 5):
        pieces.append(data)
    return b"".join(pieces)


async def test_streams_side_by_side_with_half_close(connection):
    streams = [await connection.open([("streamType", "echo"), ("n", str(n))]) for n in range(5)]
    for n, stream in enumerate(streams):
        stream.write(b"%d" % n)
    for stream in reversed(streams):
        stream.write(b"!")
        stream.write_eof()
    assert [await read_all(stream) for stream in streams] == [b"%d!" % n for n in range(5)]
    assert not connection._streams


async def test_more_than_a_window_both_ways(connection):
    source = await connection.open([("streamType", "source")])
    size = await connection.open([("streamType", "size")])
    for _ in range(64):
        size.write(b"y" * 65536)
        await size.drain()
    size.write_eof()
    assert await read_all(size) == b"%d" % (64 << 16)
    assert len(await read_all(source)) == 64 << 16


async def test_a_refused_stream(connection):
    stream = await connection.open([("streamType", "refused")])
    assert await read_all(stream) == b""
    with pytest.raises(ConnectionResetError):
        await stream.drain()


async def test_an_unread_stream_does_not_grow(connection):
    stream = await connection.open([("streamType", "source")])
    await asyncio.sleep(0.2)
    assert 0 < stream._unread <= 2 << 20
    other = await connection.open([("streamType", "echo")])
    other.write(b"goes on")
    other.write_eof()
    assert await read_all(other) == b"goes on"
    await stream.close()


async def test_nonsense_ends_the_connection(serve):
    served = await serve(handler)
    async with HttpClient(served.url) as client:
        _, _, transport = await client.upgrade("POST", "/", [("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1")])
        transport.write(b"\xff" * 100)
        answer = b""
        while data := await asyncio.wait_for(transport.read(), 5):
            answer += data
        assert frames.Decoder().feed(answer)[-1] == frames.GoAway(0, frames.PROTOCOL_ERROR)
        await transport.close()


async def test_the_end_of_the_connection_ends_its_streams(serve):
    served = await serve(handler)
    async with HttpClient(served.url) as client:
        _, _, transport = await client.upgrade("POST", "/", [("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1")])
        async with SpdyConnection(transport, server=False) as connection:
            stream = await connection.open([("streamType", "echo")])
            await served.server.close(0)
            assert await asyncio.wait_for(stream.read(), 5) == b""
            with pytest.raises(ConnectionResetError):
                await connection.open([])
