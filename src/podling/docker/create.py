"""From the JSON of `POST /containers/create` to a ContainerSpec.

Source: Docker Engine API, ContainerCreate; error texts are the daemon's.
"""

import posixpath
from collections.abc import Mapping
from typing import Any

import orjson

from podling.base.errors import InvalidInput
from podling.docker import limits
from podling.docker.conflicts import check
from podling.docker.endpoints import exposed, extra_host, networks, ports
from podling.docker.limits import NANOSECONDS, Kernel
from podling.docker.mounts import mounts
from podling.engine.signals import signal_number
from podling.engine.types import ContainerSpec, Health, Namespaces, RestartPolicy
from podling.runtime.types import Security

Json = Mapping[str, Any]

_RESTART = frozenset({"", "no", "always", "on-failure", "unless-stopped"})
_SHOWN = ("AttachStdin", "AttachStdout", "AttachStderr", "NetworkDisabled", "OnBuild")
_SHOWN_OF_HOST = (
    "Binds",
    "Cgroup",
    "ContainerIDFile",
    "Mounts",
    "PortBindings",
    "PublishAllPorts",
    "SecurityOpt",
    "Tmpfs",
    "VolumeDriver",
)


def container_spec(body: Json, name: str, platform: str, here: Kernel) -> tuple[ContainerSpec, list[str]]:
    """What the client asks for, and warnings. Raises InvalidInput in the daemon's words."""
    host: Json = body.get("HostConfig") or {}
    if not body.get("Image"):
        raise InvalidInput("no image specified")
    _refuse(host)
    check(body, host)
    resources, warnings = limits.resources(host, here)
    if host.get("NetworkMode") == "host" and host.get("PortBindings"):
        warnings.append("Published ports are discarded when using host network mode")
    spec = ContainerSpec(
        image=body["Image"],
        name=name,
        platform=platform,
        **_program(body, host),
        **_connections(body, host),
        labels=dict(body.get("Labels") or {}),
        mounts=tuple(mounts(body, host)),
        volumes_from=tuple(host.get("VolumesFrom") or ()),
        resources=limits.with_swap(resources),
        security=_security(host),
        namespaces=_namespaces(host, disconnected=bool(body.get("NetworkDisabled"))),
        cgroup_parent=host.get("CgroupParent") or "",
        log_driver=(host.get("LogConfig") or {}).get("Type") or "",
        log_options=dict((host.get("LogConfig") or {}).get("Config") or {}),
        restart=restart_policy(host.get("RestartPolicy") or {}, auto_remove=bool(host.get("AutoRemove"))),
        health=_health(body.get("Healthcheck")),
        auto_remove=bool(host.get("AutoRemove")),
        annotations=dict(host.get("Annotations") or {}),
        shm_size=host.get("ShmSize") or 0,
        shown=_shown(body, _SHOWN) | _shown(host, _SHOWN_OF_HOST),
    )
    return spec, warnings


def _program(body: Json, host: Json) -> dict[str, Any]:
    """What runs, as whom, and how it begins and ends."""
    return {
        "entrypoint": _words(body.get("Entrypoint")),
        "command": _words(body.get("Cmd")),
        "env": _environment(body.get("Env") or ()),
        "working_dir": _working_dir(body.get("WorkingDir") or ""),
        "user": body.get("User") or "",
        "groups": tuple(host.get("GroupAdd") or ()),
        "tty": bool(body.get("Tty")),
        "console_size": tuple(host.get("ConsoleSize") or ()),
        "open_stdin": bool(body.get("OpenStdin")),
        "stdin_once": bool(body.get("StdinOnce")),
        "stop_signal": _signal(body.get("StopSignal") or ""),
        "stop_timeout": body.get("StopTimeout"),
        "init": host.get("Init"),
        "runtime": host.get("Runtime") or "",
        "oom_score_adj": host.get("OomScoreAdj") or 0,
    }


def _connections(body: Json, host: Json) -> dict[str, Any]:
    """Its networks, and the names by which it and others are known."""
    return {
        "hostname": body.get("Hostname") or "",
        "domainname": body.get("Domainname") or "",
        "links": tuple(host.get("Links") or ()),
        "networks": networks(body.get("NetworkingConfig") or {}, host, body.get("MacAddress") or ""),
        "ports": tuple(ports(body, host)),
        "exposed": tuple(exposed(port) for port in body.get("ExposedPorts") or ()),
        "dns": tuple(host.get("Dns") or ()),
        "dns_search": tuple(host.get("DnsSearch") or ()),
        "dns_options": tuple(host.get("DnsOptions") or ()),
        "extra_hosts": tuple(extra_host(entry) for entry in host.get("ExtraHosts") or ()),
    }


def _shown(given: Json, names: tuple[str, ...]) -> dict[str, Any]:
    """What the client sees again as it said it."""
    return {name: given[name] for name in names if given.get(name)}


