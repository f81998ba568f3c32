"""exec, attach and port-forward through the API server, by the real kubectl and the Python client."""

import asyncio
import contextlib
import os
import re
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from node.conftest import Cluster, World, eventually
from podling.aio.client import HttpClient

pytestmark = pytest.mark.root

SPDY = {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false", "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false"}


@pytest.fixture(params=["websocket", "spdy"])
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """kubectl by each of its transports."""
    if request.param == "spdy":
        for name, value in SPDY.items():
            monkeypatch.setenv(name, value)
    return request.param


async def sleeper(cluster: Cluster, script: str = "sleep 1000", **more: Any) -> None:
    await cluster.create("box", {"command": ["sh", "-c", script], **more})
    await cluster.ready("box")


async def test_exec_gives_output_errors_and_the_exit_code(cluster: Cluster, transport: str) -> None:
    await sleeper(cluster)
    assert await cluster.kubectl("exec", "box", "--", "echo", "hello") == "hello\n"
    both = await cluster.kubectl("exec", "box", "--", "sh", "-c", "echo out; echo err >&2; exit 7", check=False)
    assert both.startswith("out\nerr\n")
    assert both.endswith("command terminated with exit code 7\nexit 7")


async def test_exec_takes_input_to_its_end(cluster: Cluster, transport: str) -> None:
    await sleeper(cluster)
    text = "".join(f"{n:06d}\n" for n in range(100_000))
    assert await cluster.kubectl("exec", "-i", "box", "--", "cat", input=text) == text
    assert await cluster.kubectl("exec", "-i", "box", "--", "wc", "-c", input=text) == f"{len(text)}\n"


async def test_exec_with_a_terminal(cluster: Cluster, transport: str) -> None:
    await sleeper(cluster)
    master, slave = os.openpty()
    command = ["kubectl", f"--kubeconfig={cluster.kubeconfig}", "exec", "-it", "box", "--", "sh", "-c", "stty size; tty"]
    run = lambda: subprocess.run(command, stdin=slave, capture_output=True, text=True, timeout=20)  # noqa: E731
    done = await asyncio.to_thread(run)
    os.close(master)
    os.close(slave)
    assert done.returncode == 0, done.stderr
    assert "/dev/pts/0" in done.stdout


async def test_exec_of_what_is_not_there(cluster: Cluster, transport: str) -> None:
    await sleeper(cluster)
    assert "exit 0" not in await cluster.kubectl("exec", "box", "--", "/no/such", check=False)
    assert "container none is not valid for pod box" in await cluster.kubectl("exec", "box", "-c", "none", "--", "x", check=False)


async def test_a_client_that_goes_is_let_go(cluster: Cluster, transport: str) -> None:
    await sleeper(cluster)
    command = ["kubectl", f"--kubeconfig={cluster.kubeconfig}", "exec", "box", "--", "sleep", "1000"]
    process = await asyncio.to_thread(subprocess.Popen, command)
    await eventually(lambda: cluster.kubectl("exec", "box", "--", "ps"), lambda text: text.count("sleep 1000") == 2)
    process.kill()
    process.wait()
    begin = time.monotonic()
    await cluster.agent.close()
    assert time.monotonic() - begin < 0.9, "a conversation was still going on"


async def test_attach(cluster: Cluster, transport: str) -> None:
    await sleeper(cluster, "read line; echo got $line; sleep 0.2", stdin=True, stdinOnce=True)
    assert "got word" in await cluster.kubectl("attach", "-i", "box", input="word\n")


@contextlib.asynccontextmanager
async def forwarded(cluster: Cluster, port: int) -> AsyncIterator[int]:
    """kubectl port-forward to the pod; the local port."""
    command = ["kubectl", f"--kubeconfig={cluster.kubeconfig}", "port-forward", "pod/box", f":{port}"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = await asyncio.to_thread(lambda: subprocess.Popen(command, **pipes))  # type: ignore[call-overload]
    try:
        assert process.stdout is not None
        line = await asyncio.to_thread(process.stdout.readline)
        match = re.search(r"127\.0\.0\.1:(\d+)", line)
        assert match, line
        yield int(match[1])
    finally:
        process.terminate()
        await asyncio.to_thread(process.communicate)


async def get(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /page HTTP/1.0\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer.rpartition(b"\r\n\r\n")[2]


async def test_port_forward(cluster: Cluster, transport: str) -> None:
    await sleeper(cluster, "head -c 300000 /dev/zero | tr '\\0' x > /tmp/page; httpd -f -p 127.0.0.1:8080 -h /tmp")
    async with forwarded(cluster, 8080) as port:
        pages = await asyncio.gather(*(get(port) for _ in range(4)))
        assert [len(page) for page in pages] == [300_000] * 4


async def test_port_forward_to_a_port_where_nobody_listens(cluster: Cluster, transport: str) -> None:
    await sleeper(cluster)
    async with forwarded(cluster, 9999) as port:
        with contextlib.suppress(ConnectionError):
            assert await get(port) == b""


def in_python(cluster: Cluster, code: str) -> str:
    """Run code with the official Python client; `core` is its CoreV1Api."""
    setup = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "from kubernetes import client, config\nfrom kubernetes.stream import stream, portforward\n"
        f"config.load_kube_config({str(cluster.kubeconfig)!r})\ncore = client.CoreV1Api()\n"
    )
    done = subprocess.run([sys.executable, "-c", setup + code], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_exec_by_the_python_client(cluster: Cluster) -> None:
    await sleeper(cluster)
    code = (
        "ws = stream(core.connect_get_namespaced_pod_exec, 'box', 'default', command=['sh', '-c', 'cat; echo err >&2; exit 3'],"
        " stdin=True, stdout=True, stderr=True, tty=False, _preload_content=False)\n"
        "ws.write_stdin('hello\\n')\nws.run_forever(timeout=2)\nprint(ws.read_stdout(), end='')\n"
        "print(stream(core.connect_get_namespaced_pod_exec, 'box', 'default', command=['sh', '-c', 'echo a; exit 0'],"
        " stdin=False, stdout=True, stderr=True, tty=False), end='')\n"
    )
    assert await asyncio.to_thread(in_python, cluster, code) == "hello\na\n"


async def test_port_forward_by_the_python_client(cluster: Cluster) -> None:
    await sleeper(cluster, "echo hello > /tmp/page; httpd -f -p 8080 -h /tmp")
    code = (
        "forward = portforward(core.connect_get_namespaced_pod_portforward, 'box', 'default', ports='8080')\n"
        "http = forward.socket(8080)\nhttp.setblocking(True)\nhttp.sendall(b'GET /page HTTP/1.0\\r\\n\\r\\n')\n"
        "answer = b''\nwhile data := http.recv(1024):\n  answer += data\n"
        "print(answer.rpartition(b'\\r\\n\\r\\n')[2].decode(), end='')\n"
    )
    assert await asyncio.to_thread(in_python, cluster, code) == "hello\n"


async def ask_node(context: ssl.SSLContext, path: str) -> tuple[int, str]:
    async with HttpClient(tls=context) as client:
        reply = await client.request("GET", f"https://10.244.0.1:10250{path}")
        return reply.status, (await reply.body()).decode()


async def test_what_the_node_answers_about_itself(cluster: Cluster, world: World) -> None:
    await sleeper(cluster)
    assert await ask_node(world.tls(), "/healthz") == (200, "ok\n")
    status, body = await ask_node(world.tls(), "/pods")
    assert (status, '"name": "box"' in body or '"name":"box"' in body) == (200, True)
    assert (await ask_node(world.tls(), "/containerLogs/default/none/app"))[0] == 404
    assert (await ask_node(world.tls(), "/containerLogs/default/box/app?tailLines=x"))[0] == 400
    assert (await ask_node(world.tls(), "/run/default/box/app?cmd=echo+hi"))[1] == "hi\n"
    assert (await ask_node(world.tls(), "/exec/default/box/app?output=1"))[0] == 400
    await eventually(lambda: ask_node(world.tls(), "/nonsense"), lambda answer: answer[0] == 404)
