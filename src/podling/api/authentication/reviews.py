"""authentication.k8s.io/v1: questions that are answered and not kept. Source: API reference "TokenReview" and kin."""

from collections.abc import Iterator

from podling.api.field import FieldError, at
from podling.api.kind import Kind, Object

API_VERSION = "authentication.k8s.io/v1"
MIN_SECONDS, MAX_SECONDS = 10 * 60, 1 << 32
HOUR = 3600  # the life of a token that nobody chose


def _default_token(obj: Object) -> None:
    obj.setdefault("spec", {}).setdefault("expirationSeconds", HOUR)


def _validate_token(new: Object, _old: Object | None) -> Iterator[FieldError]:
    seconds = at(new, "spec", "expirationSeconds")
    if seconds.value < MIN_SECONDS:
        yield seconds.invalid("may not specify a duration less than 10 minutes")
    if seconds.value > MAX_SECONDS:
        yield seconds.invalid("may not specify a duration larger than 2^32 seconds")


TOKEN_REVIEW = Kind(api_version=API_VERSION, kind="TokenReview", plural="tokenreviews", namespaced=False, verbs=("create",))
SELF_SUBJECT_REVIEW = Kind(
    api_version=API_VERSION, kind="SelfSubjectReview", plural="selfsubjectreviews", namespaced=False, verbs=("create",)
)
# The body of serviceaccounts/NAME/token; it has no path of its own.
TOKEN_REQUEST = Kind(
    api_version=API_VERSION,
    kind="TokenRequest",
    plural="tokenrequests",
    verbs=("create",),
    default=_default_token,
    validate=_validate_token,
)
