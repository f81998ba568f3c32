"""From a record to a runtime's launch: root, network, files, mounts, user. And back."""

import asyncio
import logging
import os
import shutil
import stat
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from podling.base.errors import Conflict, InvalidInput, PodlingError
from podling.base.ids import short
from podling.engine import links, logdriver
from podling.engine.defaults import hosts_file, merge_env, process_env
from podling.engine.record import Record
from podling.engine.surroundings import Surroundings
from podling.engine.types import ContainerSpec, Endpoint, Mount
from podling.linux import mount as mounts
from podling.linux import namespace
from podling.linux.cgroup import Group, expect_move
from podling.linux.inside import make_directories_inside, open_inside, read_inside
from podling.network import rates
from podling.network.base import Sandbox
from podling.network.names import resolv_conf
from podling.network.ports import PortRequest
from podling.runtime.base import Launch
from podling.runtime.spec import DEFAULT_SHM_SIZE, BindMount, DeviceNode, Plan, TmpfsMount, block_devices, build
from podling.runtime.types import Device, Resources
from podling.runtime.user import User, lookup
from podling.volumes.copyup import fill

if TYPE_CHECKING:
    from podling.engine.container import Container

log = logging.getLogger(__name__)
T = TypeVar("T")
U = TypeVar("U")

_FILES = ("/etc/resolv.conf", "/etc/hostname", "/etc/hosts")
_DIRECTORIES = ("/dev", "/proc", "/sys", "/etc")
_INIT_PROGRAMS = ("docker-init", "tini-static", "catatonit", "tini")
_INIT_TARGET = "/sbin/docker-init"
_OWN_NETWORK = ("host", "container:", "ns:")
LOG_FILE = "container.log"
SHARED_MEMORY = "shm"


def mount_points(floor: Path) -> Path:
    """Make a tree of the places where every container has something mounted."""
    for directory in _DIRECTORIES:
        (floor / directory.lstrip("/")).mkdir(mode=0o755, parents=True, exist_ok=True)
    for file in _FILES:
        (floor / file.lstrip("/")).touch(mode=0o644)
    return floor


def expect(around: Surroundings) -> None:
    """A container is about to start: have the kernel ready."""
    around.tasks.start(asyncio.to_thread(expect_move, around.hierarchies), "expect a start")


async def bring_up(record: Record, around: Surroundings) -> int:
    """Mount and connect everything and create the container, ready to start: its pid. `take_down` undoes it, also when it fails.

    The runtime makes the container while its namespace is put into networks: what those tell it, it reads after its start.
    """
    check_links(record, around)
    root = around.records.directory(record.id) / "rootfs"
    await _all(asyncio.to_thread(_mount_root, record, around, root), _open_network(record, around))
    if record.spec.links:  # its environment tells of them
        await _connect(record, around)
        return await around.runtime.create(await _launch(record, around, root))
    launch = await _launch(record, around, root)
    _, pid = await _all(_connect(record, around), around.runtime.create(launch))
    return pid


async def _launch(record: Record, around: Surroundings, root: Path) -> Launch:
    spec = record.spec
    bound = await _bind(record, around, root)
    user, numbers = await asyncio.to_thread(_look_around, record, around, root)
    size = logdriver.find(spec.log_driver).size(spec.log_options)
    plan = replace(_plan(record, around, root, user, bound), numbers=numbers)
    return Launch(
        id=record.id,
        spec=build(plan, around.host),
        log_path=None if size is None else log_path(record, around),
        log_size=size or 0,
        terminal=spec.tty,
        stdin=spec.open_stdin,
        keep_stdin_open=spec.open_stdin and (spec.tty or not spec.stdin_once),  # a terminal outlives its clients
        program=spec.runtime,
    )


async def _all(first: Awaitable[T], second: Awaitable[U]) -> tuple[T, U]:
    """Side by side, to the end of each even when one fails: what is to be undone must stand still first."""
    one, two = await asyncio.gather(first, second, return_exceptions=True)
    for result in (one, two):
        if isinstance(result, BaseException):
            raise result
    return cast(T, one), cast(U, two)


async def take_down(record: Record, around: Surroundings) -> None:
    """Give back whatever `bring_up` and the runtime took. Each part is tried, failures are logged. Safe twice, and without."""
    await _try(around.runtime.delete(record.id), record)
    await _try(around.networks.release(record.id), record)
    await hide_volumes(record, around)
    await _try(asyncio.to_thread(_unmount, record, around), record)


