"""The Pod Security Standards as a table of checks. Pure.

Source: Kubernetes documentation "Pod Security Standards"; k8s.io/pod-security-admission policy. Each check gives None for a pod
that is fine, else why not; the reasons and their order are upstream's.
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cache, partial
from typing import Any

from podling.api.objects import annotations_of, get

Object = dict[str, Any]
Check = Callable[[Object], str | None]
"""Takes a pod, or a template that has metadata and spec."""
Row = tuple[str, str, tuple[tuple[int, Check], ...]]
"""A check's id, its reason, and the minor versions that began with a form of it."""

LEVELS = ("privileged", "baseline", "restricted")


LATEST = "latest"


def violations(pod: Object, level: str, version: str = LATEST) -> list[str]:
    """Why `pod` isn't of `level` as `version` (`latest`, `v1.30`) has it: `reason (detail)` each, or `reason` alone."""
    found = ((reason, check(pod)) for reason, check in _checks(level, version))
    return [f"{reason} ({detail})" if detail else reason for reason, detail in found if detail is not None]


@cache
def _checks(level: str, version: str) -> list[tuple[str, Check]]:
    """Those of a level at a version. What a restricted check is stricter about, the baseline's isn't asked."""
    if level == "privileged":
        return []
    minor = math.inf if version == LATEST else int(version.removeprefix("v1."))
    baseline, restricted = _at(BASELINE, minor), _at(RESTRICTED, minor) if level == "restricted" else {}
    overridden = {OVERRIDES.get(id) for id in restricted}
    return [*(check for id, check in baseline.items() if id not in overridden), *restricted.values()]


def _at(rows: Sequence[Row], minor: float) -> dict[str, tuple[str, Check]]:
    """The newest form of each check that is not newer than the version."""
    found = {}
    for id, reason, forms in rows:
        checks = [check for since, check in forms if since <= minor]
        if checks:
            found[id] = (reason, checks[-1])
    return found


# what the checks speak of


def containers_of(pod: Object) -> Iterator[Object]:
    for member in ("initContainers", "containers", "ephemeralContainers"):
        yield from get(pod, f"spec.{member}", ())


def _names(pod: Object, bad: Callable[[Object], Any]) -> list[str]:
    return [container["name"] for container in containers_of(pod) if bad(container)]


def quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def counted(word: str, names: Sequence[str]) -> str:
    """`container "a"`, `containers "a", "b"`."""
    return f"{word}{'' if len(names) == 1 else 's'} {quoted(names)}"


def _containers(pod: Object, bad: Callable[[Object], Any], words: str) -> str | None:
    """`words` about the containers that are `bad`."""
    names = _names(pod, bad)
    return f"{counted('container', names)} {words}" if names else None


def _either(pod: Object, path: str, bad: Callable[[Any], bool], words: str) -> str | None:
    """`words` about the pod and the containers whose security context has a bad value at `path`."""
    setters = ["pod"] if bad(get(pod, f"spec.securityContext.{path}")) else []
    if names := _names(pod, lambda container: bad(get(container, f"securityContext.{path}"))):
        setters.append(counted("container", names))
    return f"{' and '.join(setters)} {words}" if setters else None


def _is_windows(pod: Object) -> bool:
    return bool(get(pod, "spec.os.name") == "windows")


# baseline


def _apparmor(pod: Object) -> str | None:
    prefix = "container.apparmor.security.beta.kubernetes.io/"
    wrong = [
        f'{name}="{value}"'
        for name, value in sorted(annotations_of(pod).items())
        if name.startswith(prefix) and value not in ("", "runtime/default") and not value.startswith("localhost/")
    ]
    words = 'must not set AppArmor profile type to "Unconfined"'
    typed = _either(pod, "appArmorProfile.type", lambda value: value == "Unconfined", words)
    noted = f"annotation{'' if len(wrong) == 1 else 's'} {', '.join(wrong)}" if wrong else None
    return "; ".join(filter(None, (typed, noted))) or None


