"""The resize subresource of a pod: CPU and memory change in place, nothing else does.

Source: Kubernetes documentation "Resize CPU and Memory Resources assigned to Containers"; KEP-1287, KEP-5419.
"""

from collections.abc import Iterator

from podling.api import objects
from podling.api.core import podspec
from podling.api.core.resources import qos_class
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import Object
from podling.base import quantity

MIRROR = "kubernetes.io/config.mirror"
_LISTS = ("containers", "initContainers")
_SIZES = ("cpu", "memory")
_AMOUNTS = ("requests", "limits")


def narrow(new: Object, old: Object) -> None:
    """Leave of `new`'s wishes those that a resize is about; all else is as in `old`. In place.

    Where containers come, go or change their order the spec stays as sent: validation names what is wrong.
    """
    wish, before = new.get("spec") or {}, old["spec"]
    version = new["metadata"].get("resourceVersion")
    new["metadata"] = {**objects.thaw(old["metadata"]), "resourceVersion": version}
    new["status"] = old.get("status", {})
    if any(_names(wish, each) != _names(before, each) for each in _LISTS):
        return
    spec = dict(before)
    for each in _LISTS:
        if before.get(each):
            spec[each] = [_resized(container, to) for container, to in zip(before[each], wish[each], strict=True)]
    _take(spec, wish, "resources")
    new["spec"] = spec


def _names(spec: Object, list_: str) -> list[str]:
    return [container.get("name", "") for container in spec.get(list_) or ()]


def _resized(container: Object, to: Object) -> Object:
    resized = dict(container)
    for member in ("resources", "resizePolicy"):
        _take(resized, to, member)
    return resized


def _take(target: Object, source: Object, member: str) -> None:
    if member in source:
        target[member] = source[member]
    else:
        target.pop(member, None)


def errors(new: Object, old: Object) -> list[FieldError]:
    """All that is wrong with a resize."""
    if MIRROR in (old["metadata"].get("annotations") or {}):
        return [at(new).forbidden("static pods cannot be resized")]
    if objects.get(old, "spec.os.name") == "windows":
        return [at(new).forbidden("windows pods cannot be resized")]
    return list(_errors(new, old))


def _errors(new: Object, old: Object) -> Iterator[FieldError]:
    spec, before = at(new, "spec"), old["spec"]
    yield from podspec.validate(spec)
    if (objects.get(old, "status.qosClass") or qos_class(before)) != qos_class(spec.value):
        yield spec.invalid("Pod QOS Class may not change as a result of resizing", objects.get(new, "status.qosClass", ""))
    if not _supported(old):
        yield spec.forbidden("Pod running on node without support for resize")
    yield from _of_pod(spec, before)
    if moved := list(_order(spec, before)):
        yield from moved
        return
    for each in _LISTS:
        for container, was in zip(spec / each, before.get(each) or (), strict=True):
            yield from _of_container(container, was, spec, sidecars=each == "initContainers")


def _supported(pod: Object) -> bool:
    """A node that can resize tells the resources of what runs."""
    running = (status for status in objects.get(pod, "status.containerStatuses", ()) if "running" in (status.get("state") or {}))
    first = next(running, None)
    return first is None or first.get("resources") is not None


def _of_pod(spec: Cursor, before: Object) -> Iterator[FieldError]:
    needs, had = spec / "resources", before.get("resources")
    if had is not None and needs.value is None:
        yield needs.forbidden("pod-level resources cannot be removed")
        return
    yield from _removed(needs, had or {}, "pod-level resource")
    if _rest(needs.value or {}) != _rest(had or {}):
        yield spec.forbidden("only cpu and memory resources are mutable at pod-level")


def _removed(needs: Cursor, had: Object, words: str) -> Iterator[FieldError]:
    for member in _AMOUNTS:
        if (had.get(member) or {}).keys() - (needs.get(member) or {}).keys():
            yield (needs / member).forbidden(f"{words} {member} cannot be removed")


def _rest(needs: Object) -> Object:
    """What is neither processor time nor memory, in a form that compares."""
    rest = {name: value for name, value in needs.items() if name not in _AMOUNTS and value}
    for member in _AMOUNTS:
        others = {name: amount for name, amount in (needs.get(member) or {}).items() if name not in _SIZES}
        rest[member] = {name: quantity.parse(amount).nanos for name, amount in others.items()}
    return rest


def _order(spec: Cursor, before: Object) -> Iterator[FieldError]:
    for each in _LISTS:
        now, was = _names(spec.value, each), _names(before, each)
        if len(now) != len(was):
            yield (spec / each).forbidden(f"{each} may not be added or removed on resize")
            continue
        for container, name in zip(spec / each, was, strict=True):
            if container.get("name") != name:
                yield (container / "name").forbidden(f"{each} may not be renamed or reordered on resize")


def _of_container(container: Cursor, was: Object, spec: Cursor, *, sidecars: bool) -> Iterator[FieldError]:
    needs, had = container / "resources", was.get("resources") or {}
    yield from _removed(needs, had, "resource")
    where, of = (container, "resources for init or sidecar containers") if sidecars else (spec, "resources")
    if _rest(needs.value or {}) != _rest(had) or _without_sizes(container.value) != _without_sizes(was):
        yield where.forbidden(f"only cpu and memory {of} are mutable")
    changed = (needs.value or {}) != had
    restarts = any(policy.get("restartPolicy") == "RestartContainer" for policy in container.get("resizePolicy") or ())
    if sidecars and changed and container.get("restartPolicy") != "Always" and restarts:
        words = "non-sidecar init containers with a resize policy of RestartContainer cannot be resized"
        yield container.forbidden(words)


def _without_sizes(container: Object) -> Object:
    return {name: value for name, value in container.items() if name != "resources" and value not in ([], {})}
