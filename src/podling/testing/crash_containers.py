"""The daily work of containers, and what must be true of them whenever an engine has been killed at it."""

from pathlib import Path

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
from podling.testing.crash import Journal, Point, names, same
from podling.testing.engine import load_busybox
from podling.volumes.volumes import Volumes

STEPS = 260  # roughly what the work below takes; a kill that comes later hits nothing
SECONDS = 0.7
POINTS: tuple[Point, ...] = (
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


async def prepare(engine: Engine) -> None:
    """What the work needs, where it lacks. Those that ended unseen have cleared up then."""
    if not engine.images.all():
        await load_busybox(engine)
    if not any(network.name == "side" for network in engine.networks.all()):
        await engine.networks.create("side")
    for container in engine.containers.list():
        await container.idle()


async def clear(engine: Engine) -> None:
    for container in engine.containers.list():
        await container.remove(force=True, volumes=True)


async def work(engine: Engine, journal: Journal) -> None:
    """What people do with containers."""
    mounts = (Mount("volume", "", "/any"), Mount("volume", "data", "/data"))
    spec = ContainerSpec("busybox", command=("sleep", "1000"), mounts=mounts, restart=RestartPolicy("unless-stopped"))
    one = await engine.containers.create(spec)
    journal.note("created", one.id)
    journal.note("starting", one.id)
    await one.start()
    journal.note("started", one.id)
    execution = await one.exec(ExecSpec(("true",)))
    await execution.run(limit=10)
    brief = await engine.containers.create(ContainerSpec("busybox", command=("true",), auto_remove=True, mounts=mounts[:1]))
    journal.note("removing", brief.id)
    await brief.start()
    await one.connect("side", AskedEndpoint())
    await one.disconnect("side")
    await brief.wait("removed")
    journal.note("removed", brief.id)
    journal.note("stopping", one.id)
    await one.stop(grace=0)
    journal.note("stopped", one.id)
    journal.note("starting", one.id)
    await one.start()
    journal.note("restarting", one.id)
    await one.restart(grace=0)
    journal.note("started", one.id)
    journal.note("removing", one.id)
    await one.remove(force=True, volumes=True)
    journal.note("removed", one.id)


async def check(engine: Engine, root: Path, journal: dict[str, str]) -> None:
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
    same("directories", names(root / "lib/containers"), containers)
    same("snapshots", {info.name for info in engine.snapshots.walk() if info.kind == "active"}, containers)
    same("bundles", names(root / "run/bundles"), running)
    same("states", names(root / "run/state"), running)
    same("namespaces", names(root / "run/netns"), running)
    same("cgroups", {Path(each).name for each in _cgroups(engine)}, running)
    same("holders", _conmons(root), running)
    networks = engine.networks
    same("endpoints", {e.sandbox for network in networks.all() for e in networks.endpoints(network.id)}, running)
    anonymous = {mount.source for c in containers.values() for mount in c.spec.mounts if mount.options.get("anonymous")}
    same("volumes", {volume.name for volume in engine.volumes.list() if volume.anonymous}, anonymous)
    mounted = {Path(m.target).parent.name for m in mounts_below(root / "lib/containers") if m.target.endswith("/rootfs")}
    same("mounts", mounted, running)


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
