"""storage.k8s.io/v1 CSIDriver. Source: Kubernetes API reference, "CSIDriver"; pkg/apis/storage/validation."""

from collections.abc import Iterator

from podling.api import objects
from podling.api.columns import AGE, NAME
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import Column, Kind, Object
from podling.api.rules import one_of

MODES = ("Persistent", "Ephemeral")
_MIN_SECONDS, _MAX_SECONDS = 600, 1 << 32


def default(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("attachRequired", True)
    spec.setdefault("podInfoOnMount", False)
    spec.setdefault("storageCapacity", False)
    spec.setdefault("fsGroupPolicy", "ReadWriteOnceWithFSType")
    spec.setdefault("requiresRepublish", False)
    spec.setdefault("seLinuxMount", False)
    if not spec.get("volumeLifecycleModes"):
        spec["volumeLifecycleModes"] = ["Persistent"]


def validate(new: Object, old: Object | None) -> Iterator[FieldError]:
    spec = at(new, "spec")
    yield from one_of(spec / "fsGroupPolicy", ("File", "None", "ReadWriteOnceWithFSType"))
    yield from _tokens(spec / "tokenRequests")
    for mode in spec.get("volumeLifecycleModes", ()):
        if mode not in MODES:
            yield (spec / "volumeLifecycleModes").unsupported(MODES, mode)
    if spec.get("nodeAllocatableUpdatePeriodSeconds", 10) < 10:
        yield (spec / "nodeAllocatableUpdatePeriodSeconds").invalid("must be greater than or equal to 10 seconds")
    if spec.get("serviceAccountTokenInSecrets") is not None and not spec.get("tokenRequests"):
        words = "serviceAccountTokenInSecrets is set but no tokenRequests are specified"
        yield (spec / "serviceAccountTokenInSecrets").invalid(words)
    if old is not None and spec.get("attachRequired") != objects.get(old, "spec.attachRequired"):
        # upstream's path
        yield Cursor(spec.get("attachRequired"), spec, "attachedRequired").invalid("field is immutable")


def _tokens(requests: Cursor) -> Iterator[FieldError]:
    seen = set()
    for request in requests:
        audience, seconds = request.get("audience", ""), request / "expirationSeconds"
        if audience in seen:
            yield (request / "audience").duplicate(audience)
            continue
        seen.add(audience)
        if seconds.value is not None and seconds.value < _MIN_SECONDS:
            yield seconds.invalid("may not specify a duration less than 10 minutes")
        if seconds.value is not None and seconds.value > _MAX_SECONDS:
            yield seconds.invalid("may not specify a duration larger than 2^32 seconds")


def _flag(name: str, title: str) -> Column:
    return Column(title, lambda obj, _: bool(objects.get(obj, f"spec.{name}")), "boolean")


def _audiences(obj: Object, _: float) -> str:
    requests = objects.get(obj, "spec.tokenRequests")
    return "<unset>" if requests is None else ",".join(each.get("audience", "") for each in requests)


CSI_DRIVER = Kind(
    api_version="storage.k8s.io/v1",
    kind="CSIDriver",
    plural="csidrivers",
    namespaced=False,
    immutable=("spec.volumeLifecycleModes",),
    default=default,
    unconditional=False,
    validate=validate,
    columns=(
        NAME,
        _flag("attachRequired", "AttachRequired"),
        _flag("podInfoOnMount", "PodInfoOnMount"),
        _flag("storageCapacity", "StorageCapacity"),
        Column("TokenRequests", _audiences),
        _flag("requiresRepublish", "RequiresRepublish"),
        Column("Modes", lambda obj, _: ",".join(objects.get(obj, "spec.volumeLifecycleModes", ())) or "<none>"),
        AGE,
    ),
)
