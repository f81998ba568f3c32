"""Containers of a pod: defaulting and validation. Source: API reference "Container"; pkg/apis/core/validation ValidatePodSpec."""

from collections.abc import Iterator
from typing import Any

from podling.api import names
from podling.api.core import environment, probe, resources
from podling.api.field import Cursor, FieldError
from podling.api.kind import Object
from podling.api.known import Known
from podling.api.rules import chosen, one_of, present

PULL_POLICIES = ("Always", "IfNotPresent", "Never")
MESSAGE_POLICIES = ("File", "FallbackToLogsOnError")
PROTOCOLS = ("SCTP", "TCP", "UDP")
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
HOOKS = ("postStart", "preStop")


def default(container: Object) -> None:
    """Fill in what a container left out."""
    container.setdefault("resources", {})
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    container.setdefault("imagePullPolicy", "Always" if _is_latest(container.get("image", "")) else "IfNotPresent")
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")
    for variable in container.get("env") or ():
        environment.default(variable)
    for name in PROBES:
        if container.get(name):
            probe.default(container[name])
    for name in HOOKS:
        if hook := (container.get("lifecycle") or {}).get(name):
            probe.default_handler(hook)


def _is_latest(image: str) -> bool:
    if "@" in image:
        return False
    before, _, tag = image.rpartition(":")
    return not before or "/" in tag or tag == "latest"


def is_sidecar(container: Any) -> bool:
    """Whether an init container goes on running beside the others."""
    return bool(container.get("restartPolicy") == "Always")


def validate_all(spec: Cursor, volumes: set[str], *, in_template: bool) -> Iterator[FieldError]:
    """The regular and init containers of a pod; `volumes` are the names that mounts may use."""
    containers, seen = spec / "containers", set[str]()
    if not containers:
        yield containers.required()
    for container in containers:
        yield from _validate(container, volumes, seen)
    for container in spec / "initContainers":
        yield from _validate(container, volumes, seen)
        yield from _only_init(container)
    yield from _host_ports(spec, in_template=in_template)
    if not in_template:
        yield from _images(spec)


def _validate(container: Cursor, volumes: set[str], seen: set[str]) -> Iterator[FieldError]:
    value: Object = container.value or {}
    yield from _names(container, seen)
    yield from _alone(container, {name: value[name] for name in value if name != "volumeMounts"})
    if "volumeMounts" in value:
        yield from _mounts(container / "volumeMounts", volumes)


def _validate_alone(container: Cursor) -> Iterator[FieldError]:
    """What neither other containers nor volumes have a say in."""
    value: Object = container.value or {}
    if value.get("imagePullPolicy") not in PULL_POLICIES:
        yield from chosen(container / "imagePullPolicy", PULL_POLICIES)
    if value.get("terminationMessagePolicy") not in MESSAGE_POLICIES:
        yield from chosen(container / "terminationMessagePolicy", MESSAGE_POLICIES)
    if "ports" in value:
        yield from _ports(container / "ports")
    if "env" in value or "envFrom" in value:
        yield from environment.validate(container)
    if "resources" in value:
        yield from resources.validate(container / "resources")
    for name in PROBES:
        if name in value:
            yield from probe.validate(container / name, once=name != "readinessProbe")
    if "lifecycle" in value:
        for name in HOOKS:
            if name in container / "lifecycle":
                yield from probe.validate_handler(container / "lifecycle" / name, probe.HOOK_HANDLERS)
    if "securityContext" in value:
        yield from validate_security(container / "securityContext")


_alone = Known(_validate_alone)


def _names(container: Cursor, seen: set[str]) -> Iterator[FieldError]:
    name = container.get("name")
    if not name:
        yield (container / "name").required()
    else:
        for complaint in names.label(name):
            yield (container / "name").invalid(complaint)
        if name in seen:
            yield (container / "name").duplicate()
        seen.add(name)
    if not container.get("image"):
        yield (container / "image").required()


def _images(spec: Cursor) -> Iterator[FieldError]:
    for name in ("containers", "initContainers"):
        for container in spec / name:
            image = container.get("image", "")
            if image != image.strip():
                yield (container / "image").invalid("must not have leading or trailing whitespace")


def _only_init(container: Cursor) -> Iterator[FieldError]:
    yield from one_of(container / "restartPolicy", ("Always", "OnFailure", "Never"))
    if is_sidecar(container):
        return
    for name in ("lifecycle", *PROBES):
        if container.get(name):
            yield (container / name).forbidden("may not be set for init containers without restartPolicy=Always")


