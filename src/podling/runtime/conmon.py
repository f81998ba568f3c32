"""Containers held by conmon 2.1: one small process a container keeps its streams, writes its log, waits for its end.

Below `run`: `bundles/ID/` (config.json, pid files, attach socket, control fifo), `exits/ID` (the exit code, written by conmon),
`state/` (the OCI runtime's own). Nothing is held only in memory, so a new process takes all up by `adopt`.
The log is in CRI's format: `TIME STREAM P|F DATA`. Source: conmon(8).
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from podling.base.errors import Failed, NotFound, TimedOut
from podling.linux import cgroup, process
from podling.linux.cgroup import Group
from podling.runtime import program
from podling.runtime.base import ExecLaunch, ExecProcess, Exit, Launch, StartFailed
from podling.runtime.execution import execute
from podling.runtime.pipe import read_to_end
from podling.runtime.program import Program
from podling.runtime.sealed import Sealed
from podling.runtime.stdio import Stdio, over_socket

_TIMEOUT = 30.0  # seconds for one call of an OCI runtime
_SYNC_FD, _START_FD = 3, 4
_CONMON = "conmon"
_LAST_WORDS = 2.0  # seconds that a conmon has to see its container's end
_LOST = 255  # the exit code of a container whose conmon was killed


@dataclass(slots=True)
class _Held:
    """A container that this process knows: descriptors of its conmon and of its first process, and its runtime."""

    program: Program
    conmon: int
    init: int
    pid: int

    def close(self) -> None:
        os.close(self.conmon)
        os.close(self.init)


class Conmon:
    """The Runtime by conmon and OCI runtimes. `default` is the program for containers that name none."""

    def __init__(self, run: Path, default: Program | None = None) -> None:
        self._bundles = run / "bundles"
        self._exits = run / "exits"
        self._state = run / "state"
        for directory in (self._bundles, self._exits, self._state):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._default = default or program.find()
        self._sealed = Sealed(run / "programs")
        self._held: dict[str, _Held] = {}
        self._hierarchies = cgroup.detect()

    def _program(self, name: str) -> Program:
        return program.find(name) if name else self._default

    # -- life

    async def create(self, launch: Launch) -> int:
        bundle = self._bundles / launch.id
        chosen = self._program(launch.program)
        await asyncio.to_thread(self._write_bundle, bundle, launch, chosen)
        try:
            pid = await self._run_conmon(launch, bundle, chosen)
            self._held[launch.id] = _hold(bundle, chosen, pid)
        except BaseException:
            await self.delete(launch.id)
            raise
        return pid

    def _write_bundle(self, bundle: Path, launch: Launch, chosen: Program) -> None:
        shutil.rmtree(bundle, ignore_errors=True)
        (self._exits / launch.id).unlink(missing_ok=True)
        bundle.mkdir(mode=0o700)
        (bundle / "config.json").write_bytes(orjson.dumps(program.adapt(chosen, launch.spec)))
        (bundle / "program").write_text(chosen.path)
        if launch.log_path is not None:
            launch.log_path.parent.mkdir(parents=True, exist_ok=True)

    async def _run_conmon(self, launch: Launch, bundle: Path, chosen: Program) -> int:
        with contextlib.ExitStack() as stack:
            sync_ours, sync_theirs = _pipe(stack)
            start_theirs, start_ours = _pipe(stack)
            child = await process.start(
                self._conmon_command(launch, bundle, self._sealed.of(chosen)),
                files={_SYNC_FD: sync_theirs, _START_FD: start_theirs},
                env={**program.environment(), "_OCI_SYNCPIPE": str(_SYNC_FD), "_OCI_STARTPIPE": str(_START_FD)},
                cwd=bundle,
                session=True,
                prepare=chosen.prepare,
            )
            child.reap_in_background()  # conmon goes to the background at once
            os.write(start_ours, b"x")
            stack.pop_all()
            for fd in (sync_theirs, start_theirs, start_ours):
                os.close(fd)
        try:
            async with asyncio.timeout(_TIMEOUT):
                answer = await read_to_end(sync_ours, until=b"\n")
        except TimeoutError:
            raise TimedOut(f"conmon: container {launch.id[:12]} was not created within {_TIMEOUT:g} s") from None
        return _pid_of(answer, str(launch.spec["process"]["args"][0]))

    def _conmon_command(self, launch: Launch, bundle: Path, chosen: Program) -> list[str]:
        command = [
            "conmon",
            "--api-version",
            "1",
            "-c",
            launch.id,
            "-u",
            launch.id,
            "-n",
            launch.id,
            "-r",
            self._sealed.of(chosen).path,
        ]
        command += ["-b", str(bundle), "-p", str(bundle / "pid"), "-P", str(bundle / "conmon.pid")]
        command += ["--exit-dir", str(self._exits), "--socket-dir-path", str(bundle), "--full-attach", "--no-sync-log"]
        log = "none" if launch.log_path is None else f"k8s-file:{launch.log_path}"
        command += ["-l", log, "--log-level", "error", "--runtime-arg", f"--root={self._state}"]
        if launch.log_size:
            command += ["--log-size-max", str(launch.log_size)]
        flags = (("-t", launch.terminal), ("-i", launch.stdin), ("--leave-stdin-open", launch.keep_stdin_open))
        return command + [flag for flag, wanted in flags if wanted]

    async def start(self, container: str) -> None:
        if not (self._known(container).program.is_crun and _open_gate(self._state / container / "exec.fifo")):
            await self._call(container, "start", container)

    async def wait(self, container: str) -> Exit:
        held = self._known(container)
        await process.wait_pidfd(held.conmon)
        try:
            written = self._exits / container
            code, at = int(written.read_text()), written.stat().st_mtime
        except (FileNotFoundError, ValueError):
            return Exit(_LOST, 0, error="conmon was killed")
        return Exit(code, at, oom_killed=code != 0 and (self._bundles / container / "oom").exists())

    def signal(self, container: str, number: int) -> bool:
        return process.send_signal(self._known(container).init, number)

    async def pause(self, container: str) -> None:
        await self._call(container, "pause", container)

    async def resume(self, container: str) -> None:
        await self._call(container, "resume", container)

    async def update(self, container: str, resources: Mapping[str, object]) -> None:
        file = self._bundles / container / "resources.json"
        await asyncio.to_thread(file.write_bytes, orjson.dumps(resources))
        await self._call(container, "update", "--resources", str(file), container)

    async def delete(self, container: str) -> None:
        held = self._held.pop(container, None)
        bundle = self._bundles / container
        strays = await asyncio.to_thread(_strays, container) if held is None and bundle.exists() else []
        for name, pid in strays:
            if name != _CONMON or not (self._state / container).exists():
                await asyncio.to_thread(process.end, pid)
        if (self._state / container).exists() and not await asyncio.to_thread(self._clear_away, container, held):
            chosen = held.program if held else self._program_of(bundle)
            await self._run(chosen, "delete", "--force", container)
        for _, pid in strays:
            await asyncio.to_thread(process.end, pid, _LAST_WORDS)
        if held is not None:
            held.close()
        await asyncio.to_thread(self._forget, container)

    def _clear_away(self, container: str, held: _Held | None) -> bool:
        """Delete an ended container in the runtime's place; whether that could be done.

        What crun and runc hold of one is its group and its directory: to take these away here saves a process (6 ms).
        """
        if held is None or not held.program.leaves_files or process.send_signal(held.init, 0):
            return False
        group = Group(_cgroup_of(self._bundles / container), self._hierarchies)
        try:
            group.remove()
        except OSError:  # processes in it: the runtime kills them
            return False
        shutil.rmtree(self._state / container, ignore_errors=True)
        return True

    def _forget(self, container: str) -> None:
        shutil.rmtree(self._bundles / container, ignore_errors=True)
        (self._exits / container).unlink(missing_ok=True)

    async def adopt(self, container: str) -> int:
        if (held := self._held.get(container)) is not None:
            return held.pid
        bundle = self._bundles / container
        if not bundle.exists():
            raise NotFound(f"no container {container[:12]} in the runtime")
        ended = (self._exits / container).exists()
        with contextlib.suppress(OSError, ValueError):
            pid = int((bundle / "pid").read_text())
            conmon = int((bundle / "conmon.pid").read_text())
            if not ended and _is_conmon_of(conmon, container):
                self._held[container] = _hold(bundle, self._program_of(bundle), pid)
                return pid
        return 0

    def ended(self, container: str) -> Exit | None:
        """How a container that `adopt` found ended did so; None if conmon left no word."""
        written = self._exits / container
        try:
            return Exit(int(written.read_text()), written.stat().st_mtime, (self._bundles / container / "oom").exists())
        except (FileNotFoundError, ValueError):
            return None

    async def list(self) -> list[str]:
        names = {entry.name for directory in (self._bundles, self._state) for entry in directory.iterdir() if entry.is_dir()}
        return sorted(name for name in names if not name.startswith("."))

    # -- streams

    def attach(self, container: str, *, stdin: bool) -> Stdio:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        directory = os.open(self._bundles / container, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # By descriptor: a socket's path may have 107 bytes only.
            connection.connect(f"/proc/self/fd/{directory}/attach")
        except OSError as error:
            connection.close()
            raise NotFound(f"container {container[:12]} has no streams to attach to: {error.strerror}") from error
        finally:
            os.close(directory)
        return over_socket(connection, stdin=stdin)

    def resize(self, container: str, rows: int, columns: int) -> None:
        self._control(container, f"1 {rows} {columns}\n")

    def reopen_log(self, container: str) -> None:
        self._control(container, "2 0 0\n")

    def _control(self, container: str, line: str) -> None:
        try:
            fd = os.open(self._bundles / container / "ctl", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise NotFound(f"container {container[:12]} does not run: {error.strerror}") from error
        try:
            os.write(fd, line.encode())
        finally:
            os.close(fd)

    async def execute(self, container: str, launch: ExecLaunch) -> ExecProcess:
        chosen = self._known(container).program
        return await execute(self._sealed.of(chosen), self._state, self._bundles / container, container, launch)

    def process_of(self, container: str) -> dict[str, Any]:
        """The `process` part of the spec that the container was made with. Raises NotFound."""
        try:
            spec = orjson.loads((self._bundles / container / "config.json").read_bytes())
        except FileNotFoundError:
            raise NotFound(f"no container {container[:12]} in the runtime") from None
        process: dict[str, Any] = spec["process"]
        return process

    # -- calls

    def _known(self, container: str) -> _Held:
        if (held := self._held.get(container)) is None:
            raise NotFound(f"no container {container[:12]} in the runtime")
        return held

    def _program_of(self, bundle: Path) -> Program:
        try:
            return program.find((bundle / "program").read_text())
        except FileNotFoundError:
            return self._default

    async def _call(self, container: str, *words: str) -> None:
        await self._run(self._known(container).program, *words)

    async def _run(self, chosen: Program, *words: str) -> None:
        command: Sequence[str] = [self._sealed.of(chosen).path, f"--root={self._state}", *words]
        await process.run(command, timeout=_TIMEOUT, env=program.environment(), prepare=chosen.prepare)


def _pipe(stack: contextlib.ExitStack) -> tuple[int, int]:
    ends = os.pipe2(os.O_CLOEXEC)
    for end in ends:
        stack.callback(os.close, end)
    return ends


def _pid_of(answer: bytes, args0: str) -> int:
    """conmon's one line: {"data": PID}, or {"data": -1, "message": what the runtime wrote}."""
    try:
        line = json.loads(answer)
        pid = int(line["data"])
    except (ValueError, KeyError, TypeError):
        raise Failed(f"conmon: ended without an answer: {answer[:200]!r}") from None
    if pid > 0:
        return pid
    raise StartFailed(*program.explain(line.get("message", ""), args0))


