"""PodSpec and pod templates: defaulting and validation. Source: API reference "PodSpec", "PodTemplateSpec";
pkg/apis/core/v1 defaults, pkg/apis/core/validation ValidatePodSpec, ValidatePodTemplateSpec.
"""

from collections.abc import Callable, Iterable, Iterator

from podling.api import metadata, names
from podling.api.core import container, environment, placement, resources, volume
from podling.api.field import Cursor, FieldError
from podling.api.kind import Object
from podling.api.known import Known
from podling.api.rules import between, chosen, ip_address, named, not_negative, present

RESTART_POLICIES = ("Always", "OnFailure", "Never")
DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
SCHEDULER = "default-scheduler"
GRACE_SECONDS = 30


def default(spec: Object) -> None:
    """What pods and templates share."""
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("terminationGracePeriodSeconds", GRACE_SECONDS)
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", SCHEDULER)
    _mirror_service_account(spec)
    for each in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        container.default(each)
    for each in spec.get("ephemeralContainers") or ():
        container.default(each)
    for each in spec.get("volumes") or ():
        volume.default(each)


def _mirror_service_account(spec: Object) -> None:
    """The old name of the field follows the new one, or gives it."""
    if name := spec.get("serviceAccountName") or spec.get("serviceAccount"):
        spec["serviceAccountName"] = spec["serviceAccount"] = name


def default_pod(spec: Object) -> None:
    """What pods have beyond templates."""
    spec.setdefault("enableServiceLinks", True)
    for each in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        resources.default_requests(each)
        if spec.get("hostNetwork"):
            for port in each.get("ports") or ():
                if not port.get("hostPort"):
                    port["hostPort"] = port.get("containerPort")
    default(spec)


def default_template(template: Object) -> None:
    template.setdefault("metadata", {})
    default(template.setdefault("spec", {}))


def validate(spec: Cursor, *, in_template: bool = False) -> Iterator[FieldError]:
    if "volumes" in spec:
        yield from volume.validate_all(spec / "volumes")
    volumes = {each.get("name", "") for each in spec.get("volumes", ())}
    yield from container.validate_all(spec, volumes, in_template=in_template)
    value: Object = spec.value or {}
    if value.get("restartPolicy") not in RESTART_POLICIES:
        yield from chosen(spec / "restartPolicy", RESTART_POLICIES)
    if value.get("dnsPolicy") not in DNS_POLICIES:
        yield from chosen(spec / "dnsPolicy", DNS_POLICIES)
    yield from not_negative(spec / "terminationGracePeriodSeconds")
    yield from between(spec / "activeDeadlineSeconds", 1, 2**31 - 1)
    for member, check in _PARTS.items():
        if member in value:
            yield from check(spec / member)
    for member, form in _NAMES.items():
        if member in value:
            yield from named(spec / member, form)
    if spec.get("dnsPolicy") == "None":
        yield from _own_servers(spec / "dnsConfig")
    if spec.get("hostPID") and spec.get("shareProcessNamespace"):
        yield (spec / "shareProcessNamespace").invalid("ShareProcessNamespace and HostPID cannot both be enabled")


def _own_servers(config: Cursor) -> Iterator[FieldError]:
    if config.value is None:
        yield config.required("must provide `dnsConfig` when `dnsPolicy` is None")
    elif not config.get("nameservers"):
        yield (config / "nameservers").required("must provide at least one DNS nameserver when `dnsPolicy` is None")


def _node_selector(selector: Cursor) -> Iterator[FieldError]:
    yield from metadata.validate_labels(selector)


def _security(context: Cursor) -> Iterator[FieldError]:
    if not context:
        return
    for name in ("runAsUser", "runAsGroup", "fsGroup"):
        yield from container.user_id(context / name)
    for group in context / "supplementalGroups":
        yield from container.user_id(group)
    seen = set()
    for entry in context / "sysctls":
        name = entry.get("name")
        if not name:
            yield (entry / "name").required()
        elif name in seen:
            yield (entry / "name").duplicate()
        seen.add(name)
    yield from container.seccomp(context / "seccompProfile")


def _host_aliases(aliases: Cursor) -> Iterator[FieldError]:
    for alias in aliases:
        yield from ip_address(alias / "ip")
        for name in alias / "hostnames":
            yield from named(name, names.subdomain)


def _dns_config(config: Cursor) -> Iterator[FieldError]:
    servers = config / "nameservers"
    if len(servers.value or ()) > 3:
        yield servers.invalid("must not have more than 3 nameservers")
    for server in servers:
        yield from ip_address(server)
    for search in config / "searches":
        if search.value not in (".", ""):
            for complaint in names.subdomain(str(search.value).removesuffix(".").replace("_", "-")):
                yield search.invalid(complaint)
    for option in config / "options":
        if not option.get("name"):
            yield option.required("must not be empty")


def _gates(gates: Cursor) -> Iterator[FieldError]:
    seen = set()
    for gate in gates:
        name = gate.get("name", "")
        for complaint in names.qualified(name):
            yield gate.invalid(complaint, name)
        if name in seen:
            yield gate.duplicate(name)
        seen.add(name)


def _readiness_gates(gates: Cursor) -> Iterator[FieldError]:
    for gate in gates:
        for complaint in names.qualified(gate.get("conditionType", "")):
            yield (gate / "conditionType").invalid(complaint, gate.get("conditionType", ""))


_PARTS: dict[str, Callable[[Cursor], Iterable[FieldError]]] = {
    "nodeSelector": _node_selector,
    "securityContext": _security,
    "hostAliases": _host_aliases,
    "dnsConfig": _dns_config,
    "tolerations": Known(placement.validate_tolerations),
    "affinity": Known(placement.validate_affinity),
    "topologySpreadConstraints": Known(placement.validate_spread),
    "schedulingGates": _gates,
    "readinessGates": _readiness_gates,
}
_NAMES: dict[str, names.Check] = {
    "serviceAccountName": names.subdomain,
    "nodeName": names.subdomain,
    "hostname": names.label,
    "subdomain": names.label,
    "priorityClassName": names.subdomain,
    "runtimeClassName": names.subdomain,
    "schedulerName": names.qualified,
}


def validate_template(template: Cursor) -> Iterator[FieldError]:
    meta = template / "metadata"
    yield from metadata.validate_labels(meta / "labels")
    yield from metadata.validate_annotations(meta / "annotations")
    spec = template / "spec"
    yield from validate(spec, in_template=True)
    if spec.get("ephemeralContainers"):
        yield (spec / "ephemeralContainers").forbidden("ephemeral containers not allowed in pod template")


def validate_ephemeral(spec: Cursor) -> Iterator[FieldError]:
    """Ephemeral containers, as their subresource adds them: no ports, probes or limits."""
    taken = {each.get("name") for name in ("containers", "initContainers") for each in spec.get(name, ())}
    seen: set[str] = set()
    for each in spec / "ephemeralContainers":
        name, target = each / "name", each / "targetContainerName"
        yield from present(name)
        if name.value and (name.value in taken or name.value in seen):
            yield name.duplicate()
        seen.add(name.value or "")
        yield from named(name, names.label)
        yield from present(each / "image")
        yield from environment.validate(each)
        if target.value and target.value not in taken:
            yield target.not_found()
        for member in ("ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle", "resources", "resizePolicy"):
            if each.get(member):
                yield (each / member).forbidden("cannot be set for an Ephemeral Container")
