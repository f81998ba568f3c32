"""TLS with client certificates, made for the test."""

import asyncio
import contextlib
import datetime
import ipaddress
import socket
import ssl
import struct
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from podling.aio.client import ConnectionFailed, HttpClient, TimedOut
from podling.aio.http import Request, Response
from podling.aio.server import HttpServer, Limits


@dataclass
class Authority:
    folder: Path

    def __post_init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self.certificate = self._sign(self.name, self.key, authority=True)
        self.path = self._write("ca", self.certificate, self.key)[0]

    def _sign(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, authority: bool = False) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
            .sign(self.key, hashes.SHA256())
        )

    def _write(self, stem: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> tuple[Path, Path]:
        paths = self.folder / f"{stem}.crt", self.folder / f"{stem}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        return paths

    def issue(self, name: str) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        return self._write(name, self._sign(subject, key), key)

    def server(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.path))
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_cert_chain(*self.issue("server"))
        return context

    def client(self, certificate: tuple[Path, Path] | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.path))
        if certificate:
            context.load_cert_chain(*certificate)
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def who(request: Request) -> Response:
    der = request.peer.certificate
    return Response(200, x509.load_der_x509_certificate(der).subject.rfc4514_string().encode() if der else b"nobody")


@pytest.fixture
async def url(authority):
    server = HttpServer(who)
    host, port = await server.listen_tcp("127.0.0.1", 0, ssl=authority.server())
    yield f"https://{host}:{port}"
    await server.close(0)


async def test_the_client_certificate_reaches_the_handler(authority, url):
    async with HttpClient(url, tls=authority.client(authority.issue("alice"))) as client:
        for _ in range(2):
            assert await (await client.request("GET", "/")).body() == b"CN=alice"


async def test_without_a_certificate_nobody_is_known(authority, url):
    async with HttpClient(url, tls=authority.client()) as client:
        assert await (await client.request("GET", "/")).body() == b"nobody"


async def test_a_certificate_of_another_authority_is_refused(authority, url, tmp_path):
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other").issue("mallory")
    async with HttpClient(url, tls=authority.client(stranger)) as client:
        with pytest.raises(ConnectionFailed):
            await client.request("GET", "/")


async def test_a_server_that_cannot_be_verified_is_named(url):
    async with HttpClient(url) as client:
        with pytest.raises(ConnectionFailed, match=r"^cannot reach https://127\.0\.0\.1:\d+: "):
            await client.request("GET", "/?token=secret")


# --- half close, and what goes wrong between the records


@pytest.fixture
async def answering(authority):
    """Serve a handler over TLS: `await answering(handler, limits=...)` gives the address."""
    servers = []

    async def start(handler, **options):
        server = HttpServer(handler, **options)
        servers.append(server)
        host, port = await server.listen_tcp("127.0.0.1", 0, ssl=authority.server())
        return f"https://{host}:{port}"

    yield start
    for server in servers:
        await server.close(0)


def address_of(url):
    host, _, port = url.removeprefix("https://").partition(":")
    return host, int(port)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_the_answer_goes_on_after_the_end_of_the_input(authority, answering, version):
    """As `echo ... | docker run -i` and `kubectl exec -i` need it."""

    async def sort(request: Request) -> None:
        stream = await request.hijack(101, [("Upgrade", "tcp")])
        pieces = []
        while data := await stream.read():
            pieces.append(data)
        await asyncio.sleep(0.05)
        for _ in range(20):
            stream.write(b"".join(pieces)[::-1])
            await stream.drain()
        stream.write_eof()

    context = authority.client()
    context.minimum_version = context.maximum_version = version
    async with HttpClient(await answering(sort), tls=context) as client:
        _, _, stream = await client.upgrade("POST", "/", [("Upgrade", "tcp"), ("Connection", "Upgrade")])
        for _ in range(30):
            stream.write(b"ab" * 50_000)
            await stream.drain()
        stream.write_eof()
        size = 0
        while data := await stream.read():
            assert data.strip(b"ab") == b""
            size += len(data)
        assert size == 20 * 30 * 100_000
        await stream.close()


