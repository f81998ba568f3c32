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


@pytest.mark.parametrize(
    "rule",
    [
        "quantity('1.5Gi').isGreaterThan(quantity('1500Mi')) && isQuantity('1k') && !isQuantity('1kk')",
        "quantity('1') == quantity('1000m') && quantity('50k').add(quantity('20')).sub(20).asInteger() == 50000",
        "quantity('-1').sign() == -1 && !quantity('1m').isInteger() && quantity('10Ei').compareTo(quantity('1')) == 1",
        "url('https://u@a.b:80/p?x=1&x=2').getHost() == 'a.b:80' && url('https://a:80/').getPort() == '80'",
        "url('https://[::1]:80/p%20q?x=1').getHostname() == '::1' && url('https://a/p%20q').getEscapedPath() == '/p%20q'",
        "url('https://a/?x=1&x=2').getQuery()['x'] == ['1', '2'] && isURL('/a') && !isURL('../a') && !isURL('a b')",
        "ip('192.0.2.1').family() == 4 && isIP('::1') && !isIP('1.2.3.256') && !isIP('::ffff:1.2.3.4')",
        "ip.isCanonical('2001:db8::1') && !ip.isCanonical('2001:DB8::1') && ip('127.0.0.1').isLoopback()",
        "ip('8.8.8.8').isGlobalUnicast() && ip('169.254.1.1').isLinkLocalUnicast() && ip('0.0.0.0').isUnspecified()",
        "cidr('192.0.2.0/24').containsIP('192.0.2.7') && cidr('192.0.2.0/24').containsIP(ip('192.0.2.7'))",
        "cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') && cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8')",
        "cidr('10.1.2.3/8').ip() == ip('10.1.2.3') && cidr('10.0.0.0/8').prefixLength() == 8 && !isCIDR('10.0.0.0')",
        "!format.dns1123Label().validate('web').hasValue() && format.dns1123Label().validate('Web').hasValue()",
        "format.named('uuid').hasValue() && !format.named('none').hasValue() && !format.uri().validate('/a').hasValue()",
        "semver('1.2.3').isLessThan(semver('1.10.0')) && semver('1.0.0-a').compareTo(semver('1.0.0')) == -1",
        "isSemver('1.2.3') && !isSemver('1.2') && isSemver('v1.2', true) && semver('1.2.3').minor() == 2",
        "self.?min.orValue(5) == 2 && self.?ratio.orValue(5.0) == 5.0 && !self.?ratio.hasValue()",
        "self.words[?1].orValue('x') == 'b' && self[?'min'].hasValue() && self.words[?7].orValue('.?x') == '.?x'",
        "'%s has %d of %.1f'.format(['a', 2, 1.5]) == 'a has 2 of 1.5' && 'ab1c22'.findAll('[0-9]+') == ['1', '22']",
        "[3, 1].sum() == 4 && [1, 2].isSorted() && sets.contains([1, 2], [1]) && 'a,b'.split(',').size() == 2",
    ],
)
def test_the_functions_of_kubernetes(rule: str) -> None:
    assert said({"min": 2, "words": ["a", "b"]}, None, rule) == []


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("quantity('x').sign() == 1", "quantities must match the regular expression"),
        ("ip('x').family() == 4", "'x' does not appear to be an IPv4 or IPv6 address"),
        ("self.words[3] == 'a'", "index out of bounds: 3"),
        ("self.min / 0 == 1", "division by zero"),
        ("quantity('1').isGreaterThan(ip('::1'))", "no such overload"),
    ],
)
def test_what_cannot_be_evaluated(rule: str, words: str) -> None:
    (message,) = said({"min": 2, "words": ["a"]}, None, rule)
    assert message.startswith('spec: Invalid value: "object": ')
    assert words in message
    assert message.endswith(f" evaluating rule: {rule}")


def test_a_rule_that_costs_too_much() -> None:
    rule = "self.words.all(a, self.words.all(b, a == b))"
    assert said({"words": ["a"] * 400}, None, rule) == []
    words = "'operation cancelled: actual cost limit exceeded': no further validation rules will be run due to call cost exceeds"
    (message,) = said({"words": ["a"] * 1000}, None, rule)
    assert message == f'<nil>: Invalid value: "object": {words} limit for rule: {rule}'
    assert said({"words": ["a"] * 1000}, None, "self.words.all(a, a == 'a')") == []


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
