"""A DNS server on UDP and TCP, and the way to other servers for what it doesn't know itself.

Source: RFC 1035 section 4.2, RFC 7766 (TCP).
"""

import asyncio
import contextlib
import logging
import secrets
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from podling.aio import dnswire
from podling.aio.dnswire import Query, Question, Record, WireError
from podling.aio.tasks import Tasks

log = logging.getLogger(__name__)

PORT = 53
_TCP_IDLE = 10.0  # seconds that a TCP client may be silent
_TCP_CLIENTS = 100
_PENDING = 1000  # UDP queries in work; more are dropped, the client asks again
_TCP_LIMIT = 65535

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a resolver knows: a code of dnswire and records."""

    records: Sequence[Record] = ()
    code: int = dnswire.NOERROR
    authorities: Sequence[Record] = ()
    additionals: Sequence[Record] = ()
    authoritative: bool = True


Resolve = Callable[[Question, str], Answer | None]
"""(question, the asker's address) -> the answer; None hands the query on to the upstream servers."""

Forward = Callable[[bytes, bool], Awaitable[bytes]]
"""(query as bytes, over TCP) -> answer as bytes."""


class Upstream:
    """Other DNS servers, asked one after the other. `timeout` is for each, in seconds."""

    def __init__(self, servers: Sequence[Address], timeout: float = 2.0) -> None:
        self.servers = list(servers)
        self._timeout = timeout

    async def __call__(self, query: bytes, tcp: bool) -> bytes:
        """The first answer of a server. Raises TimeoutError or OSError if none gives one."""
        failure: Exception = TimeoutError("no upstream DNS server")
        for server in self.servers:
            try:
                async with asyncio.timeout(self._timeout):
                    return await (_ask_tcp(server, query) if tcp else _ask_udp(server, query))
            except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                failure = error
        raise failure


class _Once(asyncio.DatagramProtocol):
    """Waits for the datagram that answers the query `identifier`."""

    def __init__(self, identifier: bytes) -> None:
        self._identifier = identifier
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if data[:2] == self._identifier and not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


async def _ask_udp(server: Address, query: bytes) -> bytes:
    """Ask from a fresh port with a fresh id, so that nobody off the path can guess them (RFC 5452)."""
    identifier = secrets.token_bytes(2)
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(lambda: _Once(identifier), remote_addr=server)
    try:
        transport.sendto(identifier + query[2:])
        return query[:2] + (await protocol.answer)[2:]
    finally:
        transport.close()


async def _ask_tcp(server: Address, query: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*server)
    try:
        writer.write(struct.pack("!H", len(query)) + query)
        return await reader.readexactly(struct.unpack("!H", await reader.readexactly(2))[0])
    finally:
        writer.close()


class DnsServer(asyncio.DatagramProtocol):
    """Answers what `resolve` knows and hands the rest to `forward`; without one the rest is refused.

    What `resolve` knows is answered within the tick in which it arrives.
    """

    def __init__(self, resolve: Resolve, forward: Forward | None = None) -> None:
        self._resolve = resolve
        self._forward = forward
        self._tasks = Tasks("dns")
        self._clients = 0
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None

    async def start(self, udp: socket.socket, tcp: socket.socket) -> None:
        """Serve on sockets that are bound already (see `bound`), wherever they live; they are ours from now on."""
        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(lambda: self, sock=udp)
        self._tcp = await asyncio.start_server(self._client, sock=tcp)

    async def close(self) -> None:
        """Stop serving. Safe to call twice."""
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()
        await self._tasks.cancel()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        query = _parse(data)
        if query is None:
            return
        answer = self._answer(query, addr[0], 0)
        if answer is not None:
            self._send(answer, addr)
        elif len(self._tasks) < _PENDING:
            self._tasks.start(self._forward_datagram(query, data, addr), "forward")

    def _answer(self, query: Query, peer: str, limit: int) -> bytes | None:
        """The bytes of what is known here; None if the query is for others."""
        if query.flags & 0x7800 or query.question.klass != dnswire.IN:
            return dnswire.respond(query, code=dnswire.NOTIMP, authoritative=False)
        try:
            answer = self._resolve(query.question, peer)
            if answer is None:
                return None if self._forward else dnswire.respond(query, code=dnswire.REFUSED, authoritative=False)
            return dnswire.respond(
                query,
                answer.records,
                authorities=answer.authorities,
                additionals=answer.additionals,
                code=answer.code,
                authoritative=answer.authoritative,
                limit=limit,
            )
        except Exception:  # one bad question must not silence the server
            log.exception("resolving %s failed", query.question)
            return dnswire.respond(query, code=dnswire.SERVFAIL, authoritative=False)

    async def _forward_datagram(self, query: Query, data: bytes, addr: Any) -> None:
        self._send(await self._ask_others(query, data, tcp=False), addr)

    async def _ask_others(self, query: Query, data: bytes, *, tcp: bool) -> bytes:
        assert self._forward is not None
        try:
            return await self._forward(data, tcp)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            log.debug("no answer for %s: %s", query.question, error)
            return dnswire.respond(query, code=dnswire.SERVFAIL, authoritative=False)

    def _send(self, answer: bytes, addr: Any) -> None:
        if self._udp is not None and not self._udp.is_closing():
            self._udp.sendto(answer, addr)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One TCP connection: a query after the other."""
        if self._clients >= _TCP_CLIENTS:
            writer.close()
            return
        self._clients += 1
        try:
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                await self._converse(reader, writer)
        finally:
            self._clients -= 1
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")[0]
        while True:
            async with asyncio.timeout(_TCP_IDLE):
                data = await reader.readexactly(struct.unpack("!H", await reader.readexactly(2))[0])
            query = _parse(data)
            if query is None:
                return
            answer = self._answer(query, peer, _TCP_LIMIT) or await self._ask_others(query, data, tcp=True)
            writer.write(struct.pack("!H", len(answer)) + answer)
            await writer.drain()


def _parse(data: bytes) -> Query | None:
    try:
        return dnswire.parse_query(data)
    except WireError:
        return None


_FREE_PORT_TRIES = 16  # a port that is free for UDP may be taken for TCP


def bound(address: str, port: int = PORT) -> tuple[socket.socket, socket.socket]:
    """A UDP and a listening TCP socket at one address, made in the calling thread's network namespace. Raises OSError.

    `port` 0 takes one that is free for both.
    """
    for _ in range(0 if port else _FREE_PORT_TRIES):
        with contextlib.suppress(OSError):
            return _bound(address, 0)
    return _bound(address, port)


def _bound(address: str, port: int) -> tuple[socket.socket, socket.socket]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    udp = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    tcp = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        udp.bind((address, port))
        tcp.bind((address, udp.getsockname()[1]))
        tcp.listen(16)
    except OSError as error:
        udp.close()
        tcp.close()
        raise OSError(error.errno, error.strerror, f"DNS at {address}:{port}") from None
    return udp, tcp


def nameservers(resolv_conf: str) -> list[Address]:
    """The servers that a resolv.conf(5) names, with port 53."""
    lines = (line.split() for line in resolv_conf.splitlines())
    return [(words[1], PORT) for words in lines if len(words) > 1 and words[0] == "nameserver"]