async def take_down_lost(record: Record, around: Surroundings) -> None:
    """As `take_down`, for what an earlier process left: also what the runtime itself has lost track of."""
    await take_down(record, around)
    await _try(asyncio.to_thread(_end_cgroup, Group(cgroup_path(record, around), around.hierarchies)), record)


def _end_cgroup(group: Group) -> None:
    if group.exists():
        group.kill()
        group.remove()


async def _try(work: Awaitable[object], record: Record) -> None:
    try:
        await work
    except (PodlingError, OSError) as error:
        log.error("container %s: cleaning up: %s", short(record.id), error)


def _unmount(record: Record, around: Surroundings) -> None:
    namespace.remove(around.netns(record.id))
    directory = around.records.directory(record.id)
    for place in (directory / "rootfs", directory / SHARED_MEMORY):
        mounts.unmount_if_mounted(place)


def _look_around(record: Record, around: Surroundings, root: Path) -> tuple[User, dict[str, tuple[int, int]]]:
    """What takes a look at files: the user of the image, devices of the host. And the places of the container's own files."""
    for path in _FILES:
        (around.records.directory(record.id) / os.path.basename(path)).touch()
    return _look_inside(record.spec, root), block_numbers(record.spec.resources)


def block_numbers(limits: Resources) -> dict[str, tuple[int, int]]:
    """Major and minor of the block devices that have limits. Raises InvalidInput for what is none."""
    return {path: _block_number(path) for path in block_devices(limits)}


def _block_number(path: str) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}") from None
    if not stat.S_ISBLK(status.st_mode):
        raise InvalidInput(f"{path} is not a block device")
    return os.major(status.st_rdev), os.minor(status.st_rdev)


def _mount_root(record: Record, around: Surroundings, root: Path) -> None:
    if not mounts.is_mountpoint(root):
        around.images.snapshots.mount(record.id, root)


# -- network


def owns_network(spec: ContainerSpec) -> bool:
    """Whether the container has a network namespace that the engine makes for it."""
    return not spec.namespaces.network.startswith(_OWN_NETWORK)


def wanted_networks(spec: ContainerSpec) -> dict[str, Endpoint]:
    """The networks to connect, the one of the mode first."""
    mode = spec.namespaces.network
    first = "bridge" if mode in ("", "default") else mode
    return {first: spec.networks.get(first, Endpoint()), **spec.networks}


async def _open_network(record: Record, around: Surroundings) -> None:
    if owns_network(record.spec):
        path = around.netns(record.id)
        path.parent.mkdir(parents=True, exist_ok=True)
        namespace.remove(path)  # of a run that ended unseen
        namespace.create({"net": path}, namespace.loopback_up)


async def _connect(record: Record, around: Surroundings) -> None:
    """Join all networks, publish the ports, and write down what has become of it."""
    spec = record.spec
    if owns_network(spec):
        await _join_all(record, around)
    await asyncio.to_thread(write_files, record, around)


async def _join_all(record: Record, around: Surroundings) -> None:
    spec = record.spec
    await around.networks.limit(record.id, rates.asked(spec.labels))
    for name, asked in wanted_networks(spec).items():
        await join(record, around, name, asked)
    requests = [PortRequest(p.container_port, p.protocol, p.host_ip, p.host_port) for p in spec.ports]
    around.networks.publish(record.id, requests)


async def join(record: Record, around: Surroundings, network: str, asked: Endpoint) -> None:
    """Put the container's namespace into a network."""
    await around.networks.connect(
        network,
        Sandbox(record.id, record.name, around.netns(record.id)),
        address=asked.ipv4,
        address6=asked.ipv6,
        mac=asked.mac,
        aliases=asked.aliases,
        upstream=[(server, 53) for server in record.spec.dns],
    )


def network_namespace(record: Record, around: Surroundings) -> str | None:
    """The path of the namespace to join; None for the host's."""
    mode = record.spec.namespaces.network
    if mode == "host":
        return None
    if mode.startswith("ns:"):
        return mode[3:]
    if mode.startswith("container:"):
        return f"/proc/{_running(around.find(mode[10:]), 'network')}/ns/net"
    return str(around.netns(record.id))


def _running(other: "Container", what: str) -> int:
    if not other.state.pid:
        raise Conflict(f"cannot join {what} of a non running container: {other.id}")
    pid: int = other.state.pid
    return pid


# -- files


