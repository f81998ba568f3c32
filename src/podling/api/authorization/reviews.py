"""authorization.k8s.io/v1: questions that are answered and not kept. Source: API reference "SubjectAccessReview" and kin."""

from collections.abc import Callable, Iterator

from podling.api import objects
from podling.api.field import FieldError, at
from podling.api.kind import Kind, Object

API_VERSION = "authorization.k8s.io/v1"
Validate = Callable[[Object, Object | None], Iterator[FieldError]]


def _one_question(new: Object) -> Iterator[FieldError]:
    spec = at(new, "spec")
    resource, other = spec / "resourceAttributes", spec / "nonResourceAttributes"
    if resource.value is not None and other.value is not None:
        yield other.invalid("cannot be specified in combination with resourceAttributes")
    if resource.value is None and other.value is None:
        yield resource.invalid("exactly one of nonResourceAttributes or resourceAttributes must be specified")


def _validate_self(new: Object, _old: Object | None) -> Iterator[FieldError]:
    yield from _one_question(new)


def _validate(new: Object, _old: Object | None) -> Iterator[FieldError]:
    yield from _one_question(new)
    spec = at(new, "spec")
    if not spec.get("user") and not spec.get("groups"):
        yield (spec / "user").invalid("at least one of user or group must be specified", "")


def _validate_local(new: Object, _old: Object | None) -> Iterator[FieldError]:
    yield from _validate(new, None)
    namespace = at(new, "spec", "resourceAttributes", "namespace")
    if (namespace.value or "") != objects.namespace_of(new):
        yield namespace.invalid("must match metadata.namespace", namespace.value or "")
    if at(new, "spec", "nonResourceAttributes").value is not None:
        yield at(new, "spec", "nonResourceAttributes").invalid("disallowed on this kind of request")


SUBJECT_ACCESS_REVIEW = Kind(
    api_version=API_VERSION,
    kind="SubjectAccessReview",
    plural="subjectaccessreviews",
    namespaced=False,
    verbs=("create",),
    validate=_validate,
)
SELF_SUBJECT_ACCESS_REVIEW = Kind(
    api_version=API_VERSION,
    kind="SelfSubjectAccessReview",
    plural="selfsubjectaccessreviews",
    namespaced=False,
    verbs=("create",),
    validate=_validate_self,
)
SELF_SUBJECT_RULES_REVIEW = Kind(
    api_version=API_VERSION, kind="SelfSubjectRulesReview", plural="selfsubjectrulesreviews", namespaced=False, verbs=("create",)
)
LOCAL_SUBJECT_ACCESS_REVIEW = Kind(
    api_version=API_VERSION,
    kind="LocalSubjectAccessReview",
    plural="localsubjectaccessreviews",
    verbs=("create",),
    validate=_validate_local,
)
