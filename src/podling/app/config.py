"""Where a podling lives and which addresses it uses.

Each setting comes from, in this order: a flag, a variable `PODLING_<NAME>`, the configuration file, the default. Two podlings
with different roots don't meet: names of kernel objects carry the instance, and ports and address ranges that another one
uses are replaced at the first start and remembered in the root.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import socket
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from ipaddress import IPv4Address, IPv4Network
from itertools import combinations
from pathlib import Path
from typing import Any

from podling.api import names
from podling.base.errors import Conflict, InvalidInput
from podling.base.files import write_atomic

DEFAULT_ROOT = Path("/var/lib/podling")
DEFAULT_RUN = Path("/run/podling")
DEFAULT_FILE = Path("/etc/podling/config.toml")
MEMORY = "instance.json"
USUAL_CLUSTER = "10.244.0.0/16"
LOG_FORMATS = ("text", "json")
NODE_ROUTES = ("direct", "vxlan")
PERIODS = (
    "node_lease_duration_seconds",
    "node_monitor_grace_period",
    "metrics_resolution",
    "horizontal_pod_autoscaler_sync_period",
)
NUMBERS = ("api_port", "kubelet_port", "max_layer_bytes", "max_layer_files", *PERIODS)


@dataclass(frozen=True, slots=True)
class Config:
    """One podling. Paths are absolute; addresses are IPv4."""

    root: Path = DEFAULT_ROOT
    run: Path = DEFAULT_RUN
    node_name: str = ""
    api_address: str = "127.0.0.1"
    api_port: int = 6443
    kubelet_port: int = 10250
    pod_cidr: str = "10.244.0.0/24"  # of the first node; "" for one that the cluster gives a range of `cluster_cidr`
    cluster_cidr: str = ""
    node_cidr: str = "10.245.0.0/24"
    node_ip: str = ""
    node_routes: str = "direct"  # or vxlan, where nodes are not on one segment
    node_lease_duration_seconds: int = 40
    node_monitor_grace_period: int = 40
    metrics_resolution: int = 15  # seconds that a measurement of pods and nodes serves for
    horizontal_pod_autoscaler_sync_period: int = 15
    service_cidr: str = "10.96.0.0/16"
    cluster_domain: str = "cluster.local"
    docker_group: str = "docker"
    docker_tcp: str = ""
    kubeconfig: Path = Path()
    docker_config: Path = Path()
    runtime: str = ""
    kubelet_config: str = ""  # a file with a KubeletConfiguration
    insecure_registries: tuple[str, ...] = ()
    registry_mirrors: tuple[str, ...] = ()
    max_layer_bytes: int = 256 << 30  # unpacked; 0 for no limit
    max_layer_files: int = 10_000_000
    log_level: str = "info"
    log_format: str = "text"  # or json: one object a line
    audit_policy: str = ""  # a file; without one there is no audit log
    audit_log: str = ""  # a file; below the root where it isn't named
    scheduler_config: str = ""  # a KubeSchedulerConfiguration; without one the defaults

    @property
    def instance(self) -> str:
        """`podling`, or with another root a name of its own: what bridges, tables, cgroups, contexts are called after."""
        return f"podling-{self.tag}" if self.tag else "podling"

    @property
    def tag(self) -> str:
        """Four hexadecimal digits that tell this instance's kernel objects from another's; empty for the default root."""
        return "" if self.root == DEFAULT_ROOT else hashlib.sha256(str(self.root).encode()).hexdigest()[:4]

    @property
    def server_root(self) -> Path:
        return self.root / "server"

    @property
    def agent_root(self) -> Path:
        return self.root / "agent"

    @property
    def pki(self) -> Path:
        return self.server_root / "pki"

    @property
    def admin_kubeconfig(self) -> Path:
        return self.server_root / "admin.kubeconfig"

    @property
    def agent_kubeconfig(self) -> Path:
        return self.agent_root / "kubeconfig"

    @property
    def proxy_kubeconfig(self) -> Path:
        """Of what knows the way to services and other nodes."""
        return self.agent_root / "proxy.kubeconfig"

    @property
    def docker_socket(self) -> Path:
        return self.run / "docker.sock"

    def log_file(self, process: str) -> Path:
        return self.root / "log" / f"{process}.log"

    def pid_file(self, process: str) -> Path:
        return self.run / f"{process}.pid"

    @property
    def api_url(self) -> str:
        return f"https://{self.api_address}:{self.api_port}"

    def environment(self) -> dict[str, str]:
        """The variables that make a child process have this configuration."""
        values = ((f"PODLING_{field.name.upper()}", getattr(self, field.name)) for field in fields(self))
        return {name: ",".join(value) if isinstance(value, tuple) else str(value) for name, value in values}

    @property
    def node_address(self) -> str:
        """Where pods and the server reach the agent, and pods the API: the gateway of the node's pods where none is set."""
        return self.node_ip or str(IPv4Network(self.pod_cidr)[1])

    def service_address(self, index: int) -> str:
        """The `index`th address of the service range: 1 is the API, 10 the DNS."""
        return str(IPv4Network(self.service_cidr)[index])


