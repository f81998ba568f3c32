"""Rules in CEL over custom resources, where the package that evaluates them is installed; warnings where it is not."""

from typing import Any

import pytest

from podling.api.custom import rules
from podling.api.custom.node import compile_root

Object = dict[str, Any]


def root(rule: str, **more: Any) -> Any:
    members = {
        "min": {"type": "integer"},
        "max": {"type": "integer"},
        "ratio": {"type": "number"},
        "until": {"type": "string", "format": "date-time"},
        "wait": {"type": "string", "format": "duration"},
        "dash-ed": {"type": "string"},
        "namespace": {"type": "string"},
        "words": {"type": "array", "items": {"type": "string"}},
    }
    spec = {"type": "object", "properties": members, rules.KEY: [{"rule": rule, **more}]}
    return compile_root({"type": "object", "properties": {"spec": spec}})


def said(new: Object, old: Object | None, rule: str, **more: Any) -> list[str]:
    pytest.importorskip("cel")
    before = None if old is None else {"spec": old}
    return [error.message for error in rules.errors({"spec": new}, before, root(rule, **more))]


@pytest.mark.parametrize(
    ("rule", "spec"),
    [
        ("self.min <= self.max", {"min": 1, "max": 2}),
        ("!has(self.min) || self.min > 0", {}),
        ("!has(self.min)", {"min": None}),
        ("self.words.all(word, word.startsWith('a'))", {"words": ["a", "ab"]}),
        ("self.ratio == 2.0", {"ratio": 2}),
        ("self.until > timestamp('2020-01-01T00:00:00Z')", {"until": "2021-01-01T00:00:00Z"}),
        ("self.wait < duration('2h')", {"wait": "1h30m"}),
        ("self.dash__dash__ed == 'x' && self.__namespace__ == 'y'", {"dash-ed": "x", "namespace": "y"}),
        ("self.words.indexOf('b') == 1 && self.words.lastIndexOf('c') == -1", {"words": ["a", "b"]}),
        ("self.words.isSorted() && self.words[1].find('[b-z]') == 'b'", {"words": ["a", "ab"]}),
        ("self.words[0].lowerAscii() == 'a'", {"words": ["A"]}),
    ],
)
def test_rules_that_hold(rule: str, spec: Object) -> None:
    assert said(spec, None, rule) == []
    assert said(spec, None, f"!({rule})") != []


def test_what_a_broken_rule_says() -> None:
    wrong = {"min": 2, "max": 1}
    rule = "self.min <= self.max"
    assert said(wrong, None, rule) == ['spec: Invalid value: "object": failed rule: self.min <= self.max']
    assert said(wrong, None, rule, message="too little") == ['spec: Invalid value: "object": too little']
    expression = "'not ' + string(self.min)"
    assert said(wrong, None, rule, messageExpression=expression) == ['spec: Invalid value: "object": not 2']
    forbidden = said(wrong, None, rule, message="no", reason="FieldValueForbidden", fieldPath=".min")
    assert forbidden == ["spec.min: Forbidden: no"]
    assert said({}, None, rule) == ['spec: Invalid value: "object": no such key: min evaluating rule: self.min <= self.max']


def test_transitions() -> None:
    rule = "self.min >= oldSelf.min"
    assert said({"min": 1}, None, rule) == []
    assert said({"min": 2}, {"min": 1}, rule) == []
    assert len(said({"min": 1}, {"min": 2}, rule)) == 1
    assert said({"min": 5}, {"min": 5}, "self.min < 1") == []  # what doesn't change is let alone


def test_what_cannot_be_checked_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", rules.KEY: [{"rule": "self.notThere()"}]}}}
    (warning,) = rules.unchecked(schema, "schema")
    assert warning.startswith(f"schema.properties[a].{rules.KEY}[0].rule: is not checked by this server: ")
    monkeypatch.setattr(rules, "_cel", lambda: None)
    rules.compile_rule.cache_clear()
    (warning,) = rules.unchecked(schema, "schema")
    assert warning.endswith("the package common-expression-language is not installed")
    assert list(rules.errors({"spec": {"min": 1}}, None, root("self.min > 1"))) == []
    rules.compile_rule.cache_clear()
