"""From the JSON of `POST /containers/create` to a ContainerSpec.

Source: Docker Engine API, ContainerCreate; error texts are the daemon's.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import orjson

from podling.base.errors import InvalidInput
from podling.engine.types import (
    ContainerSpec,
    Endpoint,
    Health,
    Mount,
    Namespaces,
    PortBinding,
    RestartPolicy,
)
from podling.runtime.types import Device, DeviceRate, Resources, Security, Ulimit

Json = Mapping[str, Any]

NANOSECONDS = 1_000_000_000
MINIMUM_MEMORY = 6 << 20
CPU_PERIOD_US = 100_000
_PROPAGATION = frozenset({"private", "rprivate", "shared", "rshared", "slave", "rslave"})
_RESTART = frozenset({"", "no", "always", "on-failure", "unless-stopped"})


def container_spec(body: Json, name: str, platform: str) -> ContainerSpec:
    """What the client asks for. Raises InvalidInput in the daemon's words."""
    host: Json = body.get("HostConfig") or {}
    if not body.get("Image"):
        raise InvalidInput("no image specified")
    _refuse(host)
    return ContainerSpec(
        image=body["Image"],
        name=name,
        platform=platform,
        entrypoint=_words(body.get("Entrypoint")),
        command=_words(body.get("Cmd")),
        env=_environment(body.get("Env") or ()),
        working_dir=_working_dir(body.get("WorkingDir") or ""),
        user=body.get("User") or "",
        groups=tuple(host.get("GroupAdd") or ()),
        hostname=body.get("Hostname") or "",
        domainname=body.get("Domainname") or "",
        labels=dict(body.get("Labels") or {}),
        tty=bool(body.get("Tty")),
        console_size=tuple(host.get("ConsoleSize") or ()),
        open_stdin=bool(body.get("OpenStdin")),
        stdin_once=bool(body.get("StdinOnce")),
        stop_signal=body.get("StopSignal") or "",
        stop_timeout=body.get("StopTimeout"),
        mounts=tuple(_mounts(body, host)),
        volumes_from=tuple(host.get("VolumesFrom") or ()),
        links=tuple(host.get("Links") or ()),
        resources=resources(host),
        security=_security(host),
        namespaces=_namespaces(host),
        networks=_networks(body.get("NetworkingConfig") or {}, host, body.get("MacAddress") or ""),
        ports=tuple(_ports(body, host)),
        exposed=tuple(_exposed(port) for port in body.get("ExposedPorts") or ()),
        dns=tuple(host.get("Dns") or ()),
        dns_search=tuple(host.get("DnsSearch") or ()),
        dns_options=tuple(host.get("DnsOptions") or ()),
        extra_hosts=tuple(_extra_host(entry) for entry in host.get("ExtraHosts") or ()),
        cgroup_parent=host.get("CgroupParent") or "",
        log_driver=(host.get("LogConfig") or {}).get("Type") or "",
        log_options=dict((host.get("LogConfig") or {}).get("Config") or {}),
        restart=restart_policy(host.get("RestartPolicy") or {}, auto_remove=bool(host.get("AutoRemove"))),
        health=_health(body.get("Healthcheck")),
        auto_remove=bool(host.get("AutoRemove")),
        init=host.get("Init"),
        runtime=host.get("Runtime") or "",
        oom_score_adj=host.get("OomScoreAdj") or 0,
        annotations=dict(host.get("Annotations") or {}),
        shm_size=host.get("ShmSize") or 0,
    )


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


def _environment(entries: Any) -> tuple[str, ...]:
    for entry in entries:
        if not entry or entry.startswith("="):
            raise InvalidInput(f"invalid environment variable: {entry}")
    return tuple(entries)


def _working_dir(path: str) -> str:
    if path and not path.startswith("/"):
        raise InvalidInput(f"the working directory '{path}' is invalid, it needs to be an absolute path")
    return posixpath.normpath(path) if path else ""


# mounts


def _mounts(body: Json, host: Json) -> Iterator[Mount]:
    """Binds, Mounts, Tmpfs and Volumes; one target can be named once."""
    seen: set[str] = set()
    given = [
        *(_bind(text) for text in host.get("Binds") or ()),
        *(_mount(entry) for entry in host.get("Mounts") or ()),
        *(_tmpfs(target, flags) for target, flags in (host.get("Tmpfs") or {}).items()),
    ]
    for mount in given:
        if mount.target in seen:
            raise InvalidInput(f"Duplicate mount point: {mount.target}")
        seen.add(mount.target)
        yield mount
    for target in body.get("Volumes") or ():
        if _target(target) not in seen:
            yield Mount("volume", "", _target(target))


