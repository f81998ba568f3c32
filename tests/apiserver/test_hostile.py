"""Clients that mean no good, or know no better: a clear Status each, bounded memory, and the others are served all the while."""

import http.client
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from podling.testing.apiserver import CONFIG_MAPS, PODS, Served

HALF_OPEN = 1000
MEMORY = 200 << 20  # bytes that both ends of all connections may take together, in this one process

Answer = tuple[int, Any]


@pytest.fixture
def many_files() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 3 * HALF_OPEN
    if before[1] != resource.RLIM_INFINITY and before[1] < wanted:
        pytest.skip(f"needs {wanted} open files, and the limit is {before[1]}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, before[0]), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def ask(served: Served, method: str, path: str, body: bytes | None = None, media: str = "application/json") -> Answer:
    connection = http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=60)
    try:
        connection.request(method, path, body, {"Content-Type": media} if body is not None else {})
        answer = connection.getresponse()
        return answer.status, orjson.loads(answer.read())
    finally:
        connection.close()


def test_a_thousand_heads_that_never_end(served: Served, many_files: None) -> None:
    host, port = urlsplit(served.url).hostname, urlsplit(served.url).port
    before = resident()
    with ExitStack() as stack:
        for number in range(HALF_OPEN):
            connection = stack.enter_context(socket.create_connection((host, port), timeout=60))
            connection.sendall(b"GET /api/v1/pods HTTP/1.1\r\nHost: x\r\nX-Slow: " + b"y" * (number % 1000))
        status, answer = ask(served, "GET", "/api/v1/namespaces/default")
        assert (status, answer["metadata"]["name"]) == (200, "default")
        assert resident() - before < MEMORY
    assert ask(served, "GET", "/api/v1/namespaces")[0] == 200


def test_a_head_that_grows_is_cut_off(served: Served) -> None:
    host, port = urlsplit(served.url).hostname, urlsplit(served.url).port
    with socket.create_connection((host, port), timeout=60) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-Y: zzzzzzzz\r\n" * 100_000)
        assert connection.recv(100).startswith(b"HTTP/1.1 431 ")


def test_bodies_of_three_megabytes(served: Served) -> None:
    before = resident()
    largest = orjson.dumps({"metadata": {"name": "large"}, "data": {"a": "x" * ((3 << 20) - 60)}})
    assert len(largest) <= 3 << 20
    status, answer = ask(served, "POST", CONFIG_MAPS, largest)
    assert (status, answer["reason"]) == (422, "Invalid")
    assert "Too long: may not be more than 1048576 bytes" in answer["message"]
    for _ in range(20):
        status, answer = ask(served, "POST", CONFIG_MAPS, largest + b" " * 100)
        assert (status, answer["message"]) == (413, "Request entity too large: limit is 3145728")
    assert resident() - before < MEMORY


DEEP = 100_000
LONG_NUMBER = b"9" * 100_000
COPIES = orjson.dumps([{"op": "copy", "from": "/data", "path": f"/data/{number}"} for number in range(60)])
GREETING = b'{"metadata":{"name":"odd"},'


@pytest.mark.parametrize(
    ("path", "body", "code", "words"),
    [
        (CONFIG_MAPS, GREETING + b'"data":' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}", 400, "json parse error"),
        (CONFIG_MAPS, b"[" * DEEP, 400, "json parse error"),
        (CONFIG_MAPS, GREETING + b'"data":{"a":' + LONG_NUMBER + b"}}", 400, ""),
        (CONFIG_MAPS, GREETING + b'"immutable":1e999}', 400, ""),
        (PODS, GREETING + b'"spec":{"priority":1e999,"containers":[]}}', 400, ""),
        (PODS, GREETING + b'"spec":{"priority":99999999999999999999,"containers":[]}}', 400, ""),
        (PODS, GREETING + b'"spec":{"priority":1.5,"containers":[]}}', 400, "cannot unmarshal number 1.5 into Go struct field"),
        (CONFIG_MAPS, GREETING + b'"data":{"a":"1"},"data":{"b":"2"}}', 400, 'strict decoding error: duplicate field "data"'),
        (CONFIG_MAPS, GREETING + b'"data":{"a":"1","a":"2"}}', 400, 'strict decoding error: duplicate field "data.a"'),
        (CONFIG_MAPS, GREETING + b'"data":{"a":"\xff\xfe"}}', 400, "json parse error"),
        (CONFIG_MAPS, GREETING + b'"data":{"a":"\\ud800"}}', 400, "json parse error"),
        (CONFIG_MAPS, b"\x00" * 1000, 400, "json parse error"),
        (CONFIG_MAPS, b"", 400, ""),
        (CONFIG_MAPS, b"NaN", 400, "json parse error"),
    ],
)  # fmt: skip
def test_json_that_nobody_should_send(served: Served, path: str, body: bytes, code: int, words: str) -> None:
    status, answer = ask(served, "POST", f"{path}?fieldValidation=Strict", body)
    assert (status, answer["kind"]) == (code, "Status"), answer
    assert answer["message"]
    assert words in answer["message"]


@pytest.mark.parametrize(
    ("body", "media"),
    [
        (b"[" * DEEP, "application/json-patch+json"),
        (b'{"a":' * 1000 + b"1" + b"}" * 1000, "application/merge-patch+json"),
        (b'{"data":' + b'{"a":' * 1000 + b"1" + b"}" * 1001, "application/strategic-merge-patch+json"),
        (COPIES, "application/json-patch+json"),
        (orjson.dumps([{"op": "add", "path": "/data/" + "a/" * 5000, "value": 1}]), "application/json-patch+json"),
        (b"a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]", "application/apply-patch+yaml"),
        (b"? [a]\n: b", "application/apply-patch+yaml"),
        (b"- " * 50_000, "application/apply-patch+yaml"),
    ],
)  # fmt: skip
def test_patches_that_nobody_should_send(served: Served, body: bytes, media: str) -> None:
    ask(served, "POST", CONFIG_MAPS, b'{"metadata":{"name":"patched"},"data":{"a":"1"}}')
    status, answer = ask(served, "PATCH", f"{CONFIG_MAPS}/patched?fieldManager=x", body, media)
    assert answer["kind"] == "Status", answer
    assert 400 <= status < 500, answer
    assert answer["message"]
    assert ask(served, "GET", f"{CONFIG_MAPS}/patched")[1]["data"] == {"a": "1"}
