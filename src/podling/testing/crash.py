"""An engine that is killed again and again, at each of its steps and at random moments, and looked at by the one after it.

    python -m podling.testing.crash ROOT NETNS ROUNDS SEED

Each round is a process of its own: it takes up what the one before left, checks that it is whole, removes it, and does the daily
work of containers until it is killed. Ends with an error, and says which round, when something is lost, half there, or left over.
"""

import asyncio
import functools
import inspect
import os
import random
import select
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from podling.engine.container import Container
from podling.engine.engine import Engine
from podling.engine.record import Records
from podling.engine.types import ContainerSpec, ExecSpec, Mount, RestartPolicy
from podling.engine.types import Endpoint as AskedEndpoint
from podling.images.images import Images
from podling.linux import namespace, process
from podling.linux.mount import mounts_below
from podling.network.networks import Networks
from podling.runtime.conmon import Conmon
from podling.snapshots.overlay import OverlaySnapshotter
from podling.testing.engine import load_busybox, running_engine
from podling.volumes.volumes import Volumes

_STEPS = 260  # roughly what the work below takes; a kill that comes later hits nothing
_LONGEST = 0.7  # seconds that the work takes
_POINTS: tuple[tuple[Any, str], ...] = (
    *((Records, name) for name in ("prepare", "save", "revoke", "delete")),
    *((OverlaySnapshotter, name) for name in ("prepare", "mount", "remove")),
    *((Images, name) for name in ("lease", "release")),
    *((Networks, name) for name in ("connect", "disconnect", "publish", "release")),
    *((Volumes, name) for name in ("create", "mount", "unmount", "remove")),
    *((Conmon, name) for name in ("create", "start", "delete", "_write_bundle")),
    (namespace, "create"),
    (namespace, "remove"),
    (process, "spawn"),
)


def _arm(steps: int) -> None:
    """Have this process killed before or after the step with this number."""
    left = steps

    def tick() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    for owner, name in _POINTS:
        setattr(owner, name, _ticking(getattr(owner, name), tick))


def _ticking(work: Callable[..., Any], tick: Callable[[], None]) -> Callable[..., Any]:
    @functools.wraps(work)
    def call(*args: Any, **named: Any) -> Any:
        tick()
        result = work(*args, **named)
        tick()
        return result

    @functools.wraps(work)
    async def call_async(*args: Any, **named: Any) -> Any:
        tick()
        result = await work(*args, **named)
        tick()
        return result

    return call_async if inspect.iscoroutinefunction(work) else call


