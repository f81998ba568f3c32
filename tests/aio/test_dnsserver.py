"""The DNS server over loopback, UDP and TCP."""

import asyncio
import socket
import struct

import pytest

from podling.aio import dnswire
from podling.aio.dnsserver import Answer, DnsServer, Upstream, bound, nameservers
from podling.aio.dnswire import Question


@pytest.fixture
async def serve():
    """Start a server; its address."""
    servers = []

    async def start(resolve, forward=None):
        udp, tcp = bound("127.0.0.1", 0)
        server = DnsServer(resolve, forward)
        servers.append(server)
        where = udp.getsockname()
        await server.start(udp, tcp)
        return where

    yield start
    for server in servers:
        await server.close()
        await server.close()


def known(question, peer):
    assert peer == "127.0.0.1"
    if question.name == "broken":
        raise RuntimeError("a defect")
    if question.name == "many":
        return Answer([dnswire.a("many", 5, f"10.0.{n // 250}.{n % 250}") for n in range(500)])
    if question.name == "missing":
        return Answer(code=dnswire.NXDOMAIN)
    return Answer([dnswire.a("web", 5, "10.0.0.2")]) if question.name == "web" else None


async def ask(where, name, tcp=False, kind=dnswire.A):
    data = await Upstream([where], timeout=3)(dnswire.encode_query(9, Question(name, kind)), tcp)
    message = dnswire.parse_message(data)
    assert message.id == 9
    return message


def found(message):
    return [str(dnswire.address_of(record)) for record in message.answers]


@pytest.mark.parametrize("tcp", [False, True])
async def test_what_is_known(serve, tcp):
    where = await serve(known)
    assert found(await ask(where, "WEB", tcp)) == ["10.0.0.2"]
    assert (await ask(where, "missing", tcp)).code == dnswire.NXDOMAIN
    assert (await ask(where, "else", tcp)).code == dnswire.REFUSED


async def test_a_long_answer_is_cut_over_udp_and_whole_over_tcp(serve):
    where = await serve(known)
    assert (await ask(where, "many")).flags & dnswire.TC
    assert len((await ask(where, "many", tcp=True)).answers) == 500


@pytest.mark.parametrize("tcp", [False, True])
async def test_what_is_unknown_is_asked_elsewhere(serve, tcp):
    upstream = await serve(lambda question, _: Answer([dnswire.a(question.name, 5, "192.0.2.1")]))
    where = await serve(known, Upstream([("127.0.0.1", 1), upstream], timeout=1))
    assert found(await ask(where, "example.org", tcp)) == ["192.0.2.1"]
    assert found(await ask(where, "web", tcp)) == ["10.0.0.2"]


async def test_silent_servers_end_in_servfail(serve):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        where = await serve(known, Upstream([silent.getsockname()], timeout=0.1))
        assert (await ask(where, "example.org")).code == dnswire.SERVFAIL
    where = await serve(known, Upstream([]))
    assert (await ask(where, "example.org")).code == dnswire.SERVFAIL


async def test_a_defect_in_one_answer_leaves_the_server_alive(serve):
    where = await serve(known)
    assert (await ask(where, "broken")).code == dnswire.SERVFAIL
    assert found(await ask(where, "web")) == ["10.0.0.2"]


async def test_garbage_is_ignored(serve):
    where = await serve(known)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for garbage in (b"", b"x", bytes(12), b"\xff" * 40, dnswire.encode_query(1, Question("web", 1))[:-1]):
            sender.sendto(garbage, where)
    reader, writer = await asyncio.open_connection(*where)
    writer.write(struct.pack("!H", 3) + b"abc")
    assert await reader.read() == b""
    writer.close()
    assert found(await ask(where, "web")) == ["10.0.0.2"]


async def test_several_queries_over_one_connection(serve):
    where = await serve(known)
    reader, writer = await asyncio.open_connection(*where)
    for identifier in (1, 2, 3):
        data = dnswire.encode_query(identifier, Question("web", dnswire.A))
        writer.write(struct.pack("!H", len(data)) + data)
    for identifier in (1, 2, 3):
        size = struct.unpack("!H", await reader.readexactly(2))[0]
        assert dnswire.parse_message(await reader.readexactly(size)).id == identifier
    writer.close()


def test_a_taken_port_is_named():
    udp, tcp = bound("127.0.0.1", 0)
    with pytest.raises(OSError, match=r"DNS at 127\.0\.0\.1"):
        bound("127.0.0.1", udp.getsockname()[1])
    udp.close()
    tcp.close()


def test_nameservers_of_a_resolv_conf():
    text = "# x\nnameserver 10.0.0.1\nsearch a\nnameserver\nnameserver fd00::1 # y\n"
    assert nameservers(text) == [("10.0.0.1", 53), ("fd00::1", 53)]