def _ports(ports: Cursor) -> Iterator[FieldError]:
    seen: set[str] = set()
    for port in ports:
        if name := port.get("name"):
            for complaint in names.port_name(name):
                yield (port / "name").invalid(complaint)
            if name in seen:
                yield (port / "name").duplicate()
            seen.add(name)
        yield from _port_numbers(port)
        if port.get("protocol") not in PROTOCOLS:
            yield from chosen(port / "protocol", PROTOCOLS)


def _port_numbers(port: Cursor) -> Iterator[FieldError]:
    number = port / "containerPort"
    if not number.value:
        yield number.required()
    else:
        for complaint in names.port_number(number.value):
            yield number.invalid(complaint)
    if port.get("hostPort"):
        for complaint in names.port_number(port.get("hostPort")):
            yield (port / "hostPort").invalid(complaint)


def _host_ports(spec: Cursor, *, in_template: bool) -> Iterator[FieldError]:
    """A host port can be had once; with the host's network it is the container's. Templates may leave it open."""
    on_host = bool(spec.get("hostNetwork"))
    taken: set[str] = set()
    for container in spec / "containers":
        if not on_host and not any(port.get("hostPort") for port in container.get("ports", ())):
            continue
        for port in container / "ports":
            number = port.get("hostPort", 0)
            if on_host and (number or not in_template) and number != port.get("containerPort"):
                yield (port / "hostPort").invalid("must match `containerPort` when `hostNetwork` is true", number)
            if not number:
                continue
            identity = f"{port.get('protocol')}/{port.get('hostIP', '')}/{number}"
            if identity in taken:
                yield (port / "hostPort").duplicate(identity)
            taken.add(identity)


def _mounts(mounts: Cursor, volumes: set[str]) -> Iterator[FieldError]:
    places: set[str] = set()
    for mount in mounts:
        name, place = mount.get("name"), mount.get("mountPath")
        if not name:
            yield from present(mount / "name")
        elif name not in volumes:
            yield (mount / "name").not_found()
        if not place:
            yield from present(mount / "mountPath")
        if place in places:
            yield (mount / "mountPath").invalid("must be unique")
        places.add(place)
        if mount.get("subPath") and mount.get("subPathExpr"):
            yield (mount / "subPathExpr").invalid("subPathExpr and subPath are mutually exclusive")
        for member in ("subPath", "subPathExpr"):
            if member in mount:
                yield from inside(mount / member)
        if "mountPropagation" in mount:
            yield from one_of(mount / "mountPropagation", ("Bidirectional", "HostToContainer", "None"))


def inside(path: Cursor) -> Iterator[FieldError]:
    """A relative path that doesn't lead out."""
    if not path.value:
        return
    if path.value.startswith("/"):
        yield path.invalid("must be a relative path")
    if ".." in path.value.split("/"):
        yield path.invalid("must not contain '..'")


def validate_security(context: Cursor) -> Iterator[FieldError]:
    """The SecurityContext of a container."""
    for name in ("runAsUser", "runAsGroup"):
        yield from user_id(context / name)
    if context.get("allowPrivilegeEscalation") is False:
        escalation = context / "allowPrivilegeEscalation"
        if context.get("privileged"):
            yield context.invalid("cannot set `allowPrivilegeEscalation` to false and `privileged` to true")
        if "SYS_ADMIN" in ((context / "capabilities").get("add") or ()):
            yield escalation.invalid("cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN")
    yield from one_of(context / "procMount", ("Default", "Unmasked"))
    yield from seccomp(context / "seccompProfile")


def user_id(number: Cursor) -> Iterator[FieldError]:
    if number.value is not None and not 0 <= number.value <= 2**32 - 1:
        yield number.invalid("must be between 0 and 4294967295, inclusive")


def seccomp(profile: Cursor) -> Iterator[FieldError]:
    if profile.value is None:
        return
    yield from chosen(profile / "type", ("Localhost", "RuntimeDefault", "Unconfined"))
    local = profile / "localhostProfile"
    if profile.get("type") == "Localhost":
        yield from present(local, "must be set when seccomp type is Localhost")
    elif local.value is not None:
        yield local.invalid("can only be set when seccomp type is Localhost")
