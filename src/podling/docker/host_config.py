"""A ContainerSpec as Docker's HostConfig: the way back from `create`."""

from typing import Any

import orjson

from podling.engine.links import parse
from podling.engine.types import ContainerSpec, Mount, PortBinding
from podling.runtime.spec import DEFAULT_SHM_SIZE, MASKED_PATHS, READ_ONLY_PATHS
from podling.runtime.types import DeviceRate, Security

Json = dict[str, Any]
_OF_CONFIG = frozenset({"AttachStdin", "AttachStdout", "AttachStderr", "NetworkDisabled", "OnBuild"})
_OF_MOUNTS = frozenset({"Binds", "Mounts", "Tmpfs"})


def host_config(spec: ContainerSpec) -> Json:
    """HostConfig of `docker inspect`."""
    return {
        **_mounts(spec),
        "ContainerIDFile": "",
        "LogConfig": {"Type": spec.log_driver or "json-file", "Config": dict(spec.log_options)},
        "NetworkMode": spec.namespaces.network,
        "PortBindings": _port_bindings(spec.ports),
        "RestartPolicy": {"Name": spec.restart.name, "MaximumRetryCount": spec.restart.maximum_retry_count},
        "AutoRemove": spec.auto_remove,
        "VolumeDriver": "",
        "ConsoleSize": list(spec.console_size) or [0, 0],
        "CgroupnsMode": spec.namespaces.cgroup or "host",
        "Dns": list(spec.dns),
        "DnsOptions": list(spec.dns_options),
        "DnsSearch": list(spec.dns_search),
        "ExtraHosts": list(spec.extra_hosts) or None,
        "GroupAdd": list(spec.groups) or None,
        "IpcMode": spec.namespaces.ipc or "private",
        "Cgroup": "",
        "Links": [f"/{name}:/{spec.name}/{alias}" for name, alias in map(parse, spec.links)] or None,
        "OomScoreAdj": spec.oom_score_adj,
        "PidMode": spec.namespaces.pid,
        "PublishAllPorts": False,
        "UTSMode": spec.namespaces.uts,
        "UsernsMode": spec.namespaces.user,
        "ShmSize": spec.shm_size or DEFAULT_SHM_SIZE,
        "Runtime": spec.runtime or "runc",
        "Isolation": "",
        "CgroupParent": spec.cgroup_parent,
        "Init": spec.init,
        "Annotations": dict(spec.annotations) or None,
        **_resources(spec),
        **_security(spec.security),
        **_shown(spec),
    }


def _shown(spec: ContainerSpec) -> Json:
    """What is shown as it was asked for. Mounts can be said in several ways: all of them, or none."""
    shown = {name: value for name, value in spec.shown.items() if name not in _OF_CONFIG}
    return (dict.fromkeys(_OF_MOUNTS) if shown.keys() & _OF_MOUNTS else {}) | shown


def _mounts(spec: ContainerSpec) -> Json:
    plain = [mount for mount in spec.mounts if mount.type != "tmpfs" and not _is_bind(mount) and not _is_own(mount)]
    in_memory = [mount for mount in spec.mounts if mount.type == "tmpfs"]
    return {
        "Binds": [_bind(mount) for mount in spec.mounts if _is_bind(mount)] or None,
        "VolumesFrom": list(spec.volumes_from) or None,
        "Mounts": [_mount(mount) for mount in plain],
        "Tmpfs": {mount.target: ",".join(mount.options.get("flags", ())) for mount in in_memory} or None,
    }


def _is_bind(mount: Mount) -> bool:
    """Whether it can be written in the short form of `-v`."""
    if mount.options.get("inherited"):
        return False
    return (mount.type == "bind" and bool(mount.options.get("create_source"))) or (mount.type == "volume" and not mount.options)


def _is_own(mount: Mount) -> bool:
    """An anonymous volume, which belongs to the container's configuration, or another container's mount."""
    return bool(mount.options.get("anonymous") or mount.options.get("inherited"))


