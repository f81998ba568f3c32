"""Namespaces: kept, entered, let go."""

import os
import socket

import pytest

from podling.linux import mount, namespace, process

pytestmark = pytest.mark.root


@pytest.fixture
def place(tmp_path):
    yield tmp_path
    for name in os.listdir(tmp_path):
        namespace.remove(tmp_path / name)


def test_namespaces_are_kept_at_their_paths(place):
    paths = {kind: place / kind for kind in namespace.PERSISTENT}
    namespace.create(paths, namespace.loopback_up)
    for kind, path in paths.items():
        assert namespace.identity(path) != namespace.identity(f"/proc/self/ns/{kind}")
    namespace.run_in(paths["uts"], lambda: socket.sethostname("inside"), "uts")
    assert namespace.run_in(paths["uts"], socket.gethostname, "uts") == "inside"
    assert socket.gethostname() != "inside"


def test_loopback_answers_inside(place):
    namespace.create({"net": place / "net"}, namespace.loopback_up)

    def talk():
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
            connection, address = server.accept()
            connection.close()
            return address[0]

    assert namespace.run_in(place / "net", talk) == "127.0.0.1"


def test_removing_is_idempotent_and_leaves_nothing(place):
    path = place / "net"
    namespace.create({"net": path})
    assert mount.is_mountpoint(path)
    namespace.remove(path)
    namespace.remove(path)
    assert not path.exists()


def test_a_taken_path_leaves_nothing_half_made(place):
    (place / "ipc").write_text("taken")
    with pytest.raises(FileExistsError):
        namespace.create({"net": place / "net", "ipc": place / "ipc"})
    assert not (place / "net").exists()
    assert (place / "ipc").read_text() == "taken"


async def test_an_error_inside_comes_out(place):
    namespace.create({"net": place / "net"})
    with pytest.raises(ZeroDivisionError):
        await namespace.in_namespace(place / "net", lambda: 1 // 0)


async def test_a_child_is_born_inside(place):
    namespace.create({"net": place / "net"})
    done = await process.run(["stat", "-Lc%i", "/proc/self/ns/net"], timeout=5, prepare=lambda: namespace.enter(place / "net"))
    assert int(done.stdout) == namespace.identity(place / "net")[1]


async def test_a_child_has_private_mounts(tmp_path):
    def prepare():
        namespace.private_mounts()
        mount.tmpfs(tmp_path)

    done = await process.run(["findmnt", "-no", "FSTYPE", str(tmp_path)], timeout=5, prepare=prepare)
    assert done.stdout == b"tmpfs\n"
    assert not mount.is_mountpoint(tmp_path)
