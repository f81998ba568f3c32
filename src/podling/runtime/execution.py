"""A further process in a running container, by `exec` of the OCI runtime in the foreground: its exit code is the process's own.

Measured: 7 ms with crun, 13 ms with runc; by way of conmon 5 ms more.
"""

import array
import asyncio
import contextlib
import fcntl
import os
import pty
import secrets
import signal
import socket
import struct
import termios
from pathlib import Path

import orjson

from podling.aio.tasks import Tasks
from podling.base.errors import Failed
from podling.linux import process
from podling.linux.inotify import CREATE, Inotify
from podling.runtime import program
from podling.runtime.base import ExecLaunch, Exit
from podling.runtime.program import Program
from podling.runtime.stdio import Chunk, Stdio, over_pipes, over_terminal


class RuntimeExec:
    """One exec. Its files are called as `place`, each with a suffix of its own."""

    def __init__(self, child: process.Process, stdio: Stdio, place: Path, args0: str, master: int = -1) -> None:
        self.stdio: Stdio = _Output(self, stdio)
        self._child = child
        self._place = place
        self._args0 = args0
        self._master = master
        self._exit: Exit | None = None
        self._started = False

    @property
    def pid(self) -> int:
        with contextlib.suppress(OSError, ValueError):
            return int(self._place.with_suffix(".pid").read_text())
        return 0

    async def started(self) -> bool:
        """Whether the process came into being, once that is known: then it has a pid file."""
        if self._started or self._exit is not None:
            return self._started
        with Inotify() as watcher:
            watcher.add(self._place.parent, CREATE)
            async with Tasks("exec") as tasks:
                made = tasks.start(self._pid_file(watcher), "start")
                ended = tasks.start(self._child.wait(), "end")
                await asyncio.wait([made, ended], return_when=asyncio.FIRST_COMPLETED)
        self._started = self._started or self._place.with_suffix(".pid").exists()
        return self._started

    async def _pid_file(self, watcher: Inotify) -> None:
        while not self._place.with_suffix(".pid").exists():
            await watcher.next()

    async def wait(self) -> Exit:
        code = await self._child.wait()
        if self._exit is None:
            self._exit = self._conclude(code)
        return self._exit

    def _conclude(self, code: int) -> Exit:
        """Without a pid file the process never was; the log says why."""
        started = self._started = self._started or self._place.with_suffix(".pid").exists()
        words = _text(self._place.with_suffix(".log"))
        for suffix in (".json", ".pid", ".log", ".console"):
            self._place.with_suffix(suffix).unlink(missing_ok=True)
        if code == 0 or started:
            return Exit(code if code >= 0 else 128 - code, 0)
        message, code = program.explain(words, self._args0)
        return Exit(code, 0, error=message or "the OCI runtime gave no reason")

    def resize(self, rows: int, columns: int) -> None:
        if self._master >= 0:
            with contextlib.suppress(OSError):
                _set_size(self._master, rows, columns)
                self._child.kill(signal.SIGWINCH)  # for a runtime that stands between two terminals

    def kill(self) -> None:
        if self._exit is None and (pid := self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


class _Output:
    """The streams of an exec without what the runtime itself says on stderr when it can't start the process."""

    def __init__(self, execution: RuntimeExec, stdio: Stdio) -> None:
        self._execution = execution
        self._stdio = stdio
        self._trusted = False
        self.write = stdio.write
        self.drain = stdio.drain
        self.close_stdin = stdio.close_stdin
        self.ignore_output = stdio.ignore_output
        self.close = stdio.close

    async def read(self) -> Chunk | None:
        while (chunk := await self._stdio.read()) is not None:
            if chunk[0] == "stdout" or self._trusted:
                return chunk
            self._trusted = await self._execution.started()
            if self._trusted:
                return chunk
        return None


async def execute(chosen: Program, state: Path, bundle: Path, container: str, launch: ExecLaunch) -> RuntimeExec:
    """Start the process; whether it could be started shows in `wait`."""
    place = bundle / f"exec-{secrets.token_hex(4)}"
    # The runtime sets the size before it starts the program; set from here, the program could look before it is there.
    size = {"consoleSize": {"height": launch.rows, "width": launch.columns}} if launch.rows else {}
    asked = place.with_suffix(".json")
    asked.write_bytes(orjson.dumps({**launch.process, **size}))
    command = [chosen.path, f"--root={state}", f"--log={place.with_suffix('.log')}", "exec", "--process", str(asked)]
    command += ["--pid-file", str(place.with_suffix(".pid"))]
    if not launch.process.get("terminal"):
        return await _over_pipes(chosen, [*command, container], place, launch)
    if chosen.is_crun:
        return await _over_console_socket(chosen, [*command, "--tty"], container, place, launch)
    return await _over_own_terminal(chosen, [*command, "--tty", container], place, launch)


async def _over_pipes(chosen: Program, command: list[str], place: Path, launch: ExecLaunch) -> RuntimeExec:
    in_theirs, in_ours = os.pipe2(os.O_CLOEXEC) if launch.stdin else (-1, -1)
    out_ours, out_theirs = os.pipe2(os.O_CLOEXEC)
    err_ours, err_theirs = os.pipe2(os.O_CLOEXEC)
    try:
        child = await _spawn(chosen, command, {0: in_theirs, 1: out_theirs, 2: err_theirs})
    except BaseException:
        for fd in (in_ours, out_ours, err_ours):
            _close(fd)
        raise
    finally:
        for fd in (in_theirs, out_theirs, err_theirs):
            _close(fd)
    stdio = over_pipes(in_ours if launch.stdin else None, out_ours, err_ours)
    return RuntimeExec(child, stdio, place, launch.process["args"][0])


async def _over_own_terminal(chosen: Program, command: list[str], place: Path, launch: ExecLaunch) -> RuntimeExec:
    master, slave = pty.openpty()
    if launch.rows:
        _set_size(master, launch.rows, launch.columns)
    try:
        child = await _spawn(chosen, command, {0: slave, 1: slave, 2: slave})
    except BaseException:
        os.close(master)
        raise
    finally:
        os.close(slave)
    return RuntimeExec(child, over_terminal(master, stdin=launch.stdin), place, launch.process["args"][0], master)


async def _over_console_socket(
    chosen: Program, command: list[str], container: str, place: Path, launch: ExecLaunch
) -> RuntimeExec:
    """The runtime makes the terminal inside the container and sends its master side through a unix socket."""
    args0 = launch.process["args"][0]
    directory = os.open(place.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        try:
            listener.bind(f"/proc/self/fd/{directory}/{place.name}.console")
        finally:
            os.close(directory)
        listener.listen(1)
        listener.setblocking(False)
        child = await _spawn(chosen, [*command, "--console-socket", str(place.with_suffix(".console")), container], {})
        master = await _receive_terminal(listener, child)
    if master < 0:
        return RuntimeExec(child, _nothing(), place, args0)
    return RuntimeExec(child, over_terminal(master, stdin=launch.stdin), place, args0, master)


async def _receive_terminal(listener: socket.socket, child: process.Process) -> int:
    """The descriptor that the runtime sends; -1 when it ends without having sent one."""
    loop = asyncio.get_running_loop()
    async with Tasks("exec") as tasks:
        ended = tasks.start(child.wait(), "end")
        accepted = tasks.start(loop.sock_accept(listener), "terminal")
        await asyncio.wait([accepted, ended], return_when=asyncio.FIRST_COMPLETED)
        if not accepted.done():
            return -1
        connection, _ = accepted.result()
    with connection:
        connection.settimeout(5)
        _, ancillary, _, _ = await asyncio.to_thread(connection.recvmsg, 4096, socket.CMSG_LEN(4))
    for _, kind, data in ancillary:
        if kind == socket.SCM_RIGHTS:
            return array.array("i", data)[0]
    raise Failed("the OCI runtime sent no terminal")


def _nothing() -> Stdio:
    """Streams that have ended."""
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    os.close(theirs)
    return over_pipes(None, ours, os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))


async def _spawn(chosen: Program, command: list[str], files: dict[int, int]) -> process.Process:
    try:
        return await process.start(command, files=files, env=program.environment(), session=True, prepare=chosen.prepare)
    except OSError as error:
        raise Failed(f"{chosen.path}: cannot be started: {error.strerror}") from error


def _set_size(terminal: int, rows: int, columns: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def _close(fd: int) -> None:
    if fd >= 0:
        os.close(fd)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return ""
