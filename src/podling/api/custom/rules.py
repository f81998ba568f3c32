"""Rules in CEL: `x-kubernetes-validations`, over the value where they stand and, in updates, what it was before.

Expressions are evaluated by the optional package `common-expression-language`. Without it, and for functions that it doesn't
have, rules are not held against anybody: the definition's author is warned. Source: Kubernetes documentation "Validation rules".
"""

import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import import_module
from typing import Any

from podling.api import timestamps
from podling.api.custom import cost, library, optionals
from podling.api.custom.node import ABSENT, Node
from podling.api.field import FieldError

Object = dict[str, Any]

KEY = "x-kubernetes-validations"
PACKAGE = "common-expression-language"

_is_built_in = re.compile(
    "size|contains|startsWith|endsWith|matches|has|type|dyn|string|int|uint|double|bytes|bool|duration|timestamp"
    "|get(Date|DayOfMonth|DayOfWeek|DayOfYear|FullYear|Hours|Milliseconds|Minutes|Month|Seconds)"
).fullmatch
_is_reserved = re.compile(
    "true|false|null|in|as|break|const|continue|else|for|function|if|import|let|loop|package|namespace|return|var|void|while"
).fullmatch
_QUOTES = "'"
_told_by_function = re.compile(
    r"(?s)Function '.*?' error: Python function call failed: \w+: (.*)\. Check function arguments.*"
).match
_ESCAPES = (("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__"))
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s|us|µs|ns)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


class OverBudget(Exception):
    """A rule would cost more than one may: none is evaluated any more."""


class RuleError(ValueError):
    """The expression can't be evaluated, here or anywhere."""


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled expression. `transition`: it speaks of what was before; `loops`: how many stand inside of each other."""

    evaluate: Callable[[Object], Any]
    transition: bool
    loops: int = 0


@cache
def _cel() -> Any:
    try:
        module = import_module("cel")
    except ImportError:
        return None
    logging.getLogger("cel").setLevel(logging.ERROR)  # functions that refuse what a client sent are no news
    return module


@cache
def _context() -> Any:
    """A context with the functions of the standard library; each evaluation sets its own variables."""
    context = _cel().Context()
    import_module("cel.stdlib").add_stdlib_to_context(context)
    for name, function in {**library.FUNCTIONS, **optionals.FUNCTIONS}.items():
        context.add_function(name, function)
    for name, value in library.VARIABLES.items():
        context.add_variable(name, value)
    return context


@cache
def compile_rule(text: str) -> Program:
    """Raises RuleError for what is no CEL, or asks for what isn't here."""
    if _cel() is None:
        raise RuleError(f"the package {PACKAGE} is not installed")
    try:
        program = _cel().compile(optionals.spell_out(text))
    except ValueError as error:
        raise RuleError(str(error).splitlines()[0]) from None
    named = {name for name in program.functions() if name[0].isalpha() and not _is_built_in(name)}
    if unknown := sorted(named - set(_context().functions)):
        raise RuleError(f"the function {unknown[0]} is not known")
    return Program(lambda variables: _evaluate(program, variables), "oldSelf" in program.variables(), cost.depth(text))


def _evaluate(program: Any, variables: Object) -> Any:
    context = _context()
    for name, value in variables.items():
        context.add_variable(name, value)
    try:
        return program.execute(context)
    except KeyError as error:
        raise RuleError(f"no such key: {str(error.args[0]).strip(_QUOTES)}") from None
    except (RuntimeError, TypeError, ValueError, ArithmeticError, IndexError) as error:
        told = _told_by_function(str(error))
        raise RuleError(told[1] if told else str(error)) from None


def unchecked(schema: Object, path: str) -> Iterator[str]:
    """Warnings: which rules of a definition's schema are not held here, and why."""
    for index, rule in enumerate(schema.get(KEY) or ()):
        try:
            compile_rule(rule.get("rule") or "")
        except RuleError as error:
            yield f"{path}.{KEY}[{index}].rule: is not checked by this server: {error}"
    for name, below in (schema.get("properties") or {}).items():
        yield from unchecked(below, f"{path}.properties[{name}]")
    for name in ("items", "additionalProperties"):
        if isinstance(schema.get(name), dict):
            yield from unchecked(schema[name], f"{path}.{name}")