def hostname_of(record: Record, around: Surroundings) -> str:
    """The name inside: what was asked, that of the container whose network it shares, the host's own in its network, else the
    short id."""
    spec = record.spec
    if (other := _network_of(record, around)) is not None:
        return hostname_of(other, around)
    if spec.hostname:
        return spec.hostname
    if spec.namespaces.network == "host" or spec.namespaces.uts == "host":
        return os.uname().nodename
    return short(record.id)


def _network_of(record: Record, around: Surroundings) -> Record | None:
    """The container whose network this one shares."""
    mode = record.spec.namespaces.network
    return around.find(mode[10:]).record if mode.startswith("container:") else None


def write_files(record: Record, around: Surroundings) -> None:
    """What the container sees of its own name and its networks; again in the same files when those have changed."""
    if _network_of(record, around) is not None:
        return  # it has the other one's
    directory = around.records.directory(record.id)
    (directory / "hostname").write_text(hostname_of(record, around) + "\n")
    (directory / "hosts").write_text(_hosts(record, around))
    (directory / "resolv.conf").write_text(_resolver(record, around))


def _hosts(record: Record, around: Surroundings) -> str:
    spec = record.spec
    endpoints = around.networks.endpoints_of(record.id)
    gateway = next((endpoint.gateway for endpoint in endpoints if endpoint.gateway), "")
    if spec.namespaces.network == "host":
        return _text("/etc/hosts") + hosts_file({}, (), spec.extra_hosts, "127.0.0.1").split("allrouters\n", 1)[1]
    name = hostname_of(record, around)
    names = [f"{name}.{spec.domainname}", name] if spec.domainname else [name]
    addresses = [address for endpoint in endpoints for address in (endpoint.ip, endpoint.ip6) if address]
    linked = dict(links.hosts_entry(each) for each in linked_containers(record, around))
    return hosts_file({**linked, **dict.fromkeys(addresses, "")}, names, spec.extra_hosts, gateway)


def linked_containers(record: Record, around: Surroundings) -> list[links.Linked]:
    """Those that it links to and that run in a network with it."""
    own = {endpoint.network for endpoint in around.networks.endpoints_of(record.id)}
    found = []
    for text in record.spec.links:
        name, alias = links.parse(text)
        other = around.find(name).record
        address = next((e.ip for e in around.networks.endpoints_of(other.id) if e.network in own), "")
        if address:
            spec = other.spec
            ports = (*spec.exposed, *(f"{port.container_port}/{port.protocol}" for port in spec.ports))
            found.append(links.Linked(alias, other.name, hostname_of(other, around), address, ports, spec.env))
    return found


def check_links(record: Record, around: Surroundings) -> None:
    """Raises Conflict where a container that it links to does not run."""
    for text in record.spec.links:
        name, alias = links.parse(text)
        other = around.find(name)
        if not other.running:
            raise Conflict(f"Cannot link to a non running container: /{other.name} AS /{record.name}/{alias}")


def _resolver(record: Record, around: Surroundings) -> str:
    spec = record.spec
    return resolv_conf(
        _text("/etc/resolv.conf"),
        embedded=around.networks.has_resolver(record.id),
        servers=spec.dns,
        search=spec.dns_search,
        options=spec.dns_options,
    )


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


# -- mounts


async def _bind(record: Record, around: Surroundings, root: Path) -> list[BindMount | TmpfsMount]:
    """The container's own files, unless something else is mounted there, and all mounts asked for."""
    directory = around.records.directory((_network_of(record, around) or record).id)
    taken = {mount.target.rstrip("/") for mount in record.spec.mounts}
    own = [BindMount(str(directory / os.path.basename(path)), path) for path in _FILES if path not in taken]
    asked = [await _resolve(mount, record, around, root) for mount in record.spec.mounts]
    shared = [] if "/dev/shm" in taken else _shared_memory(record, around)
    return [*own, *shared, *asked, *_init_mount(record.spec)]


def _shared_memory(record: Record, around: Surroundings) -> list[BindMount | TmpfsMount]:
    """/dev/shm where others may join it: a tmpfs of the engine's, the joined container's, or the host's."""
    mode = record.spec.namespaces.ipc
    if mode == "shareable":
        place = around.records.directory(record.id) / SHARED_MEMORY
        place.mkdir(exist_ok=True)
        if not mounts.is_mountpoint(place):
            flags = mounts.MS_NOSUID | mounts.MS_NODEV | mounts.MS_NOEXEC
            mounts.mount("shm", place, "tmpfs", flags, f"mode=1777,size={record.spec.shm_size or DEFAULT_SHM_SIZE}")
        return [BindMount(str(place), "/dev/shm")]
    if not mode.startswith("container:"):
        return []
    other = around.find(mode[10:])
    if other.spec.namespaces.ipc == "host":
        return [BindMount("/dev/shm", "/dev/shm")]
    if other.spec.namespaces.ipc != "shareable":
        raise Conflict(
            f"can't join IPC of container {other.id}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)"
        )
    return [BindMount(str(around.records.directory(other.id) / SHARED_MEMORY), "/dev/shm")]


