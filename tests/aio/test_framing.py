"""Malformed messages, as a table and at random; the pure parsers."""

import asyncio
import contextlib
import itertools
import re

import httptools
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podling.aio.framing import BadMessage, ChunkedBody, HeadParser, SizedBody, chunk_size
from podling.aio.http import Request, Response, frame_chunk
from podling.aio.server import HttpServer, Limits

START = b"POST / HTTP/1.1\r\nHost: a\r\n"

MALFORMED = {
    "length and transfer coding": (400, START + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc"),
    "transfer coding and length": (400, START + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc"),
    "two lengths": (400, START + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
    "a list of lengths": (400, START + b"Content-Length: 3, 3\r\n\r\nabc"),
    "a signed length": (400, START + b"Content-Length: +3\r\n\r\nabc"),
    "a negative length": (400, START + b"Content-Length: -3\r\n\r\nabc"),
    "an empty length": (400, START + b"Content-Length: \r\n\r\n"),
    "a length beyond 64 bits": (400, START + b"Content-Length: 99999999999999999999999\r\n\r\n"),
    "an unknown transfer coding": (400, START + b"Transfer-Encoding: xchunked\r\n\r\n"),
    "chunked not last": (400, START + b"Transfer-Encoding: chunked, gzip\r\n\r\n"),
    "chunked twice": (400, START + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "a coding before chunked": (501, START + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "a hidden transfer coding": (400, START + b"Transfer-Encoding:\x0bchunked\r\n\r\n"),
    "HTTP/1.0 with a transfer coding": (400, b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "a folded line": (400, START + b"X: a\r\n b\r\n\r\n"),
    "a blank before the colon": (400, START + b"X : a\r\n\r\n"),
    "no name": (400, START + b": a\r\n\r\n"),
    "no colon": (400, START + b"X\r\n\r\n"),
    "NUL in a value": (400, START + b"X: a\x00b\r\n\r\n"),
    "a bare CR": (400, START + b"X: a\rb\r\n\r\n"),
    "a bare LF": (400, START + b"X: a\nY: b\r\n\r\n"),
    "bare LFs only": (400, b"GET / HTTP/1.1\nHost: a\n\n"),
    "no host": (400, b"GET / HTTP/1.1\r\n\r\n"),
    "two hosts": (400, START + b"Host: b\r\n\r\n"),
    "no version": (505, b"GET /\r\n\r\n"),
    "HTTP/2": (505, b"GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
    "the preface of HTTP/2": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP/1.2": (400, b"GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
    "a blank in the target": (400, b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
    "NUL in the target": (400, b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "CONNECT": (400, b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a star to GET": (400, b"GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
    "no method": (400, b"/ HTTP/1.1\r\n\r\n"),
    "a TLS hello": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "an unknown expectation": (417, START + b"Expect: 200-ok\r\nContent-Length: 0\r\n\r\n"),
    "a chunk size with 0x": (400, START + b"Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n"),
    "a signed chunk size": (400, START + b"Transfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n"),
    "a chunk size with underscore": (400, START + b"Transfer-Encoding: chunked\r\n\r\n1_0\r\nabc\r\n0\r\n\r\n"),
    "an empty chunk size": (400, START + b"Transfer-Encoding: chunked\r\n\r\n\r\nabc\r\n0\r\n\r\n"),
    "a huge chunk size": (400, START + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc"),
    "a chunk longer than its size": (400, START + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n"),
    "a chunk line ending in LF": (400, START + b"Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n"),
    "a chunk line without end": (400, START + b"Transfer-Encoding: chunked\r\n\r\n3;" + b"x" * 9000),
    "a trailer without end": (431, START + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 9000),
    "a long head": (431, START + b"X: " + b"x" * 5000 + b"\r\n\r\n"),
    "a long target": (431, b"GET /" + b"x" * 5000),
    "many fields": (431, START + b"X: y\r\n" * 30 + b"\r\n"),
}


async def handler(request: Request) -> Response:
    return Response(200, await request.body())


@pytest.mark.parametrize("name", MALFORMED)
async def test_a_malformed_request_is_refused_and_the_connection_closed(serve, name):
    status, raw = MALFORMED[name]
    served = await serve(handler, limits=Limits(header_bytes=4096, header_count=20))
    answer = await served.talk(raw + b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer
    assert len(re.findall(rb"HTTP/1\.1 \d", answer)) == 1
    assert b"Connection: close" in answer


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/a/../b", "/a/../b"),
        (b"//a", "//a"),
        (b"/a%2Fb%20c", "/a/b c"),
        (b"http://h/x?y", "/x"),
        (b"http://h?y", "/"),
        (b"/?a=/b", "/"),
    ],
)
async def test_the_path_of_a_target(serve, target, path):
    async def tell(request: Request) -> Response:
        return Response(200, request.path.encode())

    served = await serve(tell)
    answer = await served.talk(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert answer.partition(b"\r\n\r\n")[2] == path.encode()


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """`data` split at `places`, taken modulo its length."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


FRAGMENT = st.sampled_from(
    [
        b"GET / HTTP/1.1\r\n", b"POST /a HTTP/1.1\r\n", b"Host: a\r\n", b"Content-Length: 3\r\n", b"Content-Length: 0\r\n",
        b"Transfer-Encoding: chunked\r\n", b"Connection: Upgrade\r\nUpgrade: tcp\r\n", b"Expect: 100-continue\r\n", b"\r\n",
        b"\n", b"\r", b"3\r\nabc\r\n", b"0\r\n\r\n", b"abc", b" ", b"\x00", b"Connection: close\r\n", b"HTTP/1.0\r\n",
    ]
)  # fmt: skip
NOISE = st.lists(st.one_of(FRAGMENT, st.binary(max_size=20)), max_size=12).map(b"".join)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(NOISE, st.lists(st.integers(0, 10_000), max_size=4))
def test_noise_is_answered_or_closed_and_the_server_lives(noise, places):
    asyncio.run(converse(cut(noise, places)))


async def converse(pieces: list[bytes]) -> None:
    server = HttpServer(handler, limits=Limits(header_seconds=0.5, idle_seconds=0.5))
    failures: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context))
    address = await server.listen_tcp("127.0.0.1", 0)
    try:
        answer = await exchange(address, pieces)
        assert not answer or answer.startswith(b"HTTP/1.1 ")
        assert b" 500 " not in answer
        good = await exchange(address, [b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"])
        assert good.startswith(b"HTTP/1.1 200 ")
    finally:
        await server.close(0)
    assert not failures


async def exchange(address: tuple[str, int], pieces: list[bytes]) -> bytes:
    reader, writer = await asyncio.open_connection(*address)
    try:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0)
        writer.write_eof()
        return await asyncio.wait_for(reader.read(), 3)
    except ConnectionError:
        return b""
    finally:
        writer.close()


@given(st.lists(st.binary(min_size=1, max_size=300)), st.binary(max_size=40), st.lists(st.integers(0, 10_000), max_size=6))
def test_chunked_bodies_come_back_however_they_are_cut(chunks, following, places):
    raw = b"".join(frame_chunk(chunk) for chunk in chunks) + b"0\r\n\r\n" + following
    decoder, body, rest = ChunkedBody(), b"", b""
    for piece in cut(raw, places):
        if decoder.done:
            rest += piece
            continue
        body += b"".join(decoder.feed(piece))
        rest += decoder.rest()
    assert decoder.done
    assert body == b"".join(chunks)
    assert rest == following


@given(st.binary(max_size=60), st.lists(st.integers(0, 100), max_size=4))
def test_arbitrary_bytes_never_break_the_chunk_decoder(raw, places):
    decoder = ChunkedBody()
    with contextlib.suppress(BadMessage):
        for piece in cut(raw, places):
            if not decoder.done:
                decoder.feed(piece)


@given(st.integers(0, 50), st.binary(max_size=100))
def test_sized_bodies_take_their_size(size, raw):
    body = SizedBody(size)
    taken = b"".join(body.feed(raw))
    assert taken == raw[:size]
    assert body.rest() == raw[size:]
    assert body.done == (len(raw) >= size)


@given(st.integers(0, 2**64 - 1))
def test_chunk_sizes(size):
    assert chunk_size(b"%x" % size) == chunk_size(b"%X ; a=b" % size) == size


@given(st.binary(max_size=30), st.lists(st.integers(0, 100), max_size=5))
def test_what_follows_a_head_is_given_back(following, places):
    head = b"\r\nGET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 7\r\n\r\n"
    parser, rest = HeadParser(4096, 10), None
    for piece in cut(head + following, places):
        if rest is None:
            rest = parser.feed(piece)
        else:
            rest += piece
    assert rest == following
    assert parser.head().target == b"/x"


def test_the_parser_that_heads_rely_on_is_strict():
    with pytest.raises(httptools.HttpParserError):
        httptools.HttpRequestParser(object()).feed_data(START + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n")