# values


def errors(new: Object, old: Object | None, root: Node) -> Iterator[FieldError]:
    """What the rules say of an object that fits its schema otherwise."""
    try:
        yield from _check(new, ABSENT if old is None else old, root, "")
    except OverBudget as error:
        yield FieldError("FieldValueInvalid", "<nil>", "object", str(error))


def _check(value: Any, old: Any, node: Node, path: str) -> Iterator[FieldError]:
    if not node.ruled or value is None or value == old:
        return
    for rule in node.schema.get(KEY) or ():
        yield from _hold(rule, value, old, node, path)
    if type(value) is dict:
        before = old if type(old) is dict else {}
        for name, item in value.items():
            below = node.properties.get(name, node.additional)
            if below is not None:
                yield from _check(item, before.get(name, ABSENT), below, f"{path}.{name}" if path else name)
    elif type(value) is list and node.items is not None:
        known = _by_keys(old, node)
        for index, item in enumerate(value):
            yield from _check(item, known.get(_keys(item, node), ABSENT), node.items, f"{path}[{index}]")


def _by_keys(old: Any, node: Node) -> dict[Any, Any]:
    """The items of an old list by their keys: only those of map lists can be followed."""
    return {_keys(item, node): item for item in old} if type(old) is list and node.list_type == "map" else {}


def _keys(item: Any, node: Node) -> Any:
    return tuple(item.get(key) for key in node.keys) if type(item) is dict else None


def _hold(rule: Object, value: Any, old: Any, node: Node, path: str) -> Iterator[FieldError]:
    try:
        program = compile_rule(rule["rule"])
    except RuleError:
        return
    if program.transition and old is ABSENT:
        return
    variables = {"self": shown(value, node)}
    if program.transition:
        variables["oldSelf"] = shown(old, node)
    if cost.too_much(program.loops, variables):
        words = (
            "'operation cancelled: actual cost limit exceeded': no further validation rules will be run due to call cost exceeds"
        )
        raise OverBudget(f"{words} limit for rule: {rule.get('message') or rule['rule']}")
    try:
        complaint = "" if program.evaluate(variables) is True else _message(rule, variables)
    except RuleError as error:
        complaint = f"{error} evaluating rule: {rule.get('message') or rule['rule']}"
    if complaint:
        where = f"{path}{rule.get('fieldPath') or ''}" or "<nil>"
        kind = node.type or ("integer" if type(value) is int else "string")
        yield FieldError(rule.get("reason") or "FieldValueInvalid", where.lstrip("."), kind, complaint)


def _message(rule: Object, variables: Object) -> str:
    if expression := rule.get("messageExpression"):
        try:
            text = compile_rule(expression).evaluate(variables)
        except RuleError:
            text = ""
        if isinstance(text, str) and text.strip() and "\n" not in text:
            return text
    return rule.get("message") or f"failed rule: {rule['rule']}"


def shown(value: Any, node: Node) -> Any:
    """A value as expressions see it: times are times, members have names that can be written, nulls are absent."""
    if type(value) is dict:
        return {
            escape(name) if name in node.properties else name: shown(item, node.properties.get(name, node.additional or _FREE))
            for name, item in value.items()
            if item is not None
        }
    if type(value) is list:
        return [shown(item, node.items or _FREE) for item in value]
    if type(value) is str:
        return _typed(value, node.schema.get("format"))
    return float(value) if type(value) is int and node.type == "number" else value


_FREE = Node({}, open=True)


def _typed(text: str, form: str | None) -> Any:
    try:
        if form == "date-time":
            return datetime.fromtimestamp(timestamps.parse(text), UTC)
        if form == "duration":
            return timedelta(seconds=sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(text)))
    except ValueError:
        pass
    return text


def escape(name: str) -> str:
    """A member's name as an identifier."""
    if _is_reserved(name):
        return f"__{name}__"
    for text, word in _ESCAPES:
        name = name.replace(text, word)
    return name
