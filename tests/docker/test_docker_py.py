"""docker-py against the API."""

import contextlib
import gc
import io

import pytest

import docker as docker_py

# docker-py leaves sockets of streams to the garbage collector.
pytestmark = [pytest.mark.root, pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")]


@pytest.fixture
def client(docker):
    with contextlib.closing(docker_py.DockerClient(base_url=docker.url)) as client:
        yield client
    gc.collect()


def test_run_logs_exec(client):
    assert client.containers.run("busybox", ["echo", "hello"], remove=True) == b"hello\n"
    container = client.containers.run("busybox", "sleep 100", detach=True, name="box", labels={"a": "b"})
    assert container.exec_run(["sh", "-c", "echo out; echo err >&2; exit 2"], demux=True) == (2, (b"out\n", b"err\n"))
    assert client.containers.list(filters={"label": "a=b"}) == [container]
    container.stop(timeout=0)
    container.reload()
    assert (container.status, container.wait()["StatusCode"]) == ("exited", 137)
    container.remove()


def test_errors(client):
    with pytest.raises(docker_py.errors.NotFound, match="No such container"):
        client.containers.get("nosuch")
    with pytest.raises(docker_py.errors.ContainerError):
        client.containers.run("busybox", ["false"], remove=True)
    with pytest.raises(docker_py.errors.ImageNotFound):
        client.images.get("nosuch")


def test_build(client):
    image, log = client.images.build(
        fileobj=io.BytesIO(b"FROM busybox\nRUN echo built > /x\nCMD cat /x\n"), tag="built:1", rm=True
    )
    assert "Successfully tagged built:1\n" in [line.get("stream") for line in log]
    assert client.containers.run(image, remove=True) == b"built\n"
    with pytest.raises(docker_py.errors.BuildError, match="returned a non-zero code: 7"):
        client.images.build(fileobj=io.BytesIO(b"FROM busybox\nRUN exit 7\n"))


def test_archives_events_networks_volumes(client):
    container = client.containers.create("busybox", name="box")
    pieces, stat = container.get_archive("/etc/passwd")
    assert stat["name"] == "passwd"
    assert b"root:x:0:0" in b"".join(pieces)
    assert container.put_archive("/tmp", b"".join(container.get_archive("/etc/group")[0]))
    network = client.networks.create("inner", driver="bridge")
    network.connect(container)
    with contextlib.closing(client.events(since=1, decode=True, filters={"network": network.id})) as events:
        container.start()
        container.wait()
        assert [next(events)["Action"] for _ in range(3)] == ["create", "connect", "disconnect"]
    assert client.volumes.create("data").name == "data"
    assert client.info()["ServerVersion"]
    assert client.df()["Containers"]


def test_streams(client):
    container = client.containers.run("busybox", ["sh", "-c", "echo one; echo two >&2; sleep 100"], detach=True)
    lines = container.logs(stream=True, follow=True)
    assert b"".join(next(lines) for _ in range(2)).splitlines() == [b"one", b"two"]
    lines.close()
    result = container.exec_run(["sh", "-c", "echo a; echo b"], stream=True)
    assert b"".join(result.output) == b"a\nb\n"
    socket = container.attach_socket(params={"stdout": 1, "stream": 1})
    socket.close()
    assert container.stats(stream=False)["memory_stats"]["usage"] > 0
    assert container.top()["Processes"]
    container.kill()
    assert container.wait() == {"StatusCode": 137}


def test_images(client):
    container = client.containers.run("busybox", ["touch", "/made"], detach=True)
    container.wait()
    assert {"Path": "/made", "Kind": 1} in container.diff()
    image = container.commit("made", "1")
    assert image.tags == ["made:1"]
    archive = b"".join(image.save(named=True))
    client.images.remove("made:1", force=True)
    assert client.images.load(archive)[0].tags == ["made:1"]
    assert client.images.list("made")[0].history()[0]["Id"] == client.images.get("made:1").id
    assert b"".join(container.export())[:2] == b"./"
