"""Where a pod may go: node selectors, affinity, tolerations, spreading. Source: API reference "Affinity", "Toleration",
"TopologySpreadConstraint".
"""

from collections.abc import Iterator

from podling.api import names
from podling.api.field import Cursor, FieldError
from podling.api.rules import label_selector, named, one_of, positive, present

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def validate_tolerations(tolerations: Cursor) -> Iterator[FieldError]:
    for toleration in tolerations:
        yield from _toleration(toleration)


def _toleration(toleration: Cursor) -> Iterator[FieldError]:
    key, operator = toleration / "key", toleration / "operator"
    if key.value:
        yield from named(key, names.qualified)
    elif operator.value != "Exists":
        words = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        yield operator.invalid(words, operator.value or "")
    if toleration.get("tolerationSeconds") is not None and toleration.get("effect") != "NoExecute":
        effect = toleration / "effect"
        yield effect.invalid("effect must be 'NoExecute' when `tolerationSeconds` is set", effect.value or "")
    if operator.value in (None, "", "Equal"):
        if complaints := names.label_value(toleration.get("value", "")):
            yield operator.invalid(";".join(complaints), toleration.get("value"))
    elif operator.value == "Exists":
        if toleration.get("value"):
            yield operator.invalid("value must be empty when `operator` is 'Exists'", toleration.get("value"))
    else:
        yield operator.unsupported(("Equal", "Exists"))
    if toleration.get("effect") not in (None, "", *EFFECTS):
        yield from one_of(toleration / "effect", EFFECTS)


def validate_affinity(affinity: Cursor) -> Iterator[FieldError]:
    node = affinity / "nodeAffinity"
    required = node / "requiredDuringSchedulingIgnoredDuringExecution"
    if required.value is not None:
        yield from validate_node_selector(required)
    for preferred in node / "preferredDuringSchedulingIgnoredDuringExecution":
        yield from _weight(preferred)
        yield from _node_term(preferred / "preference")
    for side in ("podAffinity", "podAntiAffinity"):
        for term in affinity / side / "requiredDuringSchedulingIgnoredDuringExecution":
            yield from _pod_term(term)
        for preferred in affinity / side / "preferredDuringSchedulingIgnoredDuringExecution":
            yield from _weight(preferred)
            yield from _pod_term(preferred / "podAffinityTerm")


def validate_node_selector(selector: Cursor) -> Iterator[FieldError]:
    yield from present(selector / "nodeSelectorTerms", "must have at least one node selector term")
    for term in selector / "nodeSelectorTerms":
        yield from _node_term(term)


def _weight(preferred: Cursor) -> Iterator[FieldError]:
    weight = preferred / "weight"
    if not 1 <= (weight.value or 0) <= 100:
        yield weight.invalid("must be in the range 1-100", weight.value or 0)


def _node_term(term: Cursor) -> Iterator[FieldError]:
    for expression in term / "matchExpressions":
        yield from _node_expression(expression)
        yield from named(expression / "key", names.qualified)
    for expression in term / "matchFields":
        if expression.get("key") != "metadata.name":
            yield (expression / "key").invalid("not a valid field selector key")
        if expression.get("operator") not in ("In", "NotIn"):
            yield (expression / "operator").invalid("not a valid selector operator")
        elif len(expression.get("values", ())) != 1:
            words = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
            yield (expression / "values").required(words)


def _node_expression(expression: Cursor) -> Iterator[FieldError]:
    operator, values = expression / "operator", expression / "values"
    match operator.value:
        case "In" | "NotIn":
            yield from present(values, "must be specified when `operator` is 'In' or 'NotIn'")
        case "Exists" | "DoesNotExist":
            if values:
                yield values.forbidden("may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
        case "Gt" | "Lt":
            if len(values.value or ()) != 1:
                yield values.required("must be specified single value when `operator` is 'Lt' or 'Gt'")
        case _:
            yield operator.invalid("not a valid selector operator")
    for value in values:
        yield from named(value, names.label_value)


def _pod_term(term: Cursor) -> Iterator[FieldError]:
    yield from label_selector(term / "labelSelector")
    yield from label_selector(term / "namespaceSelector")
    for namespace in term / "namespaces":
        for complaint in names.label(namespace.value):
            yield (term / "namespaces").invalid(complaint, namespace.value)
    key = term / "topologyKey"
    if not key.value:
        yield key.required("can not be empty")
    else:
        yield from named(key, names.qualified)


def validate_spread(constraints: Cursor) -> Iterator[FieldError]:
    seen = set()
    for constraint in constraints:
        skew, key, action = (constraint / name for name in ("maxSkew", "topologyKey", "whenUnsatisfiable"))
        yield from positive(skew)
        if not key.value:
            yield key.required("can not be empty")
        else:
            yield from named(key, names.qualified)
        if action.value not in ("DoNotSchedule", "ScheduleAnyway"):
            yield action.unsupported(("DoNotSchedule", "ScheduleAnyway"), action.value or "")
        identity = (key.value, action.value)
        if identity in seen:
            yield Cursor(f"{{{key.value}, {action.value}}}", constraint, "{topologyKey, whenUnsatisfiable}").duplicate()
        seen.add(identity)
        domains = constraint / "minDomains"
        yield from positive(domains)
        if domains.value is not None and action.value != "DoNotSchedule":
            words = "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not ScheduleAnyway"
            yield domains.invalid(words)
        for name in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            yield from one_of(constraint / name, ("Honor", "Ignore"))
        yield from label_selector(constraint / "labelSelector")
