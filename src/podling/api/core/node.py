"""v1 Node. Source: Kubernetes API reference, "Node"."""

from collections.abc import Iterator

from podling.api import names, objects
from podling.api.columns import AGE, NAME
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import PROXIED, STATUS, Column, Kind, Object, Subresource
from podling.api.rules import not_negative, one_of
from podling.base import quantity

TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
ROLE_PREFIX, ROLE_LABEL = "node-role.kubernetes.io/", "kubernetes.io/role"


def default(obj: Object) -> None:
    status = obj.get("status") or {}
    if "capacity" in status and "allocatable" not in status:
        status["allocatable"] = dict(status["capacity"])


def validate(new: Object, old: Object | None) -> Iterator[FieldError]:
    spec = at(new, "spec")
    yield from _validate_taints(spec / "taints")
    if old is None:
        return
    before = old.get("spec") or {}
    for name in ("podCIDR", "podCIDRs", "providerID"):
        if before.get(name) and spec.get(name) != before[name]:
            yield (spec / name).forbidden(
                'node updates may not change podCIDR except from "" to valid'
                if name != "providerID"
                else 'node updates may not change providerID except from "" to valid'
            )


def _validate_taints(taints: Cursor) -> Iterator[FieldError]:
    seen = set()
    for taint in taints:
        for complaint in names.qualified(taint.get("key", "")):
            yield (taint / "key").invalid(complaint, taint.get("key", ""))
        for complaint in names.label_value(taint.get("value", "")):
            yield (taint / "value").invalid(complaint)
        if not taint.get("effect"):
            yield (taint / "effect").required()
        else:
            yield from one_of(taint / "effect", TAINT_EFFECTS)
        identity = (taint.get("key"), taint.get("effect"))
        if identity in seen:
            yield taint.duplicate()
        seen.add(identity)


def validate_status(new: Object, _old: Object) -> Iterator[FieldError]:
    for name in ("capacity", "allocatable"):
        for _, amount in at(new, "status", name).entries():
            yield from not_negative(Cursor(quantity.parse(amount.value).nanos, amount))


def roles_of(node: Object) -> list[str]:
    labels = objects.labels_of(node)
    found = {key.removeprefix(ROLE_PREFIX) for key in labels if key.startswith(ROLE_PREFIX)} | {labels.get(ROLE_LABEL, "")}
    return sorted(found - {""})


def _status(node: Object, _: float) -> str:
    ready = objects.condition(node, "Ready")
    shown = [("Ready" if ready.get("status") == "True" else "NotReady") if ready else "Unknown"]
    if objects.get(node, "spec.unschedulable"):
        shown.append("SchedulingDisabled")
    return ",".join(shown)


def _roles(node: Object, _: float) -> str:
    return ",".join(roles_of(node)) or "<none>"


def address_of(node: Object, kind: str) -> str:
    """The node's address of a type such as InternalIP; empty when it has none."""
    found = objects.get(node, "status.addresses", ())
    return next((entry["address"] for entry in found if entry.get("type") == kind), "")


def _unschedulable(node: Object) -> str:
    return "true" if objects.get(node, "spec.unschedulable") else "false"


def _info(name: str) -> Column:
    titles = {"osImage": "OS-Image", "kernelVersion": "Kernel-Version", "containerRuntimeVersion": "Container-Runtime"}
    return Column(titles[name], lambda node, _: objects.get(node, f"status.nodeInfo.{name}") or "<unknown>", priority=1)


NODE = Kind(
    api_version="v1",
    kind="Node",
    plural="nodes",
    short=("no",),
    namespaced=False,
    born_with_status=True,
    subresources=(Subresource("proxy", PROXIED, kind="NodeProxyOptions"), STATUS),
    default=default,
    validate=validate,
    validate_status=validate_status,
    columns=(
        NAME,
        Column("Status", _status),
        Column("Roles", _roles),
        AGE,
        Column("Version", "status.nodeInfo.kubeletVersion"),
        Column("Internal-IP", lambda node, _: address_of(node, "InternalIP") or "<none>", priority=1),
        Column("External-IP", lambda node, _: address_of(node, "ExternalIP") or "<none>", priority=1),
        _info("osImage"),
        _info("kernelVersion"),
        _info("containerRuntimeVersion"),
    ),
    fields={"spec.unschedulable": _unschedulable},
)