def load(flags: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration from flags (None is unset), variables, file and defaults. Raises InvalidInput naming the bad setting."""
    given = {name: value for name, value in flags.items() if value is not None and name != "config"}
    file = Path(flags.get("config") or environ.get("PODLING_CONFIG") or DEFAULT_FILE)
    settings = {**_from_file(file), **_from_environment(environ), **given}
    known = {field.name for field in fields(Config)}
    if unknown := sorted(settings.keys() - known):
        raise InvalidInput(f"{file}: unknown setting {unknown[0]!r}; known are {', '.join(sorted(known))}")
    if "root" in settings and "run" not in settings and Path(settings["root"]) != DEFAULT_ROOT:
        settings["run"] = Path(settings["root"]) / "run"
    config = Config(**{name: _typed(name, value) for name, value in settings.items()})
    return _checked(_ranged(_remembered(_completed(config, environ), settings)))


def _completed(config: Config, environ: Mapping[str, str]) -> Config:
    """The settings whose default the machine decides."""
    home = Path(environ.get("HOME") or "/root")
    kubeconfig = environ.get("KUBECONFIG", "").split(":")[0] or home / ".kube/config"
    docker_config = environ.get("DOCKER_CONFIG") or home / ".docker"
    return replace(
        config,
        node_name=config.node_name or _host_name(),
        kubeconfig=Path(kubeconfig) if config.kubeconfig == Path() else config.kubeconfig,
        docker_config=Path(docker_config) if config.docker_config == Path() else config.docker_config,
    )


def _ranged(config: Config) -> Config:
    """Where only one is set: the first node has the first range of the cluster's, the cluster what the first node has."""
    with contextlib.suppress(ValueError):
        usual = IPv4Network(USUAL_CLUSTER)
        if config.pod_cidr and not config.cluster_cidr:
            inside = IPv4Network(config.pod_cidr).subnet_of(usual)
            return replace(config, cluster_cidr=str(usual) if inside else config.pod_cidr)
        if _is_usual(config, "pod_cidr") and not _is_usual(config, "cluster_cidr"):
            return replace(config, pod_cidr=_first_range(config.cluster_cidr))
    return config


def _first_range(cluster: str) -> str:
    whole = IPv4Network(cluster)
    return str(next(whole.subnets(new_prefix=max(24, whole.prefixlen))))


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}: --config names a file that podling can read") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: {error}") from error


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    names = {f"PODLING_{field.name.upper()}": field.name for field in fields(Config)}
    return {names[variable]: value for variable, value in environ.items() if variable in names}


def _typed(name: str, value: Any) -> Any:
    """The value in its setting's type."""
    try:
        match name:
            case "root" | "run" | "kubeconfig" | "docker_config":
                return Path(os.path.abspath(value))
            case "audit_policy" | "audit_log" | "kubelet_config" | "scheduler_config":
                return os.path.abspath(value) if value else ""
            case _ if name in NUMBERS:
                return int(value)
            case "insecure_registries" | "registry_mirrors":
                return tuple(filter(None, value.split(","))) if isinstance(value, str) else tuple(value)
            case _:
                return str(value)
    except (TypeError, ValueError):
        raise InvalidInput(f"{name}: {value!r} is no {'path' if name in ('root', 'run') else 'number'}") from None


def _checked(config: Config) -> Config:
    _check_ranges(config)
    for name in ("api_port", "kubelet_port"):
        if not 0 < getattr(config, name) <= LAST_PORT:
            raise InvalidInput(f"{name}: {getattr(config, name)} is no port: 1 to {LAST_PORT}")
    for name in PERIODS:
        if getattr(config, name) <= 0:
            raise InvalidInput(f"{name}: {getattr(config, name)} is too little: 1 or more seconds")
    if complaints := names.subdomain(config.node_name):
        raise InvalidInput(f"node_name: {config.node_name!r}: {complaints[0]}")
    for name, known in (("log_format", LOG_FORMATS), ("node_routes", NODE_ROUTES)):
        if getattr(config, name) not in known:
            raise InvalidInput(f"{name}: {getattr(config, name)!r} is none of {', '.join(known)}")
    for name in ("api_address", "node_ip"):
        try:
            if getattr(config, name) or name == "api_address":
                IPv4Address(getattr(config, name))
        except ValueError:
            raise InvalidInput(f"{name}: {getattr(config, name)!r} is no IPv4 address") from None
    return config


