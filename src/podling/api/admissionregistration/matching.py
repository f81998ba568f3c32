"""Which requests a webhook or a policy is about. Source: API reference "RuleWithOperations", "MatchResources",
"MatchCondition"; pkg/apis/admissionregistration/validation.
"""

from collections.abc import Iterator

from podling.api import names
from podling.api.field import Cursor, FieldError
from podling.api.kind import Object
from podling.api.rules import label_selector, named, one_of, present

FAILURE_POLICIES, MATCH_POLICIES = ("Fail", "Ignore"), ("Equivalent", "Exact")
OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_SCOPES = ("*", "Cluster", "Namespaced")
_CONDITIONS = 64


def default(owner: Object) -> None:
    """A webhook, or the constraints of a policy."""
    owner.setdefault("matchPolicy", "Equivalent")
    owner.setdefault("namespaceSelector", {})
    owner.setdefault("objectSelector", {})
    for member in ("rules", "resourceRules", "excludeResourceRules"):
        for rule in owner.get(member) or ():
            rule.setdefault("scope", "*")


def validate_rule(rule: Cursor, operations: tuple[str, ...] = OPERATIONS) -> Iterator[FieldError]:
    asked = rule / "operations"
    yield from _alone(asked, "operations")
    for operation in asked:
        yield from one_of(operation, operations)
    yield from _alone(rule / "apiGroups", "API groups")
    yield from _alone(rule / "apiVersions", "API versions")
    for version in rule / "apiVersions":
        yield from present(version)
    yield from _resources(rule / "resources")
    yield from one_of(rule / "scope", _SCOPES)


def _alone(values: Cursor, what: str) -> Iterator[FieldError]:
    """There is something, and a star stands alone."""
    yield from present(values)
    if "*" in (values.value or ()) and len(values.value) > 1:
        yield values.invalid(f"if '*' is present, must not specify other {what}")


def _resources(resources: Cursor) -> Iterator[FieldError]:
    yield from present(resources)
    whole, everywhere = set(), set()  # of `pods/*` and `*/scale` so far
    for entry in resources:
        text = entry.value
        yield from present(entry)
        resource, slash, sub = text.partition("/")
        if not slash:
            continue
        if resource in whole:
            yield entry.invalid(f"if '{resource}/*' is present, must not specify {text}")
        if sub in everywhere:
            yield entry.invalid(f"if '*/{sub}' is present, must not specify {text}")
        whole |= {resource} if sub == "*" else set()
        everywhere |= {sub} if resource == "*" else set()
    texts = resources.value or []
    if "*/*" in texts and len(texts) > 1:
        yield resources.invalid("if '*/*' is present, must not specify other resources")
    if "*" in texts and any("/" not in text and text != "*" for text in texts):
        yield resources.invalid("if '*' is present, must not specify other resources without subresources")


def validate_selectors(owner: Cursor) -> Iterator[FieldError]:
    yield from one_of(owner / "matchPolicy", MATCH_POLICIES)
    yield from label_selector(owner / "namespaceSelector")
    yield from label_selector(owner / "objectSelector")


def validate_resources(constraints: Cursor, operations: tuple[str, ...] = OPERATIONS) -> Iterator[FieldError]:
    """MatchResources of a policy or a binding."""
    yield from validate_selectors(constraints)
    for member in ("resourceRules", "excludeResourceRules"):
        for rule in constraints / member:
            yield from validate_rule(rule, operations)
            yield from _resource_names(rule / "resourceNames")


def _resource_names(resource_names: Cursor) -> Iterator[FieldError]:
    seen = set()
    for name in resource_names:
        yield from named(name, names.path_segment)
        if name.value in seen:
            yield name.duplicate()
        seen.add(name.value)


def validate_conditions(conditions: Cursor) -> Iterator[FieldError]:
    if len(conditions.value or ()) > _CONDITIONS:
        yield conditions.too_many(len(conditions.value), _CONDITIONS)
    seen = set()
    for condition in conditions:
        name, expression = condition / "name", condition / "expression"
        if not (expression.value or "").strip():
            yield expression.required()
        yield from present(name)
        yield from named(name, names.qualified)
        if name and name.value in seen:
            yield name.duplicate()
        seen.add(name.value)
