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
from pathlib import Path
from typing import Any

from podling.api import names
from podling.base.errors import Conflict, InvalidInput
from podling.base.files import write_atomic

DEFAULT_ROOT = Path("/var/lib/podling")
DEFAULT_RUN = Path("/run/podling")
DEFAULT_FILE = Path("/etc/podling/config.toml")
MEMORY = "instance.json"
LOG_FORMATS = ("text", "json")


@dataclass(frozen=True, slots=True)
class Config:
    """One podling. Paths are absolute; addresses are IPv4."""

    root: Path = DEFAULT_ROOT
    run: Path = DEFAULT_RUN
    node_name: str = ""
    api_address: str = "127.0.0.1"
    api_port: int = 6443
    kubelet_port: int = 10250
    pod_cidr: str = "10.244.0.0/24"
    service_cidr: str = "10.96.0.0/16"
    cluster_domain: str = "cluster.local"
    docker_group: str = "docker"
    docker_tcp: str = ""
    kubeconfig: Path = Path()
    docker_config: Path = Path()
    runtime: str = ""
    insecure_registries: tuple[str, ...] = ()
    registry_mirrors: tuple[str, ...] = ()
    max_layer_bytes: int = 256 << 30  # unpacked; 0 for no limit
    max_layer_files: int = 10_000_000
    log_level: str = "info"
    log_format: str = "text"  # or json: one object a line
    audit_policy: str = ""  # a file; without one there is no audit log
    audit_log: str = ""  # a file; below the root where it isn't named

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
        """The machine's address on the pod bridge: where pods and the server reach the agent, and pods the API."""
        return str(IPv4Network(self.pod_cidr)[1])

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
    return _checked(_remembered(_completed(config, environ), settings))


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


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
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
            case "audit_policy" | "audit_log":
                return os.path.abspath(value) if value else ""
            case "api_port" | "kubelet_port" | "max_layer_bytes" | "max_layer_files":
                return int(value)
            case "insecure_registries" | "registry_mirrors":
                return tuple(filter(None, value.split(","))) if isinstance(value, str) else tuple(value)
            case _:
                return str(value)
    except (TypeError, ValueError):
        raise InvalidInput(f"{name}: {value!r} is no {'path' if name in ('root', 'run') else 'number'}") from None


def _checked(config: Config) -> Config:
    for name in ("pod_cidr", "service_cidr"):
        try:
            IPv4Network(getattr(config, name))
        except ValueError as error:
            raise InvalidInput(f"{name}: {error}") from None
    if IPv4Network(config.pod_cidr).overlaps(IPv4Network(config.service_cidr)):
        raise InvalidInput(f"pod_cidr {config.pod_cidr} and service_cidr {config.service_cidr} overlap")
    for name in ("api_port", "kubelet_port"):
        if not 0 < getattr(config, name) <= LAST_PORT:
            raise InvalidInput(f"{name}: {getattr(config, name)} is no port: 1 to {LAST_PORT}")
    if complaints := names.subdomain(config.node_name):
        raise InvalidInput(f"node_name: {config.node_name!r}: {complaints[0]}")
    if config.log_format not in LOG_FORMATS:
        raise InvalidInput(f"log_format: {config.log_format!r} is none of {', '.join(LOG_FORMATS)}")
    with contextlib.suppress(ValueError):
        IPv4Address(config.api_address)
        return config
    raise InvalidInput(f"api_address: {config.api_address!r} is no IPv4 address")


def _host_name() -> str:
    """The machine's name as a node name: a DNS-1123 subdomain."""
    return re.sub(r"[^a-z0-9.-]+", "-", socket.gethostname().lower()).strip("-.") or "node"


def _remembered(config: Config, settings: Mapping[str, Any]) -> Config:
    """The configuration with the ports and ranges that this root chose at its first start, where none is set."""
    with contextlib.suppress(FileNotFoundError):
        chosen = json.loads((config.root / MEMORY).read_text())
        return replace(config, **{name: value for name, value in chosen.items() if name not in settings})
    return config


LAST_PORT = 65535
CHOSEN = ("api_port", "kubelet_port", "pod_cidr", "service_cidr")


def settle(config: Config, settings: Mapping[str, Any]) -> Config:
    """At the first start choose, for what isn't set, ports and ranges that nobody uses, and remember them in the root."""
    memory = config.root / MEMORY
    if memory.exists():
        return config
    offset = 1 + int(config.tag, 16) % 60 if config.tag else 0
    free: dict[str, Any] = {
        "api_port": _free_port(config.api_port),
        "kubelet_port": _free_port(config.kubelet_port),
        "pod_cidr": f"10.244.{offset}.0/24",
        "service_cidr": f"10.{96 + offset}.0.0/16",
    }
    chosen = {name: value for name, value in free.items() if settings.get(name) is None}
    config = replace(config, **chosen)
    require_port(config)
    config.root.mkdir(parents=True, exist_ok=True, mode=0o711)
    write_atomic(memory, json.dumps({name: asdict(config)[name] for name in CHOSEN}).encode())
    return config


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
