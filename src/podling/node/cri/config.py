"""What CRI is asked for, from what the node asks of a runtime. Pure: mappings with the field names of the messages."""

import os
from collections.abc import Mapping
from typing import Any

from podling.base.errors import Unsupported
from podling.engine.types import ContainerSpec, Mount
from podling.node.runtime import CONTAINER_NAME, POD_NAME, POD_NAMESPACE, POD_UID, RESTART_COUNT, SandboxSpec
from podling.runtime.types import Resources, Security

Fields = dict[str, Any]

# NamespaceMode, SecurityProfile.ProfileType and MountPropagation of the API.
_POD, _CONTAINER, _NODE, _TARGET = range(4)
_DEFAULT_PROFILE, _UNCONFINED = 0, 1
_PROPAGATION = {"rprivate": 0, "rslave": 1, "rshared": 2}


def sandbox_config(spec: SandboxSpec, logs: str) -> Fields:
    """PodSandboxConfig; `logs` is the directory of the pod's logs."""
    namespaces = {
        "network": _NODE if spec.host_network else _POD,
        "pid": _POD if spec.share_processes else _CONTAINER,
        "ipc": _NODE if spec.host_ipc else _POD,
    }
    return {
        "metadata": {"name": spec.name, "uid": spec.uid, "namespace": spec.namespace},
        "hostname": "" if spec.host_network else spec.hostname,
        "log_directory": logs,
        "labels": {POD_NAME: spec.name, POD_NAMESPACE: spec.namespace, POD_UID: spec.uid},
        "linux": {
            "cgroup_parent": spec.cgroup,
            "security_context": {"namespace_options": namespaces, "seccomp": {"profile_type": _DEFAULT_PROFILE}},
            "sysctls": dict(spec.sysctls),
        },
    }


def container_config(spec: ContainerSpec, sandbox: Fields) -> Fields:
    """ContainerConfig of a container in that sandbox. Raises Unsupported for what CRI can't be asked for."""
    fields = {
        "metadata": {"name": spec.labels[CONTAINER_NAME], "attempt": int(spec.labels[RESTART_COUNT])},
        "image": {"image": spec.image_id or spec.image},
        "command": list(spec.entrypoint or ()),
        "args": list(spec.command or ()),
        "working_dir": spec.working_dir,
        "envs": [{"key": name, "value": value} for name, _, value in (word.partition("=") for word in spec.env)],
        "mounts": [_mount(mount) for mount in spec.mounts],
        "labels": dict(spec.labels),
        "annotations": dict(spec.annotations),
        "log_path": os.path.relpath(spec.log_path, sandbox["log_directory"]) if spec.log_path else "",
        "stdin": spec.open_stdin,
        "stdin_once": spec.stdin_once,
        "tty": spec.tty,
    }
    namespaces = dict(sandbox["linux"]["security_context"]["namespace_options"])
    kind, _, target = spec.namespaces.pid.partition(":")
    if kind == "host":
        namespaces["pid"] = _NODE
    elif kind == "container":
        namespaces |= {"pid": _TARGET, "target_id": target}
    return fields | {
        "linux": {
            "resources": _resources(spec.resources, spec.oom_score_adj),
            "security_context": {"namespace_options": namespaces, **_user(spec), **_security(spec.security)},
        }
    }


def _mount(mount: Mount) -> Fields:
    if mount.type != "bind":
        raise Unsupported(f"a mount of type {mount.type} at {mount.target}: CRI knows paths of the host alone")
    return {
        "container_path": mount.target,
        "host_path": mount.source,
        "readonly": mount.read_only,
        "propagation": _PROPAGATION.get(mount.propagation, 0),
    }


def limits(resources: Resources) -> Fields:
    """As an update of a running container has them."""
    return _resources(resources, 0)


def _resources(resources: Resources, oom_score_adj: int) -> Fields:
    return {
        "cpu_period": resources.cpu_period_us,
        "cpu_quota": resources.cpu_quota_us,
        "cpu_shares": resources.cpu_shares,
        "memory_limit_in_bytes": resources.memory,
        "oom_score_adj": oom_score_adj,
    }


def _user(spec: ContainerSpec) -> Fields:
    user, _, group = spec.user.partition(":")
    fields: Fields = {"supplemental_groups": [int(number) for number in spec.groups]}
    if user:
        fields |= {"run_as_user": {"value": int(user)}} if user.isdecimal() else {"run_as_username": user}
    if group:
        fields["run_as_group"] = {"value": int(group)}
    return fields


def _security(security: Security) -> Fields:
    fields: Fields = {
        "capabilities": {"add_capabilities": list(security.cap_add), "drop_capabilities": list(security.cap_drop)},
        "privileged": security.privileged,
        "readonly_rootfs": security.read_only_root,
        "no_new_privs": security.no_new_privileges,
        "seccomp": {"profile_type": _profile(security.seccomp)},
    }
    if security.masked_paths is not None:
        fields["masked_paths"] = list(security.masked_paths)
    if security.read_only_paths is not None:
        fields["readonly_paths"] = list(security.read_only_paths)
    return fields


def _profile(seccomp: Mapping[str, Any] | str | None) -> int:
    if isinstance(seccomp, Mapping):
        raise Unsupported("a seccomp profile of the node's files: not with a CRI runtime")
    return _UNCONFINED if seccomp == "unconfined" else _DEFAULT_PROFILE
