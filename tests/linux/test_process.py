"""Child processes: output, exit codes, time-outs, descriptors, on both event loops."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from podling.base.errors import Failed, TimedOut
from podling.linux import process


async def test_output_and_exit_code():
    done = await process.run(["sh", "-c", "echo out; echo err >&2; exit 3"], timeout=5, check=False)
    assert done == process.Completed(3, b"out\n", b"err\n")


async def test_a_failure_names_the_command_its_code_and_its_stderr():
    with pytest.raises(Failed, match=r"^sh: exit code 4: it broke$"):
        await process.run(["sh", "-c", "echo it broke >&2; exit 4"], timeout=5)


async def test_a_missing_program_is_named():
    with pytest.raises(Failed, match=r"^no-such-program: cannot be started: No such file"):
        await process.run(["no-such-program"], timeout=5)


async def test_large_input_goes_through_while_output_comes():
    data = os.urandom(1 << 20)
    assert (await process.run(["cat"], timeout=10, stdin=data)).stdout == data


async def test_a_process_that_does_not_read_its_input_is_no_error():
    assert (await process.run(["true"], timeout=10, stdin=b"x" * (1 << 20))).code == 0


async def test_a_timeout_kills_the_whole_group(tmp_path):
    pid_file = tmp_path / "pid"
    with pytest.raises(TimedOut, match=r"^sh: no end within 0\.2 s$"):
        await process.run(["sh", "-c", f"sleep 100 & echo $! > {pid_file}; wait"], timeout=0.2)
    assert await gone(int(pid_file.read_text()))


async def test_cancelling_kills_the_whole_group(tmp_path):
    pid_file = tmp_path / "pid"
    running = asyncio.get_running_loop().create_task(
        process.run(["sh", "-c", f"sleep 100 & echo $! > {pid_file}.new; mv {pid_file}.new {pid_file}; wait"], timeout=50)
    )
    for _ in range(200):
        if pid_file.exists():
            break
        await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await gone(int(pid_file.read_text()))


async def test_a_daemon_that_keeps_the_pipe_is_not_waited_for():
    started = time.monotonic()
    done = await process.run(["sh", "-c", "sleep 5 & echo $!"], timeout=4)
    os.kill(int(done.stdout), signal.SIGKILL)
    assert time.monotonic() - started < 3


async def test_working_directory_and_environment(tmp_path):
    env = {"COLOUR": "red", "PATH": os.defpath}
    done = await process.run(["sh", "-c", "pwd; echo $COLOUR"], timeout=5, cwd=tmp_path, env=env)
    assert done.stdout.decode().split() == [str(tmp_path), "red"]
    assert os.getcwd() != str(tmp_path)


async def test_a_signal_shows_as_a_negative_code():
    child = process.spawn(["sleep", "100"])
    child.kill(signal.SIGTERM)
    assert await asyncio.gather(child.wait(), child.wait()) == [-signal.SIGTERM] * 2
    child.kill()  # after the end: nothing


async def test_descriptors_may_be_swapped():
    one, two = os.pipe(), os.pipe()
    script = f"echo to-one >&{two[1]}; echo to-two >&{one[1]}"
    child = process.spawn(["bash", "-c", script], files={one[1]: two[1], two[1]: one[1]})
    assert await child.wait() == 0
    assert os.read(one[0], 100) == b"to-one\n"
    assert os.read(two[0], 100) == b"to-two\n"
    for end in (*one, *two):
        os.close(end)


async def test_children_die_of_a_closed_pipe_as_usual():
    done = await process.run(["sh", "-c", "yes | head -1"], timeout=5)
    assert done == process.Completed(0, b"y\n", b"")


async def test_a_new_session():
    done = process.spawn(["sh", "-c", 'test "$(ps -o sid= -p $$ | tr -d " ")" = $$'], session=True)
    assert await done.wait() == 0


async def test_waiting_for_a_process_that_is_no_child():
    done = await process.run(["sh", "-c", "sleep 0.1 >/dev/null 2>&1 & echo $!"], timeout=5)
    pidfd = os.pidfd_open(int(done.stdout))
    await asyncio.gather(process.wait_pidfd(pidfd), process.wait_pidfd(pidfd))
    os.close(pidfd)
    assert await gone(int(done.stdout))


async def test_a_signal_to_an_ended_process_is_told():
    child = process.spawn(["sleep", "100"])
    pidfd = os.dup(child.pidfd)
    assert process.send_signal(pidfd, signal.SIGTERM)
    await child.wait()
    assert not process.send_signal(pidfd, signal.SIGTERM)
    os.close(pidfd)


async def gone(pid: int) -> bool:
    """Whether the process ends within a second; an orphan may stay a zombie where no init reaps it."""
    for _ in range(100):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":  # noqa: ASYNC240
                return True
        except FileNotFoundError:
            return True
        await asyncio.sleep(0.01)
    return False