async def _resolve(mount: Mount, record: Record, around: Surroundings, root: Path) -> BindMount | TmpfsMount:
    if mount.type == "tmpfs":
        return TmpfsMount(mount.target, _tmpfs_options(mount))
    if mount.type == "bind":
        return BindMount(_bind_source(mount), mount.target, mount.read_only, mount.propagation)
    path = await around.volumes.mount(mount.source, record.id)
    if not mount.options.get("no_copy"):
        await asyncio.to_thread(fill, path, root, mount.target)
    if subpath := mount.options.get("subpath"):
        path = await asyncio.to_thread(_below, path, subpath)
    return BindMount(str(path), mount.target, mount.read_only, mount.propagation)


async def show_mounts(record: Record, around: Surroundings, root: Path) -> None:
    """Show in the mounted root of a container that does not run what it would see there. Unmounting the root ends it."""
    for mount in sorted(record.spec.mounts, key=lambda mount: mount.target.count("/")):
        source = await around.volumes.mount(mount.source, record.id) if mount.type == "volume" else Path(mount.source)
        if mount.type != "tmpfs" and source.exists():
            await asyncio.to_thread(_show, source, root, mount)


async def hide_volumes(record: Record, around: Surroundings) -> None:
    """The root has been unmounted."""
    for mount in record.spec.mounts:
        if mount.type == "volume":
            await _try(around.volumes.unmount(mount.source, record.id), record)


def _show(source: Path, root: Path, mount: Mount) -> None:
    place = _place(source, root, mount.target)
    try:
        path = os.readlink(f"/proc/self/fd/{place}")  # without links, and nobody who could make some runs in there
    finally:
        os.close(place)
    mounts.bind(source, path, recursive=True, readonly=mount.read_only)


def _place(source: Path, root: Path, target: str) -> int:
    """A descriptor of the mount point, made where it lacks: a directory, or a file for a file."""
    if source.is_dir():
        return make_directories_inside(root, target)
    os.close(make_directories_inside(root, os.path.dirname(target)))
    try:
        return open_inside(root, target, os.O_PATH)
    except FileNotFoundError:
        os.close(open_inside(root, target, os.O_CREAT | os.O_WRONLY, 0o644))
        return open_inside(root, target, os.O_PATH)


def _tmpfs_options(mount: Mount) -> tuple[str, ...]:
    options = [*mount.options.get("flags", ())]
    if size := mount.options.get("size"):
        options.append(f"size={size}")
    if (mode := mount.options.get("mode")) is not None:
        options.append(f"mode={mode:o}")
    return (*options, "ro") if mount.read_only else tuple(options)


def _bind_source(mount: Mount) -> str:
    if not os.path.lexists(mount.source):
        if not mount.options.get("create_source"):
            raise missing_source(mount.source)
        os.makedirs(mount.source, exist_ok=True)
    return mount.source


def missing_source(path: str) -> InvalidInput:
    return InvalidInput(f'invalid mount config for type "bind": bind source path does not exist: {path}')


def _below(path: Path, subpath: str) -> Path:
    """A directory of a volume; symlinks in it must not lead out of it."""
    found = (path / subpath).resolve()
    if not found.is_relative_to(path.resolve()) or not found.exists():
        raise InvalidInput(f"cannot access path {path / subpath}: no such directory in the volume")
    return found


