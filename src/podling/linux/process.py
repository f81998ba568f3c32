"""Child processes by posix_spawn(3) and pidfd_open(2).

No fork of a large interpreter, no SIGCHLD handler, no polling: the end of a process is a readable file descriptor. Works
on asyncio's own loop and on uvloop alike. Measured: 0.2-0.7 ms a spawn from a process of 150 MB.
"""

import asyncio
import contextlib
import ctypes
import errno
import fcntl
import os
import select
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from podling.base.errors import Failed, TimedOut
from podling.linux.libc import function
from podling.linux.thread import run_in_fresh_thread

_CLONE_FS = 0x200
_END_TIMEOUT = 5.0
_STDERR_TAIL = 2000  # characters of stderr that an error message carries
_PIPE_READ = 65536
# Python ignores these; a child that inherits that would not die of a closed pipe.
_DEFAULT_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ)

_unshare = function("unshare", ctypes.c_int)


@dataclass(frozen=True, slots=True)
class Completed:
    """What a finished command left: exit code (minus the signal's number if one killed it) and its output."""

    code: int
    stdout: bytes
    stderr: bytes


class Process:
    """A running child, known by its pidfd, so that a signal never hits a recycled pid.

    Call `wait` once it is no longer needed: it reaps the child and closes the pidfd.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.pidfd = os.pidfd_open(pid)
        self._ended: asyncio.Future[int] | None = None
        self.code: int | None = None

    async def wait(self) -> int:
        """The exit code, or minus the signal's number. May be awaited by several; cancelling it leaves the child alone."""
        if self.code is not None:
            return self.code
        if self._ended is None:
            self._watch()
        assert self._ended is not None
        return await asyncio.shield(self._ended)

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        self._ended = loop.create_future()
        loop.add_reader(self.pidfd, self._reap, loop)

    def _reap(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_reader(self.pidfd)
        self.code = _wait_status(self.pidfd)
        os.close(self.pidfd)
        assert self._ended is not None
        self._ended.set_result(self.code)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the process; nothing if it has ended."""
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, number)

    def kill_group(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the process group that the process leads (spawned with `group=True` or `session=True`)."""
        if self.code is None:  # not yet reaped, hence the pid is still its own
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def reap_in_background(self) -> None:
        """Have the loop reap the child whenever it ends, with nobody waiting."""
        if self.code is None and self._ended is None:
            self._watch()


def _wait_status(pidfd: int) -> int:
    result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    assert result is not None
    if result.si_code == os.CLD_EXITED:
        return result.si_status
    return -result.si_status


async def wait_pidfd(pidfd: int) -> None:
    """Return when the process behind `pidfd` has ended. It need not be a child; a child is not reaped by this."""
    loop = asyncio.get_running_loop()
    # A duplicate, so that several may wait and the owner may close the original meanwhile.
    duplicate = fcntl.fcntl(pidfd, fcntl.F_DUPFD_CLOEXEC, 0)
    ended = loop.create_future()
    loop.add_reader(duplicate, _settle, ended)
    try:
        await ended
    finally:
        loop.remove_reader(duplicate)
        os.close(duplicate)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def send_signal(pidfd: int, number: int) -> bool:
    """Signal the process behind `pidfd` (pidfd_send_signal(2)). False if it has ended."""
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    return True


def end(pid: int, grace: float = 0) -> None:
    """Return when a process, which need not be a child, has ended; it is killed after `grace` seconds. Nothing if it is gone."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if not select.select([pidfd], [], [], grace)[0]:
            send_signal(pidfd, signal.SIGKILL)
            select.select([pidfd], [], [], _END_TIMEOUT)
    finally:
        os.close(pidfd)


def spawn(
    argv: Sequence[str],
    *,
    files: Mapping[int, int] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    session: bool = False,
    group: bool = False,
    prepare: Callable[[], object] | None = None,
) -> Process:
    """Start `argv` (its first word is looked up in PATH) and return at once.

    `files` maps the child's descriptors to ours; 0, 1 and 2 are /dev/null where not named, all others are closed. `env` replaces
    the environment. `session` makes it leader of a new session, `group` of a new process group. `prepare` runs first in
    the fresh thread that spawns: the child inherits the namespaces that it enters (see `podling.linux.namespace`). `cwd`
    uses the same thread, since posix_spawn has no such attribute. Raises OSError with the program's name.
    """

    def start() -> int:
        with _shuffled({0: -1, 1: -1, 2: -1} | dict(files or {})) as actions:
            return os.posix_spawnp(
                argv[0],
                list(argv),
                dict(os.environ if env is None else env),
                file_actions=actions,
                setsigmask=(),
                setsigdef=_DEFAULT_SIGNALS,
                **({"setsid": True} if session else {"setpgroup": 0} if group else {}),
            )

    def start_elsewhere() -> int:
        _unshare(_CLONE_FS)  # a working directory of this thread's own
        if prepare is not None:
            prepare()
        if cwd is not None:
            os.chdir(cwd)
        return start()

    pid = start() if prepare is None and cwd is None else run_in_fresh_thread(start_elsewhere)
    return Process(pid)


async def start(
    argv: Sequence[str],
    *,
    files: Mapping[int, int] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    session: bool = False,
    group: bool = False,
    prepare: Callable[[], object] | None = None,
) -> Process:
    """As `spawn`, without blocking the loop: a mount namespace copies the mount table, 13 ms where many containers run."""
    begin = partial(spawn, argv, files=files, env=env, cwd=cwd, session=session, group=group, prepare=prepare)
    return begin() if prepare is None and cwd is None else await asyncio.to_thread(begin)


@contextlib.contextmanager
def _shuffled(files: dict[int, int]) -> Iterator[list[tuple[int, ...] | tuple[int, int, str, int, int]]]:
    """The file actions for `files` (child's fd -> ours, -1 for /dev/null).

    A source that another action would overwrite first is duplicated out of the way.
    """
    floor = max(files) + 1
    copies: list[int] = []
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = []
    try:
        for target, source in files.items():
            if source < 0:
                actions.append((os.POSIX_SPAWN_OPEN, target, os.devnull, os.O_RDWR, 0))
                continue
            if source in files and source != target:
                source = fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, floor)
                copies.append(source)
            actions.append((os.POSIX_SPAWN_DUP2, source, target))
        yield actions
    finally:
        for copy in copies:
            os.close(copy)


async def run(
    argv: Sequence[str],
    *,
    timeout: float,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    check: bool = True,
    prepare: Callable[[], object] | None = None,
) -> Completed:
    """Run a command to its end; `timeout` in seconds.

    The output is what was written when the process itself ended: a daemon that it leaves behind with our pipe is not waited
    for. Raises Failed with the exit code and the tail of stderr (unless `check` is false) or when the program can't be
    started, and TimedOut after killing its process group.
    """
    with contextlib.ExitStack() as stack:
        out, err = _Collector(stack), _Collector(stack)
        feed = _Feeder(stack, stdin) if stdin else None
        files = {1: out.theirs, 2: err.theirs} | ({0: feed.theirs} if feed else {})
        try:
            process = await start(argv, files=files, env=env, cwd=cwd, group=True, prepare=prepare)
        except OSError as error:
            raise Failed(f"{argv[0]}: cannot be started: {error.strerror}") from error
        for pipe in (out, err, feed):
            if pipe is not None:
                pipe.begin()
        code = await _end(process, argv[0], timeout)
        done = Completed(code, out.take(), err.take())
    if check and code != 0:
        raise Failed(f"{argv[0]}: {_fate(code)}: {tail(done.stderr) or tail(done.stdout)}".rstrip(": "))
    return done


async def _end(process: Process, name: str, timeout: float) -> int:
    try:
        async with asyncio.timeout(timeout):
            return await process.wait()
    except TimeoutError:
        process.kill_group()
        raise TimedOut(f"{name}: no end within {timeout:g} s") from None
    except asyncio.CancelledError:
        process.kill_group()
        raise


def _fate(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"killed by signal {-code}"


def tail(stderr: bytes) -> str:
    """The end of a command's stderr, as an error message carries it."""
    text = stderr.decode(errors="replace").strip()
    return text if len(text) <= _STDERR_TAIL else "..." + text[-_STDERR_TAIL:]


class _Collector:
    """Reads a pipe to its end while the process runs."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._ours, self.theirs = os.pipe2(os.O_CLOEXEC)
        self._pieces: list[bytes] = []
        self._loop = asyncio.get_running_loop()
        os.set_blocking(self._ours, False)
        stack.callback(self._close)

    def begin(self) -> None:
        os.close(self.theirs)
        self.theirs = -1
        self._loop.add_reader(self._ours, self._read)

    def _read(self) -> bool:
        """Take one piece; false when there is none now, or never more."""
        try:
            piece = os.read(self._ours, _PIPE_READ)
        except BlockingIOError:
            return False
        if not piece:
            self._loop.remove_reader(self._ours)
            return False
        self._pieces.append(piece)
        return True

    def take(self) -> bytes:
        while self._read():
            pass
        return b"".join(self._pieces)

    def _close(self) -> None:
        self._loop.remove_reader(self._ours)
        os.close(self._ours)
        if self.theirs >= 0:
            os.close(self.theirs)


class _Feeder:
    """Writes bytes into a pipe as fast as the process takes them, then closes it."""

    def __init__(self, stack: contextlib.ExitStack, data: bytes) -> None:
        self.theirs, self._ours = os.pipe2(os.O_CLOEXEC)
        self._rest = memoryview(data)
        self._loop = asyncio.get_running_loop()
        os.set_blocking(self._ours, False)
        stack.callback(self._close)

    def begin(self) -> None:
        os.close(self.theirs)
        self.theirs = -1
        self._loop.add_writer(self._ours, self._write)

    def _write(self) -> None:
        try:
            self._rest = self._rest[os.write(self._ours, self._rest) :]
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.EPIPE:
                raise
            self._rest = self._rest[:0]  # the process does not want the rest
        if not self._rest:
            self._close_ours()

    def _close_ours(self) -> None:
        if self._ours >= 0:
            self._loop.remove_writer(self._ours)
            os.close(self._ours)
            self._ours = -1

    def _close(self) -> None:
        self._close_ours()
        if self.theirs >= 0:
            os.close(self.theirs)