def _hold(bundle: Path, chosen: Program, pid: int) -> _Held:
    conmon = os.pidfd_open(int((bundle / "conmon.pid").read_text()))
    try:
        init = os.pidfd_open(pid)
    except ProcessLookupError:
        # It has ended already; conmon's descriptor tells the rest, and signals to it find nobody.
        init = os.dup(conmon)
        signal.pidfd_send_signal(init, 0)
    return _Held(chosen, conmon, init, pid)


def _strays(container: str) -> list[tuple[str, int]]:
    """Who is still at work on a container for a process that is no more, by name and pid: its conmon, a runtime that makes it."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if container in words and (name := os.path.basename(words[0])) in (_CONMON, "crun", "runc"):
                found.append((name, int(folder.name)))
    return found


def _open_gate(fifo: Path) -> bool:
    """Do what `crun start` does: let the first process, which waits at this fifo, go on (saves 5 ms). False where none waits."""
    try:
        fd = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fifo.unlink()
        os.write(fd, b"\0")
    finally:
        os.close(fd)
    return True


def _cgroup_of(bundle: Path) -> str:
    path: str = orjson.loads((bundle / "config.json").read_bytes())["linux"]["cgroupsPath"]
    return path


def _is_conmon_of(pid: int, container: str) -> bool:
    """Whether `pid` is still the conmon of this container and not another process with its number."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return os.path.basename(words[0]) == b"conmon" and container.encode() in words
