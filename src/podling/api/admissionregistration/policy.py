"""admissionregistration.k8s.io ValidatingAdmissionPolicy and MutatingAdmissionPolicy. Expressions are not compiled here.

Source: Kubernetes API reference; pkg/apis/admissionregistration/validation.
"""

import re
from collections.abc import Iterator

from podling.api import names, objects
from podling.api.admissionregistration import matching
from podling.api.columns import AGE, NAME, count_of
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import STATUS, Column, Kind, Object, also_as
from podling.api.rules import chosen, one_of, present

API_VERSION = "admissionregistration.k8s.io/v1"
REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge")
_MUTATING = ("*", "CONNECT", "CREATE", "UPDATE")
_ANNOTATIONS, _ANNOTATION_BYTES = 20, 5 * 1024
_is_identifier = re.compile("[_a-zA-Z][_a-zA-Z0-9]*").fullmatch


def default(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("failurePolicy", "Fail")
    if spec.get("matchConstraints") is not None:
        matching.default(spec["matchConstraints"])


def _common(spec: Cursor, operations: tuple[str, ...] = matching.OPERATIONS) -> Iterator[FieldError]:
    yield from chosen(spec / "failurePolicy", matching.FAILURE_POLICIES)
    if spec.get("paramKind") is not None:
        yield from _parameter_kind(spec / "paramKind")
    constraints = spec / "matchConstraints"
    if constraints.value is None:
        yield constraints.required()
    else:
        yield from matching.validate_resources(constraints, operations)
        yield from present(constraints / "resourceRules")
    yield from matching.validate_conditions(spec / "matchConditions")
    for variable in spec / "variables":
        yield from _variable(variable)


def _parameter_kind(kind: Cursor) -> Iterator[FieldError]:
    version, name = kind / "apiVersion", kind / "kind"
    text = version.value or ""
    if not text:
        yield version.required()
    elif text.count("/") > 1:
        yield version.invalid(f"unexpected GroupVersion string: {text}")
    else:
        group = objects.group_of(text)
        for complaint in names.subdomain(group) if group else ():
            yield version.invalid(complaint, group)
        for complaint in names.label_1035(objects.version_of(text)):
            yield version.invalid(complaint, objects.version_of(text))
    if not name.value:
        yield name.required()
    elif complaints := names.label_1035(name.value.lower()):
        yield name.invalid(f"may have mixed case, but should otherwise match: {','.join(complaints)}")


def _variable(variable: Cursor) -> Iterator[FieldError]:
    name, expression = variable / "name", variable / "expression"
    if not (name.value or "").strip():
        yield name.required("name is not specified")
    elif not _is_identifier(name.value):
        yield name.invalid("must be a valid CEL identifier")
    yield from _expression(expression)


def _expression(expression: Cursor) -> Iterator[FieldError]:
    if not (expression.value or "").strip():
        yield expression.required("expression is not specified")


def _validate_validating(new: Object, _old: Object | None) -> Iterator[FieldError]:
    spec = at(new, "spec")
    yield from _common(spec)
    if not spec.get("validations") and not spec.get("auditAnnotations"):
        for member in ("validations", "auditAnnotations"):
            yield (spec / member).required("validations or auditAnnotations must contain at least one item")
    for validation in spec / "validations":
        yield from _validation(validation)
    yield from _annotations(spec / "auditAnnotations")


def _validation(validation: Cursor) -> Iterator[FieldError]:
    yield from _expression(validation / "expression")
    for member in ("messageExpression", "message"):
        text = validation / member
        if text.value and not text.value.strip():
            yield text.invalid("must be non-empty if specified")
    message = (validation.get("message") or "").strip()
    if "\n" in message or "\r" in message:
        yield (validation / "message").invalid("must not contain line breaks")
    yield from one_of(validation / "reason", REASONS)


def _annotations(annotations: Cursor) -> Iterator[FieldError]:
    if len(annotations.value or ()) > _ANNOTATIONS:
        yield annotations.invalid(f"must not have more than {_ANNOTATIONS} auditAnnotations")
    seen = set()
    for annotation in annotations:
        key, value = annotation / "key", annotation / "valueExpression"
        for complaint in names.qualified(key.value or ""):
            yield key.invalid(complaint, key.value or "")
        if key.value in seen:
            yield key.duplicate()
        seen.add(key.value)
        text = (value.value or "").strip()
        if not text:
            yield value.required("valueExpression is not specified")
        elif len(text) > _ANNOTATION_BYTES:
            yield value.required(f"must not exceed {_ANNOTATION_BYTES} bytes in length")


def _validate_mutating(new: Object, _old: Object | None) -> Iterator[FieldError]:
    spec = at(new, "spec")
    yield from _common(spec, _MUTATING)
    yield from present(spec / "mutations", "mutations must contain at least one item")
    yield from chosen(spec / "reinvocationPolicy", ("IfNeeded", "Never"))
    for mutation in spec / "mutations":
        yield from _mutation(mutation)


def _mutation(mutation: Cursor) -> Iterator[FieldError]:
    """The one member that its type names."""
    kind = mutation / "patchType"
    yield from chosen(kind, ("ApplyConfiguration", "JSONPatch"))
    for name, member in (("ApplyConfiguration", "applyConfiguration"), ("JSONPatch", "jsonPatch")):
        patch = mutation / member
        if kind.value == name and patch.value is None:
            yield patch.required(f"must be specified when patchType is {name}")
        elif kind.value == name:
            yield from _expression(patch / "expression")
        elif kind.value and patch.value is not None:
            yield patch.invalid(f"must not be specified when patchType is {kind.value}")


def _parameter(obj: Object, _: float) -> str:
    kind = objects.get(obj, "spec.paramKind")
    return f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}" if kind is not None else "<unset>"


_PARAMETER = Column("ParamKind", _parameter)

VALIDATING_ADMISSION_POLICY = Kind(
    api_version=API_VERSION,
    kind="ValidatingAdmissionPolicy",
    plural="validatingadmissionpolicies",
    categories=("api-extensions",),
    namespaced=False,
    subresources=(STATUS,),
    generation=("spec",),
    unconditional=False,
    default=default,
    validate=_validate_validating,
    columns=(NAME, Column("Validations", count_of("spec.validations"), "integer"), _PARAMETER, AGE),
)
MUTATING_ADMISSION_POLICY = Kind(
    api_version=API_VERSION,
    kind="MutatingAdmissionPolicy",
    plural="mutatingadmissionpolicies",
    categories=("api-extensions",),
    namespaced=False,
    generation=("spec",),
    unconditional=False,
    default=default,
    validate=_validate_mutating,
    columns=(NAME, Column("Mutations", count_of("spec.mutations"), "integer"), _PARAMETER, AGE),
)
MUTATING_ADMISSION_POLICY_BETA = also_as(MUTATING_ADMISSION_POLICY, "v1beta1")
