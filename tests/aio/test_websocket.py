"""WebSocket frames as properties; conversations over real sockets."""

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.aio import websocket
from podling.aio.client import HttpClient, UpgradeRefused
from podling.aio.http import Request, Response
from podling.aio.websocket import BINARY, CONTINUATION, PING, TEXT, Close, Codec, Message, MessageStream, Ping, WebSocketError
from podling.base.errors import PodlingError

PAYLOADS = st.one_of(st.binary(max_size=200), st.integers(120, 70_000).map(lambda size: b"x" * size))


def feed(codec: Codec, raw: bytes, places: list[int]) -> list[websocket.Event]:
    edges = [0, *sorted(place % (len(raw) + 1) for place in places), len(raw)]
    return [event for start, end in itertools.pairwise(edges) for event in codec.feed(raw[start:end])]


@given(st.lists(PAYLOADS, max_size=5), st.booleans(), st.lists(st.integers(0, 200_000), max_size=5))
def test_messages_come_back_however_they_are_cut(payloads, from_client, places):
    sender, receiver = Codec(client=from_client), Codec(client=not from_client)
    raw = b"".join(sender.encode(BINARY, payload) + sender.encode(PING, b"p") for payload in payloads)
    events = feed(receiver, raw, places)
    assert events == [event for payload in payloads for event in (Message(payload), Ping(b"p"))]


@given(st.text(), st.integers(1, 7))
def test_fragments_make_one_message(text, size):
    data = text.encode()
    parts = [data[at : at + size] for at in range(0, len(data), size)] or [b""]
    sender, receiver = Codec(client=True), Codec(client=False)
    raw = b"".join(
        sender.encode(TEXT if at == 0 else CONTINUATION, part, final=at == len(parts) - 1) + sender.encode(PING)
        for at, part in enumerate(parts)
    )
    assert [event for event in receiver.feed(raw) if not isinstance(event, Ping)] == [Message(data, text=True)]


@given(st.binary(max_size=60), st.booleans())
def test_arbitrary_bytes_only_raise_protocol_errors(raw, client):
    codec = Codec(client=client, max_message=100)
    try:
        codec.feed(raw)
    except WebSocketError as error:
        assert error.code in (1002, 1007, 1009)  # noqa: PT017


@given(st.binary(max_size=70), st.binary(min_size=4, max_size=4))
def test_mask(data, key):
    assert websocket.mask(data, key) == bytes(byte ^ key[at % 4] for at, byte in enumerate(data))


CLIENT = Codec(client=True, new_key=lambda: b"abcd")


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (Codec(client=False).encode(BINARY, b"x"), 1002),  # not masked
        (b"\xc2" + CLIENT.encode(BINARY, b"x")[1:], 1002),  # reserved bit
        (CLIENT.encode(3, b"x"), 1002),
        (CLIENT.encode(CONTINUATION, b"x"), 1002),
        (CLIENT.encode(BINARY, b"x", final=False) + CLIENT.encode(BINARY, b"y"), 1002),
        (CLIENT.encode(PING, b"x" * 126), 1002),
        (CLIENT.encode(PING, b"x", final=False), 1002),
        (CLIENT.encode(TEXT, b"\xff"), 1007),
        (CLIENT.encode(BINARY, b"x" * 101), 1009),
        (CLIENT.encode(BINARY, b"x" * 60, final=False) + CLIENT.encode(CONTINUATION, b"x" * 60), 1009),
        (CLIENT.encode(8, b"\x03"), 1002),
        (CLIENT.encode_close(1006), 1002),
    ],
)
def test_what_breaks_the_protocol(raw, code):
    with pytest.raises(WebSocketError) as caught:
        Codec(client=False, max_message=100).feed(raw)
    assert caught.value.code == code


async def echo(request: Request) -> Response | None:
    try:
        socket = await websocket.accept(request, ["v5.channel.k8s.io", "v4.channel.k8s.io"], max_message=1 << 20)
    except PodlingError as error:
        return Response(400, error.message.encode())
    while (message := await socket.receive()) is not None:
        socket.send(message.data, text=message.text)
        await socket.drain()
    await socket.close()
    return None


async def test_messages_over_a_connection(serve):
    served = await serve(echo)
    async with HttpClient(served.url) as client:
        socket = await websocket.connect(client, "/", protocols=["x", "v4.channel.k8s.io"])
        assert socket.protocol == "v4.channel.k8s.io"
        for message in (Message(b"abc"), Message("grüß".encode(), text=True), Message(b"x" * 300_000), Message(b"")):
            socket.send(message.data, text=message.text)
            socket.ping()
            assert await socket.receive() == message
        socket.say_close(1001, "bye")
        assert await socket.receive() is None
        assert socket.closed == Close(1001)
        await socket.close()


async def test_what_breaks_the_protocol_is_answered_with_its_code(serve):
    served = await serve(echo)
    async with HttpClient(served.url) as client:
        socket = await websocket.connect(client, "/")
        socket.send(b"\xff", text=True)
        assert await socket.receive() is None
        assert socket.closed == Close(1007)
        await socket.close()


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "8"), ("Sec-WebSocket-Key", "A" * 24)],
        [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "short")],
    ],
)
async def test_a_malformed_handshake_is_refused(serve, headers):
    served = await serve(echo)
    async with HttpClient(served.url) as client:
        with pytest.raises(UpgradeRefused, match="400"):
            await client.upgrade("GET", "/", headers)


async def test_protocols_in_vain(serve):
    served = await serve(echo)
    async with HttpClient(served.url) as client:
        with pytest.raises(UpgradeRefused, match="none of the WebSocket subprotocols"):
            await websocket.connect(client, "/", protocols=["chat"])


async def test_messages_as_a_byte_stream(serve):
    served = await serve(echo)
    async with HttpClient(served.url) as client:
        stream = MessageStream(await websocket.connect(client, "/"))
        stream.write(b"hello ")
        stream.write(b"world")
        await stream.drain()
        got = b""
        while len(got) < 11:
            got += await stream.read(3)
        assert got == b"hello world"
        stream.write_eof()
        assert await asyncio.wait_for(stream.read(), 2) == b""
        await stream.close()
