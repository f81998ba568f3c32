"""Label selectors and field selectors: their grammar, and matching.

Source: Kubernetes documentation "Labels and Selectors", "Field Selectors"; the words of k8s.io/apimachinery labels and fields.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from podling.api import names
from podling.api.field import quote

Labels = Mapping[str, str]
Object = dict[str, Any]

_OPERATORS = {"in": "in", "notin": "notin", "=": "=", "==": "==", "!=": "!=", "gt": "gt", "lt": "lt", ">": "gt", "<": "lt"}
_TOKEN = re.compile(r"\s*(==|!=|[=!(),<>]|[^\s=!(),<>]+)")


class SelectorError(ValueError):
    """The selector doesn't parse."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One term. `operator` is in, notin, exists, !, gt or lt; equality is `in` with one value."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def matches(self, labels: Labels) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "in":
                return value in self.values
            case "notin":
                return value not in self.values
            case "exists":
                return value is not None
            case "!":
                return value is None
            case _:
                return value is not None and self._compares(value)

    def _compares(self, value: str) -> bool:
        (bound,) = self.values
        try:
            left, right = int(value), int(bound)
        except ValueError:
            return False
        return left > right if self.operator == "gt" else left < right

    def __str__(self) -> str:
        match self.operator:
            case "exists":
                return self.key
            case "!":
                return f"!{self.key}"
            case "gt" | "lt":
                return f"{self.key}{'>' if self.operator == 'gt' else '<'}{next(iter(self.values))}"
            case _:
                return f"{self.key} {self.operator} ({','.join(sorted(self.values))})"


@dataclass(frozen=True, slots=True)
class Selector:
    """All requirements must hold; none matches everything. `nothing` matches no object at all."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False

    def matches(self, labels: Labels | None) -> bool:
        if self.nothing:
            return False
        known = labels or {}
        return all(requirement.matches(known) for requirement in self.requirements)

    @property
    def everything(self) -> bool:
        return not self.requirements and not self.nothing

    def __str__(self) -> str:
        return ",".join(_print(requirement) for requirement in self.requirements)


EVERYTHING = Selector()
NOTHING = Selector(nothing=True)


def _print(requirement: Requirement) -> str:
    if len(requirement.values) == 1 and requirement.operator in ("in", "notin"):
        return f"{requirement.key}{'=' if requirement.operator == 'in' else '!='}{next(iter(requirement.values))}"
    return str(requirement)


def parse(text: str) -> Selector:
    """A selector from `a=b,c in (d,e),!f`. Raises SelectorError in upstream's words."""
    tokens = _TOKEN.findall(text)
    reader = _Reader(tokens)
    found = []
    while reader.peek():
        try:
            found.append(_requirement(reader))
        except SelectorError as error:
            raise SelectorError(f"unable to parse requirement: {error}") from None
        word = reader.next()
        if word == ",":
            if not reader.peek():
                raise SelectorError("found '', expected: identifier after ','")
        elif word:
            raise SelectorError(f"found '{word}', expected: ',' or 'end of string'")
    return Selector(tuple(found))


