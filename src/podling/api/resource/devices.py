"""What claims and classes ask of devices. Expressions are not compiled here. Source: API reference "DeviceClaim",
"DeviceRequest"; pkg/apis/resource/validation.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from podling.api import names
from podling.api.field import Cursor, FieldError
from podling.api.kind import Object
from podling.api.rules import called, chosen, named, one_of, present
from podling.api.storage.parameters import validate_driver_name

EFFECTS = ("NoExecute", "NoSchedule", "None")
MOST_REQUESTS = MOST_SELECTORS = MOST_CONSTRAINTS = MOST_CONFIGS = 32
MOST_ALTERNATIVES = 8
LONGEST_EXPRESSION, LONGEST_POOL = 10 * 1024, 253
NO_REQUEST = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
Check = Callable[[Cursor], Iterator[FieldError]]


def default_request(request: Object) -> None:
    for asked in (request.get("exactly"), *(request.get("firstAvailable") or ())):
        if asked is not None and asked.setdefault("allocationMode", "ExactCount") == "ExactCount":
            asked["count"] = asked.get("count") or 1


def default_claim(spec: Object) -> None:
    for request in (spec.get("devices") or {}).get("requests") or ():
        default_request(request)


def few(items: Cursor, limit: int, check: Check, key: Callable[[Any], Any] | None = None) -> Iterator[FieldError]:
    """Each item is good, there are not too many, and no two have the same `key`."""
    if len(items.value or ()) > limit:
        yield items.too_many(len(items.value), limit)
    seen = set()
    for item in items:
        yield from check(item)
        if key is None:
            continue
        mark = key(item.value)
        if mark in seen:
            yield item.duplicate(mark)
        seen.add(mark)


def name_of(item: Object) -> str:
    return str(item.get("name", ""))


def validate_claim(claim: Cursor) -> Iterator[FieldError]:
    known = requests_of(claim)
    yield from few(claim / "requests", MOST_REQUESTS, _request, name_of)
    yield from few(claim / "constraints", MOST_CONSTRAINTS, lambda each: _constraint(each, known))
    yield from few(claim / "config", MOST_CONFIGS, lambda each: _claim_config(each, known))


def requests_of(claim: Cursor) -> set[str]:
    """The names of the requests, and `request/alternative`."""
    found = set()
    for request in claim / "requests":
        name = request.get("name", "")
        found.add(name)
        found |= {f"{name}/{each.get('name', '')}" for each in request / "firstAvailable"}
    return found


def _request(request: Cursor) -> Iterator[FieldError]:
    yield from called(request / "name", names.label)
    exactly, alternatives = request / "exactly", request / "firstAvailable"
    one = "exactly one of `exactly` or `firstAvailable` is required"
    if exactly.value is not None and alternatives:
        yield request.invalid(f"{one}, but multiple fields are set", None)
    elif exactly.value is not None:
        yield from _asked(exactly)
    elif alternatives:
        yield from few(alternatives, MOST_ALTERNATIVES, _alternative, name_of)
    else:
        yield request.required(one)


def _alternative(asked: Cursor) -> Iterator[FieldError]:
    yield from called(asked / "name", names.label)
    yield from _asked(asked)


def _asked(asked: Cursor) -> Iterator[FieldError]:
    yield from called(asked / "deviceClassName", names.subdomain)
    yield from few(asked / "selectors", MOST_SELECTORS, selector)
    mode, count = asked / "allocationMode", asked / "count"
    number = count.value or 0
    if mode.value == "All":
        if number:
            yield count.invalid("must not be specified when allocationMode is 'All'")
    elif mode.value == "ExactCount":
        if number <= 0:
            yield count.invalid("must be greater than zero", number)
    else:
        yield mode.unsupported(("All", "ExactCount"), mode.value or "")
    for toleration in asked / "tolerations":
        yield from _toleration(toleration)


def selector(each: Cursor) -> Iterator[FieldError]:
    cel = each / "cel"
    if cel.value is None:
        yield cel.required()
    elif len(cel.get("expression", "")) > LONGEST_EXPRESSION:
        yield (cel / "expression").too_long(LONGEST_EXPRESSION)


def _toleration(toleration: Cursor) -> Iterator[FieldError]:
    operator, value = toleration / "operator", toleration / "value"
    yield from named(toleration / "key", names.qualified)
    yield from chosen(operator, ("Equal", "Exists"))
    if operator.value == "Exists" and value:
        yield value.invalid("must be empty for operator `Exists`")
    elif operator.value == "Equal":
        yield from named(value, names.label_value)
    if toleration.get("effect"):
        yield from one_of(toleration / "effect", EFFECTS)


def taint(each: Cursor) -> Iterator[FieldError]:
    for complaint in names.qualified(each.get("key", "")):
        yield (each / "key").invalid(complaint, each.get("key", ""))
    yield from named(each / "value", names.label_value)
    yield from chosen(each / "effect", EFFECTS)


def _references(requests: Cursor, known: Iterable[str]) -> Iterator[FieldError]:
    def check(name: Cursor) -> Iterator[FieldError]:
        for part in str(name.value).split("/"):
            for complaint in names.label(part):
                yield name.invalid(complaint, part)
        if name.value not in known:
            yield name.invalid(NO_REQUEST)

    yield from few(requests, MOST_REQUESTS, check, str)


def _constraint(constraint: Cursor, known: Iterable[str]) -> Iterator[FieldError]:
    yield from _references(constraint / "requests", known)
    match, distinct = constraint / "matchAttribute", constraint / "distinctAttribute"
    if match.value is not None:
        yield from _attribute(match)
    elif distinct.value is not None:
        yield from _attribute(distinct)
    else:
        words = 'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set'
        yield constraint.required(words)


def _attribute(name: Cursor) -> Iterator[FieldError]:
    """`domain/name`."""
    yield from present(name)
    domain, slash, _ = str(name.value).partition("/")
    if name and not slash:
        yield name.invalid("must include a domain")
    for complaint in names.subdomain(domain) if slash else ():
        yield name.invalid(complaint, domain)


def _claim_config(config: Cursor, known: Iterable[str]) -> Iterator[FieldError]:
    yield from _references(config / "requests", known)
    yield from configuration(config)


def configuration(config: Cursor) -> Iterator[FieldError]:
    opaque = config / "opaque"
    if opaque.value is None:
        yield opaque.required()
    else:
        yield from validate_driver_name(opaque / "driver")
        if opaque.get("parameters") is None:
            yield (opaque / "parameters").required()


def pool_name(name: Cursor) -> Iterator[FieldError]:
    """One subdomain or several, between slashes."""
    text = name.value or ""
    if not text:
        yield name.required()
        return
    if len(text) > LONGEST_POOL:
        yield name.too_long(LONGEST_POOL)
    for part in text.split("/"):
        for complaint in names.subdomain(part):
            yield name.invalid(complaint, part)
