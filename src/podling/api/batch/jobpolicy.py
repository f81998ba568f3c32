"""When a Job's pods count as failed, and when the Job as done. Source: API reference "PodFailurePolicy", "SuccessPolicy";
pkg/apis/batch/validation.
"""

from collections.abc import Iterable, Iterator

from podling.api import names
from podling.api.field import OMITTED, Cursor, FieldError, quote
from podling.api.kind import Object
from podling.api.rules import not_negative

ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
OPERATORS = ("In", "NotIn")
STATUSES = ("False", "True", "Unknown")
_RULES, _CODES, _PATTERNS, _SUCCESS_RULES, _INDEXES = 20, 255, 20, 20, 64 * 1024


def default(spec: Object) -> None:
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or ():
        for pattern in rule.get("onPodConditions") or ():
            pattern.setdefault("status", "True")


def _valid(value: Cursor, supported: Iterable[str]) -> Iterator[FieldError]:
    if not value.value:
        yield value.required(f"valid values: [{' '.join(quote(name) for name in supported)}]")
    elif value.value not in supported:
        yield value.unsupported(supported)


def _few(items: Cursor, limit: int) -> Iterator[FieldError]:
    if len(items.value or ()) > limit:
        yield items.too_many(len(items.value), limit)


def validate_failure(policy: Cursor, spec: Cursor) -> Iterator[FieldError]:
    """`spec` is the Job's."""
    yield from _few(policy / "rules", _RULES)
    inner = spec / "template" / "spec"
    known = {each.get("name") for member in ("containers", "initContainers") for each in inner / member}
    for rule in policy / "rules":
        yield from _failure_rule(rule, known, indexed=spec.get("backoffLimitPerIndex") is not None)


def _failure_rule(rule: Cursor, containers: set[str], *, indexed: bool) -> Iterator[FieldError]:
    action, codes, conditions = rule / "action", rule / "onExitCodes", rule / "onPodConditions"
    if action.value == "FailIndex" and not indexed:
        yield action.invalid("requires the backoffLimitPerIndex to be set")
    yield from _valid(action, ACTIONS)
    if codes.value is not None:
        yield from _exit_codes(codes, containers)
    yield from _few(conditions, _PATTERNS)
    for pattern in conditions:
        for complaint in names.qualified(pattern.get("type", "")):
            yield (pattern / "type").invalid(complaint, pattern.get("type", ""))
        yield from _valid(pattern / "status", STATUSES)
    if (codes.value is not None) == bool(conditions):
        both, none = "both OnExitCodes and OnPodConditions is not supported", "one of OnExitCodes and OnPodConditions is required"
        yield rule.invalid(f"specifying {both if conditions else none}", OMITTED)


def _exit_codes(codes: Cursor, containers: set[str]) -> Iterator[FieldError]:
    operator, container, values = codes / "operator", codes / "containerName", codes / "values"
    yield from _valid(operator, OPERATORS)
    if container.value is not None and container.value not in containers:
        yield container.invalid("must be one of the container or initContainer names in the pod template")
    if not values:
        yield values.invalid("at least one value is required")
    yield from _few(values, _CODES)
    seen = set()
    for value in values:
        if operator.value == "In" and value.value == 0:
            yield value.invalid("must not be 0 for the In operator")
        if value.value in seen:
            yield value.duplicate()
        seen.add(value.value)
    if list(values.value or ()) != sorted(values.value or ()):
        yield values.invalid("must be ordered")


def validate_success(policy: Cursor, completions: int) -> Iterator[FieldError]:
    rules = policy / "rules"
    if not rules:
        yield rules.required("at least one rules must be specified when the successPolicy is specified")
    yield from _few(rules, _SUCCESS_RULES)
    for rule in rules:
        yield from _success_rule(rule, completions)


def _success_rule(rule: Cursor, completions: int) -> Iterator[FieldError]:
    count, indexes = rule / "succeededCount", rule / "succeededIndexes"
    if count.value is None and indexes.value is None:
        yield rule.required("at least one of succeededCount or succeededIndexes must be specified")
    total = completions
    if indexes.value is not None:
        if len(indexes.value) > _INDEXES:
            yield indexes.too_long(_INDEXES)
        try:
            total = count_indexes(indexes.value, completions)
        except ValueError as error:
            yield indexes.invalid(f"error parsing succeededIndexes: {error}")
    yield from not_negative(count)
    if count.value is not None and count.value > total:
        what = "indexes in the specified succeededIndexes field" if indexes.value else "specified completions"
        yield count.invalid(f"must be less than or equal to {total} (the number of {what})")


def count_indexes(text: str, completions: int) -> int:
    """How many indexes `1,3-5` names. Raises ValueError where they don't rise, or reach `completions`."""
    total, last = 0, -1
    for part in text.split(","):
        ends = [_index(end, text) for end in part.split("-")]
        if len(ends) > 2:
            raise ValueError(f'the fragment "{part}" violates the requirement that an index interval can have at most two parts')
        if ends[0] <= last or ends[-1] < ends[0]:
            raise ValueError(f"non-increasing order, previous: {last}, current: {ends[0]}")
        if ends[-1] >= completions:
            raise ValueError(f'too large index: "{ends[-1]}"')
        total, last = total + ends[-1] - ends[0] + 1, ends[-1]
    return total


def _index(text: str, whole: str) -> int:
    if not text.isdecimal():
        raise ValueError(f'cannot convert string to integer for index: "{text}"')
    return int(text)