async def test_the_server_ends_first_and_still_hears(authority, answering):
    heard = asyncio.get_running_loop().create_future()

    async def listen(request: Request) -> None:
        stream = await request.hijack(101, [("Upgrade", "tcp")])
        stream.write(b"bye")
        stream.write_eof()
        heard.set_result(b"".join([data async for data in pieces(stream)]))

    async def pieces(stream):
        while data := await stream.read():
            yield data

    async with HttpClient(await answering(listen), tls=authority.client()) as client:
        _, _, stream = await client.upgrade("POST", "/", [("Upgrade", "tcp"), ("Connection", "Upgrade")])
        assert await stream.read() == b"bye"
        assert await stream.read() == b""
        stream.write(b"still here")
        await stream.close()
        assert await heard == b"still here"


async def test_many_requests_and_large_bodies_over_one_connection(authority, answering):
    async def echo(request: Request) -> Response:
        return Response(200, await request.body(1 << 25))

    async with HttpClient(await answering(echo), tls=authority.client()) as client:
        for size in (0, 1, 16384, 16385, 300_000, 9_000_000):
            body = bytes(range(256)) * (size // 256 + 1)
            assert await (await client.request("POST", "/", body=body[:size])).body() == body[:size]


def talk(address, data, *, reset=False):
    with socket.create_connection(address, timeout=3) as plain:
        plain.sendall(data)
        if reset:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return b""
        received = b""
        while piece := plain.recv(65536):
            received += piece
        return received


async def test_what_is_no_tls_is_ended(answering):
    address = address_of(await answering(who))
    assert await asyncio.to_thread(talk, address, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") == b""
    alert = await asyncio.to_thread(talk, address, b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00")
    assert alert[:1] == b"\x15"
    await asyncio.to_thread(talk, address, b"\x16", reset=True)


async def test_a_handshake_that_does_not_go_on_is_ended(authority, answering):
    address = address_of(await answering(who, limits=Limits(header_seconds=0.2)))
    with contextlib.suppress(ConnectionResetError):
        assert await asyncio.wait_for(asyncio.to_thread(talk, address, b"\x16\x03\x01"), 2) == b""


async def test_garbage_between_the_records_breaks_the_connection_alone(authority, answering):
    url = await answering(who)
    context = authority.client()

    def garbage():
        plain = socket.create_connection(address_of(url), timeout=3)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                plain.sendall(outgoing.read())
                incoming.write(plain.recv(65536))
        plain.sendall(outgoing.read() + b"\x17\x03\x03\x00\x20" + bytes(32))
        with plain:
            while plain.recv(65536):
                pass

    await asyncio.wait_for(asyncio.to_thread(garbage), 3)
    async with HttpClient(url, tls=authority.client()) as client:
        assert await (await client.request("GET", "/")).body() == b"nobody"


async def test_a_server_that_falls_silent_in_the_handshake_is_given_up(authority):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with HttpClient(f"https://127.0.0.1:{silent.getsockname()[1]}", tls=authority.client()) as client:
            with pytest.raises(TimedOut):
                await client.request("GET", "/", timeout=0.2)
            peer, _ = await asyncio.to_thread(silent.accept)
            with peer:
                peer.settimeout(2)
                hello = await asyncio.to_thread(peer.recv, 65536)
                assert hello[:1] == b"\x16"
                with contextlib.suppress(ConnectionResetError):
                    assert peer.recv(1) == b""


async def test_an_end_within_the_handshake_is_told(authority):
    async def hang_up(reader, writer):
        await reader.read(100)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server, HttpClient(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", tls=authority.client()) as client:
        with pytest.raises(ConnectionFailed, match="cannot reach"):
            await client.request("GET", "/")