DEFAULT_CAPABILITIES = {"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE",
                        "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"}  # fmt: skip


def _added(container: Object, allowed: set[str]) -> set[str]:
    return set(get(container, "securityContext.capabilities.add", ())) - allowed


def _adds(pod: Object, allowed: set[str]) -> str | None:
    names = _names(pod, lambda container: _added(container, allowed))
    wrong = sorted(set().union(*(_added(container, allowed) for container in containers_of(pod))))
    return (
        f"{counted('container', names)} must not include {quoted(wrong)} in securityContext.capabilities.add" if names else None
    )


def _default_capabilities(pod: Object) -> str | None:
    return _adds(pod, DEFAULT_CAPABILITIES)


def _host_namespaces(pod: Object) -> str | None:
    shared = [f"{name}=true" for name in ("hostNetwork", "hostPID", "hostIPC") if get(pod, f"spec.{name}")]
    return ", ".join(shared) or None


def _host_paths(pod: Object) -> str | None:
    names = [volume["name"] for volume in get(pod, "spec.volumes", ()) if volume.get("hostPath") is not None]
    return counted("volume", names) if names else None


def _host_ports(pod: Object) -> str | None:
    ports = {c["name"]: [p["hostPort"] for p in c.get("ports") or () if p.get("hostPort")] for c in containers_of(pod)}
    names = [name for name, used in ports.items() if used]
    numbers = sorted({port for used in ports.values() for port in used})
    if not names:
        return None
    uses = "uses" if len(names) == 1 else "use"
    return f"{counted('container', names)} {uses} hostPort{'' if len(numbers) == 1 else 's'} {', '.join(map(str, numbers))}"


_HANDLERS = ("livenessProbe", "readinessProbe", "startupProbe", "lifecycle.postStart", "lifecycle.preStop")


def _reaches_host(container: Object) -> bool:
    return any(get(container, f"{handler}.{kind}.host") for handler in _HANDLERS for kind in ("httpGet", "tcpSocket"))


def _probe_hosts(pod: Object) -> str | None:
    names = _names(pod, _reaches_host)
    uses = "uses" if len(names) == 1 else "use"
    return f"{counted('container', names)} {uses} probe or lifecycle host" if names else None


def _privileged(pod: Object) -> str | None:
    bad = "must not set securityContext.privileged=true"
    return _containers(pod, lambda container: get(container, "securityContext.privileged"), bad)


def _proc_mount(pod: Object) -> str | None:
    kinds = [get(container, "securityContext.procMount", "Default") for container in containers_of(pod)]
    wrong = sorted({kind for kind in kinds if kind != "Default"})
    if get(pod, "spec.hostUsers") is False or not wrong:
        return None  # what a user namespace shows of /proc is harmless
    names = _names(pod, lambda container: get(container, "securityContext.procMount", "Default") != "Default")
    return f"{counted('container', names)} must not set securityContext.procMount to {quoted(wrong)}"


_FIRST_SELINUX = ("", "container_t", "container_init_t", "container_kvm_t")
_SELINUX_TYPES = (*_FIRST_SELINUX, "container_engine_t")


def _selinux(pod: Object, allowed: Sequence[str] = _SELINUX_TYPES) -> str | None:
    holders = [("pod", get(pod, "spec.securityContext.seLinuxOptions", {}))]
    holders += [(c["name"], get(c, "securityContext.seLinuxOptions", {})) for c in containers_of(pod)]
    types = sorted({given.get("type", "") for _, given in holders} - set(allowed))
    facts = [f"type{'' if len(types) == 1 else 's'} {quoted(types)}"] if types else []
    facts += [f"{member} may not be set" for member in ("user", "role") if any(given.get(member) for _, given in holders)]
    if not facts:
        return None
    wrong = [name for name, o in holders if o.get("type", "") not in allowed or o.get("user") or o.get("role")]
    setters = ["pod"] if wrong[0] == "pod" else []
    if names := wrong[len(setters) :]:
        setters.append(counted("container", names))
    return f"{' and '.join(setters)} set forbidden securityContext.seLinuxOptions: {'; '.join(facts)}"


