"""The Pod Security Standards as a table of checks. Pure.

Source: Kubernetes documentation "Pod Security Standards"; k8s.io/pod-security-admission policy. Each check gives None for a pod
that is fine, else why not; the reasons and their order are upstream's.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from podling.api.objects import annotations_of, get

Object = dict[str, Any]
Check = Callable[[Object], str | None]
"""Takes a pod, or a template that has metadata and spec."""

LEVELS = ("privileged", "baseline", "restricted")


def violations(pod: Object, level: str) -> list[str]:
    """Why `pod` isn't of `level`: `reason (detail)` each, or `reason` alone."""
    checks = {"privileged": (), "baseline": BASELINE, "restricted": (*_kept(), *RESTRICTED)}[level]
    found = ((reason, check(pod)) for _, reason, check in checks)
    return [f"{reason} ({detail})" if detail else reason for reason, detail in found if detail is not None]


def _kept() -> Iterator[tuple[str, str, Check]]:
    return (check for check in BASELINE if check[0] not in OVERRIDDEN)


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


_SELINUX_TYPES = ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")


def _selinux(pod: Object) -> str | None:
    holders = [("pod", get(pod, "spec.securityContext.seLinuxOptions", {}))]
    holders += [(c["name"], get(c, "securityContext.seLinuxOptions", {})) for c in containers_of(pod)]
    types = sorted({given.get("type", "") for _, given in holders} - set(_SELINUX_TYPES))
    facts = [f"type{'' if len(types) == 1 else 's'} {quoted(types)}"] if types else []
    facts += [f"{member} may not be set" for member in ("user", "role") if any(given.get(member) for _, given in holders)]
    if not facts:
        return None
    wrong = [name for name, o in holders if o.get("type", "") not in _SELINUX_TYPES or o.get("user") or o.get("role")]
    setters = ["pod"] if wrong[0] == "pod" else []
    if names := wrong[len(setters) :]:
        setters.append(counted("container", names))
    return f"{' and '.join(setters)} set forbidden securityContext.seLinuxOptions: {'; '.join(facts)}"


def _seccomp_baseline(pod: Object) -> str | None:
    words = 'must not set securityContext.seccompProfile.type to "Unconfined"'
    return _either(pod, "seccompProfile.type", lambda value: value == "Unconfined", words)


SAFE_SYSCTLS = {"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range",
                "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time",
                "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes",
                "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"}  # fmt: skip


def _sysctls(pod: Object) -> str | None:
    wrong = [each["name"] for each in get(pod, "spec.securityContext.sysctls", ()) if each["name"] not in SAFE_SYSCTLS]
    return ", ".join(wrong) or None


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
    return _unless_windows(
        pod, lambda: _containers(pod, lambda c: get(c, "securityContext.allowPrivilegeEscalation") is not False, words)
    )


def _unless_windows(pod: Object, check: Callable[[], str | None]) -> str | None:
    return None if _is_windows(pod) else check()


def _no_capabilities(pod: Object) -> str | None:
    def drops_all(container: Object) -> bool:
        return "ALL" in get(container, "securityContext.capabilities.drop", ())

    keeps = _containers(pod, lambda c: not drops_all(c), 'must set securityContext.capabilities.drop=["ALL"]')
    return _unless_windows(pod, lambda: "; ".join(filter(None, (keeps, _adds(pod, {"NET_BIND_SERVICE"})))) or None)


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
    return _unless_windows(pod, lambda: " and ".join(found) or None)


# id, reason, check; in the order of the answer
BASELINE: tuple[tuple[str, str, Check], ...] = (
    ("appArmorProfile", "forbidden AppArmor profile", _apparmor),
    ("capabilities_baseline", "non-default capabilities", _default_capabilities),
    ("hostNamespaces", "host namespaces", _host_namespaces),
    ("hostPathVolumes", "hostPath volumes", _host_paths),
    ("hostPorts", "hostPort", _host_ports),
    ("hostProbesAndHostLifecycle", "probe or lifecycle host", _probe_hosts),
    ("privileged", "privileged", _privileged),
    ("procMount", "procMount", _proc_mount),
    ("seLinuxOptions", "seLinuxOptions", _selinux),
    ("seccompProfile_baseline", "seccompProfile", _seccomp_baseline),
    ("sysctls", "forbidden sysctls", _sysctls),
    ("windowsHostProcess", "hostProcess", _host_process),
)
RESTRICTED: tuple[tuple[str, str, Check], ...] = (
    ("allowPrivilegeEscalation", "allowPrivilegeEscalation != false", _escalation),
    ("capabilities_restricted", "unrestricted capabilities", _no_capabilities),
    ("restrictedVolumes", "restricted volume types", _volumes),
    ("runAsNonRoot", "runAsNonRoot != true", _non_root),
    ("runAsUser", "runAsUser=0", _not_user_zero),
    ("seccompProfile_restricted", "seccompProfile", _seccomp_restricted),
)
OVERRIDDEN = ("capabilities_baseline", "hostPathVolumes", "seccompProfile_baseline")
