"""certificates.k8s.io/v1beta1 PodCertificateRequest. Source: Kubernetes API reference, "PodCertificateRequest"."""

from collections.abc import Iterator

from podling.api import names, objects
from podling.api.certificates.signer import validate_name
from podling.api.columns import NAME, joined
from podling.api.field import FieldError, at
from podling.api.kind import STATUS, Column, Kind, Object, paths
from podling.api.rules import called

SHORTEST, LONGEST, KUBERNETES_LONGEST = 3600, 91 * 86400, 86400  # seconds
STATES = ("Denied", "Failed", "Issued")
_NAMED = ("podName", "serviceAccountName", "nodeName")


def default(obj: Object) -> None:
    obj.setdefault("spec", {}).setdefault("maxExpirationSeconds", 86400)


def validate(new: Object, old: Object | None) -> Iterator[FieldError]:
    if old is not None:
        return  # the spec is immutable
    spec = at(new, "spec")
    yield from validate_name(spec / "signerName")
    for name in _NAMED:
        yield from called(spec / name, names.subdomain)
    for name in ("podUID", "serviceAccountUID", "nodeUID"):
        uid = spec / name
        if not uid.value:
            yield uid.required()
        elif len(uid.value) > 128:
            yield uid.too_long(128)
    longest = KUBERNETES_LONGEST if spec.get("signerName", "").startswith("kubernetes.io/") else LONGEST
    seconds = spec / "maxExpirationSeconds"
    if not SHORTEST <= seconds.value <= longest:
        yield seconds.invalid(f"must be in the range [{SHORTEST}, {longest}]")


def validate_status(new: Object, old: Object) -> Iterator[FieldError]:
    """It ends once, in one way."""
    conditions = at(new, "status", "conditions")
    ends = [each.get("type") for each in conditions if each.get("type") in STATES]
    if len(ends) > 1:
        yield conditions.invalid('There may be at most one condition with type "Issued", "Denied", or "Failed"')
    done = [each for each in objects.get(old, "status.conditions", ()) if each.get("type") in STATES]
    if done and new.get("status") != old.get("status"):
        yield at(new, "status").invalid("immutable after PodCertificateRequest is issued, denied, or failed")


def _state(obj: Object, _: float) -> str:
    found = [each.get("type") for each in objects.get(obj, "status.conditions", ())]
    return next((state for state in reversed(found) if state in STATES), "Pending")


POD_CERTIFICATE_REQUEST = Kind(
    api_version="certificates.k8s.io/v1beta1",
    kind="PodCertificateRequest",
    plural="podcertificaterequests",
    subresources=(STATUS,),
    immutable=("spec",),
    default=default,
    unconditional=False,
    validate=validate,
    validate_status=validate_status,
    columns=(
        NAME,
        Column("PodName", "spec.podName"),
        Column("ServiceAccountName", "spec.serviceAccountName"),
        Column("NodeName", "spec.nodeName"),
        Column("SignerName", "spec.signerName"),
        Column("State", _state),
        Column(
            "UnverifiedUserAnnotations", lambda obj, _: joined(objects.get(obj, "spec.unverifiedUserAnnotations")), priority=1
        ),
    ),
    fields=paths("spec.signerName", "spec.podName", "spec.nodeName"),
)
