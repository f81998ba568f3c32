"""admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration and MutatingWebhookConfiguration, which differ in one member.

Source: Kubernetes API reference; pkg/apis/admissionregistration/validation.
"""

from collections.abc import Iterator

from podling.api import names
from podling.api.admissionregistration import matching, webhookclient
from podling.api.columns import AGE, NAME, count_of
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import Column, Kind, Object
from podling.api.rules import one_of, unique

API_VERSION = "admissionregistration.k8s.io/v1"
REVIEW_VERSIONS = ("v1", "v1beta1")
SIDE_EFFECTS = ("None", "NoneOnDryRun")


def default(obj: Object) -> None:
    for hook in obj.get("webhooks") or ():
        hook.setdefault("failurePolicy", "Fail")
        hook.setdefault("timeoutSeconds", 10)
        matching.default(hook)
        webhookclient.default(hook.get("clientConfig"))


def default_mutating(obj: Object) -> None:
    default(obj)
    for hook in obj.get("webhooks") or ():
        hook.setdefault("reinvocationPolicy", "Never")


def validate(new: Object, _old: Object | None) -> Iterator[FieldError]:
    hooks = at(new, "webhooks")
    for hook in hooks:
        yield from _hook(hook)
        yield from _versions(hook / "admissionReviewVersions")
    yield from unique(hooks, "name")


def _hook(hook: Cursor) -> Iterator[FieldError]:
    yield from _name(hook / "name")
    for rule in hook / "rules":
        yield from matching.validate_rule(rule)
    yield from one_of(hook / "failurePolicy", matching.FAILURE_POLICIES)
    effects, seconds = hook / "sideEffects", hook / "timeoutSeconds"
    if effects.value is None:
        yield effects.required(f"must specify one of {', '.join(SIDE_EFFECTS)}")
    yield from one_of(effects, SIDE_EFFECTS)
    if not 1 <= hook.get("timeoutSeconds", 10) <= 30:
        yield seconds.invalid("the timeout value must be between 1 and 30 seconds")
    yield from matching.validate_selectors(hook)
    yield from one_of(hook / "reinvocationPolicy", ("IfNeeded", "Never"))
    yield from webhookclient.validate(hook / "clientConfig")
    yield from matching.validate_conditions(hook / "matchConditions")


def _name(name: Cursor) -> Iterator[FieldError]:
    if not name.value:
        yield name.required()
        return
    complaints = names.subdomain(name.value)
    for complaint in complaints:
        yield name.invalid(complaint)
    if not complaints and name.value.count(".") < 2:
        yield name.invalid("should be a domain with at least three segments separated by dots")


def _versions(versions: Cursor) -> Iterator[FieldError]:
    if not versions:
        yield versions.required(f"must specify one of {', '.join(REVIEW_VERSIONS)}")
        return
    seen = set()
    for version in versions:
        if version.value in seen:
            yield version.invalid("duplicate version")
            continue
        seen.add(version.value)
        for complaint in names.label_1035(version.value):
            yield version.invalid(complaint)
    if not seen & set(REVIEW_VERSIONS):
        yield versions.invalid(f"must include at least one of {', '.join(REVIEW_VERSIONS)}")


_COLUMNS = (NAME, Column("Webhooks", count_of("webhooks"), "integer"), AGE)

VALIDATING_WEBHOOK_CONFIGURATION = Kind(
    api_version=API_VERSION,
    kind="ValidatingWebhookConfiguration",
    plural="validatingwebhookconfigurations",
    categories=("api-extensions",),
    namespaced=False,
    generation=("webhooks",),
    unconditional=False,
    default=default,
    validate=validate,
    columns=_COLUMNS,
)
MUTATING_WEBHOOK_CONFIGURATION = Kind(
    api_version=API_VERSION,
    kind="MutatingWebhookConfiguration",
    plural="mutatingwebhookconfigurations",
    categories=("api-extensions",),
    namespaced=False,
    generation=("webhooks",),
    unconditional=False,
    default=default_mutating,
    validate=validate,
    columns=_COLUMNS,
)
