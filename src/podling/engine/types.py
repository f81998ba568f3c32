"""What callers hand to the engine and what they get back: plain values, no behaviour.

Units: bytes, seconds, microseconds where the name says so (`_us`). Zero, None and empty mean "not set".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from podling.linux.cgroup import DeviceUse
from podling.runtime.types import EMPTY, Resources, Security
from podling.runtime.types import Device as Device
from podling.runtime.types import DeviceRate as DeviceRate
from podling.runtime.types import Ulimit as Ulimit

MountType = Literal["bind", "volume", "tmpfs"]
RestartName = Literal["no", "always", "on-failure", "unless-stopped"]
Status = Literal["created", "running", "paused", "restarting", "exited", "dead", "removing"]
StreamName = Literal["stdout", "stderr"]
WaitCondition = Literal["not-running", "next-exit", "removed"]


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount of a container.

    `source` is a host path (bind), a volume's name (volume; empty: an anonymous one is made), or unused (tmpfs).
    `options`: for a volume `driver`, `driver_options`, `labels`, `no_copy`, `subpath`; for a tmpfs `size` (bytes) and `mode`, or
    `flags`, a list of mount(8) words; for a bind `create_source` (make a missing directory, as `-v` does), `flags`
    and `non_recursive` (without the mounts below it).
    """

    type: MountType
    source: str
    target: str
    read_only: bool = False
    propagation: str = "rprivate"
    options: Mapping[str, Any] = EMPTY


@dataclass(frozen=True, slots=True)
class Health:
    """A health check. `test` is Docker's: ("NONE",), ("CMD", word...) or ("CMD-SHELL", line); times in seconds."""

    test: tuple[str, ...] = ()
    interval: float = 0
    timeout: float = 0
    start_period: float = 0
    start_interval: float = 0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """When an ended container starts again; `maximum_retry_count` (0: no end) is for on-failure."""

    name: RestartName = "no"
    maximum_retry_count: int = 0


@dataclass(frozen=True, slots=True)
class PortBinding:
    """A published port; `host_port` 0 asks for a free one, `host_ip` empty for all addresses."""

    container_port: int
    protocol: Literal["tcp", "udp", "sctp"] = "tcp"
    host_ip: str = ""
    host_port: int = 0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A container's place in one network: what is asked of it. Empty means: the network chooses. `links`: NAME[:ALIAS]."""

    aliases: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    ipv4: str = ""
    ipv6: str = ""
    mac: str = ""
    driver_options: Mapping[str, str] = EMPTY


@dataclass(frozen=True, slots=True)
class Namespaces:
    """Which namespaces a container lives in.

    `network`: "bridge", "none", "host", "container:ID", a network's name, or "ns:/path". The others: "" (its own), "host",
    "container:ID" or "ns:/path"; `ipc` also "none", "private" and "shareable". `user` is "" or "host", which are the same.
    """

    network: str = "bridge"
    ipc: str = ""
    uts: str = ""
    pid: str = ""
    cgroup: str = ""
    user: str = ""


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """All that is asked of a container. `entrypoint`, `command`: None takes the image's, an empty tuple clears it.

    `env` is NAME=VALUE, and wins over the image's. `network_mode`s are in `namespaces`; `networks` maps a network's name to the
    endpoint asked for. `log_path` empty: the engine's place. `stop_timeout` None: ten seconds. `init` None: no init.
    `console_size`: rows and columns of the terminal at its start. `volumes_from`: containers whose mounts it takes over, as
    NAME[:ro|rw]; `links`: NAME[:ALIAS]. `shown` is what the engine has no use for and whoever asked sees again.
    """

    image: str
    name: str = ""
    image_id: str = ""
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    env: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    groups: tuple[str, ...] = ()
    hostname: str = ""
    domainname: str = ""
    labels: Mapping[str, str] = EMPTY
    tty: bool = False
    console_size: tuple[int, ...] = ()
    open_stdin: bool = False
    stdin_once: bool = False
    stop_signal: str = ""
    stop_timeout: float | None = None
    mounts: tuple[Mount, ...] = ()
    volumes_from: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    resources: Resources = field(default_factory=Resources)
    security: Security = field(default_factory=Security)
    namespaces: Namespaces = Namespaces()
    networks: Mapping[str, Endpoint] = EMPTY
    ports: tuple[PortBinding, ...] = ()
    exposed: tuple[str, ...] = ()
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    cgroup_parent: str = ""
    log_driver: str = ""
    log_options: Mapping[str, str] = EMPTY
    log_path: str = ""
    restart: RestartPolicy = RestartPolicy()
    health: Health | None = None
    auto_remove: bool = False
    init: bool | None = None
    runtime: str = ""
    oom_score_adj: int = 0
    annotations: Mapping[str, str] = EMPTY
    shm_size: int = 0
    platform: str = ""
    shown: Mapping[str, Any] = EMPTY


