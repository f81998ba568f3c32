"""An engine that was killed, or closed, and a new one in its place."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from podling.engine.engine import Engine
from podling.engine.types import ExecSpec, RestartPolicy
from podling.testing.engine import engine_place, load_busybox, output_of, run, running_engine

pytestmark = pytest.mark.root


async def test_containers_survive_a_kill_of_the_engine(tmp_path: Path) -> None:
    """The first engine lives in a process that is killed; logs, exit codes, streams and execs are whole afterwards."""
    program = """
        import asyncio, sys
        from pathlib import Path
        from podling.engine.types import *
        from podling.testing.engine import *

        async def main():
            async with running_engine(Path(sys.argv[1]), Path(sys.argv[2])) as engine:
                await load_busybox(engine)
                counting = "i=0; while [ $i -lt 40 ]; do i=$((i+1)); echo $i; sleep 0.05; done; exit 6"
                await run(engine, "sh", "-c", counting, name="counter")
                await run(engine, "sh", "-c", "while read x; do echo got $x; done", name="server", open_stdin=True)
                await run(engine, "sh", "-c", "sleep 0.3; exit 5", name="brief")
                await run(engine, "sleep", "0.3", name="again", restart=RestartPolicy("always"))
                await engine.containers.create(ContainerSpec("busybox", name="new"))
                (Path(sys.argv[1]) / "ready").touch()
                await asyncio.sleep(60)

        asyncio.run(main())
    """
    async with engine_place(tmp_path) as netns:
        command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path), str(netns)]
        first = await asyncio.to_thread(subprocess.Popen, command)
        while not (tmp_path / "ready").exists():
            assert first.poll() is None
            await asyncio.sleep(0.02)
        first.send_signal(signal.SIGKILL)
        first.wait()
        await asyncio.sleep(0.5)  # one ends while nobody looks
        async with running_engine(tmp_path, netns) as engine:
            await check_recovered(engine)
            await engine.purge()


async def check_recovered(engine: Engine) -> None:
    find = engine.containers.find
    assert find("new").state.status == "created"
    server = find("server")
    assert server.running
    attachment = await server.attach(stdin=True)
    attachment.write(b"it\n")
    assert await attachment.read() == ("stdout", b"got it\n")
    await attachment.close()
    assert await (await server.exec(ExecSpec(("echo", "hi")))).run(100) == (b"hi\n", 0)
    assert len(server.endpoints) == 1
    counter = find("counter")
    assert await output_of(counter) == ("".join(f"{number}\n" for number in range(1, 41)), 6)
    await find("brief").wait()
    assert (find("brief").state.status, find("brief").state.exit_code) == ("exited", 5)
    again = find("again")
    while again.state.restart_count == 0:
        await again.wait("next-exit")
    assert await output_of(await run(engine, "echo", "new")) == ("new\n", 0)


async def test_an_engine_that_is_closed_leaves_its_containers(tmp_path: Path) -> None:
    async with engine_place(tmp_path) as netns:
        async with running_engine(tmp_path, netns) as engine:
            await load_busybox(engine)
            pid = (await run(engine, "sleep", "100", name="web")).state.pid
        async with running_engine(tmp_path, netns) as engine:
            web = engine.containers.find("web")
            assert (web.state.status, web.state.pid) == ("running", pid)
            await web.stop(grace=0)
            await web.remove()
            await engine.purge()


async def test_what_is_half_made_goes(tmp_path: Path) -> None:
    async with engine_place(tmp_path) as netns:
        async with running_engine(tmp_path, netns) as engine:
            await load_busybox(engine)
            container = await run(engine, "sleep", "100")
            (engine.root / "containers" / container.id / "container.json").unlink()
        async with running_engine(tmp_path, netns) as engine:
            assert engine.containers.list() == []
            assert list((engine.root / "containers").iterdir()) == []
            assert list((engine.run / "bundles").iterdir()) == []
            with pytest.raises(ProcessLookupError):
                os.kill(container.state.pid, 0)
            await engine.purge()


async def test_restart_policies_after_a_reboot(tmp_path: Path) -> None:
    """All processes are gone, as after a reboot: what always runs starts again, what was stopped by hand does not."""
    async with engine_place(tmp_path) as netns:
        async with running_engine(tmp_path, netns) as engine:
            await load_busybox(engine)
            await run(engine, "sleep", "100", name="always", restart=RestartPolicy("always"))
            await run(engine, "sleep", "100", name="plain")
            stopped = await run(engine, "sleep", "100", name="stopped", restart=RestartPolicy("unless-stopped"))
            await stopped.stop(grace=0)
        kill_everything(engine.run)
        async with running_engine(tmp_path, netns) as engine:
            always = engine.containers.find("always")
            await engine.containers.find("plain").wait()
            assert engine.containers.find("plain").state.exit_code == 255
            assert engine.containers.find("stopped").state.status == "exited"
            async for event in engine.events.subscribe(since=0, wanted=lambda event: event.action == "start"):
                assert event.actor == always.id
                break
            assert always.running
            await engine.purge()


def kill_everything(run_directory: Path) -> None:
    """Kill all containers, their conmons first."""
    for name in ("conmon.pid", "pid"):
        for bundle in (run_directory / "bundles").iterdir():
            os.kill(int((bundle / name).read_text()), signal.SIGKILL)
