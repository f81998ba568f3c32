"""Rules that many kinds share. Each yields what is wrong, in upstream's words. Source: pkg/apis/*/validation."""

import ipaddress
import re
from collections.abc import Iterable, Iterator
from typing import Any

from podling.api import names
from podling.api.field import Cursor, FieldError, quote

Found = Iterator[FieldError]

_PATH_PATTERN = r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+"
_PATH = re.compile(_PATH_PATTERN).fullmatch
_PERCENT = re.compile("[0-9]+%").fullmatch


def present(value: Cursor, detail: str = "") -> Found:
    if not value.value:
        yield value.required(detail)


def not_negative(value: Cursor) -> Found:
    if value.value is not None and value.value < 0:
        yield value.invalid("must be greater than or equal to 0")


def positive(value: Cursor) -> Found:
    if value.value is not None and value.value <= 0:
        yield value.invalid("must be greater than 0")


def between(value: Cursor, low: int, high: int) -> Found:
    if value.value is not None and not low <= value.value <= high:
        yield value.invalid(f"must be between {low} and {high}, inclusive")


def one_of(value: Cursor, supported: Iterable[str]) -> Found:
    """Absent is good; see `chosen` for what must be there."""
    if value.value is not None and value.value not in supported:
        yield value.unsupported(supported)


def chosen(value: Cursor, supported: Iterable[str]) -> Found:
    if not value.value:
        yield value.required()
    else:
        yield from one_of(value, supported)


def named(value: Cursor, check: names.Check) -> Found:
    """`value`, where there is one, is a good name."""
    if value.value:
        for complaint in check(value.value):
            yield value.invalid(complaint)


def domain_path(value: Cursor) -> Found:
    """A path that begins with a domain: `acme.io/foo`."""
    text = value.value or ""
    domain, _, path = text.partition("/")
    if not text:
        yield value.required()
    elif not domain or not path:
        yield value.invalid('must be a domain-prefixed path (such as "acme.io/foo")')
    else:
        for complaint in names.subdomain(domain):
            yield value.invalid(complaint, domain)
        if not _PATH(path):
            yield value.invalid(names.by_pattern("Invalid path", _PATH_PATTERN), path)


def called(value: Cursor, check: names.Check = names.path_segment) -> Found:
    """`value` must be there, and be a good name."""
    yield from present(value)
    yield from named(value, check)


def unique(items: Cursor, key: str) -> Found:
    """No two items of a list have the same `key`."""
    seen: set[Any] = set()
    for item in items:
        value = item.get(key)
        if value and value in seen:
            yield (item / key).duplicate()
        seen.add(value)


def port(value: Cursor) -> Found:
    if not value.value:
        yield value.required()
    else:
        for complaint in names.port_number(value.value):
            yield value.invalid(complaint)


def port_or_name(value: Cursor) -> Found:
    """A probe's or a service's target port."""
    check = names.port_name if isinstance(value.value, str) else names.port_number
    for complaint in check(value.value or (0 if check is names.port_number else "")):  # type: ignore[arg-type]
        yield value.invalid(complaint, value.value or 0)


def int_or_percent(value: Cursor) -> Found:
    if isinstance(value.value, str):
        if not _PERCENT(value.value):
            words = "a valid percent string must be a numeric string followed by an ending '%'"
            yield value.invalid(names.by_pattern(words, "[0-9]+%", "1%", "93%"))
    else:
        yield from not_negative(value)


def not_over_100_percent(value: Cursor) -> Found:
    text = value.value
    if isinstance(text, str) and _PERCENT(text) and int(text[:-1]) > 100:
        yield value.invalid("must not be greater than 100%")


def ip_address(value: Cursor) -> Found:
    if not is_ip(value.value):
        yield value.invalid("must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)", value.value or "")


def is_ip(text: str | None) -> bool:
    try:
        ipaddress.ip_address(text or "")
    except ValueError:
        return False
    return True


def cidr(value: Cursor, *, canonical: bool = False) -> Found:
    """An address block. Bits beyond the prefix are good where a `canonical` form isn't asked for."""
    try:
        network = ipaddress.ip_network(value.value or "", strict=False)
    except ValueError:
        network = None
    if network is None or "/" not in value.value:
        yield value.invalid("must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)", value.value or "")
    elif canonical and str(network) != value.value:
        yield value.invalid(f"must be in canonical form ({quote(str(network))})")


def label_selector(selector: Cursor) -> Found:
    """A meta/v1 LabelSelector."""
    for key, value in (selector / "matchLabels").entries():
        for complaint in names.qualified(key):
            yield (selector / "matchLabels").invalid(complaint, key)
        for complaint in names.label_value(value.value):
            yield (selector / "matchLabels").invalid(complaint, value.value)
    for expression in selector / "matchExpressions":
        yield from _label_expression(expression)


def _label_expression(expression: Cursor) -> Found:
    operator, values = expression / "operator", expression / "values"
    if operator.value in ("In", "NotIn"):
        if not values:
            yield values.required("must be specified when `operator` is 'In' or 'NotIn'")
    elif operator.value in ("Exists", "DoesNotExist"):
        if values:
            yield values.forbidden("may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
    else:
        yield operator.invalid("not a valid selector operator")
    for complaint in names.qualified(expression.get("key", "")):
        yield (expression / "key").invalid(complaint, expression.get("key", ""))
    for value in values:
        yield from named(value, names.label_value)