def _bind(text: str) -> Mount:
    """`/host:/container[:options]`, `volume:/container[:options]`, or `/container` for an anonymous volume."""
    parts = text.split(":")
    if len(parts) > 3 or not all(parts):
        raise InvalidInput(f"invalid volume specification: '{text}'")
    source, target, words = [*parts, ""][:3] if len(parts) > 1 else ("", parts[0], "")
    read_only, propagation, no_copy = False, "rprivate", False
    for word in filter(None, words.split(",")):
        if word in ("ro", "rw"):
            read_only = word == "ro"
        elif word in _PROPAGATION:
            propagation = word
        elif word == "nocopy":
            no_copy = True
        elif word not in ("z", "Z", "consistent", "cached", "delegated"):
            raise InvalidInput(f"invalid volume specification: '{text}': invalid mode: {words}")
    if source.startswith(("/", ".", "~")):
        if not source.startswith("/"):
            raise InvalidInput(
                f'create {source}: "{source}" includes invalid characters for a local volume name, only '
                '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path'
            )
        return Mount("bind", posixpath.normpath(source), _target(target), read_only, propagation, {"create_source": True})
    return Mount("volume", source, _target(target), read_only, options={"no_copy": True} if no_copy else {})


def _target(path: str) -> str:
    normal = posixpath.normpath(path)
    if not path.startswith("/"):
        raise InvalidInput(f"invalid mount path: '{path}' mount path must be absolute")
    if normal == "/":
        raise InvalidInput(f"invalid volume specification: '{path}': destination can't be '/'")
    return normal


def _mount(entry: Json) -> Mount:
    kind = entry.get("Type")
    if not entry.get("Target"):
        raise InvalidInput(f'invalid mount config for type "{kind}": field Target must not be empty')
    target, read_only = _target(entry["Target"]), bool(entry.get("ReadOnly"))
    source = entry.get("Source") or ""
    match kind:
        case "bind":
            options = entry.get("BindOptions") or {}
            if not source:
                raise InvalidInput('invalid mount config for type "bind": field Source must not be empty')
            if not source.startswith("/"):
                raise InvalidInput(
                    f"invalid mount config for type \"bind\": invalid mount path: '{source}' mount path must be absolute"
                )
            create = {"create_source": True} if options.get("CreateMountpoint") else {}
            return Mount("bind", posixpath.normpath(source), target, read_only, options.get("Propagation") or "rprivate", create)
        case "volume":
            return Mount("volume", source, target, read_only, options=_volume_options(entry.get("VolumeOptions") or {}))
        case "tmpfs":
            if source:
                raise InvalidInput('invalid mount config for type "tmpfs": field Source must not be specified')
            given = entry.get("TmpfsOptions") or {}
            chosen = {"size": given.get("SizeBytes"), "mode": given.get("Mode")}
            return Mount("tmpfs", "", target, read_only, options={name: value for name, value in chosen.items() if value})
    raise InvalidInput(f'invalid mount config for type "{kind}": mount type unknown')


def _volume_options(given: Json) -> dict[str, Any]:
    driver = given.get("DriverConfig") or {}
    options = {
        "no_copy": given.get("NoCopy"),
        "labels": given.get("Labels"),
        "driver": driver.get("Name"),
        "driver_options": driver.get("Options"),
        "subpath": given.get("Subpath"),
    }
    return {name: value for name, value in options.items() if value}


def _tmpfs(target: str, flags: str) -> Mount:
    words = [word for word in flags.split(",") if word]
    return Mount("tmpfs", "", _target(target), "ro" in words, options={"flags": words} if words else {})


# limits and privileges


def resources(host: Json) -> Resources:
    """The limits of a HostConfig, or of an update. Raises InvalidInput for what the kernel would refuse."""
    memory, swap = host.get("Memory") or 0, host.get("MemorySwap") or 0
    if 0 < memory < MINIMUM_MEMORY:
        raise InvalidInput("Minimum memory limit allowed is 6MB")
    if memory and swap not in (0, -1) and swap < memory:
        raise InvalidInput("Minimum memoryswap limit should be larger than memory limit, see usage")
    if not memory and swap > 0:
        raise InvalidInput("You should always set the Memory limit when using Memoryswap limit, see usage")
    quota, period = host.get("CpuQuota") or 0, host.get("CpuPeriod") or 0
    if nano := host.get("NanoCpus") or 0:
        if quota or period:
            raise InvalidInput("Conflicting options: Nano CPUs and CPU Period cannot both be set.")
        quota, period = nano * CPU_PERIOD_US // NANOSECONDS, CPU_PERIOD_US
    for name in ("CpuRealtimePeriod", "CpuRealtimeRuntime"):
        if host.get(name):
            raise InvalidInput("Your kernel does not support CPU real-time scheduler")
    return Resources(
        cpu_shares=host.get("CpuShares") or 0,
        cpu_quota_us=quota,
        cpu_period_us=period,
        cpuset_cpus=host.get("CpusetCpus") or "",
        cpuset_mems=host.get("CpusetMems") or "",
        memory=memory,
        memory_swap=swap,
        memory_reservation=host.get("MemoryReservation") or 0,
        memory_swappiness=_swappiness(host.get("MemorySwappiness")),
        oom_kill_disable=bool(host.get("OomKillDisable")),
        pids_limit=max(host.get("PidsLimit") or 0, 0),
        ulimits=tuple(Ulimit(limit["Name"], limit["Soft"], limit["Hard"]) for limit in host.get("Ulimits") or ()),
        blkio_weight=host.get("BlkioWeight") or 0,
        blkio_weight_devices=_rates(host, "BlkioWeightDevice", "Weight"),
        read_bps=_rates(host, "BlkioDeviceReadBps"),
        write_bps=_rates(host, "BlkioDeviceWriteBps"),
        read_iops=_rates(host, "BlkioDeviceReadIOps"),
        write_iops=_rates(host, "BlkioDeviceWriteIOps"),
        devices=tuple(_device(device) for device in host.get("Devices") or ()),
        device_cgroup_rules=tuple(host.get("DeviceCgroupRules") or ()),
    )


