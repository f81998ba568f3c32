"""The OCI runtime spec of one container. Pure: everything about the host is handed in.

Source: OCI runtime-spec 1.0.2 (config.md, config-linux.md); the defaults are Docker's.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from podling.base.errors import InvalidInput
from podling.runtime import seccomp
from podling.runtime.capability import ALL, DEFAULT, effective
from podling.runtime.types import EMPTY, DeviceRate, Resources, Security, Ulimit
from podling.runtime.user import User

Spec = dict[str, Any]
Numbers = Mapping[str, tuple[int, int]]

MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READ_ONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
DEFAULT_SHM_SIZE = 64 << 20
# The words that a mount's options may carry besides data for the file system (mount(8)).
_PROPAGATIONS = ("private", "rprivate", "slave", "rslave", "shared", "rshared")


@dataclass(frozen=True, slots=True)
class Host:
    """What this machine allows. `capabilities` are those that the agent itself holds."""

    architecture: str = "amd64"
    cgroup_v2: bool = False
    swap_limit: bool = True
    capabilities: frozenset[str] = frozenset(ALL)
    oom_score_adj: int = 0
    hard_limits: Mapping[str, int] = field(default_factory=dict)  # as Ulimit.name → value, -1 unlimited


@dataclass(frozen=True, slots=True)
class BindMount:
    """A host path shown in the container."""

    source: str
    target: str
    read_only: bool = False
    propagation: str = "rprivate"
    recursive: bool = True
    flags: tuple[str, ...] = ()  # further words of mount(8): noexec, nosuid


@dataclass(frozen=True, slots=True)
class TmpfsMount:
    """A tmpfs in the container; `options` are mount(8) words and tmpfs data such as size=64m."""

    target: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeviceNode:
    """A device file to be made in the container; `kind` is "c" or "b", `permissions` those of the device cgroup."""

    path: str
    kind: str
    major: int
    minor: int
    mode: int = 0o666
    uid: int = 0
    gid: int = 0
    permissions: str = "rwm"


@dataclass(frozen=True, slots=True)
class Plan:
    """A container with all names resolved. `namespaces` maps OCI's kinds to the path to join, or None for a new one.

    A kind that is missing is shared with the host. `cgroup_path` is the cgroup below the hierarchy's root, as /podling/ID.
    `console_size` is rows and columns of a terminal, `shm_size` 0 leaves /dev/shm away, `numbers` maps block devices' paths to
    major and minor.
    """

    root: str
    args: Sequence[str]
    env: Sequence[str]
    working_dir: str = "/"
    user: User = field(default_factory=User)
    tty: bool = False
    console_size: Sequence[int] = ()
    hostname: str = ""
    domainname: str = ""
    mounts: Sequence[BindMount | TmpfsMount] = ()
    namespaces: Mapping[str, str | None] = field(default_factory=dict)
    cgroup_path: str = ""
    devices: Sequence[DeviceNode] = ()
    resources: Resources = field(default_factory=Resources)
    numbers: Numbers = EMPTY
    security: Security = field(default_factory=Security)
    shm_size: int = DEFAULT_SHM_SIZE
    oom_score_adj: int = 0
    annotations: Mapping[str, str] = EMPTY


def build(plan: Plan, host: Host) -> Spec:
    """config.json of `plan`. Raises InvalidInput for a capability, limit or profile that makes no sense."""
    spec: Spec = {
        "ociVersion": "1.0.2",
        "process": process(plan, host),
        "root": {"path": plan.root, "readonly": plan.security.read_only_root},
        "mounts": _mounts(plan),
        "linux": _linux(plan, host),
    }
    if "uts" in plan.namespaces and plan.namespaces["uts"] is None:
        spec["hostname"] = plan.hostname
    if plan.domainname:
        spec["domainname"] = plan.domainname
    if plan.annotations:
        spec["annotations"] = dict(plan.annotations)
    return spec


def process(plan: Plan, host: Host) -> Spec:
    """The `process` part, which an exec needs too."""
    names = effective(plan.security, DEFAULT, host.capabilities)
    result: Spec = {
        "terminal": plan.tty,
        "user": {"uid": plan.user.uid, "gid": plan.user.gid, "additionalGids": list(plan.user.groups)},
        "args": list(plan.args),
        "env": list(plan.env),
        "cwd": plan.working_dir or "/",
        "capabilities": {"bounding": names, "effective": names, "permitted": names},
        "noNewPrivileges": plan.security.no_new_privileges,
    }
    if plan.tty and plan.console_size:
        result["consoleSize"] = dict(zip(("height", "width"), plan.console_size, strict=True))
    if plan.resources.ulimits:
        result["rlimits"] = [_rlimit(limit, host) for limit in plan.resources.ulimits]
    if plan.oom_score_adj and _can_set_oom_score(plan.oom_score_adj, host):
        result["oomScoreAdj"] = plan.oom_score_adj
    return result


def _can_set_oom_score(wanted: int, host: Host) -> bool:
    # proc(5): lowering it takes CAP_SYS_RESOURCE.
    return wanted >= host.oom_score_adj or "CAP_SYS_RESOURCE" in host.capabilities


def _rlimit(limit: Ulimit, host: Host) -> Spec:
    """Raising a hard limit takes CAP_SYS_RESOURCE (setrlimit(2)); without it the host's own is the most."""
    soft, hard = limit.soft, limit.hard
    if _above(soft, hard):
        raise InvalidInput(f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")
    most = host.hard_limits.get(limit.name, -1)
    if "CAP_SYS_RESOURCE" not in host.capabilities and _above(hard, most):
        hard = most
        soft = most if _above(soft, most) else soft
    return {"type": f"RLIMIT_{limit.name.upper()}", "soft": _unsigned(soft), "hard": _unsigned(hard)}


def _above(one: int, other: int) -> bool:
    return other != -1 and (one == -1 or one > other)


def _unsigned(limit: int) -> int:
    return limit if limit >= 0 else (1 << 64) - 1


def _mounts(plan: Plan) -> list[Spec]:
    own = [_bind(mount) if isinstance(mount, BindMount) else _tmpfs(mount) for mount in plan.mounts]
    taken = {mount["destination"] for mount in own}
    defaults = [mount for mount in _default_mounts(plan) if mount["destination"] not in taken]
    # Parents first, so that no mount covers one below it; stable, so that the last of two at one place wins.
    return defaults + sorted(own, key=lambda mount: mount["destination"].rstrip("/").count("/"))


def _default_mounts(plan: Plan) -> list[Spec]:
    access = "rw" if plan.security.privileged else "ro"
    strict = ["nosuid", "noexec", "nodev"]
    mounts = [
        _mount("/proc", "proc", strict),
        _mount("/dev", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        _mount("/dev/pts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
        _mount("/sys", "sysfs", [*strict, access]),
        _mount("/sys/fs/cgroup", "cgroup", [*strict, access]),
    ]
    mounts.append(_mount("/dev/mqueue", "mqueue", strict))  # it shows the queues of the namespace, also where that is the host's
    if "ipc" not in plan.namespaces:
        mounts.append(_bind(BindMount("/dev/shm", "/dev/shm")))
    elif plan.shm_size:
        mounts.append(_mount("/dev/shm", "tmpfs", [*strict, "mode=1777", f"size={plan.shm_size}"], source="shm"))
    return mounts


def _mount(target: str, kind: str, options: Iterable[str], source: str = "") -> Spec:
    return {"destination": target, "type": kind, "source": source or kind, "options": list(options)}


def _bind(mount: BindMount) -> Spec:
    if mount.propagation not in _PROPAGATIONS:
        raise InvalidInput(f"invalid mount propagation: {mount.propagation}")
    # crun takes rprivate beside bind for rbind.
    kind, propagation = ("rbind", mount.propagation) if mount.recursive else ("bind", mount.propagation.removeprefix("r"))
    options = [kind, "ro" if mount.read_only else "rw", propagation, *mount.flags]
    return _mount(mount.target, "bind", options, mount.source)


def _tmpfs(mount: TmpfsMount) -> Spec:
    return _mount(mount.target, "tmpfs", ["noexec", "nosuid", "nodev", *mount.options])


def _linux(plan: Plan, host: Host) -> Spec:
    security = plan.security
    linux: Spec = {
        "namespaces": [_namespace(kind, path) for kind, path in plan.namespaces.items()],
        "cgroupsPath": plan.cgroup_path,
        "resources": _resources(plan, host),
        "rootfsPropagation": _root_propagation(plan.mounts),
    }
    if security.sysctls:
        linux["sysctl"] = dict(security.sysctls)
    if plan.devices:
        linux["devices"] = [_device_node(device) for device in plan.devices]
    if not security.privileged:
        linux["maskedPaths"] = list(MASKED_PATHS if security.masked_paths is None else security.masked_paths)
        linux["readonlyPaths"] = list(READ_ONLY_PATHS if security.read_only_paths is None else security.read_only_paths)
    profile = _seccomp(plan, host)
    if profile is not None:
        linux["seccomp"] = profile
    return linux


def _namespace(kind: str, path: str | None) -> Spec:
    return {"type": kind} if path is None else {"type": kind, "path": path}


def _root_propagation(mounts: Iterable[BindMount | TmpfsMount]) -> str:
    """The root's propagation must not be stricter than that of a mount below it."""
    asked = {mount.propagation for mount in mounts if isinstance(mount, BindMount)}
    if asked & {"shared", "rshared"}:
        return "rshared"
    return "rslave" if asked & {"slave", "rslave"} else "rprivate"


def _seccomp(plan: Plan, host: Host) -> Spec | None:
    security = plan.security
    if security.seccomp == "unconfined" or (security.privileged and security.seccomp is None):
        return None
    names = frozenset(effective(security, DEFAULT, host.capabilities))
    if security.seccomp is None:
        return seccomp.default_profile(names, host.architecture)
    return seccomp.translate(security.seccomp, names, host.architecture)


def _device_node(device: DeviceNode) -> Spec:
    return {
        "path": device.path,
        "type": device.kind,
        "major": device.major,
        "minor": device.minor,
        "fileMode": device.mode,
        "uid": device.uid,
        "gid": device.gid,
    }


def _resources(plan: Plan, host: Host) -> Spec:
    rules = _device_rules(plan.resources, plan.devices, privileged=plan.security.privileged)
    pages = [{"pageSize": size, "limit": limit} for size, limit in plan.resources.hugepages.items()]
    limits = limits_of(plan.resources, host, plan.numbers)
    return {"devices": rules, **limits, **({"hugepageLimits": pages} if pages else {})}


def limits_of(limits: Resources, host: Host, numbers: Numbers = EMPTY) -> Spec:
    """What an update of a running container may change."""
    parts = (("memory", _memory(limits, host)), ("cpu", _cpu(limits)), ("blockIO", _block_io(limits, numbers)))
    result: Spec = {key: value for key, value in parts if value}
    if limits.pids_limit:
        # A crun that knows of no -1 writes it into pids.max: instead the most that there can be (PID_MAX_LIMIT).
        result["pids"] = {"limit": limits.pids_limit if limits.pids_limit > 0 else 4 << 20}
    return result


def block_devices(limits: Resources) -> set[str]:
    """The paths of all block devices that the limits name."""
    return {each.path for rates, _ in _RATES.values() for each in rates(limits)}


_RATES: Mapping[str, tuple[Callable[[Resources], Sequence[DeviceRate]], str]] = {
    "weightDevice": (lambda limits: limits.blkio_weight_devices, "weight"),
    "throttleReadBpsDevice": (lambda limits: limits.read_bps, "rate"),
    "throttleWriteBpsDevice": (lambda limits: limits.write_bps, "rate"),
    "throttleReadIOPSDevice": (lambda limits: limits.read_iops, "rate"),
    "throttleWriteIOPSDevice": (lambda limits: limits.write_iops, "rate"),
}


def _block_io(limits: Resources, numbers: Numbers) -> Spec:
    """Device rates become io.max or blkio.throttle.*, by what the host has (the runtime's doing)."""
    result: Spec = {"weight": limits.blkio_weight} if limits.blkio_weight else {}
    for key, (rates, word) in _RATES.items():
        if found := [_device_rate(each, numbers, word) for each in rates(limits)]:
            result[key] = found
    return result


def _device_rate(each: DeviceRate, numbers: Numbers, word: str) -> Spec:
    major, minor = numbers[each.path]
    return {"major": major, "minor": minor, word: each.rate}


def _device_rules(limits: Resources, devices: Sequence[DeviceNode], *, privileged: bool) -> list[Spec]:
    if privileged:
        return [{"allow": True, "access": "rwm"}]
    given = [
        {"allow": True, "type": node.kind, "major": node.major, "minor": node.minor, "access": node.permissions}
        for node in devices
    ]
    # The runtimes add the devices that every container has.
    return [{"allow": False, "access": "rwm"}, *given, *(_device_rule(rule) for rule in limits.device_cgroup_rules)]


def _device_rule(rule: str) -> Spec:
    """`c 10:200 rwm` with * for any number."""
    kind, numbers, access = [*rule.split(), "", "", ""][:3]
    major, colon, minor = numbers.partition(":")
    valid = kind in ("a", "b", "c") and colon and access and set(access) <= set("rwm")
    if not valid or not all(part == "*" or part.isdecimal() for part in (major, minor)):
        raise InvalidInput(f"invalid device cgroup rule format: '{rule}'")
    result: Spec = {"allow": True, "type": kind, "access": access}
    for key, part in (("major", major), ("minor", minor)):
        if part != "*":
            result[key] = int(part)
    return result


def _memory(limits: Resources, host: Host) -> Spec:
    memory: Spec = {}
    if limits.memory:
        memory["limit"] = limits.memory
        if host.swap_limit:  # Docker's default: as much swap again
            memory["swap"] = limits.memory_swap or (limits.memory * 2 if limits.memory > 0 else -1)
    if limits.memory_reservation:
        memory["reservation"] = limits.memory_reservation
    if limits.memory_swappiness is not None and not host.cgroup_v2:
        memory["swappiness"] = limits.memory_swappiness
    if limits.oom_kill_disable and not host.cgroup_v2:  # version 2 has no such switch
        memory["disableOOMKiller"] = True
    return memory


def _cpu(limits: Resources) -> Spec:
    values = {
        "shares": limits.cpu_shares,
        "quota": limits.cpu_quota_us,
        "period": limits.cpu_period_us,
        "cpus": limits.cpuset_cpus,
        "mems": limits.cpuset_mems,
    }
    return {key: value for key, value in values.items() if value}
