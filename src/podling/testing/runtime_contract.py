"""What every runtime keeps. Subclass it and give `runtime` and `launch_of`."""

import os
from collections.abc import Callable

import pytest

from podling.base.errors import NotFound
from podling.runtime.base import ExecLaunch, Launch, Runtime, StartFailed
from podling.runtime.stdio import Stdio

LaunchOf = Callable[..., Launch]


async def everything(stdio: Stdio) -> bytes:
    """All output, whichever the stream."""
    data = b""
    while (chunk := await stdio.read()) is not None:
        data += chunk[1]
    await stdio.close()
    return data


class RuntimeContract:
    """Tests of `podling.runtime.base.Runtime`; a subclass has fixtures `runtime` and `launch_of(*command, **fields)`."""

    async def test_a_container_from_make_to_forget(self, runtime: Runtime, launch_of: LaunchOf) -> None:
        launch = launch_of("sh", "-c", "echo out; exit 3")
        assert await runtime.create(launch) > 0
        assert launch.id in await runtime.list()
        stdio = runtime.attach(launch.id, stdin=False)
        await runtime.start(launch.id)
        assert await everything(stdio) == b"out\n"
        ended = await runtime.wait(launch.id)
        assert (ended.code, ended.oom_killed, ended.at > 0) == (3, False, True)
        assert launch.log_path is not None
        assert launch.log_path.read_text().endswith(" stdout F out\n")
        await runtime.delete(launch.id)
        await runtime.delete(launch.id)
        assert await runtime.list() == []
        with pytest.raises(NotFound):
            await runtime.start(launch.id)

    async def test_a_program_that_is_not_there_leaves_nothing(self, runtime: Runtime, launch_of: LaunchOf) -> None:
        with pytest.raises(StartFailed, match="executable file not found") as caught:
            await runtime.create(launch_of("nosuch"))
        assert caught.value.code == 127
        assert await runtime.list() == []

    async def test_signals_end_it(self, runtime: Runtime, launch_of: LaunchOf) -> None:
        launch = launch_of("sleep", "100")
        await runtime.create(launch)
        await runtime.start(launch.id)
        assert runtime.signal(launch.id, 9)
        assert (await runtime.wait(launch.id)).code == 137
        assert not runtime.signal(launch.id, 9)
        await runtime.delete(launch.id)

    async def test_delete_ends_what_runs(self, runtime: Runtime, launch_of: LaunchOf) -> None:
        launch = launch_of("sleep", "100")
        pid = await runtime.create(launch)
        await runtime.start(launch.id)
        await runtime.delete(launch.id)
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    async def test_an_exec_has_streams_and_an_exit_code(self, runtime: Runtime, launch_of: LaunchOf) -> None:
        launch = launch_of("sleep", "100")
        await runtime.create(launch)
        await runtime.start(launch.id)
        process = runtime.process_of(launch.id)
        execution = await runtime.execute(launch.id, ExecLaunch({**process, "args": ["sh", "-c", "cat; exit 4"]}, stdin=True))
        execution.stdio.write(b"in and out")
        execution.stdio.close_stdin()
        assert await everything(execution.stdio) == b"in and out"
        assert (await execution.wait()).code == 4
        missing = await runtime.execute(launch.id, ExecLaunch({**process, "args": ["nosuch"]}))
        assert await everything(missing.stdio) == b""
        ended = await missing.wait()
        assert (ended.code, ended.error) == (127, 'exec: "nosuch": executable file not found in $PATH')
        await runtime.delete(launch.id)

    async def test_pause_and_resume(self, runtime: Runtime, launch_of: LaunchOf) -> None:
        launch = launch_of("sh", "-c", "while read x; do echo $x; done", stdin=True)
        await runtime.create(launch)
        stdio = runtime.attach(launch.id, stdin=True)
        await runtime.start(launch.id)
        await runtime.pause(launch.id)
        stdio.write(b"late\n")
        await runtime.resume(launch.id)
        assert await stdio.read() == ("stdout", b"late\n")
        await stdio.close()
        await runtime.delete(launch.id)
