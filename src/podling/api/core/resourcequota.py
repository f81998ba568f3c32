"""v1 ResourceQuota. Source: Kubernetes API reference, "ResourceQuota"; pkg/apis/core/validation."""

from collections.abc import Callable, Iterator

from podling.api import objects
from podling.api.columns import AGE, NAME
from podling.api.core.amounts import COMPUTED, is_quota, validate_amount, validate_quota_name
from podling.api.field import Cursor, FieldError, at
from podling.api.kind import STATUS, Column, Kind, Object

_OF_PODS = ("Terminating", "NotTerminating", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity")
SCOPES = (*_OF_PODS, "BestEffort", "VolumeAttributesClass")
_ONLY_EXIST = ("Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "CrossNamespacePodAffinity")
_CONTRARY = ({"BestEffort", "NotBestEffort"}, {"Terminating", "NotTerminating"})
_MUST_EXIST = (
    "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
    "ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
)


def validate(new: Object, old: Object | None) -> Iterator[FieldError]:
    spec = at(new, "spec")
    yield from _amounts(spec / "hard")
    yield from _scopes(spec)
    if (spec / "scopeSelector").value is not None:
        yield from _scope_selector(spec / "scopeSelector", spec.get("hard", {}))
    if old is not None and set(spec.get("scopes", ())) != set(objects.get(old, "spec.scopes", ())):
        yield (spec / "scopes").invalid("field is immutable")


def _amounts(amounts: Cursor) -> Iterator[FieldError]:
    for name, amount in amounts.entries():
        yield from validate_quota_name(amount, name)
        yield from validate_amount(amount, name)


def _measures(scope: str, resource: str) -> bool:
    """Whether a quota of `scope` can count `resource`."""
    if scope == "BestEffort":
        return resource == "pods"
    if scope in _OF_PODS:
        return resource == "pods" or resource in COMPUTED
    if scope == "VolumeAttributesClass":
        return resource in ("persistentvolumeclaims", "requests.storage")
    return True


def _scopes(spec: Cursor) -> Iterator[FieldError]:
    scopes = spec / "scopes"
    for scope in scopes.value or ():
        if scope not in SCOPES:
            yield scopes.invalid("unsupported scope")
        for name in sorted(spec.get("hard", {})):
            if is_quota(name) and not _measures(scope, name):
                yield scopes.invalid("unsupported scope applied to resource")
    yield from _contradictions(scopes, scopes.value or ())


def _contradictions(where: Cursor, scopes: list[str] | tuple[str, ...]) -> Iterator[FieldError]:
    for pair in _CONTRARY:
        if pair <= set(scopes):
            yield where.invalid("conflicting scopes", list(scopes))


def _scope_selector(selector: Cursor, hard: Object) -> Iterator[FieldError]:
    expressions = selector / "matchExpressions"
    for expression in expressions:
        yield from _expression(expression, expressions, selector, hard)
    yield from _contradictions(expressions, [each.get("scopeName", "") for each in expressions])


def _expression(expression: Cursor, where: Cursor, selector: Cursor, hard: Object) -> Iterator[FieldError]:
    scope, operator, values = expression.get("scopeName", ""), expression.get("operator", ""), expression.get("values", [])
    if scope not in SCOPES:
        yield Cursor(None, where, "scopeName").invalid("unsupported scope", scope)
    if any(is_quota(name) and not _measures(scope, name) for name in hard):
        yield where.invalid("unsupported scope applied to resource", selector.value)
    if scope in _ONLY_EXIST and operator != "Exists":
        yield Cursor(None, where, "operator").invalid(_MUST_EXIST, operator)
    if operator in ("In", "NotIn"):
        if not values:
            words = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
            yield Cursor(None, where, "values").required(words)
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            words = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
            yield Cursor(None, where, "values").invalid(words, values)
    else:
        yield Cursor(None, where, "operator").invalid("not a valid selector operator", operator)


def validate_status(new: Object, _old: Object) -> Iterator[FieldError]:
    for name in ("hard", "used"):
        yield from _amounts(at(new, "status", name))


def _column(title: str, mine: Callable[[str], bool]) -> Column:
    """`cpu: 1/2, memory: 1Gi/4Gi`: used and allowed."""

    def cell(obj: Object, _: float) -> str:
        hard, used = objects.get(obj, "status.hard", {}), objects.get(obj, "status.used", {})
        return ", ".join(f"{name}: {used.get(name, '0')}/{hard[name]}" for name in sorted(hard) if mine(name))

    return Column(title, cell)


RESOURCE_QUOTA = Kind(
    api_version="v1",
    kind="ResourceQuota",
    plural="resourcequotas",
    short=("quota",),
    subresources=(STATUS,),
    validate=validate,
    validate_status=validate_status,
    columns=(
        NAME,
        _column("Request", lambda name: not name.startswith("limits.")),
        _column("Limit", lambda name: name.startswith("limits.")),
        AGE,
    ),
)