@dataclass(frozen=True, slots=True)
class HealthResult:
    """One run of a health check: unix seconds, exit code (-1: it timed out or could not run), at most 4096 bytes of output."""

    start: float
    end: float
    exit_code: int
    output: str


@dataclass(frozen=True, slots=True)
class HealthState:
    """A container's health and the last five runs, oldest first."""

    status: Literal["starting", "healthy", "unhealthy"] = "starting"
    failing_streak: int = 0
    log: tuple[HealthResult, ...] = ()


@dataclass(frozen=True, slots=True)
class ContainerState:
    """Where a container is in its life. Times are unix seconds, 0 for never; `pid` 0 when no process runs."""

    status: Status = "created"
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started_at: float = 0
    finished_at: float = 0
    restart_count: int = 0
    health: HealthState | None = None


@dataclass(frozen=True, slots=True)
class ExecSpec:
    """A further process in a running container. `env` is added to the container's, `user` empty is the container's."""

    command: tuple[str, ...]
    env: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    tty: bool = False
    stdin: bool = False
    privileged: bool = False


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A line or a piece of one: `data` with its newline unless `partial`; `time` in unix nanoseconds."""

    stream: StreamName
    time: int
    data: bytes
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """A path that differs from the image, as `docker diff` shows it: "C" changed, "A" added, "D" deleted."""

    kind: Literal["C", "A", "D"]
    path: str


@dataclass(frozen=True, slots=True)
class PathStat:
    """A path inside a container, as `docker cp` asks for it; `mode` as st_mode, `mtime` unix seconds."""

    name: str
    size: int
    mode: int
    mtime: float
    link_target: str = ""


@dataclass(frozen=True, slots=True)
class ProcessTable:
    """`docker top`: column titles and one row a process."""

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class InterfaceStats:
    """Counters of one network interface, seen from inside."""

    received_bytes: int = 0
    received_packets: int = 0
    received_errors: int = 0
    received_dropped: int = 0
    sent_bytes: int = 0
    sent_packets: int = 0
    sent_errors: int = 0
    sent_dropped: int = 0


@dataclass(frozen=True, slots=True)
class Stats:
    """One sample of what a container uses. Times in nanoseconds, `time` unix seconds; limit 0: none.

    `cpu_each_ns` is empty where the kernel doesn't tell, and so are peak and failures (a limit was met) 0.
    """

    time: float
    cpu_total_ns: int = 0
    cpu_user_ns: int = 0
    cpu_system_ns: int = 0
    system_cpu_ns: int = 0
    online_cpus: int = 1
    throttled_periods: int = 0
    periods: int = 0
    throttled_ns: int = 0
    memory_usage: int = 0
    memory_limit: int = 0
    memory_stats: Mapping[str, int] = EMPTY
    pids: int = 0
    pids_limit: int = 0
    cpu_each_ns: tuple[int, ...] = ()
    memory_peak: int = 0
    memory_failures: int = 0
    devices: tuple[DeviceUse, ...] = ()
    interfaces: Mapping[str, InterfaceStats] = EMPTY


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. `type`: container, image, network, volume, daemon; `action` in Docker's words; `time` unix ns."""

    type: str
    action: str
    actor: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    time: int = 0
