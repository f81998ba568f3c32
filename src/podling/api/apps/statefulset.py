"""apps/v1 StatefulSet. Source: Kubernetes API reference, "StatefulSet"; pkg/apis/apps/validation."""

from collections.abc import Iterator

from podling.api import names, objects
from podling.api.apps.replicas import READY, container_columns, validate_selector, validate_template
from podling.api.columns import AGE, NAME
from podling.api.core import persistentvolumeclaim, podspec
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import STATUS, Kind, Object, Scale, fresh_status
from podling.api.rules import int_or_percent, named, not_negative, not_over_100_percent, one_of

RETENTION = ("Retain", "Delete")
_CHANGEABLE = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)
_ONLY = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)


def default(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("podManagementPolicy", "OrderedReady")
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("serviceName", "")
    retention = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
    retention.setdefault("whenDeleted", "Retain")
    retention.setdefault("whenScaled", "Retain")
    _default_strategy(spec.setdefault("updateStrategy", {}))
    podspec.default_template(spec.setdefault("template", {}))
    for claim in spec.get("volumeClaimTemplates") or ():
        _default_claim(claim)


def _default_strategy(strategy: Object) -> None:
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
        strategy.setdefault("rollingUpdate", {})
    if strategy["type"] == "RollingUpdate" and strategy.get("rollingUpdate") is not None:
        strategy["rollingUpdate"].setdefault("partition", 0)
        strategy["rollingUpdate"].setdefault("maxUnavailable", 1)


def _default_claim(claim: Object) -> None:
    claim.setdefault("apiVersion", "v1")
    claim.setdefault("kind", "PersistentVolumeClaim")
    persistentvolumeclaim.default(claim)
    claim["status"].setdefault("phase", "Pending")


def validate(new: Object, old: Object | None) -> Iterator[FieldError]:
    spec = at(new, "spec")
    if spec.get("podManagementPolicy") not in ("OrderedReady", "Parallel"):
        yield (spec / "podManagementPolicy").invalid("must be 'OrderedReady' or 'Parallel'")
    yield from _strategy(spec / "updateStrategy")
    for name in ("whenDeleted", "whenScaled"):
        yield from one_of(spec / "persistentVolumeClaimRetentionPolicy" / name, RETENTION)
    yield from not_negative(spec / "replicas")
    yield from not_negative(spec / "minReadySeconds")
    yield from not_negative(spec / "ordinals" / "start")
    yield from validate_selector(spec / "selector", "statefulset")
    yield from validate_template(_with_claimed_volumes(new), "StatefulSet")
    if old is None:
        yield from named(spec / "serviceName", names.label)
        for claim in spec / "volumeClaimTemplates":
            yield from persistentvolumeclaim.validate_spec(claim / "spec")
    elif _fixed(spec.value) != _fixed(old.get("spec")):
        yield spec.forbidden(_ONLY)


def _fixed(spec: Object | None) -> Object:
    """What never changes."""
    return {name: value for name, value in (spec or {}).items() if name not in _CHANGEABLE}


def _strategy(strategy: Cursor) -> Iterator[FieldError]:
    rolling = strategy / "rollingUpdate"
    match strategy.get("type"):
        case "OnDelete":
            if rolling.value is not None:
                yield rolling.invalid("only allowed for updateStrategy 'RollingUpdate'")
        case "RollingUpdate":
            yield from not_negative(rolling / "partition")
            yield from _unavailable(rolling / "maxUnavailable")
        case _:
            yield strategy.invalid("must be 'RollingUpdate' or 'OnDelete'")


def _unavailable(amount: Cursor) -> Iterator[FieldError]:
    if amount.value is None:
        return
    yield from int_or_percent(amount)
    if amount.value in (0, "0%"):
        yield amount.invalid("cannot be 0")
    yield from not_over_100_percent(amount)


def _with_claimed_volumes(obj: Object) -> Cursor:
    """The spec, its template as the pods will have it: with a volume for each claim template, without host and domain name."""
    inner = dict(objects.get(obj, "spec.template.spec", {}))
    claimed = [objects.name_of(claim) for claim in objects.get(obj, "spec.volumeClaimTemplates", ())]
    volumes = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claimed]
    volumes += [each for each in inner.get("volumes") or () if each.get("name") not in claimed]
    inner.pop("hostname", None)
    inner.pop("subdomain", None)
    if volumes:
        inner["volumes"] = volumes
    return at(objects.put(obj, "spec.template.spec", inner), "spec")


def validate_status(new: Object, old: Object) -> Iterator[FieldError]:
    status = at(new, "status")
    counts = ("replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")
    for name in (*counts, "observedGeneration", "collisionCount"):
        yield from not_negative(status / name)
    for name in counts[1:]:
        if status.get(name, 0) > status.get("replicas", 0):
            yield (status / name).invalid("cannot be greater than status.replicas")
    if status.get("availableReplicas", 0) > status.get("readyReplicas", 0):
        yield (status / "availableReplicas").invalid("cannot be greater than status.readyReplicas")
    if status.get("collisionCount", 0) < objects.get(old, "status.collisionCount", 0):
        yield (status / "collisionCount").invalid("cannot be decremented", status.get("collisionCount", 0))


def _warn(new: Object, _old: Object | None) -> Iterator[str]:
    if objects.get(new, "spec.revisionHistoryLimit", 0) < 0:
        yield "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended"


STATEFUL_SET = Kind(
    api_version="apps/v1",
    kind="StatefulSet",
    plural="statefulsets",
    short=("sts",),
    categories=("all",),
    subresources=(Scale(), STATUS),
    generation=("spec",),
    check_name=names.label,
    default=default,
    prepare=fresh_status(replicas=0, availableReplicas=0),
    validate=validate,
    validate_status=validate_status,
    warn=_warn,
    columns=(NAME, READY, AGE, *container_columns()),
)
