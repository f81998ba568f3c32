"""Debian's containerd below a directory of a test's own, as a CRI runtime for pods."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from podling.linux import mount
from podling.testing.images import busybox_archive, busybox_layer, docker_archive

_SECONDS = 30.0
_PAUSE = "localhost/pause:1"
_NAMESPACE = "k8s.io"  # where containerd keeps what came by CRI


@contextmanager
def running_containerd(root: Path, cni: Path, command: Callable[..., list[str]] = lambda *argv: list(argv)) -> Iterator[str]:
    """A containerd that keeps everything below `root` and calls the plugin below `cni`; gives its CRI endpoint.

    It has busybox. `command` makes of its argument list one that runs it elsewhere. What it still runs at the end is ended.
    """
    root.mkdir(parents=True, exist_ok=True)
    socket = root / "containerd.sock"
    path = root / "config.toml"
    path.write_text(_config(root, cni))
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(command("containerd", "--config", str(path)), stdout=log, stderr=log)
        try:
            _wait_for(socket, process, root / "log")
            for archive in (busybox_archive("docker.io/library/busybox:latest"), _pause()):
                _ctr(socket, "images", "import", "--no-unpack", "-", data=archive)
            yield f"unix://{socket}"
            _end_everything(socket)
        finally:
            process.terminate()
            process.wait(_SECONDS)
            for left in sorted(mount.mounts_below(root), key=lambda each: each.target, reverse=True):
                mount.unmount_if_mounted(left.target)


def _config(root: Path, cni: Path) -> str:
    """TOML. The stream server listens on a free port of loopback."""
    return f"""
version = 2
root = {json.dumps(str(root / "lib"))}
state = {json.dumps(str(root / "run"))}
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs"]
[grpc]
address = {json.dumps(str(root / "containerd.sock"))}
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{_PAUSE}"
stream_server_address = "127.0.0.1"
stream_server_port = "0"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = {json.dumps(str(cni / "bin"))}
conf_dir = {json.dumps(str(cni / "net.d"))}
"""


def _pause() -> bytes:
    """The image of a sandbox's own container, which does nothing."""
    return docker_archive([busybox_layer()], [_PAUSE], {"Entrypoint": ["sleep", "2147483647"], "Cmd": None})


def _wait_for(socket: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _SECONDS
    while subprocess.run(["ctr", "-a", str(socket), "plugins", "ls"], capture_output=True, timeout=_SECONDS).returncode:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"containerd does not answer: {log.read_text()[-2000:]}")
        time.sleep(0.05)


def _ctr(socket: Path, *words: str, data: bytes = b"") -> str:
    done = subprocess.run(
        ["ctr", "-a", str(socket), "-n", _NAMESPACE, *words], input=data, capture_output=True, timeout=_SECONDS, check=False
    )
    if done.returncode:
        raise RuntimeError(f"ctr {' '.join(words)}: {done.stderr.decode(errors='replace')}")
    return done.stdout.decode()


def _end_everything(socket: Path) -> None:
    for task in _ctr(socket, "tasks", "ls", "-q").split():
        _ctr(socket, "tasks", "kill", "-s", "KILL", task)
        _ctr(socket, "tasks", "rm", "-f", task)
