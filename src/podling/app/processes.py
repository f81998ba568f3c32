"""podling's own processes: started in the background, known by a locked pid file, told to stop by a signal.

A started process reports through a pipe: one line a step, then `ready`, or `failed: ` and why. When it dies without a word, the
pipe closes and its log has the reason. Nothing here waits by polling.
"""

import fcntl
import logging
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from podling.base.errors import Conflict, Failed
from podling.linux.process import Process, spawn

READY = "ready"
FAILED = "failed: "
NOTIFY = "PODLING_NOTIFY_FD"


class Notifier:
    """The started process's end of the pipe; says nothing when nobody asked."""

    def __init__(self) -> None:
        value = os.environ.pop(NOTIFY, "")
        self._descriptor = int(value) if value else -1
        self.doing = ""
        if value:
            os.set_inheritable(self._descriptor, False)

    def step(self, text: str) -> None:
        """Tell what is being done now."""
        logging.getLogger("podling").info("%s", text)
        self.doing = text
        self._tell(text)

    def ready(self) -> None:
        """Tell that all is up, and be silent from here on."""
        self.step(READY)
        self.doing = "while it ran"
        self._close()

    def failed(self, why: str) -> None:
        """Tell, in one line, why it will never be ready."""
        self._tell(FAILED + why)
        self._close()

    def _tell(self, line: str) -> None:
        if self._descriptor >= 0:
            try:
                os.write(self._descriptor, f"{line}\n".encode())
            except BrokenPipeError:
                self._close()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@dataclass(frozen=True, slots=True)
class Report:
    """A step that a starting process tells of; `ready` is its last."""

    process: str
    text: str


class Starting:
    """Processes on their way up."""

    def __init__(self) -> None:
        self._pipes: dict[int, str] = {}
        self._logs: dict[str, Path] = {}
        self.processes: dict[str, Process] = {}

    def start(
        self, name: str, argv: list[str], log: Path, env: Mapping[str, str], prepare: Callable[[], object] | None = None
    ) -> None:
        """Start `podling ARGV` in a session of its own, writing to `log`; `prepare` enters its namespaces."""
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        log.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        try:
            self.processes[name] = spawn(
                [sys.executable, "-m", "podling", *argv],
                files={1: output, 2: output, 3: theirs},
                env={**os.environ, **env, NOTIFY: "3"},
                session=True,
                prepare=prepare,
            )
        finally:
            os.close(output)
            os.close(theirs)
        self._pipes[ours] = name
        self._logs[name] = log

    def reports(self, timeout: float) -> Iterator[Report]:
        """What the processes tell until all are ready. Raises Failed when one ends before, or is silent for `timeout` seconds."""
        poll = select.poll()
        for descriptor in self._pipes:
            poll.register(descriptor, select.POLLIN)
        while self._pipes:
            events = poll.poll(timeout * 1000)
            if not events:
                waiting = ", ".join(sorted(self._pipes.values()))
                raise Failed(f"{waiting}: not ready within {timeout:g} s; the log is {self._logs[waiting.split(', ')[0]]}")
            for descriptor, _ in events:
                yield from self._read(descriptor, poll)

    def _read(self, descriptor: int, poll: select.poll) -> Iterator[Report]:
        name = self._pipes[descriptor]
        lines = os.read(descriptor, 65536).decode().splitlines()
        for line in lines:
            if line.startswith(FAILED):
                raise Failed(f"the {name} can't start: {line.removeprefix(FAILED)}. Its log is {self._logs[name]}")
            yield Report(name, line)
        if not lines or lines[-1] == READY:
            poll.unregister(descriptor)
            os.close(descriptor)
            del self._pipes[descriptor]
        if not lines:
            raise Failed(f"the {name} ended while starting: {last_line(self._logs[name])}\nThe log is {self._logs[name]}")


def last_line(log: Path) -> str:
    """The last line of a log: where a process that failed says why."""
    lines = log.read_text(errors="replace").splitlines()
    return next((line for line in reversed(lines) if line.strip()), "it said nothing")


class PidFile:
    """A pid file that its process keeps locked, so that a stale one is never believed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def take(self) -> None:
        """Write our pid and keep the lock until we end. Raises Conflict when another process has it."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"{self._path}: another podling process runs with this root. `podling status` shows it.") from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def holder(self) -> int | None:
        """The pid of the process that has the lock; None when nobody has."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.pread(descriptor, 32, 0).decode().strip()
            return int(text) if text.isdecimal() else None
        finally:
            os.close(descriptor)
        return None


def stop(pid_file: Path, grace: float) -> bool:
    """Have the process end: SIGTERM, and SIGKILL when it still runs after `grace` seconds. False when it did not run."""
    pid = PidFile(pid_file).holder()
    if pid is None:
        return False
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        end(descriptor, grace)
    finally:
        os.close(descriptor)
    return True


def end(descriptor: int, grace: float) -> None:
    """SIGTERM, then SIGKILL after `grace` seconds, to the process behind a pidfd; returns when it has ended."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
        try:
            signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return
        if poll.poll(patience * 1000):
            return
    raise Failed("a process does not end on SIGKILL: it hangs in the kernel")
