"""Certificates that are renewed while everything runs: a connection before, one after, the user's kubeconfig."""

import asyncio
import ssl
from pathlib import Path

from cryptography import x509

from podling.aio.client import HttpClient
from podling.aio.clock import SystemClock
from podling.aio.http import Request, Response
from podling.aio.server import HttpServer
from podling.aio.tasks import Tasks
from podling.apiserver.pki import renews_at
from podling.app import certificates, contexts
from podling.app.config import Config
from podling.app.renewal import follow, renew_regularly
from podling.app.server import load_certificates, server_context
from podling.client import kubeconfig
from podling.testing.clock import ManualClock

DAY = 24 * 3600.0


def configured(folder: Path) -> Config:
    config = Config(root=folder, run=folder / "run", node_name="n1", kubeconfig=folder / "kubeconfig")
    certificates.prepare(config, SystemClock().now())
    return config


class At(ManualClock):
    """Time that the test turns, while threads and sockets have theirs."""

    async def advance(self, seconds: float) -> None:
        await super().advance(seconds)
        await asyncio.sleep(0.2)


def held(config: Config) -> list[bytes]:
    return [path.read_bytes() for path in certificates.leaves(config)]


async def test_they_are_renewed_in_time_and_the_users_context_too(tmp_path: Path) -> None:
    config = configured(tmp_path)
    contexts.merge_kubeconfig(config)
    kubeconfig.write(config.kubeconfig, {**kubeconfig.read(config.kubeconfig), "current-context": "another"})
    before = held(config)
    clock = At(SystemClock().now())
    told: list[float] = []
    async with Tasks("test") as tasks:
        tasks.start(renew_regularly(config, clock, lambda: told.append(clock.now())), "renewal")
        await clock.advance(0)
        assert held(config) == before
        due = min(map(renews_at, before))
        clock._elapsed = due - clock._start - 1800
        await clock.advance(3600)
        await clock.advance(3600)
        assert len(told) == 1
    after = held(config)
    assert all(new != old for new, old in zip(after, before, strict=True))
    assert min(map(renews_at, after)) > due + 200 * DAY
    user = kubeconfig.resolve(kubeconfig.load([config.kubeconfig]), config.instance)
    assert user.certificate == (config.pki / "admin.crt").read_bytes()
    assert kubeconfig.read(config.kubeconfig)["current-context"] == "another"


async def test_whoever_uses_one_reads_it_again(tmp_path: Path) -> None:
    config = configured(tmp_path)
    path = config.pki / "apiserver.crt"
    first = path.read_bytes()
    clock = At(renews_at(first))
    changed: list[bytes] = []
    async with Tasks("test") as tasks:
        tasks.start(follow(clock, path, lambda: changed.append(path.read_bytes())), "follow")
        await clock.advance(0)
        await clock.advance(120)
        assert changed == []
        certificates.prepare(config, clock.now())
        await clock.advance(120)
        assert changed == [path.read_bytes()]
        assert changed != [first]


async def body(client: HttpClient) -> bytes:
    return b"".join([piece async for piece in (await client.request("GET", "/", [], None)).stream()])


async def test_new_connections_see_the_new_certificate_and_old_ones_go_on(tmp_path: Path) -> None:
    config = configured(tmp_path)
    tls = server_context(config)

    async def answer(request: Request) -> Response:
        return Response(200, b"fine")

    server = HttpServer(answer)
    _, port = await server.listen_tcp("127.0.0.1", 0, tls)

    async def serial() -> int:
        context = ssl.create_default_context(cafile=str(config.pki / "ca.crt"))
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return x509.load_der_x509_certificate(der).serial_number

    old = HttpClient(f"https://127.0.0.1:{port}", tls=ssl.create_default_context(cafile=str(config.pki / "ca.crt")))
    assert await body(old) == b"fine"
    before = await serial()
    certificates.prepare(config, renews_at((config.pki / "apiserver.crt").read_bytes()))
    load_certificates(config, {"apiserver": tls})
    after = x509.load_pem_x509_certificate((config.pki / "apiserver.crt").read_bytes())
    assert after.serial_number != before
    assert await body(old) == b"fine"
    await old.close()
    await server.close(1.0)