def _seccomp_baseline(pod: Object) -> str | None:
    words = 'must not set securityContext.seccompProfile.type to "Unconfined"'
    return _either(pod, "seccompProfile.type", lambda value: value == "Unconfined", words)


_FIRST_SYSCTLS = frozenset({"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies",
                            "net.ipv4.ping_group_range", "net.ipv4.ip_unprivileged_port_start"})  # fmt: skip
_SYSCTLS_27 = _FIRST_SYSCTLS | {"net.ipv4.ip_local_reserved_ports"}
_SYSCTLS_29 = _SYSCTLS_27 | {"net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl",
                             "net.ipv4.tcp_keepalive_probes"}  # fmt: skip
SAFE_SYSCTLS = _SYSCTLS_29 | {"net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"}


def _sysctls(pod: Object, allowed: Collection[str] = SAFE_SYSCTLS) -> str | None:
    wrong = [each["name"] for each in get(pod, "spec.securityContext.sysctls", ()) if each["name"] not in allowed]
    return ", ".join(wrong) or None


_ALPHA_SECCOMP = "seccomp.security.alpha.kubernetes.io/pod"


def _seccomp_annotations(pod: Object) -> str | None:
    """Before v1.19 the profile was said in annotations."""
    prefix = "container.seccomp.security.alpha.kubernetes.io/"
    wrong = [
        f'{name}="{value}"'
        for name, value in sorted(annotations_of(pod).items())
        if (name == _ALPHA_SECCOMP or name.startswith(prefix)) and value == "unconfined"
    ]
    return f"forbidden annotation{'' if len(wrong) == 1 else 's'} {', '.join(wrong)}" if wrong else None


def _host_process(pod: Object) -> str | None:
    return _either(
        pod,
        "windowsOptions.hostProcess",
        lambda value: value is True,
        "must not set securityContext.windowsOptions.hostProcess=true",
    )


# restricted


def _escalation(pod: Object) -> str | None:
    words = "must set securityContext.allowPrivilegeEscalation=false"
    return _containers(pod, lambda c: get(c, "securityContext.allowPrivilegeEscalation") is not False, words)


def _unless_windows(check: Check) -> Check:
    """What Windows has no word for isn't asked of it."""
    return lambda pod: None if _is_windows(pod) else check(pod)


def _no_capabilities(pod: Object) -> str | None:
    def drops_all(container: Object) -> bool:
        return "ALL" in get(container, "securityContext.capabilities.drop", ())

    keeps = _containers(pod, lambda c: not drops_all(c), 'must set securityContext.capabilities.drop=["ALL"]')
    return "; ".join(filter(None, (keeps, _adds(pod, {"NET_BIND_SERVICE"})))) or None


_VOLUMES = ("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret")


def _volumes(pod: Object) -> str | None:
    """Everything else than the harmless types."""
    wrong = {
        volume["name"]: next((name for name in volume if name != "name"), "unknown")
        for volume in get(pod, "spec.volumes", ())
        if not any(volume.get(name) is not None for name in _VOLUMES)
    }
    kinds = sorted(set(wrong.values()))
    if not wrong:
        return None
    uses = "uses" if len(wrong) == 1 else "use"
    kind = f"restricted volume type{'' if len(kinds) == 1 else 's'} {quoted(kinds)}"
    return f"{counted('volume', list(wrong))} {uses} {kind}"


