"""Probes against real servers on this machine."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from podling.aio.clock import SystemClock
from podling.aio.http import Request, Response
from podling.aio.server import HttpServer
from podling.aio.tasks import Tasks
from podling.apiserver.pki import Authority
from podling.base.errors import TimedOut
from podling.node.hooks import run_hook
from podling.node.pod.events import Probed
from podling.node.pod.lifecycle import begin
from podling.node.probes import ProbeRunner, port_of
from podling.node.runtime import Output

HERE = "127.0.0.1"
NOW = 1_800_000_000.0


class Commands:
    """Stands where the runtime stands: answers commands."""

    async def run(self, id: str, command: tuple[str, ...], timeout: float) -> Output:
        if command[0] == "hang":
            raise TimedOut("too long")
        return Output(int(command[0]), b" what it said \n")


@pytest.fixture
async def runner() -> AsyncIterator[ProbeRunner]:
    async with Tasks("probes") as tasks:
        yield ProbeRunner(Commands(), SystemClock(), tasks, lambda _: None)  # type: ignore[arg-type]


@pytest.fixture
async def web() -> AsyncIterator[int]:
    """A server whose path is the status that it answers; `/slow` never answers; `/header` needs one."""

    async def handle(request: Request) -> Response:
        if request.path == "/slow":
            await asyncio.sleep(60)
        if request.path == "/header":
            return Response(200 if request.headers.get("x-probe") == "yes" else 400)
        return Response(int(request.path[1:] or 200))

    server = HttpServer(handle)
    _, port = await server.listen_tcp(HERE, 0)
    yield port
    await server.close(0.1)


@pytest.fixture
def closed() -> int:
    with socket.create_server((HERE, 0)) as listener:
        return int(listener.getsockname()[1])


async def probe(runner: ProbeRunner, container: dict[str, Any] | None = None, **probe: Any) -> tuple[bool, str]:
    verdict = await runner.run_once(probe, container or {"name": "app"}, "c1", HERE)
    return verdict.ok, verdict.output


@pytest.mark.parametrize(("path", "ok"), [("/200", True), ("/302", True), ("/399", True), ("/400", False), ("/503", False)])
async def test_http_statuses(runner: ProbeRunner, web: int, path: str, ok: bool) -> None:
    assert await probe(runner, httpGet={"path": path, "port": web}) == (ok, f"HTTP probe failed with statuscode: {path[1:]}")


async def test_http_headers_and_named_ports(runner: ProbeRunner, web: int) -> None:
    container = {"name": "app", "ports": [{"name": "web", "containerPort": web}]}
    action = {"path": "/header", "port": "web", "httpHeaders": [{"name": "X-Probe", "value": "yes"}]}
    assert (await probe(runner, container, httpGet=action))[0]
    assert await probe(runner, container, httpGet={"port": "nope"}) == (False, "couldn't find port: nope in container app")


async def test_https_with_a_certificate_of_anybodys(runner: ProbeRunner, tmp_path: Path) -> None:
    async def handle(request: Request) -> Response:
        return Response(200)

    Authority.open(tmp_path, "ca", "nobody", NOW).leaf(tmp_path, "leaf", "elsewhere", NOW, names=("elsewhere",))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "leaf.crt", tmp_path / "leaf.key")
    server = HttpServer(handle)
    _, port = await server.listen_tcp(HERE, 0, tls)
    assert (await probe(runner, httpGet={"port": port, "scheme": "HTTPS"}))[0]
    assert not (await probe(runner, httpGet={"port": port}))[0]
    await server.close(0.1)


async def test_a_slow_answer_is_a_failure(runner: ProbeRunner, web: int) -> None:
    assert await probe(runner, httpGet={"path": "/slow", "port": web}, timeoutSeconds=0.1) == (
        False,
        f'Get "http://{HERE}:{web}/slow": context deadline exceeded (Client.Timeout exceeded while awaiting headers)',
    )


async def test_nobody_there(runner: ProbeRunner, closed: int) -> None:
    for action in ({"httpGet": {"port": closed}}, {"tcpSocket": {"port": closed}}):
        ok, output = await probe(runner, **action)
        assert (ok, "111" in output or "refused" in output) == (False, True)


async def test_something_that_is_not_http(runner: ProbeRunner) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.org ESMTP\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, HERE, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        ok, output = await probe(runner, httpGet={"port": port})
        assert (ok, output.startswith("malformed HTTP response")) == (False, True)
        assert await probe(runner, tcpSocket={"port": port}) == (True, "")


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("0", (True, "what it said")),
        ("1", (False, "what it said")),
        ("hang", (False, 'command timed out: "hang" timed out after 1s')),
    ],
)
async def test_commands(runner: ProbeRunner, command: str, expected: tuple[bool, str]) -> None:
    assert await probe(runner, exec={"command": [command]}) == expected


async def test_grpc_health(runner: ProbeRunner, closed: int) -> None:
    grpc = pytest.importorskip("grpc")
    asked: list[bytes] = []

    async def check(request: bytes, context: Any) -> bytes:
        asked.append(request)
        return b"\x08\x01" if request != b"\x0a\x03ill" else b"\x08\x02"

    server = grpc.aio.server()
    handlers = {"Check": grpc.unary_unary_rpc_method_handler(check)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", handlers),))
    port = server.add_insecure_port(f"{HERE}:0")
    await server.start()
    try:
        assert (await probe(runner, grpc={"port": port}, timeoutSeconds=5))[0]
        assert await probe(runner, grpc={"port": port, "service": "ill"}, timeoutSeconds=5) == (
            False,
            "service unhealthy (responded with 2)",
        )
        assert asked == [b"", b"\x0a\x03ill"]
    finally:
        await server.stop(0)
    assert not (await probe(runner, grpc={"port": closed}))[0]


async def test_probes_repeat_until_they_are_not_wanted(web: int) -> None:
    results: asyncio.Queue[Probed] = asyncio.Queue()
    container = {"name": "app", "image": "i", "readinessProbe": {"httpGet": {"path": "/200", "port": web}, "periodSeconds": 0.01}}
    state = begin({"metadata": {"name": "p", "namespace": "d", "uid": "u"}, "spec": {"containers": [container]}}, 0.0)
    async with Tasks("probes") as tasks:
        runner = ProbeRunner(Commands(), SystemClock(), tasks, results.put_nowait)  # type: ignore[arg-type]
        state = replace(state, addresses=(HERE,))
        runner.align({("app", "c1", "readiness")}, state)
        for _ in range(3):
            assert (await asyncio.wait_for(results.get(), 5)).ok
        runner.align(set(), state)
        await asyncio.sleep(0.05)
        results = asyncio.Queue()
        await asyncio.sleep(0.05)
        assert results.empty()


async def test_hooks_tell_what_went_wrong(web: int) -> None:
    async def hook(handler: dict[str, Any]) -> None:
        await run_hook(Commands(), SystemClock(), handler, {"name": "app"}, "c1", HERE, 5)  # type: ignore[arg-type]

    await hook({"exec": {"command": ["0"]}})
    await hook({"httpGet": {"path": "/204", "port": web}})
    await hook({"sleep": {"seconds": 0}})
    with pytest.raises(Exception, match=r"command \['3'\] exited with 3: what it said"):
        await hook({"exec": {"command": ["3"]}})
    with pytest.raises(Exception, match="statuscode: 500"):
        await hook({"httpGet": {"path": "/500", "port": web}})


def test_ports_by_number() -> None:
    assert port_of({"name": "app"}, 80) == port_of({"name": "app"}, "80") == 80
