"""v1 Pod. Source: Kubernetes API reference, "Pod"; pkg/registry/core/pod/strategy."""

import json
from collections.abc import Iterator
from typing import Any

from podling.api import objects
from podling.api.core import podspec
from podling.api.core.pod_columns import COLUMNS
from podling.api.core.resources import qos_class
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import PROXIED, STATUS, Kind, Object, Subresource, paths

_ONLY = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def default(obj: Object) -> None:
    podspec.default_pod(obj.setdefault("spec", {}))


def prepare(new: Object, old: Object | None) -> None:
    if old is not None:
        return
    spec = new.get("spec") or {}
    new["status"] = {"phase": "Pending", "qosClass": qos_class(spec)}
    if spec.get("schedulingGates"):
        gated = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
        }
        new["status"]["conditions"] = [gated]


def validate(new: Object, old: Object | None) -> Iterator[FieldError]:
    if old is not None and new.get("spec") == old.get("spec"):
        return  # it was good when it was stored
    spec = at(new, "spec")
    yield from podspec.validate(spec)
    if not spec.get("serviceAccountName"):
        yield from _no_tokens(spec)
    if old is None:
        if spec.get("ephemeralContainers"):
            yield (spec / "ephemeralContainers").forbidden("cannot be set on create")
        if spec.get("nodeName") and spec.get("schedulingGates"):
            yield (spec / "nodeName").forbidden("cannot be set until all schedulingGates have been cleared")
    else:
        yield from _validate_update(spec, old.get("spec") or {})


def _no_tokens(spec: Cursor) -> Iterator[FieldError]:
    for volume in spec / "volumes":
        for source in volume / "projected" / "sources":
            if source.get("serviceAccountToken") is not None:
                yield (source / "serviceAccountToken").forbidden("must not be specified when serviceAccountName is not set")


def _validate_update(spec: Cursor, old: Object) -> Iterator[FieldError]:
    for name in ("containers", "initContainers"):
        if len(spec.get(name, ())) != len(old.get(name) or ()):
            yield (spec / name).forbidden("pod updates may not add or remove containers")
            return
    yield from _deadline(spec / "activeDeadlineSeconds", old.get("activeDeadlineSeconds"))
    yield from _tolerations(spec / "tolerations", old.get("tolerations") or [])
    yield from _gates(spec / "schedulingGates", old.get("schedulingGates") or [])
    as_before = _without_changes_allowed(spec.value, old)
    if as_before != old:
        yield spec.forbidden(f"{_ONLY}\n{_difference(old, as_before)}")


def _without_changes_allowed(spec: Object, old: Object) -> Object:
    """`spec` with each field that may change as it was."""
    result = dict(spec)
    for name in ("activeDeadlineSeconds", "tolerations", "schedulingGates"):
        _restore(result, old, name)
    if old.get("schedulingGates"):  # a gated pod may still be told where to go
        for name in ("nodeSelector", "affinity"):
            _restore(result, old, name)
    if (old.get("terminationGracePeriodSeconds") or 0) < 0 and spec.get("terminationGracePeriodSeconds") == 1:
        _restore(result, old, "terminationGracePeriodSeconds")
    for name in ("containers", "initContainers"):
        if name in result:
            pairs = zip(result[name], old.get(name) or (), strict=True)
            result[name] = [{**container, "image": before.get("image")} for container, before in pairs]
    return result


def _restore(result: Object, old: Object, name: str) -> None:
    result.pop(name, None)
    if name in old:
        result[name] = old[name]


def _difference(old: Object, new: Object) -> str:
    """The changed members, a line before and a line after."""
    return "\n".join(_changes(old, new, ""))


def _changes(old: Any, new: Any, path: str) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted({*old, *new}):
            yield from _changes(old.get(name), new.get(name), f"{path}.{name}" if path else name)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, pair in enumerate(zip(old, new, strict=True)):
            yield from _changes(*pair, f"{path}[{index}]")
    elif old != new:
        yield f"- {path}: {json.dumps(old)}"
        yield f"+ {path}: {json.dumps(new)}"


def _deadline(seconds: Cursor, before: int | None) -> Iterator[FieldError]:
    if before is None:
        return
    if seconds.value is None:
        yield seconds.invalid("must not update from a positive integer to nil value")
    elif seconds.value > before:
        yield seconds.invalid("must be less than or equal to previous value")


def _tolerations(tolerations: Cursor, old: list[Object]) -> Iterator[FieldError]:
    def essence(toleration: Object) -> Object:
        return {name: value for name, value in toleration.items() if name != "tolerationSeconds"}

    kept = [essence(toleration) for toleration in tolerations.value or ()]
    if any(essence(toleration) not in kept for toleration in old):
        yield tolerations.forbidden("existing toleration can not be modified except its tolerationSeconds")


def _gates(gates: Cursor, old: list[Object]) -> Iterator[FieldError]:
    known = {gate.get("name") for gate in old}
    for gate in gates:
        if gate.get("name") not in known:
            yield (gate / "name").forbidden(f"only deletion is allowed, but found new scheduling gate '{gate.get('name')}'")


def prepare_ephemeral(new: Object, old: Object) -> Object:
    """For the ephemeralcontainers subresource: `old` with `new`'s ephemeral containers, defaulted."""
    added = objects.get(new, "spec.ephemeralContainers", [])
    pod = objects.put(old, "spec.ephemeralContainers", objects.thaw(added))
    podspec.default({"ephemeralContainers": objects.get(pod, "spec.ephemeralContainers")})
    return pod


def ephemeral_errors(new: Object, old: Object) -> list[FieldError]:
    """What is wrong with the ephemeral containers of `new`: they can be added, not changed or removed."""
    spec = at(new, "spec")
    found = list(podspec.validate_ephemeral(spec))
    now = {each.get("name"): each for each in spec.get("ephemeralContainers", ())}
    for before in objects.get(old, "spec.ephemeralContainers", ()):
        if now.get(before["name"]) != before:
            done = "changed" if before["name"] in now else "removed"
            words = f'existing ephemeral containers "{before["name"]}" may not be {done}'
            found.append((spec / "ephemeralContainers").forbidden(words))
    return found


def is_finished(pod: Object) -> bool:
    """Whether it ran to its end, well or not."""
    return objects.get(pod, "status.phase") in ("Succeeded", "Failed")


def is_ready(pod: Object) -> bool:
    return objects.has_condition(pod, "Ready")


_STREAM = ("create", "get")

POD = Kind(
    api_version="v1",
    kind="Pod",
    plural="pods",
    short=("po",),
    categories=("all",),
    generation=("spec",),
    subresources=(
        Subresource("attach", _STREAM, kind="PodAttachOptions"),
        Subresource("binding", ("create",), kind="Binding"),
        Subresource("ephemeralcontainers", ("get", "patch", "update")),
        Subresource("eviction", ("create",), kind="Eviction", api_version="policy/v1"),
        Subresource("exec", _STREAM, kind="PodExecOptions"),
        Subresource("log", ("get",)),
        Subresource("portforward", _STREAM, kind="PodPortForwardOptions"),
        Subresource("proxy", PROXIED, kind="PodProxyOptions"),
        Subresource("resize", ("get", "patch", "update")),
        STATUS,
    ),
    default=default,
    prepare=prepare,
    validate=validate,
    columns=COLUMNS,
    fields={
        **paths(
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ),
        "spec.hostNetwork": lambda pod: "true" if objects.get(pod, "spec.hostNetwork") else "false",
    },
)
