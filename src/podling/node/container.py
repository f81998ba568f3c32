"""A container of a pod as the runtime is asked for it. Pure. Source: core/v1 Container, SecurityContext, PodSecurityContext."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from podling.base.errors import InvalidInput
from podling.engine.types import ContainerSpec, Mount, Namespaces
from podling.node import runtime
from podling.node.environment import expand
from podling.node.pod.spec import Object, full_name, grace_of, uid_of
from podling.node.resources import container_resources, oom_score_adj
from podling.runtime.types import Security

TERMINATION_PATH = "/dev/termination-log"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the node gives to a container besides its own spec. `seccomp` is the profile that it names among the node's files;
    `processes` the container whose processes an ephemeral one is to see; `runtime` is another program than the node's own.
    """

    environment: Mapping[str, str]
    mounts: tuple[Mount, ...]
    log_path: str
    cgroup_parent: str
    hostname: str
    node_memory: int
    seccomp: Mapping[str, Any] | None = None
    processes: str = ""
    pids_limit: int = 0
    runtime: str = ""
    log_options: Mapping[str, str] = field(default_factory=dict)


def container_spec(
    pod: Object, container: Object, restarts: int, image: runtime.ImageFacts, around: Surroundings
) -> ContainerSpec:
    """Raises InvalidInput for what cannot be had."""
    context = security_context(pod, container)
    _check_user(pod, container, context, image)
    command, args = container.get("command") or None, container.get("args") or None  # empty is as not given
    metadata = pod["metadata"]
    name = f"k8s_{container['name']}_{metadata['name']}_{metadata['namespace']}_{metadata['uid']}_{restarts}"
    return ContainerSpec(
        image=container.get("image", ""),
        image_id=image.id,
        name=name,
        entrypoint=_words(command, around.environment),
        command=_words(args, around.environment) if args is not None or command is None else (),
        env=tuple(f"{key}={value}" for key, value in around.environment.items()),
        working_dir=container.get("workingDir") or "",
        user=_user(context),
        groups=_groups(pod),
        hostname=around.hostname,
        labels=labels(pod, container, restarts),
        tty=bool(container.get("tty")),
        open_stdin=bool(container.get("stdin")),
        stdin_once=bool(container.get("stdinOnce")),
        mounts=around.mounts,
        resources=container_resources(container, around.pids_limit),
        security=_security(context, around.seccomp),
        namespaces=Namespaces(pid=_processes(pod, around)),
        cgroup_parent=around.cgroup_parent,
        log_path=around.log_path,
        log_options=around.log_options,
        runtime=around.runtime,
        oom_score_adj=oom_score_adj(pod, container, around.node_memory),
    )


def labels(pod: Object, container: Object, restarts: int) -> dict[str, str]:
    """By these a container is found again."""
    return {
        runtime.POD_NAME: pod["metadata"]["name"],
        runtime.POD_NAMESPACE: pod["metadata"]["namespace"],
        runtime.POD_UID: uid_of(pod),
        runtime.POD_GRACE: str(int(grace_of(pod))),
        runtime.CONTAINER_NAME: container["name"],
        runtime.RESTART_COUNT: str(restarts),
        runtime.TERMINATION_PATH: container.get("terminationMessagePath") or TERMINATION_PATH,
        runtime.TERMINATION_POLICY: container.get("terminationMessagePolicy") or "File",
    }


def _words(words: list[str] | None, variables: Mapping[str, str]) -> tuple[str, ...] | None:
    return None if words is None else tuple(expand(word, variables) for word in words)


def security_context(pod: Object, container: Object) -> Object:
    """The container's security context, over what it inherits from the pod's."""
    return {**(pod["spec"].get("securityContext") or {}), **(container.get("securityContext") or {})}


def _user(context: Object) -> str:
    user, group = context.get("runAsUser"), context.get("runAsGroup")
    if group is not None:
        return f"{0 if user is None else user}:{group}"
    return "" if user is None else str(user)


def _groups(pod: Object) -> tuple[str, ...]:
    context = pod["spec"].get("securityContext") or {}
    groups = list(context.get("supplementalGroups") or [])
    if context.get("fsGroup") is not None:
        groups.append(context["fsGroup"])
    return tuple(str(group) for group in groups)


def _check_user(pod: Object, container: Object, context: Object, image: runtime.ImageFacts) -> None:
    if not context.get("runAsNonRoot"):
        return
    about = f'(pod: "{full_name(pod)}", container: {container["name"]})'
    if context.get("runAsUser") is not None:
        if context["runAsUser"] == 0:
            raise InvalidInput(f"container's runAsUser breaks non-root policy {about}")
        return
    user = image.user.partition(":")[0]
    if user and not user.isdecimal():
        raise InvalidInput(
            f"container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root {about}"
        )
    if int(user or 0) == 0:
        raise InvalidInput(f"container has runAsNonRoot and image will run as root {about}")


def _processes(pod: Object, around: Surroundings) -> str:
    if pod["spec"].get("hostPID"):
        return "host"
    return f"container:{around.processes}" if around.processes else ""


def _security(context: Object, profile: Mapping[str, Any] | None) -> Security:
    capabilities = context.get("capabilities") or {}
    unmasked = context.get("procMount") == "Unmasked"
    return Security(
        cap_add=tuple(capabilities.get("add") or ()),
        cap_drop=tuple(capabilities.get("drop") or ()),
        privileged=bool(context.get("privileged")),
        no_new_privileges=context.get("allowPrivilegeEscalation") is False,
        seccomp=_seccomp(context.get("seccompProfile") or {}, profile),
        read_only_root=bool(context.get("readOnlyRootFilesystem")),
        masked_paths=() if unmasked else None,
        read_only_paths=() if unmasked else None,
    )


def local_profile(context: Object) -> str:
    """The file below the node's directory of seccomp profiles that the context names; "" for none."""
    profile = context.get("seccompProfile") or {}
    return str(profile.get("localhostProfile") or "") if profile.get("type") == "Localhost" else ""


def _seccomp(profile: Object, local: Mapping[str, Any] | None) -> Mapping[str, Any] | Literal["unconfined"] | None:
    """A pod that says nothing gets the default profile, as with the kubelet's `seccompDefault`."""
    kind = profile.get("type") or "RuntimeDefault"
    if kind == "Localhost":
        return local
    return "unconfined" if kind == "Unconfined" else None
