"""Containers as JSON: one line of a list, and all that `docker inspect` shows.

Source: Docker Engine API, ContainerSummary and ContainerInspectResponse.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from podling.base.errors import NotFound
from podling.docker import timestamps
from podling.docker.host_config import host_config
from podling.engine.container import Container
from podling.engine.engine import Engine
from podling.engine.links import parse
from podling.engine.types import ContainerSpec, ContainerState, Mount
from podling.network.base import Endpoint

Json = dict[str, Any]
_NANOSECONDS = 1_000_000_000


def summary(container: Container, engine: Engine, now: float) -> Json:
    """One element of `GET /containers/json`."""
    spec = container.spec
    return {
        "Id": container.id,
        "Names": [f"/{container.name}"],
        "Image": spec.image,
        "ImageID": container.image_id,
        "Command": command_line(spec),
        "Created": int(container.created),
        "Ports": ports(container),
        "Labels": dict(spec.labels),
        "State": container.state.status,
        "Status": status(container.state, now),
        "HostConfig": {"NetworkMode": spec.namespaces.network},
        "NetworkSettings": {"Networks": networks(container, engine)},
        "Mounts": [mount(each, engine) for each in spec.mounts],
    }


def command_line(spec: ContainerSpec) -> str:
    """The command as one line; arguments with blanks in quotes."""
    program, *arguments = (*(spec.entrypoint or ()), *(spec.command or ()))
    return " ".join([program, *(f"'{word}'" if " " in word else word for word in arguments)])


def status(state: ContainerState, now: float) -> str:
    """The state in words, as `docker ps` shows it."""
    match state.status:
        case "running" | "paused":
            extra = " (Paused)" if state.status == "paused" else ""
            if state.health and not extra:
                extra = " (health: starting)" if state.health.status == "starting" else f" ({state.health.status})"
            return f"Up {timestamps.span(now - state.started_at)}{extra}"
        case "restarting":
            return f"Restarting ({state.exit_code}) {timestamps.span(now - state.finished_at)} ago"
        case "exited":
            return f"Exited ({state.exit_code}) {timestamps.span(now - state.finished_at)} ago"
        case "removing":
            return "Removal In Progress"
        case other:
            return other.capitalize()


def ports(container: Container) -> list[Json]:
    """Exposed ports of a running container, and where they are published."""
    if not container.running:
        return []
    published = container.published
    taken = {f"{each.port}/{each.protocol}" for each in published}
    bound = [{"IP": p.host, "PrivatePort": p.port, "PublicPort": p.host_port, "Type": p.protocol} for p in published]
    return bound + [_bare_port(port) for port in container.spec.exposed if port not in taken]


def _bare_port(port: str) -> Json:
    number, _, protocol = port.partition("/")
    return {"PrivatePort": int(number), "Type": protocol or "tcp"}


def full(container: Container, engine: Engine) -> Json:
    """`GET /containers/{id}/json`."""
    spec, state = container.spec, container.state
    directory = engine.root / "containers" / container.id
    program, *arguments = (*(spec.entrypoint or ()), *(spec.command or ()))
    return {
        "Id": container.id,
        "Created": timestamps.from_seconds(container.created),
        "Path": program,
        "Args": arguments,
        "State": state_json(state),
        "Image": container.image_id,
        "ResolvConfPath": str(directory / "resolv.conf"),
        "HostnamePath": str(directory / "hostname"),
        "HostsPath": str(directory / "hosts"),
        "LogPath": str(container.log_path),
        "Name": f"/{container.name}",
        "RestartCount": state.restart_count,
        "Driver": "overlay2",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": [each.id for each in engine.execs.of(container.id)] or None,
        "HostConfig": host_config(spec),
        "GraphDriver": {"Name": "overlay2", "Data": {"MergedDir": str(directory / "rootfs")}},
        "Mounts": [mount(each, engine) for each in spec.mounts],
        "Config": config(container),
        "NetworkSettings": _network_settings(container, engine),
    }


def state_json(state: ContainerState) -> Json:
    shown: Json = {
        "Status": state.status,
        "Running": state.status in ("running", "paused", "restarting"),
        "Paused": state.status == "paused",
        "Restarting": state.status == "restarting",
        "OOMKilled": state.oom_killed,
        "Dead": state.status == "dead",
        "Pid": state.pid,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": timestamps.from_seconds(state.started_at),
        "FinishedAt": timestamps.from_seconds(state.finished_at),
    }
    if state.health:
        log = [
            {
                "Start": timestamps.from_seconds(run.start),
                "End": timestamps.from_seconds(run.end),
                "ExitCode": run.exit_code,
                "Output": run.output,
            }
            for run in state.health.log
        ]
        shown["Health"] = {"Status": state.health.status, "FailingStreak": state.health.failing_streak, "Log": log}
    return shown


def config(container: Container) -> Json:
    """What runs, with the image's defaults filled in: ContainerConfig."""
    spec = container.spec
    shown: Json = {
        "Hostname": container.hostname,
        "Domainname": spec.domainname,
        "User": spec.user,
        "AttachStdin": bool(spec.shown.get("AttachStdin")),
        "AttachStdout": bool(spec.shown.get("AttachStdout")),
        "AttachStderr": bool(spec.shown.get("AttachStderr")),
        "Tty": spec.tty,
        "OpenStdin": spec.open_stdin,
        "StdinOnce": spec.stdin_once,
        "Env": list(spec.env),
        "Cmd": list(spec.command) if spec.command else None,
        "Image": spec.image,
        "Volumes": {each.target: {} for each in spec.mounts if each.options.get("anonymous")} or None,
        "WorkingDir": spec.working_dir,
        "Entrypoint": list(spec.entrypoint) if spec.entrypoint else None,
        "OnBuild": spec.shown.get("OnBuild"),
        "Labels": dict(spec.labels),
    }
    if spec.shown.get("NetworkDisabled"):
        shown["NetworkDisabled"] = True
    if spec.exposed:
        shown["ExposedPorts"] = {port: {} for port in spec.exposed}
    if spec.stop_signal:
        shown["StopSignal"] = spec.stop_signal
    if spec.stop_timeout is not None:
        shown["StopTimeout"] = int(spec.stop_timeout)
    if spec.health:
        shown["Healthcheck"] = {
            "Test": list(spec.health.test),
            "Interval": int(spec.health.interval * _NANOSECONDS),
            "Timeout": int(spec.health.timeout * _NANOSECONDS),
            "StartPeriod": int(spec.health.start_period * _NANOSECONDS),
            "StartInterval": int(spec.health.start_interval * _NANOSECONDS),
            "Retries": spec.health.retries,
        }
    return shown