def _rates(host: Json, key: str, word: str = "Rate") -> tuple[DeviceRate, ...]:
    return tuple(DeviceRate(each["Path"], each[word]) for each in host.get(key) or ())


def _swappiness(asked: int | None) -> int | None:
    if asked is None or asked == -1:
        return None
    if not 0 <= asked <= 100:
        raise InvalidInput(f"Invalid value: {asked}, valid memory swappiness range is 0-100")
    return asked


def _device(device: Json) -> Device:
    source = device["PathOnHost"]
    return Device(source, device.get("PathInContainer") or source, device.get("CgroupPermissions") or "rwm")


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


def _namespaces(host: Json) -> Namespaces:
    network = host.get("NetworkMode") or "default"
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


# networks


def _networks(config: Json, host: Json, mac: str) -> dict[str, Endpoint]:
    """The networks that the container joins, by name. The one of NetworkMode is among them when it was given an endpoint.

    `mac` is for that one: where clients before 1.44 say it.
    """
    endpoints = config.get("EndpointsConfig") or {}
    mode = host.get("NetworkMode") or "default"
    mode = "bridge" if mode == "default" else mode
    found = {("bridge" if name == "default" else name): endpoint(given or {}) for name, given in endpoints.items()}
    if mac:
        found[mode] = replace(found.get(mode, Endpoint()), mac=mac)
    return found


def endpoint(given: Json) -> Endpoint:
    """An EndpointSettings object."""
    addresses = given.get("IPAMConfig") or {}
    return Endpoint(
        aliases=tuple(given.get("Aliases") or ()),
        ipv4=addresses.get("IPv4Address") or "",
        ipv6=addresses.get("IPv6Address") or "",
        mac=given.get("MacAddress") or "",
        driver_options=dict(given.get("DriverOpts") or {}),
    )


def _exposed(port: str) -> str:
    number, protocol = _port(port)
    return f"{number}/{protocol}"


def _port(text: str) -> tuple[int, str]:
    number, _, protocol = text.partition("/")
    protocol = protocol.lower() or "tcp"
    if not number.isdecimal() or not 0 < int(number) < 65536 or protocol not in ("tcp", "udp", "sctp"):
        raise InvalidInput(f"invalid port specification: {text!r}")
    return int(number), protocol


def _ports(body: Json, host: Json) -> Iterator[PortBinding]:
    published: set[str] = set()
    for port, bindings in (host.get("PortBindings") or {}).items():
        number, protocol = _port(port)
        for binding in bindings or [{}]:
            published.add(f"{number}/{protocol}")
            for host_port in _host_ports(binding.get("HostPort") or ""):
                yield PortBinding(number, protocol, binding.get("HostIp") or "", host_port)  # type: ignore[arg-type]
    if host.get("PublishAllPorts"):
        for port in body.get("ExposedPorts") or ():
            number, protocol = _port(port)
            if f"{number}/{protocol}" not in published:
                yield PortBinding(number, protocol)  # type: ignore[arg-type]


def _host_ports(text: str) -> list[int]:
    """One port; none (0) when it is left to us. A range means any one of it."""
    first, _, last = text.partition("-")
    if not text:
        return [0]
    if not re.fullmatch(r"\d+(-\d+)?", text) or int(last or first) > 65535:
        raise InvalidInput(f"invalid port specification: {text!r}")
    return [int(first)]


def _extra_host(entry: str) -> str:
    name, separator, address = entry.partition(":")
    if not separator:
        name, separator, address = entry.partition("=")
    if not name or not separator or not address:
        raise InvalidInput(f'bad format for add-host: "{entry}"')
    return f"{name}:{address}"