class _Reader:
    """Tokens with one look ahead; empty at the end."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._index = 0

    def peek(self) -> str:
        return self._tokens[self._index] if self._index < len(self._tokens) else ""

    def next(self) -> str:
        word = self.peek()
        self._index += 1
        return word


_PUNCTUATION = {"=", "==", "!=", "!", "(", ")", ",", "<", ">"}


def _requirement(reader: _Reader) -> Requirement:
    absent = reader.peek() == "!"
    if absent:
        reader.next()
    key = reader.next()
    if not key or key in _PUNCTUATION:
        raise SelectorError(f"found '{key}', expected: identifier")
    _check_key(key)
    if absent:
        return Requirement(key, "!")
    if reader.peek() in ("", ","):
        return Requirement(key, "exists")
    return _with_values(key, reader)


def _with_values(key: str, reader: _Reader) -> Requirement:
    operator = reader.next()
    if operator in ("in", "notin"):
        values = _set(reader)
    elif operator in ("=", "==", "!=", "<", ">"):
        values = {_exact(reader)}
    else:
        raise SelectorError(f"found '{operator}', expected: in, notin, =, ==, !=, gt, lt")
    canonical = {"=": "in", "==": "in", "!=": "notin", "<": "lt", ">": "gt"}.get(operator, operator)
    return requirement(key, canonical, values)


def _exact(reader: _Reader) -> str:
    word = reader.peek()
    if word in ("", ","):
        return ""
    if word in _PUNCTUATION:
        raise SelectorError(f"found '{word}', expected: identifier")
    return reader.next()


def _set(reader: _Reader) -> set[str]:
    if (word := reader.next()) != "(":
        raise SelectorError(f"found '{word}' expected: '('")
    values = set()
    while True:
        word = reader.peek()
        if word in (",", ")"):
            values.add("")
        elif word in _PUNCTUATION or not word:
            raise SelectorError(f"found '{word}', expected: ',', or identifier")
        else:
            values.add(reader.next())
        word = reader.next()
        if word == ")":
            return values
        if word != ",":
            raise SelectorError(f"found '{word}', expected: ',' or ')'")


def _check_key(key: str) -> None:
    if complaints := names.qualified(key):
        raise SelectorError(f"key: Invalid value: {quote(key)}: {'; '.join(complaints)}")


def requirement(key: str, operator: str, values: set[str]) -> Requirement:
    """A checked term. Raises SelectorError."""
    if operator in ("in", "notin"):
        for value in sorted(values):
            if complaints := names.label_value(value):
                raise SelectorError(f"values[0][{key}]: Invalid value: {quote(value)}: {'; '.join(complaints)}")
    elif operator in ("gt", "lt"):
        _check_number(values)
    return Requirement(key, operator, frozenset(values))


def _check_number(values: set[str]) -> None:
    try:
        if len(values) != 1:
            raise SelectorError("values: Invalid value: for 'Gt', 'Lt' operators, exactly one value is required")
        int(next(iter(values)))
    except ValueError as error:
        if isinstance(error, SelectorError):
            raise
        raise SelectorError(
            f"values[0]: Invalid value: {quote(next(iter(values)))}: for 'Gt', 'Lt' operators, the value must be an integer"
        ) from None


_EXPRESSIONS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!", "Gt": "gt", "Lt": "lt"}


def of_object(selector: Object | None) -> Selector:
    """A selector from a meta/v1 LabelSelector: absent matches nothing, empty matches everything."""
    if selector is None:
        return NOTHING
    terms = [Requirement(key, "in", frozenset((value,))) for key, value in (selector.get("matchLabels") or {}).items()]
    terms += [of_expression(expression) for expression in selector.get("matchExpressions") or ()]
    return Selector(tuple(terms))


def of_expression(expression: Object) -> Requirement:
    """One of matchExpressions. Raises SelectorError for an unknown operator."""
    operator = _EXPRESSIONS.get(expression.get("operator", ""))
    if operator is None:
        raise SelectorError(f"{quote(expression.get('operator', ''))} is not a valid label selector operator")
    return Requirement(expression.get("key", ""), operator, frozenset(expression.get("values") or ()))


def of_labels(labels: Labels | None) -> Selector:
    """A selector from a plain map, as Services and ReplicationControllers have: absent or empty matches nothing."""
    if not labels:
        return NOTHING
    return Selector(tuple(Requirement(key, "in", frozenset((value,))) for key, value in labels.items()))


@dataclass(frozen=True, slots=True)
class FieldTerm:
    """`field=value` or, with `negated`, `field!=value`."""

    field: str
    value: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """All terms must hold."""

    terms: tuple[FieldTerm, ...] = ()

    def matches(self, values: Mapping[str, str]) -> bool:
        """`values` as Kind.field_values gives them."""
        return all((values.get(term.field, "") == term.value) is not term.negated for term in self.terms)

    def exact(self, field: str) -> str | None:
        """The one value that `field` must have, where a term says so."""
        return next((term.value for term in self.terms if term.field == field and not term.negated), None)

    def __str__(self) -> str:
        return ",".join(f"{term.field}{'!=' if term.negated else '='}{_escape(term.value)}" for term in self.terms)


def parse_fields(text: str, selectable: Callable[[str], bool] = lambda _: True) -> FieldSelector:
    """A field selector from `a=b,c!=d`, backslash escaping `,` `=` and itself. Raises SelectorError."""
    terms = [_field_term(part, text) for part in _split(text)]
    for term in terms:
        if not selectable(term.field):
            raise SelectorError(f"field label not supported: {term.field}")
    return FieldSelector(tuple(terms))


def _split(text: str) -> list[str]:
    """The comma-separated parts; an escaped comma does not part."""
    return re.findall(r"(?:[^,\\]|\\.|\\$)+", text)


_FIELD_TERM = re.compile(r"((?:[^=!\\]|\\.|!(?!=))*)(==|!=|=)(.*)", re.DOTALL)


def _field_term(part: str, text: str) -> FieldTerm:
    match = _FIELD_TERM.fullmatch(part)
    if not match:
        raise SelectorError(f"invalid selector: '{text}'; can't understand '{part}'")
    return FieldTerm(match[1], _unescape(match[3]), match[2] == "!=")


def _unescape(value: str) -> str:
    def plain(match: re.Match[str]) -> str:
        if match[0] in ("\\\\", "\\,", "\\="):
            return match[0][1]
        if match[0].startswith("\\"):
            raise SelectorError(f"invalid field selector: invalid escape sequence: {match[0]}")
        raise SelectorError(f"invalid field selector: unescaped character: {match[0]}")

    return re.sub(r"\\.?|[,=]", plain, value)


def _escape(value: str) -> str:
    return re.sub(r"([\\,=])", r"\\\1", value)