def _check_ranges(config: Config) -> None:
    ranges = {}
    for name in ("pod_cidr", "cluster_cidr", "node_cidr", "service_cidr"):
        try:
            if value := getattr(config, name):
                ranges[name] = IPv4Network(value)
        except ValueError as error:
            raise InvalidInput(f"{name}: {error}") from None
    pods = ranges.get("pod_cidr")
    if pods is None and not config.node_ip:
        raise InvalidInput("pod_cidr: a node without one needs node_ip")
    if pods is not None and not pods.subnet_of(ranges["cluster_cidr"]):
        raise InvalidInput(f"pod_cidr {pods} is not within cluster_cidr {config.cluster_cidr}")
    for first, second in combinations([name for name in ranges if name != "pod_cidr"], 2):
        if ranges[first].overlaps(ranges[second]):
            raise InvalidInput(f"{first} {ranges[first]} and {second} {ranges[second]} overlap")


def _host_name() -> str:
    """The machine's name as a node name: a DNS-1123 subdomain."""
    return re.sub(r"[^a-z0-9.-]+", "-", socket.gethostname().lower()).strip("-.") or "node"


def _remembered(config: Config, settings: Mapping[str, Any]) -> Config:
    """The configuration with the ports and ranges that this root chose at its first start, where none is set."""
    memory = config.root / MEMORY
    try:
        chosen = json.loads(memory.read_text())
    except FileNotFoundError:
        return config
    except OSError as error:
        raise InvalidInput(f"{memory}: {error.strerror}: --root names a directory that podling can make and write") from error
    except ValueError as error:
        raise InvalidInput(f"{memory}: {error}: remove the file, and `podling up` chooses ports and ranges anew") from error
    return replace(config, **{name: value for name, value in chosen.items() if name not in settings})


LAST_PORT = 65535
CHOSEN = ("api_port", "kubelet_port", "pod_cidr", "cluster_cidr", "node_cidr", "service_cidr")


def settle(config: Config, settings: Mapping[str, Any]) -> Config:
    """At the first start choose, for what isn't set, ports and ranges that nobody uses, and remember them in the root."""
    memory = config.root / MEMORY
    if memory.exists():
        return config
    free: dict[str, Any] = {"api_port": _free_port(config.api_port), "kubelet_port": _free_port(config.kubelet_port)}
    chosen = free | {name: value for name, value in _free_ranges(config).items() if _is_usual(config, name)}
    chosen = {name: value for name, value in chosen.items() if settings.get(name) is None}
    config = _checked(replace(config, **chosen))
    require_port(config)
    config.root.mkdir(parents=True, exist_ok=True, mode=0o711)
    write_atomic(memory, json.dumps({name: asdict(config)[name] for name in CHOSEN}).encode())
    return config


def _is_usual(config: Config, name: str) -> bool:
    return bool(getattr(config, name) == (getattr(Config(), name) or USUAL_CLUSTER))


def _free_ranges(config: Config) -> dict[str, str]:
    """Ranges by the instance's tag. The first node's is the first of the cluster's; who sets that alone has one node."""
    offset = 1 + int(config.tag, 16) % 60 if config.tag else 0
    ranges = {"node_cidr": f"10.245.{offset}.0/24", "service_cidr": f"10.{96 + offset}.0.0/16"}
    if not _is_usual(config, "pod_cidr"):
        return ranges
    cluster = f"10.{160 + offset}.0.0/16" if offset else USUAL_CLUSTER
    return {**ranges, "cluster_cidr": cluster, "pod_cidr": _first_range(cluster)}


def require_port(config: Config) -> None:
    """Raises Conflict when another program listens where the Kubernetes API is to."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.api_address, config.api_port))
        except OSError as error:
            where = f"{config.api_address}:{config.api_port}"
            raise Conflict(f"the Kubernetes API can't listen on {where}: {error.strerror}; --api-port chooses another") from None


def _free_port(wanted: int) -> int:
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
            return int(probe.getsockname()[1])
    raise InvalidInput("no free port")