def _init_mount(spec: ContainerSpec) -> list[BindMount]:
    if not spec.init:
        return []
    program = next((found for name in _INIT_PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        raise InvalidInput("exec: docker-init: executable file not found in $PATH: install tini to use an init process")
    return [BindMount(program, _INIT_TARGET, read_only=True)]


def _look_inside(spec: ContainerSpec, root: Path) -> User:
    """The user by the image's accounts; the working directory is made where the image lacks it."""
    if spec.working_dir not in ("", "/"):
        try:
            os.close(make_directories_inside(root, spec.working_dir))
        except NotADirectoryError:
            raise InvalidInput(f'cannot mkdir "{spec.working_dir}": not a directory') from None
    passwd, group = (read_inside(root, path).decode(errors="replace") for path in ("etc/passwd", "etc/group"))
    return lookup(spec.user, passwd, group, spec.groups)


# -- the plan


def _plan(record: Record, around: Surroundings, root: Path, user: User, bound: list[BindMount | TmpfsMount]) -> Plan:
    spec = replace(record.spec, hostname=hostname_of(record, around))
    if spec.namespaces.network == "bridge":
        told = [word for each in linked_containers(record, around) for word in links.environment(record.name, each)]
        spec = replace(spec, env=merge_env(told, spec.env))
    init = [_INIT_TARGET, "--"] if spec.init else []
    return Plan(
        root=str(root),
        args=[*init, *(spec.entrypoint or ()), *(spec.command or ())],
        env=process_env(spec, user.home),
        working_dir=spec.working_dir,
        user=user,
        tty=spec.tty,
        console_size=spec.console_size if all(spec.console_size) else (),
        hostname=spec.hostname,
        domainname=spec.domainname,
        mounts=bound,
        namespaces=_namespaces(record, around),
        cgroup_path=cgroup_path(record, around),
        devices=_devices(spec),
        resources=spec.resources,
        security=spec.security,
        shm_size=0 if spec.namespaces.ipc == "none" else spec.shm_size or DEFAULT_SHM_SIZE,
        oom_score_adj=spec.oom_score_adj,
        annotations=spec.annotations,
    )


def cgroup_path(record: Record, around: Surroundings) -> str:
    return f"{record.spec.cgroup_parent or around.cgroup_parent}/{record.id}"


def _namespaces(record: Record, around: Surroundings) -> dict[str, str | None]:
    spec = record.spec.namespaces
    result: dict[str, str | None] = {"mount": None}
    network = network_namespace(record, around)
    if network is not None:
        result["network"] = network
    for kind, mode in (("pid", spec.pid), ("ipc", spec.ipc), ("uts", spec.uts)):
        if mode != "host":
            result[kind] = _join(mode, kind, around)
    if spec.network == "host" and not spec.uts:
        result.pop("uts")
    if spec.cgroup != "host" and (around.host.cgroup_v2 or spec.cgroup == "private"):
        result["cgroup"] = None
    return result


def _join(mode: str, kind: str, around: Surroundings) -> str | None:
    if mode.startswith("ns:"):
        return mode[3:]
    if mode.startswith("container:"):
        return f"/proc/{_running(around.find(mode[10:]), kind.upper())}/ns/{kind}"
    return None


def _devices(spec: ContainerSpec) -> list[DeviceNode]:
    given = [node for device in spec.resources.devices for node in _device_nodes(device)]
    if not spec.security.privileged:
        return given
    taken = {node.path for node in given}
    return given + [node for node in _device_nodes(Device("/dev", "/dev")) if node.path not in taken and _is_hosts_own(node.path)]


def _is_hosts_own(path: str) -> bool:
    """A device of the machine, not one that every container has for itself."""
    return path not in ("/dev/console", "/dev/ptmx") and not path.startswith(("/dev/pts/", "/dev/shm/", "/dev/mqueue/"))


def _device_nodes(device: Device) -> list[DeviceNode]:
    """The node itself, or all below a directory. Raises InvalidInput for what is none."""
    try:
        if os.path.isdir(device.source):
            return [
                node
                for directory, _, names in os.walk(device.source)
                for name in names
                if (node := _node(os.path.join(directory, name), device)) is not None
            ]
        node = _node(device.source, device)
    except FileNotFoundError:
        node = None
    if node is None:
        raise InvalidInput(f'error gathering device information while adding custom device "{device.source}": not a device node')
    return [node]


def _node(source: str, device: Device) -> DeviceNode | None:
    status = os.lstat(source) if os.path.isdir(device.source) else os.stat(source)
    if not (stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)):
        return None
    target = device.target + source[len(device.source) :]
    kind = "c" if stat.S_ISCHR(status.st_mode) else "b"
    numbers = os.major(status.st_rdev), os.minor(status.st_rdev)
    mode = stat.S_IMODE(status.st_mode)
    return DeviceNode(target, kind, *numbers, mode, status.st_uid, status.st_gid, device.permissions)


def log_path(record: Record, around: Surroundings) -> Path:
    """The container's log file."""
    if record.spec.log_path:
        return Path(record.spec.log_path)
    return around.records.directory(record.id) / LOG_FILE
