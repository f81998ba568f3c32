"""admissionregistration.k8s.io ValidatingAdmissionPolicyBinding and MutatingAdmissionPolicyBinding: where a policy holds.

Source: Kubernetes API reference; pkg/apis/admissionregistration/validation.
"""

from collections.abc import Iterator

from podling.api import names, objects
from podling.api.admissionregistration import matching
from podling.api.apps.replicas import shown_selector
from podling.api.columns import AGE, NAME
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import Column, Kind, Object, also_as
from podling.api.rules import called, chosen, label_selector, named

API_VERSION = "admissionregistration.k8s.io/v1"
ACTIONS = ("Audit", "Deny", "Warn")


def default(obj: Object) -> None:
    constraints = objects.get(obj, "spec.matchResources")
    if constraints is not None:
        matching.default(constraints)


def _validate(new: Object, _old: Object | None) -> Iterator[FieldError]:
    spec = at(new, "spec")
    yield from called(spec / "policyName", names.subdomain)
    if spec.get("paramRef") is not None:
        yield from _parameters(spec / "paramRef")
    if spec.get("matchResources") is not None:
        yield from matching.validate_resources(spec / "matchResources")


def _parameters(reference: Cursor) -> Iterator[FieldError]:
    name, selector = reference / "name", reference / "selector"
    yield from named(name, names.path_segment)
    if name and selector.value is not None:
        yield name.forbidden("name and selector are mutually exclusive")
        yield selector.forbidden("name and selector are mutually exclusive")
    if not name and selector.value is None:
        yield reference.required("one of name or selector must be specified")
    yield from label_selector(selector)
    yield from chosen(reference / "parameterNotFoundAction", ("Deny", "Allow"))


def _validate_validating(new: Object, old: Object | None) -> Iterator[FieldError]:
    yield from _validate(new, old)
    actions = at(new, "spec", "validationActions")
    seen = set()
    for action in actions:
        if action.value not in ACTIONS:
            yield action.unsupported(ACTIONS)
        if action.value in seen:
            yield action.duplicate()
        seen.add(action.value)
    if {"Deny", "Warn"} <= seen:
        yield actions.invalid(
            "must not contain both Deny and Warn (repeating the same validation failure information in the API response and "
            "headers serves no purpose)"
        )
    if not seen:
        yield actions.required("at least one validation action is required")


def _parameter(obj: Object, _: float) -> str:
    reference = objects.get(obj, "spec.paramRef", {})
    if reference.get("name"):
        return f"{reference.get('namespace') or '*'}/{reference['name']}"
    return shown_selector(reference["selector"]) if reference.get("selector") is not None else "<unset>"


_COLUMNS = (NAME, Column("PolicyName", "spec.policyName"), Column("ParamRef", _parameter), AGE)

VALIDATING_ADMISSION_POLICY_BINDING = Kind(
    api_version=API_VERSION,
    kind="ValidatingAdmissionPolicyBinding",
    plural="validatingadmissionpolicybindings",
    categories=("api-extensions",),
    namespaced=False,
    generation=("spec",),
    unconditional=False,
    default=default,
    validate=_validate_validating,
    columns=_COLUMNS,
)
MUTATING_ADMISSION_POLICY_BINDING = Kind(
    api_version=API_VERSION,
    kind="MutatingAdmissionPolicyBinding",
    plural="mutatingadmissionpolicybindings",
    categories=("api-extensions",),
    namespaced=False,
    generation=("spec",),
    unconditional=False,
    default=default,
    validate=_validate,
    columns=_COLUMNS,
)
MUTATING_ADMISSION_POLICY_BINDING_BETA = also_as(MUTATING_ADMISSION_POLICY_BINDING, "v1beta1")
