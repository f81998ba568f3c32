"""What the containers of one pod share besides its network: memory at /dev/shm, and processes where the pod asks for it.

A namespace of processes lives as long as its first process. Here that is one which only sleeps, and whose ignored SIGCHLD has
the kernel reap the orphans that come to it. Source: pid_namespaces(7); core/v1 PodSpec.shareProcessNamespace.
"""

import asyncio
import os
from contextlib import suppress
from pathlib import Path

from podling.linux import mount, namespace, process
from podling.linux.cgroup import Group

_MEMORY = 64 << 20
_SLEEPER = ("env", "--ignore-signal=CHLD", "sleep", "infinity")


def make_memory(directory: Path) -> None:
    """A tmpfs at `directory`/shm; nothing if it is there."""
    place = directory / "shm"
    place.mkdir(exist_ok=True)
    if not mount.is_mountpoint(place):
        flags = mount.MS_NOSUID | mount.MS_NODEV | mount.MS_NOEXEC
        mount.mount("shm", place, "tmpfs", flags, f"mode=1777,size={_MEMORY}")


async def start_processes(directory: Path, cgroup: str) -> None:
    """A namespace of processes, kept at `directory`/pid; its first process is in the group `cgroup`/pause."""
    child = await process.start(_SLEEPER, session=True, prepare=lambda: namespace.unshare(namespace.CLONE_NEWPID))
    child.reap_in_background()
    try:
        await asyncio.to_thread(_keep, child.pid, directory, cgroup)
    except BaseException:
        child.kill()
        raise


def _keep(pid: int, directory: Path, cgroup: str) -> None:
    directory.mkdir(mode=0o711, exist_ok=True)
    group = Group(f"{cgroup}/pause")
    group.create()
    group.add(pid)
    (directory / "pause").write_text(str(pid))
    (directory / "pid").touch(0o444)
    mount.bind(f"/proc/{pid}/ns/pid", directory / "pid")


def remove(directory: Path) -> None:
    """End the processes, free the memory; nothing if there is nothing."""
    with suppress(OSError, ValueError):
        pid = int((directory / "pause").read_text())
        if namespace.identity(f"/proc/{pid}/ns/pid") == namespace.identity(directory / "pid"):  # not another with its number
            process.end(pid)
    namespace.remove(directory / "pid")
    (directory / "pause").unlink(missing_ok=True)
    mount.unmount_if_mounted(directory / "shm")
    with suppress(FileNotFoundError):
        os.rmdir(directory / "shm")
