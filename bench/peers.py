"""The engines and stores beside podling: dockerd, podman, etcd, each with data, namespaces and cgroups of its own.

Each is a context manager that gives None where the program is not installed. Its processes are the only ones of a PID
namespace, so that ending its first process ends all, and its mounts and links go with its namespaces.
"""

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from podling.linux import cgroup
from podling.runtime import program
from podling.testing.images import busybox_archive

START_TIMEOUT = 30.0
PREPARE = "ip link set lo up && mount -t tmpfs none /run && "


def installed(name: str) -> str | None:
    """The path of a program; None where it is not."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def run(*argv: str, input: bytes | None = None, environment: Mapping[str, str] | None = None) -> bytes:
    """The output of a command; raises RuntimeError with its stderr."""
    done = subprocess.run(argv, input=input, capture_output=True, timeout=60, env=environment, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{shlex.join(argv)}: exit code {done.returncode}\n{done.stderr.decode(errors='replace')}")
    return done.stdout


@dataclass(frozen=True, slots=True)
class Sealed:
    """Namespaces of network, mounts and processes; `pid` is their first process, `folder` theirs alone."""

    folder: Path
    pid: int

    def command(self, *argv: str) -> list[str]:
        """The argument list that runs `argv` inside."""
        return ["nsenter", f"--target={self.pid}", "--net", "--mount", "--pid", *argv]

    def processes(self) -> list[int]:
        """All that runs inside, as pids of ours."""
        inside = os.readlink(f"/proc/{self.pid}/ns/pid")
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.readlink(folder / "ns/pid") == inside:
                    found.append(int(folder.name))
        return found

    def wait_for(self, answers: Callable[[], object]) -> None:
        """Until `answers` gives true without an OSError. Raises RuntimeError with the log when it never does."""
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline and Path(f"/proc/{self.pid}/ns/pid").exists():
            with contextlib.suppress(OSError):
                if answers():
                    return
            time.sleep(0.005)
        raise RuntimeError(f"it does not start: {(self.folder / 'log').read_text(errors='replace')[-1000:]}")


@contextmanager
def sealed(command: str) -> Iterator[Sealed]:
    """Run a shell command as the first process of new namespaces; at the end all that runs inside is killed.

    `$HERE` is its folder, on disk, and `$NAME` a name for its cgroups.
    """
    with tempfile.TemporaryDirectory(prefix="podling-bench-") as name:
        folder = Path(name)
        argv = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", PREPARE + command]
        environment = {**os.environ, "HERE": name, "NAME": folder.name}
        with (folder / "log").open("wb") as log:
            outer = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        try:
            yield Sealed(folder, _first_process(outer))
        finally:
            _end(outer)
            cgroup.Group(f"/{folder.name}").remove()


def _first_process(outer: "subprocess.Popen[bytes]") -> int:
    """The child of unshare."""
    while outer.poll() is None:
        if children := _children(outer.pid):
            return children[0]
        time.sleep(0.001)
    raise RuntimeError(f"unshare: exit code {outer.returncode}")


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _end(outer: "subprocess.Popen[bytes]") -> None:
    """Kill the first process of the namespaces; the kernel kills the others, and only then has it ended."""
    for pid in _children(outer.pid):
        os.kill(pid, signal.SIGKILL)
    outer.wait(30)


@contextmanager
def dockerd() -> Iterator[Sealed | None]:
    """A Docker daemon with its containerd, at `docker.sock` in its folder, once it answers."""
    path = installed("dockerd")
    if path is None:
        yield None
        return
    places = "--data-root $HERE/data --exec-root $HERE/exec --pidfile $HERE/pid --host unix://$HERE/docker.sock"
    with sealed(f"{path} {places} --cgroup-parent /$NAME & wait") as inside:
        inside.wait_for(lambda: _answers(inside.folder / "docker.sock"))
        yield inside


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
        return b" 200 " in client.recv(4096)


def docker(path: Path, *arguments: str) -> list[str]:
    """The docker command against the engine that listens at `path`."""
    return ["docker", "--host", f"unix://{path}", *arguments]


@contextmanager
def dockerd_with_busybox() -> Iterator[Sealed | None]:
    with dockerd() as inside:
        if inside is not None:
            run(*docker(inside.folder / "docker.sock", "load"), input=busybox_archive())
        yield inside


@contextmanager
def podman_with_busybox() -> Iterator[list[str] | None]:
    """The beginning of a podman command line, with folders of its own, podling's OCI runtime, and the image `busybox`."""
    if installed("podman") is None:
        yield None
        return
    # Where control groups of both versions are mounted, crun refuses to run while it sees the second.
    hide = f"umount {program.UNIFIED} &&" if program.is_hybrid() else ""
    with sealed(f"{hide} touch $HERE/prepared; sleep infinity & wait") as inside:
        inside.wait_for((inside.folder / "prepared").exists)
        options = [
            *("--root", f"{inside.folder}/root", "--runroot", f"{inside.folder}/run", "--tmpdir", f"{inside.folder}/tmp"),
            *("--network-config-dir", f"{inside.folder}/networks", "--cgroup-manager", "cgroupfs", "--events-backend", "file"),
            *("--runtime", program.find().path),
        ]
        command = inside.command("podman", *options)
        run(*command, "load", input=busybox_archive())
        yield command


@contextmanager
def etcd() -> Iterator[Path | None]:
    """The unix socket that an etcd serves."""
    path = installed("etcd")
    if path is None:
        yield None
        return
    # The name of a unix socket of etcd is host and port of the URL, in its working directory.
    urls = "--listen-client-urls unix://etcd:1 --advertise-client-urls unix://etcd:1 --listen-peer-urls http://127.0.0.1:2380"
    with sealed(f"cd $HERE && {path} --data-dir $HERE/data --quota-backend-bytes 4000000000 {urls} & wait") as inside:
        listener = inside.folder / "etcd:1"
        inside.wait_for(lambda: _connects(listener))
        yield listener


def _connects(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        return True