def _refuse(host: Json) -> None:
    """What this engine can't give is said, not left out."""
    for request in host.get("DeviceRequests") or ():
        wanted = " ".join(f"[{' '.join(each)}]" for each in request.get("Capabilities") or ())
        raise InvalidInput(f'could not select device driver "{request.get("Driver") or ""}" with capabilities: [{wanted}]')
    if host.get("StorageOpt"):
        raise InvalidInput("--storage-opt is supported only for overlay over xfs with 'pquota' mount option")
    if (host.get("Isolation") or "default") != "default":
        raise InvalidInput(f"invalid isolation '{host['Isolation']}' on linux")
    if (host.get("ShmSize") or 0) < 0:
        raise InvalidInput("SHM size can not be less than 0")
    if not -1000 <= (host.get("OomScoreAdj") or 0) <= 1000:
        raise InvalidInput(f"Invalid value {host['OomScoreAdj']}, range for oom score adj is [-1000, 1000]")


def _words(value: Any) -> tuple[str, ...] | None:
    """A command as a list or, in the old form, one word. None when it isn't given."""
    if value is None:
        return None
    return (value,) if isinstance(value, str) else tuple(value)


def _signal(text: str) -> str:
    if text:
        signal_number(text)
    return text


def _environment(entries: Any) -> tuple[str, ...]:
    for entry in entries:
        if not entry or entry.startswith("="):
            raise InvalidInput(f"invalid environment variable: {entry}")
    return tuple(entries)


def _working_dir(path: str) -> str:
    if path and not path.startswith("/"):
        raise InvalidInput(f"the working directory '{path}' is invalid, it needs to be an absolute path")
    return posixpath.normpath(path) if path else ""


def _security(host: Json) -> Security:
    seccomp: Any = None
    no_new_privileges = False
    masked, read_only = host.get("MaskedPaths"), host.get("ReadonlyPaths")
    for option in host.get("SecurityOpt") or ():
        key, _, value = option.replace(":", "=", 1).partition("=") if "=" not in option else option.partition("=")
        match key:
            case "no-new-privileges":
                no_new_privileges = value in ("", "true")
            case "seccomp":
                seccomp = _seccomp(value)
            case "apparmor" | "label":
                pass  # this engine loads no such policies
            case "systempaths" if value == "unconfined":
                masked, read_only = [], []
            case _:
                raise InvalidInput(f'invalid --security-opt 2: "{option}"')
    return Security(
        cap_add=tuple(host.get("CapAdd") or ()),
        cap_drop=tuple(host.get("CapDrop") or ()),
        privileged=bool(host.get("Privileged")),
        no_new_privileges=no_new_privileges,
        seccomp=seccomp,
        read_only_root=bool(host.get("ReadonlyRootfs")),
        masked_paths=None if masked is None else tuple(masked),
        read_only_paths=None if read_only is None else tuple(read_only),
        sysctls=dict(host.get("Sysctls") or {}),
    )


def _seccomp(value: str) -> Any:
    """The CLI sends the profile itself, not its file's name."""
    if value in ("unconfined", "builtin"):
        return "unconfined" if value == "unconfined" else None
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"opening seccomp profile failed: {error}") from None


def _namespaces(host: Json, *, disconnected: bool) -> Namespaces:
    network = "none" if disconnected else host.get("NetworkMode") or "default"
    return Namespaces(
        network="bridge" if network == "default" else network,
        ipc=host.get("IpcMode") or "",
        uts=host.get("UTSMode") or "",
        pid=host.get("PidMode") or "",
        cgroup=host.get("CgroupnsMode") or "",
        user=host.get("UsernsMode") or "",
    )


def restart_policy(given: Json, *, auto_remove: bool) -> RestartPolicy:
    name, retries = given.get("Name") or "no", given.get("MaximumRetryCount") or 0
    if name not in _RESTART:
        raise InvalidInput(
            f"invalid restart policy: unknown policy '{name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        )
    if retries and name != "on-failure":
        raise InvalidInput("invalid restart policy: maximum retry count can only be used with 'on-failure'")
    if retries < 0:
        raise InvalidInput("invalid restart policy: maximum retry count cannot be negative")
    if auto_remove and name != "no":
        raise InvalidInput("can't create 'AutoRemove' container with restart policy")
    return RestartPolicy(name, retries)  # type: ignore[arg-type]


def _health(given: Json | None) -> Health | None:
    if not given:
        return None
    times = {}
    for member, name in (
        ("Interval", "interval"),
        ("Timeout", "timeout"),
        ("StartPeriod", "start_period"),
        ("StartInterval", "start_interval"),
    ):
        value = given.get(member) or 0
        if value and value < 1_000_000:
            raise InvalidInput(f"{member} in Healthcheck cannot be less than 1ms")
        times[name] = value / NANOSECONDS
    if (given.get("Retries") or 0) < 0:
        raise InvalidInput("Retries in Healthcheck cannot be negative")
    return Health(tuple(given.get("Test") or ()), retries=given.get("Retries") or 0, **times)