def _bind(mount: Mount) -> str:
    return f"{mount.source}:{mount.target}" + (":ro" if mount.read_only else "")


def _mount(mount: Mount) -> Json:
    shown: Json = {"Type": mount.type, "Source": mount.source, "Target": mount.target}
    if mount.read_only:
        shown["ReadOnly"] = True
    if mount.type == "bind" and mount.propagation != "rprivate":
        shown["BindOptions"] = {"Propagation": mount.propagation}
    given = mount.options
    driver = {"Name": given.get("driver"), "Options": given.get("driver_options")}
    volume = {
        "NoCopy": given.get("no_copy"),
        "Labels": given.get("labels"),
        "Subpath": given.get("subpath"),
        "DriverConfig": {name: value for name, value in driver.items() if value},
    }
    if mount.type == "volume" and any(volume.values()):
        shown["VolumeOptions"] = {name: value for name, value in volume.items() if value}
    return shown


def _port_bindings(ports: tuple[PortBinding, ...]) -> Json:
    shown: Json = {}
    for port in ports:
        place = {"HostIp": port.host_ip, "HostPort": str(port.host_port) if port.host_port else ""}
        shown.setdefault(f"{port.container_port}/{port.protocol}", []).append(place)
    return shown


def _resources(spec: ContainerSpec) -> Json:
    limits = spec.resources
    return {
        "CpuShares": limits.cpu_shares,
        "Memory": limits.memory,
        "NanoCpus": limits.nano_cpus,
        "BlkioWeight": limits.blkio_weight,
        "BlkioWeightDevice": _rates(limits.blkio_weight_devices, "Weight"),
        "BlkioDeviceReadBps": _rates(limits.read_bps),
        "BlkioDeviceWriteBps": _rates(limits.write_bps),
        "BlkioDeviceReadIOps": _rates(limits.read_iops),
        "BlkioDeviceWriteIOps": _rates(limits.write_iops),
        "CpuPeriod": 0 if limits.nano_cpus else limits.cpu_period_us,
        "CpuQuota": 0 if limits.nano_cpus else limits.cpu_quota_us,
        "CpuRealtimePeriod": 0,
        "CpuRealtimeRuntime": 0,
        "CpusetCpus": limits.cpuset_cpus,
        "CpusetMems": limits.cpuset_mems,
        "Devices": [
            {"PathOnHost": each.source, "PathInContainer": each.target, "CgroupPermissions": each.permissions}
            for each in limits.devices
        ],
        "DeviceCgroupRules": list(limits.device_cgroup_rules) or None,
        "DeviceRequests": None,
        "MemoryReservation": limits.memory_reservation,
        "MemorySwap": limits.memory_swap,
        "MemorySwappiness": limits.memory_swappiness,
        "OomKillDisable": limits.oom_kill_disable,
        "PidsLimit": limits.pids_limit if limits.pids_limit > 0 else None,
        "Ulimits": [{"Name": each.name, "Soft": each.soft, "Hard": each.hard} for each in limits.ulimits],
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
    }


def _rates(rates: tuple[DeviceRate, ...], word: str = "Rate") -> list[Json]:
    return [{"Path": each.path, word: each.rate} for each in rates]


def _security(security: Security) -> Json:
    options = ["no-new-privileges"] if security.no_new_privileges else []
    if security.seccomp is not None:
        profile = security.seccomp if isinstance(security.seccomp, str) else orjson.dumps(security.seccomp).decode()
        options.append(f"seccomp={profile}")
    masked, read_only = security.masked_paths, security.read_only_paths
    return {
        "CapAdd": list(security.cap_add) or None,
        "CapDrop": list(security.cap_drop) or None,
        "Privileged": security.privileged,
        "ReadonlyRootfs": security.read_only_root,
        "SecurityOpt": options or None,
        "Sysctls": dict(security.sysctls),
        "MaskedPaths": list(MASKED_PATHS if masked is None else masked),
        "ReadonlyPaths": list(READ_ONLY_PATHS if read_only is None else read_only),
    }