def mount(given: Mount, engine: Engine) -> Json:
    """One MountPoint."""
    shown: Json = {
        "Type": given.type,
        "Source": given.source,
        "Destination": given.target,
        "Mode": "ro" if given.read_only else "",
        "RW": not given.read_only,
        "Propagation": given.propagation if given.type == "bind" else "",
    }
    if given.type == "volume":
        shown |= {"Name": given.source, "Mode": "ro" if given.read_only else "z", **_volume(given.source, engine)}
    return shown


def _volume(name: str, engine: Engine) -> Json:
    try:
        found = engine.volumes.find(name)
    except NotFound:
        return {"Driver": "local", "Source": ""}
    return {"Driver": found.driver, "Source": str(found.path)}


def networks(container: Container, engine: Engine) -> Json:
    """Each network that the container is in, or will be when it runs: EndpointSettings by name."""
    shown: Json = {name: endpoint_json(container, name, None) for name in container.networks()}
    if not shown and container.spec.namespaces.network == "host":
        shown["host"] = endpoint_json(container, "host", None)
    for endpoint in container.endpoints:
        name = engine.networks.find(endpoint.network).name
        shown[name] = endpoint_json(container, name, endpoint)
    return shown


def endpoint_json(container: Container, network: str, endpoint: Endpoint | None) -> Json:
    """EndpointSettings: what was asked, and of a running container what it got."""
    asked = container.spec.networks.get(network)
    addresses = {"IPv4Address": asked.ipv4, "IPv6Address": asked.ipv6} if asked and (asked.ipv4 or asked.ipv6) else None
    own_names = [] if network in ("bridge", "host", "none") else [container.name, container.id[:12]]
    aliases = list(asked.aliases) if asked else []
    return {
        "IPAMConfig": addresses,
        "Links": _links(container.spec, network),
        "Aliases": aliases or None,
        "MacAddress": endpoint.mac if endpoint else "",
        "DriverOpts": dict(asked.driver_options) if asked and asked.driver_options else None,
        "NetworkID": endpoint.network if endpoint else "",
        "EndpointID": endpoint.id if endpoint else "",
        "Gateway": endpoint.gateway if endpoint else "",
        "IPAddress": endpoint.ip if endpoint else "",
        "IPPrefixLen": _prefix(endpoint.address) if endpoint else 0,
        "IPv6Gateway": endpoint.gateway6 if endpoint else "",
        "GlobalIPv6Address": endpoint.ip6 if endpoint else "",
        "GlobalIPv6PrefixLen": _prefix(endpoint.address6) if endpoint else 0,
        "DNSNames": list(dict.fromkeys([*own_names[:1], *aliases, *own_names[1:]])) or None,
    }


def _links(spec: ContainerSpec, network: str) -> list[str] | None:
    """Those that are names of the resolver, NAME:ALIAS."""
    asked = spec.networks.get(network)
    own = spec.links if network == spec.namespaces.network and network != "bridge" else ()
    return [":".join(parse(text)) for text in dict.fromkeys((*(asked.links if asked else ()), *own))] or None


def _prefix(address: str) -> int:
    return int(address.partition("/")[2] or 0)


def _network_settings(container: Container, engine: Engine) -> Json:
    shown = networks(container, engine)
    default: Mapping[str, Any] = shown.get("bridge") or {}
    text = ("EndpointID", "Gateway", "GlobalIPv6Address", "IPAddress", "IPv6Gateway", "MacAddress")
    numbers = ("GlobalIPv6PrefixLen", "IPPrefixLen")
    sandbox = next((endpoint for endpoint in container.endpoints), None)
    return {
        "Bridge": "",
        "SandboxID": container.id if container.running else "",
        "SandboxKey": sandbox.netns if sandbox else "",
        "Ports": _port_map(container),
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        **{name: default.get(name, "") for name in text},
        **{name: default.get(name, 0) for name in numbers},
        "Networks": shown,
    }


def _port_map(container: Container) -> Json:
    """Port → where it is published; null for one that is only exposed."""
    if not container.running:
        return {}
    spec = container.spec
    known: Iterable[str] = (*spec.exposed, *(f"{each.container_port}/{each.protocol}" for each in spec.ports))
    shown: Json = dict.fromkeys(known)
    for published in container.published:
        place = {"HostIp": published.host, "HostPort": str(published.host_port)}
        name = f"{published.port}/{published.protocol}"
        shown[name] = [*(shown.get(name) or []), place]
    return shown