class Journal:
    """What was begun and what was acknowledged: words and a container's id a line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def note(self, word: str, container: Container) -> None:
        with self._path.open("a") as file:
            file.write(f"{word} {container.id}\n")

    def take(self) -> dict[str, str]:
        """The last word on each container; the journal is empty then."""
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        self._path.write_text("")
        return {identifier: word for word, identifier in (line.split() for line in lines)}


async def _round(root: Path, netns: Path, steps: int, ready: int) -> None:
    journal = Journal(root / "journal")
    async with running_engine(root, netns) as engine:
        if not engine.images.all():
            await load_busybox(engine)
        if not any(network.name == "side" for network in engine.networks.all()):
            await engine.networks.create("side")
        await asyncio.sleep(0)  # those that ended unseen begin to clear up
        for container in engine.containers.list():
            await container.idle()
        check(engine, root, journal.take())
        await _clear(engine)
        check(engine, root, {})
        os.write(ready, b"x")
        if steps:
            _arm(steps)
        await work(engine, journal)


async def _clear(engine: Engine) -> None:
    for container in engine.containers.list():
        await container.remove(force=True, volumes=True)


async def work(engine: Engine, journal: Journal) -> None:
    """What people do with containers."""
    mounts = (Mount("volume", "", "/any"), Mount("volume", "data", "/data"))
    spec = ContainerSpec("busybox", command=("sleep", "1000"), mounts=mounts, restart=RestartPolicy("unless-stopped"))
    one = await engine.containers.create(spec)
    journal.note("created", one)
    journal.note("starting", one)
    await one.start()
    journal.note("started", one)
    execution = await one.exec(ExecSpec(("true",)))
    await execution.run(limit=10)
    brief = await engine.containers.create(ContainerSpec("busybox", command=("true",), auto_remove=True, mounts=mounts[:1]))
    journal.note("removing", brief)
    await brief.start()
    await one.connect("side", AskedEndpoint())
    await one.disconnect("side")
    await brief.wait("removed")
    journal.note("removed", brief)
    journal.note("stopping", one)
    await one.stop(grace=0)
    journal.note("stopped", one)
    journal.note("starting", one)
    await one.start()
    journal.note("restarting", one)
    await one.restart(grace=0)
    journal.note("started", one)
    journal.note("removing", one)
    await one.remove(force=True, volumes=True)
    journal.note("removed", one)


def check(engine: Engine, root: Path, journal: dict[str, str]) -> None:
    """Raises AssertionError, with what is there, where something is lost, half there, or left over."""
    containers = {container.id: container for container in engine.containers.list()}
    running = {identifier for identifier, container in containers.items() if container.running}
    for identifier, word in journal.items():
        if word not in ("removing", "removed"):
            assert identifier in containers, f"{word} container is lost"
        if word == "removed":
            assert identifier not in containers, "a removed container is back"
        if word in ("started", "stopped"):
            assert (identifier in running) == (word == "started"), f"{word} container is {containers[identifier].state}"
    for identifier in running:
        container = containers[identifier]
        assert container.state.pid in container.cgroup.pids(), "a running container has no process"
        assert [endpoint.interface for endpoint in container.endpoints][:1] == ["eth0"], "a running container has no network"
    _same("directories", _names(root / "lib/containers"), containers)
    _same("snapshots", {info.name for info in engine.snapshots.walk() if info.kind == "active"}, containers)
    _same("bundles", _names(root / "run/bundles"), running)
    _same("states", _names(root / "run/state"), running)
    _same("namespaces", _names(root / "run/netns"), running)
    _same("cgroups", {Path(each).name for each in _cgroups(engine)}, running)
    _same("holders", _conmons(root), running)
    networks = engine.networks
    _same("endpoints", {e.sandbox for network in networks.all() for e in networks.endpoints(network.id)}, running)
    anonymous = {mount.source for c in containers.values() for mount in c.spec.mounts if mount.options.get("anonymous")}
    _same("volumes", {volume.name for volume in engine.volumes.list() if volume.anonymous}, anonymous)
    mounted = {Path(m.target).parent.name for m in mounts_below(root / "lib/containers") if m.target.endswith("/rootfs")}
    _same("mounts", mounted, running)


def _same(what: str, found: set[str], wanted: "set[str] | dict[str, Container]") -> None:
    assert found == set(wanted), f"{what}: {sorted(found - set(wanted))} too many, {sorted(set(wanted) - found)} missing"


def _names(directory: Path) -> set[str]:
    return {entry.name for entry in directory.iterdir()} if directory.exists() else set()


def _cgroups(engine: Engine) -> set[Path]:
    return {
        entry
        for top in Path("/sys/fs/cgroup").iterdir()
        for entry in [*(top / engine.instance).glob("*"), *Path("/sys/fs/cgroup", engine.instance).glob("*")]
        if entry.is_dir()
    }


def _conmons(root: Path) -> set[str]:
    """The containers that a conmon of this root stands for."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode().split("\0")
        except (OSError, UnicodeDecodeError):
            continue
        if Path(words[0]).name == "conmon" and any(str(root) in word for word in words):
            found.add(words[words.index("-c") + 1])
    return found


def _child(root: Path, netns: Path, steps: int, ready: int) -> None:
    code = 3
    try:
        asyncio.run(_round(root, netns, steps, ready))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _live_and_die(root: Path, netns: Path, steps: int, seconds: float) -> int:
    """One round, killed after `steps` of its steps, or (0) `seconds` after it began to work: its exit status."""
    theirs, ours = os.pipe()[::-1]
    pid = os.fork()
    if not pid:
        _child(root, netns, steps, theirs)
    os.close(theirs)
    os.read(ours, 1)
    os.close(ours)
    if not steps:
        pidfd = os.pidfd_open(pid)
        select.select([pidfd], [], [], seconds)
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)
    return os.waitpid(pid, 0)[1]


def main(root: Path, netns: Path, rounds: int, seed: int) -> int:
    chance = random.Random(seed)
    before = "nothing"
    for number in range(rounds):
        steps = chance.randrange(1, _STEPS) if number % 2 else 0
        seconds = chance.uniform(0, _LONGEST)
        status = _live_and_die(root, netns, steps, seconds)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status):
            print(f"round {number} of seed {seed} failed; killed before: {before}", file=sys.stderr)
            return 1
        before = f"at step {steps}" if steps else f"after {seconds:.3f} s"
    asyncio.run(_end(root, netns))
    return 0


async def _end(root: Path, netns: Path) -> None:
    async with running_engine(root, netns) as engine:
        await engine.purge()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
