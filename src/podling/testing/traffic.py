"""Fixtures that send real traffic between network namespaces: a host with a way out, servers, and who asks them."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from podling.linux import address, link
from podling.linux.namespace import run_in
from podling.linux.netlink import Netlink

OUTSIDE = "198.51.100.2"
HOST = "198.51.100.1"


@pytest.fixture
def outside(net: Netlink, make_netns: Callable[[str], Path]) -> Path:
    """A machine that the host reaches at OUTSIDE, and that knows no way to the containers' addresses."""
    there = make_netns("outside")
    link.add_veth(net, link.End("uplink"), link.End("eth0", namespace=there))
    address.add(net, "uplink", f"{HOST}/24")
    with Netlink(there) as far:
        address.add(far, "eth0", f"{OUTSIDE}/24")
        link.change(far, "eth0", up=True)
    return there


@pytest.fixture
def serve() -> Iterator[Callable[..., None]]:
    """Answer in a namespace with the asker's address: `serve(netns, port, "tcp")`."""
    with contextlib.ExitStack() as stack:

        def start(netns: Path, port: int, protocol: str = "tcp", host: str = "0.0.0.0") -> None:
            kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            server = run_in(netns, lambda: socket.socket(family, kind))
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((host, port))
            if protocol == "tcp":
                server.listen()
            thread = threading.Thread(target=_answer_tcp if protocol == "tcp" else _answer_udp, args=(server,), daemon=True)
            thread.start()
            stack.callback(thread.join, 5)
            stack.callback(server.close)
            stack.callback(_wake, netns, port, kind, family)

        yield start


def _wake(netns: Path, port: int, kind: int, family: int) -> None:
    """A blocked accept or receive returns; then closing ends the loop."""

    def poke() -> None:
        with socket.socket(family, kind) as poker, contextlib.suppress(OSError):
            poker.settimeout(1)
            poker.connect(("::1" if family == socket.AF_INET6 else "127.0.0.1", port))
            poker.send(b"stop")

    run_in(netns, poke)


def _answer_tcp(server: socket.socket) -> None:
    while True:
        connection, peer = server.accept()
        with connection, contextlib.suppress(OSError):
            connection.settimeout(2)
            asked = connection.recv(100)
            connection.sendall(peer[0].encode())
        if asked == b"stop":
            return


def _answer_udp(server: socket.socket) -> None:
    while True:
        asked, peer = server.recvfrom(100)
        if asked == b"stop":
            return
        server.sendto(peer[0].encode(), peer)


@pytest.fixture
def ask() -> Callable[..., str]:
    """Ask what `serve` serves, from inside a namespace: the address that it saw us come from, or the error's name."""

    def get(netns: Path, where: str, port: int, protocol: str = "tcp", timeout: float = 20.0) -> str:
        kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM

        def talk() -> str:
            with socket.socket(socket.AF_INET6 if ":" in where else socket.AF_INET, kind) as asker:
                asker.settimeout(timeout)
                try:
                    asker.connect((where, port))
                    asker.send(b"?")
                    return asker.recv(100).decode()
                except OSError as error:
                    return type(error).__name__

        return run_in(netns, talk)

    return get
