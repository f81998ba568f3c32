"""What every runtime of pods keeps. Subclass `PodRuntimeContract` and give it the fixtures `runtime` and `place`."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from podling.base.errors import PodlingError, TimedOut
from podling.engine.types import ContainerSpec, ExecSpec, Mount
from podling.node.runtime import CONTAINER_NAME, POD_NAME, POD_NAMESPACE, POD_UID, RESTART_COUNT, PodRuntime, SandboxSpec, Session

UID = "0f1e2d3c-0000-4000-8000-000000000001"
SANDBOX = SandboxSpec(UID, "web", "default", "web", sysctls={"net.ipv4.ip_unprivileged_port_start": "100"})
IMAGE = "busybox"
_UNTIL_RESIZED = 'until [ "$(stty size)" = "30 90" ]; do sleep 0.05; done; read x; echo got $x'
Make = Callable[..., Awaitable[str]]


async def output_of(session: Session) -> dict[str, bytes]:
    """All that a session has to say, by stream."""
    found: dict[str, bytes] = {}
    while (chunk := await session.read()) is not None:
        found[chunk[0]] = found.get(chunk[0], b"") + chunk[1]
    return found


class PodRuntimeContract:
    """Tests of `podling.node.runtime.PodRuntime`. `runtime` has busybox and no pods; `place` is a directory for logs."""

    @pytest.fixture
    async def make(self, runtime: PodRuntime, place: Path) -> Make:
        """Makes a container that runs a script, in a sandbox made before, and starts it."""
        await runtime.run_sandbox(SANDBOX)
        return self._maker(runtime, place)

    def _maker(self, runtime: PodRuntime, place: Path) -> Make:
        async def make(script: str, name: str = "main", **fields: Any) -> str:
            log = place / f"default_web_{UID}" / name / "0.log"
            log.parent.mkdir(parents=True, exist_ok=True)
            labels = {POD_NAME: "web", POD_NAMESPACE: "default", POD_UID: UID, CONTAINER_NAME: name, RESTART_COUNT: "0"}
            image = await runtime.image(IMAGE)
            assert image is not None
            spec = ContainerSpec(
                IMAGE,
                f"k8s_{name}_web_default_{UID}_0",
                image.id,
                entrypoint=("sh", "-c", script),
                labels=labels,
                log_path=str(log),
                env=("PATH=/bin", "A=b"),
            )
            id = await runtime.create(replace(spec, **fields), UID)
            await runtime.start(id)
            return id

        return make

    async def test_a_sandbox_has_an_address_once(self, runtime: PodRuntime) -> None:
        addresses = await runtime.run_sandbox(SANDBOX)
        assert addresses == await runtime.run_sandbox(SANDBOX)
        assert await runtime.sandboxes() == {UID: addresses}
        await runtime.remove_sandbox(UID)
        await runtime.remove_sandbox(UID)
        assert await runtime.sandboxes() == {}

    async def test_a_container_from_make_to_forget(self, runtime: PodRuntime, make: Make) -> None:
        id = await make("echo out; echo $A >&2; exit 3")
        ended = await runtime.wait(id)
        assert (ended.code, ended.oom_killed, ended.at > 0) == (3, False, True)
        [held] = await runtime.containers()
        assert (held.id, held.running, held.labels[CONTAINER_NAME], held.ended) == (id, False, "main", ended)
        records = [record async for record in runtime.logs(id)]
        assert sorted((record.stream, record.data) for record in records) == [("stderr", b"b\n"), ("stdout", b"out\n")]
        await runtime.remove(id)
        await runtime.remove(id)
        assert await runtime.containers() == []

    async def test_containers_of_a_pod_share_its_network(self, runtime: PodRuntime, make: Make) -> None:
        address = (await runtime.sandboxes())[UID][0]
        web = await make("echo hello >/tmp/index.html; exec httpd -f -p 101 -h /tmp", "web")
        other = await make("sleep 600", "other")
        script = "until wget -q -O /dev/null http://127.0.0.1:101/; do sleep 0.1; done; hostname; ip -o -4 addr show eth0; cat "
        script += "/proc/sys/net/ipv4/ip_unprivileged_port_start"
        told = await runtime.run(other, ("sh", "-c", script), 30)
        assert told.code == 0
        assert b"web\n" in told.output
        assert f"inet {address}/32".encode() in told.output
        assert told.output.endswith(b"100\n")
        stream = await runtime.dial(UID, 101)
        stream.write(b"GET /index.html HTTP/1.0\r\n\r\n")
        await stream.drain()
        answer = b""
        while piece := await stream.read():
            answer += piece
        await stream.close()
        assert answer.endswith(b"hello\n")
        await runtime.stop(web, 0)
        assert (await runtime.wait(web)).code == 137

    async def test_stop_is_patient_as_told(self, runtime: PodRuntime, make: Make) -> None:
        polite = await make("trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done", "polite")
        async for _ in runtime.logs(polite, follow=True):
            break
        await runtime.stop(polite, 30)
        assert (await runtime.wait(polite)).code == 7
        stubborn = await make("trap '' TERM; echo ready; while :; do sleep 0.1; done", "stubborn")
        async for _ in runtime.logs(stubborn, follow=True):
            break
        await runtime.stop(stubborn, 1)
        assert (await runtime.wait(stubborn)).code == 137
        await runtime.stop(stubborn, 1)

    async def test_an_end_is_told_to_who_waits(self, runtime: PodRuntime, make: Make) -> None:
        id = await make("read line; exit 5", open_stdin=True)
        waiting = asyncio.ensure_future(runtime.wait(id))
        session = await runtime.attach(id)
        session.write(b"go\n")
        await session.drain()
        assert (await waiting).code == 5
        await session.close()

    async def test_exec(self, runtime: PodRuntime, make: Make) -> None:
        id = await make("sleep 600")
        session = await runtime.exec(id, ExecSpec(("sh", "-c", "cat; echo err >&2; exit 4"), stdin=True))
        session.write(b"in and out\n")
        await session.drain()
        session.close_stdin()
        assert await output_of(session) == {"stdout": b"in and out\n", "stderr": b"err\n"}
        assert await session.wait() == 4
        await session.close()

    async def test_exec_in_a_terminal(self, runtime: PodRuntime, make: Make) -> None:
        id = await make("sleep 600")
        session = await runtime.exec(id, ExecSpec(("sh", "-c", _UNTIL_RESIZED), stdin=True, tty=True))
        await session.resize(30, 90)
        session.write(b"typed\n")
        await session.drain()
        assert b"got typed" in (await output_of(session))["stdout"]
        assert await session.wait() == 0
        await session.close()

    async def test_run_gives_up_in_time(self, runtime: PodRuntime, make: Make) -> None:
        id = await make("sleep 600")
        assert (await runtime.run(id, ("sh", "-c", "echo hi; exit 2"), 30)).code == 2
        with pytest.raises(TimedOut, match="timed out after 1s"):
            await runtime.run(id, ("sleep", "60"), 1)

    async def test_mounts_and_user(self, runtime: PodRuntime, make: Make, place: Path) -> None:
        (place / "given").write_text("given")
        (place / "given").chmod(0o644)
        mount = Mount("bind", str(place / "given"), "/etc/given", read_only=True)
        id = await make("id -u; id -g; cat /etc/given; echo x >/etc/given", mounts=(mount,), user="1000:2000", working_dir="/tmp")
        assert (await runtime.wait(id)).code != 0
        out = b"".join([record.data async for record in runtime.logs(id) if record.stream == "stdout"])
        assert out.startswith(b"1000\n2000\ngiven")

    async def test_what_cannot_be_started_says_why(self, runtime: PodRuntime, make: Make) -> None:
        with pytest.raises(PodlingError, match="nosuch"):
            await make("", entrypoint=("nosuch",))

    async def test_images(self, runtime: PodRuntime) -> None:
        found = await runtime.image(IMAGE)
        assert found is not None
        assert found.local
        assert await runtime.image("nosuch:1") is None
        assert any("busybox" in name for image in await runtime.images() for name in image.names)

    async def test_a_pull_that_fails_names_the_registry(self, runtime: PodRuntime) -> None:
        with pytest.raises(PodlingError, match=r"127\.0\.0\.1:9"):
            await runtime.pull("127.0.0.1:9/nosuch:1", None)
