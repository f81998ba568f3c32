"""The client against our server, and against servers that misbehave."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from podling.aio.client import ConnectionFailed, HttpClient, TimedOut, UpgradeRefused
from podling.aio.http import BodyWriter, Request, Response
from podling.aio.server import HttpServer
from podling.base.errors import Failed, InvalidInput


async def handler(request: Request) -> Response | None:
    match request.path:
        case "/echo":
            return Response(200, await request.body(limit=1 << 26), [("X-Method", request.method)])
        case "/hang":
            await asyncio.sleep(60)
        case "/away":
            return Response(302, b"", [("Location", "/authorized")])
        case "/elsewhere":
            return Response(307, b"", [("Location", request.query.get("to"))])
        case "/loop":
            return Response(302, b"", [("Location", "/loop")])
        case "/authorized":
            return Response(200, request.headers.get("authorization", "none").encode())
        case "/peer":
            return Response(200, request.peer.address.encode())
        case "/lines":
            return Response(200, lines)
        case "/stops":
            return Response(200, stopping)
        case "/hijack":
            stream = await request.hijack(int(request.query.get("status")), [("Upgrade", "tcp")])
            stream.write(b"hello ")
            while data := await stream.read():
                stream.write(data)
            await stream.close()
            return None
    return Response(404, b"not here")


async def lines(writer: BodyWriter) -> None:
    for piece in (b"one\ntw", b"o\n", b"\nthr", b"e", b"e\nfour"):
        writer.write(piece)
        await asyncio.sleep(0.01)


async def stopping(writer: BodyWriter) -> None:
    writer.write(b"begun")
    await asyncio.sleep(60)


@pytest.fixture
async def served(serve):
    return await serve(handler)


@pytest.fixture
async def client(served) -> AsyncIterator[HttpClient]:
    async with HttpClient(served.url) as client:
        yield client


async def test_requests_share_a_connection(client):
    peers = {await (await client.request("GET", "/peer")).body() for _ in range(5)}
    assert len(peers) == 1


async def test_bodies_of_bytes_and_of_pieces(client):
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 10_000
            await asyncio.sleep(0)

    assert await (await client.request("POST", "/echo", body=b"abc")).body() == b"abc"
    assert await (await client.request("POST", "/echo", body=pieces())).body() == b"x" * 1_000_000
    response = await client.request("HEAD", "/echo")
    assert (response.ok, response.headers.get("x-method"), await response.body()) == (True, "HEAD", b"")


async def test_an_answer_that_stops_is_an_error(client):
    async with await client.request("GET", "/stops") as response:
        body = response.stream(silence=0.1)
        assert await anext(body) == b"begun"
        with pytest.raises(ConnectionFailed, match=r"the answer stopped, nothing came for 0\.1 s"):
            await anext(body)


async def test_lines_come_one_by_one_and_whole(client):
    async with await client.request("GET", "/lines") as response:
        assert [line async for line in response.lines()] == [b"one", b"two", b"", b"three", b"four"]


async def test_a_line_beyond_the_limit(client):
    with pytest.raises(Failed, match="longer than 2 bytes"):
        async for _ in (await client.request("GET", "/lines")).lines(limit=2):
            pass


async def test_a_body_beyond_the_limit(client):
    with pytest.raises(Failed, match="larger than 10 bytes"):
        await (await client.request("POST", "/echo", body=b"x" * 11)).body(limit=10)


async def test_a_response_left_unread_does_not_poison_the_pool(client):
    async with await client.request("GET", "/lines"):
        pass
    assert await (await client.request("POST", "/echo", body=b"abc")).body() == b"abc"


async def test_no_answer_in_time_names_the_request_without_its_secrets(client):
    with pytest.raises(TimedOut, match=r"GET http://127\.0\.0\.1:\d+/hang: ") as caught:
        await client.request("GET", "/hang?token=secret", timeout=0.1)
    assert "secret" not in str(caught.value)


async def test_nobody_listening():
    async with HttpClient("http://127.0.0.1:1") as client:
        with pytest.raises(ConnectionFailed, match=r"cannot reach http://127\.0\.0\.1:1: "):
            await client.request("GET", "/")


@pytest.mark.parametrize("url", ["ftp://a/", "http:///", "x", "http://a:99999/"])
async def test_what_is_no_address(url):
    async with HttpClient() as client:
        with pytest.raises(InvalidInput):
            await client.request("GET", url)


async def test_a_header_cannot_be_split(client):
    with pytest.raises(InvalidInput):
        await client.request("GET", "/", [("X", "a\r\nY: b")])


async def test_redirects_are_followed_only_by_get(client):
    secret = [("Authorization", "Bearer x")]
    assert (await client.request("GET", "/away", secret)).status == 302
    assert await (await client.get("/away", secret)).body() == b"Bearer x"
    with pytest.raises(Failed, match="more than 5"):
        await client.get("/loop")


async def test_authorization_does_not_go_to_another_host(client, serve):
    other = await serve(handler)
    response = await client.get(f"/elsewhere?to={other.url}/authorized", [("Authorization", "Bearer x")])
    assert await response.body() == b"none"


@pytest.mark.parametrize("status", [101, 200])
async def test_an_upgraded_connection(client, status):
    got, headers, stream = await client.upgrade("POST", f"/hijack?status={status}", [("Connection", "Upgrade")], b"{}")
    assert (got, headers.get("upgrade")) == (status, "tcp")
    stream.write(b"world")
    stream.write_eof()
    answer = b""
    while data := await stream.read():
        answer += data
    assert answer == b"hello world"
    await stream.close()


async def test_a_refused_upgrade_tells_why(client):
    with pytest.raises(UpgradeRefused, match="404 not here") as caught:
        await client.upgrade("POST", "/nowhere")
    assert caught.value.status == 404


async def test_a_unix_socket(tmp_path):
    server = HttpServer(handler)
    await server.listen_unix(tmp_path / "s")
    async with HttpClient(f"unix://{tmp_path}/s") as client:
        assert await (await client.request("PUT", "/echo", body=b"abc")).body() == b"abc"
    await server.close(0)


class Scripted:
    """A server that answers each connection with the next script: a list of raw answers, then it hangs up."""

    def __init__(self, *scripts: list[bytes]) -> None:
        self.scripts = list(scripts)
        self.requests = 0

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in self.scripts.pop(0):
            await reader.readuntil(b"\r\n\r\n")
            self.requests += 1
            writer.write(answer)
        if self.scripts:
            await reader.read(1)  # hangs up when the next request comes
        writer.close()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def test_a_stale_connection_is_replaced_for_what_can_be_repeated():
    scripted = Scripted([OK], [OK])
    async with scripted as url, HttpClient(url) as client:
        for _ in range(2):
            assert await (await client.request("GET", "/")).body() == b"ok"
    assert scripted.requests == 2


async def test_a_stale_connection_fails_what_cannot_be_repeated():
    async with Scripted([OK], [OK]) as url, HttpClient(url) as client:
        await (await client.request("GET", "/")).body()
        with pytest.raises(ConnectionFailed):
            await client.request("POST", "/", body=b"once")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ],
)
async def test_a_broken_answer_is_an_error(answer):
    async with Scripted([answer]) as url, HttpClient(url) as client:
        with pytest.raises(ConnectionFailed):
            await (await client.request("GET", "/")).body()


async def test_interim_answers_and_a_body_that_ends_with_the_connection():
    async with (
        Scripted([b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\n\r\nto the end"]) as url,
        HttpClient(url) as client,
    ):
        assert await (await client.request("GET", "/")).body() == b"to the end"