def _non_root(pod: Object) -> str | None:
    pod_says = get(pod, "spec.securityContext.runAsNonRoot")
    denying = _names(pod, lambda c: get(c, "securityContext.runAsNonRoot") is False)
    silent = _names(pod, lambda c: get(c, "securityContext.runAsNonRoot") is None)
    found = []
    if pod_says is False:
        found.append("pod must not set securityContext.runAsNonRoot=false")
    if denying:
        found.append(f"{counted('container', denying)} must not set securityContext.runAsNonRoot=false")
    if silent and pod_says is None and not found:
        found.append(f"pod or {counted('container', silent)} must set securityContext.runAsNonRoot=true")
    return " and ".join(found) or None


def _not_user_zero(pod: Object) -> str | None:
    return _either(pod, "runAsUser", lambda value: value == 0, "must not set runAsUser=0")


_PROFILES = ("RuntimeDefault", "Localhost")


def _seccomp_restricted(pod: Object) -> str | None:
    pod_says = get(pod, "spec.securityContext.seccompProfile.type")
    wrong = _names(pod, lambda c: get(c, "securityContext.seccompProfile.type", "RuntimeDefault") not in _PROFILES)
    found = []
    if pod_says is not None and pod_says not in _PROFILES:
        found.append(f"pod must not set securityContext.seccompProfile.type to {quoted([pod_says])}")
    if wrong:
        found.append(f'{counted("container", wrong)} must not set securityContext.seccompProfile.type to "Unconfined"')
    silent = _names(pod, lambda c: get(c, "securityContext.seccompProfile.type") is None)
    if silent and pod_says is None and not found:
        words = 'must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
        found.append(f"pod or {counted('container', silent)} {words}")
    return " and ".join(found) or None


# in the order of the answer
BASELINE: tuple[Row, ...] = (
    ("appArmorProfile", "forbidden AppArmor profile", ((0, _apparmor),)),
    ("capabilities_baseline", "non-default capabilities", ((0, _default_capabilities),)),
    ("hostNamespaces", "host namespaces", ((0, _host_namespaces),)),
    ("hostPathVolumes", "hostPath volumes", ((0, _host_paths),)),
    ("hostPorts", "hostPort", ((0, _host_ports),)),
    ("hostProbesAndHostLifecycle", "probe or lifecycle host", ((34, _probe_hosts),)),
    ("privileged", "privileged", ((0, _privileged),)),
    ("procMount", "procMount", ((0, _proc_mount),)),
    ("seLinuxOptions", "seLinuxOptions", ((0, partial(_selinux, allowed=_FIRST_SELINUX)), (31, _selinux))),
    ("seccompProfile_baseline", "seccompProfile", ((0, _seccomp_annotations), (19, _seccomp_baseline))),
    (
        "sysctls",
        "forbidden sysctls",
        (
            (0, partial(_sysctls, allowed=_FIRST_SYSCTLS)),
            (27, partial(_sysctls, allowed=_SYSCTLS_27)),
            (29, partial(_sysctls, allowed=_SYSCTLS_29)),
            (32, _sysctls),
        ),
    ),
    ("windowsHostProcess", "hostProcess", ((0, _host_process),)),
)
RESTRICTED: tuple[Row, ...] = (
    ("allowPrivilegeEscalation", "allowPrivilegeEscalation != false", ((8, _escalation), (25, _unless_windows(_escalation)))),
    (
        "capabilities_restricted",
        "unrestricted capabilities",
        ((22, _no_capabilities), (25, _unless_windows(_no_capabilities))),
    ),
    ("restrictedVolumes", "restricted volume types", ((0, _volumes),)),
    ("runAsNonRoot", "runAsNonRoot != true", ((0, _non_root),)),
    ("runAsUser", "runAsUser=0", ((23, _not_user_zero),)),
    ("seccompProfile_restricted", "seccompProfile", ((19, _seccomp_restricted), (25, _unless_windows(_seccomp_restricted)))),
)
OVERRIDES = {
    "capabilities_restricted": "capabilities_baseline",
    "restrictedVolumes": "hostPathVolumes",
    "seccompProfile_restricted": "seccompProfile_baseline",
}
