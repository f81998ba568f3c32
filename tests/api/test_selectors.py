import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.api import selectors
from podling.api.selectors import NOTHING, SelectorError, of_labels, of_object, parse, parse_fields

WEB = {"app": "web", "tier": "front", "n": "5"}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("app=web", True),
        ("app==web", True),
        ("app = web , tier=front", True),
        ("app!=web", False),
        ("missing!=web", True),
        ("app in (web,api)", True),
        ("app in (api)", False),
        ("app notin (api,db)", True),
        ("missing notin (x)", True),
        ("app", True),
        ("!app", False),
        ("!missing", True),
        ("n>4", True),
        ("n<5", False),
        ("app>1", False),
        ("missing=", False),
        ("in in (in)", False),
    ],
)
def test_label_selectors_match(text, matches):
    assert parse(text).matches(WEB) is matches


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,", "found '', expected: identifier after ','"),
        ("=a", "unable to parse requirement: found '=', expected: identifier"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        (
            "a>b",
            'unable to parse requirement: values[0]: Invalid value: "b": '
            "for 'Gt', 'Lt' operators, the value must be an integer",
        ),
    ],
)
def test_a_bad_selector_is_refused_in_upstreams_words(text, message):
    with pytest.raises(SelectorError) as caught:
        parse(text)
    assert str(caught.value) == message


def test_keys_and_values_must_be_good_labels():
    for text in ("a/b/c=d", "-a", "a=-b", f"a={'b' * 64}"):
        with pytest.raises(SelectorError, match="Invalid value"):
            parse(text)


def test_absent_selects_nothing_and_empty_everything():
    assert not of_object(None).matches(WEB)
    assert of_object({}).matches(WEB)
    assert of_object({}).everything
    assert not of_labels({}).matches(WEB)
    assert not NOTHING.matches({})


def test_selector_objects_match():
    selector = of_object(
        {
            "matchLabels": {"app": "web"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["front", "back"]},
                {"key": "old", "operator": "DoesNotExist"},
            ],
        }
    )
    assert selector.matches(WEB)
    assert not selector.matches(WEB | {"old": ""})
    assert str(selector) == "app=web,tier in (back,front),!old"
    with pytest.raises(SelectorError, match='"Like" is not a valid label selector operator'):
        of_object({"matchExpressions": [{"key": "a", "operator": "Like"}]})


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("status.phase=Running", True),
        ("status.phase==Running,spec.nodeName=", True),
        ("status.phase!=Running", False),
        ("metadata.name=a\\,b", True),
        ("missing=x", False),
        ("missing!=x", True),
    ],
)
def test_field_selectors_match(text, matches):
    values = {"status.phase": "Running", "spec.nodeName": "", "metadata.name": "a,b"}
    assert parse_fields(text).matches(values) is matches


def test_bad_field_selectors():
    with pytest.raises(SelectorError, match=r"invalid selector: 'a,b=c'; can't understand 'a'"):
        parse_fields("a,b=c")
    with pytest.raises(SelectorError, match=r"field label not supported: spec\.foo"):
        parse_fields("spec.foo=1", {"spec.bar"}.__contains__)
    with pytest.raises(SelectorError, match="invalid escape sequence"):
        parse_fields("a=\\b")


def test_an_exact_field_can_be_looked_up():
    selector = parse_fields("spec.nodeName=n1,status.phase!=Failed")
    assert selector.exact("spec.nodeName") == "n1"
    assert selector.exact("status.phase") is None


keys = st.from_regex(r"[a-z]([a-z0-9.-]{0,8}[a-z0-9])?", fullmatch=True)
values = st.from_regex(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,6}[A-Za-z0-9])?", fullmatch=True)
terms = st.one_of(
    st.builds(selectors.Requirement, keys, st.sampled_from(["exists", "!"])),
    st.builds(
        lambda key, operator, chosen: selectors.Requirement(key, operator, frozenset(chosen)),
        keys,
        st.sampled_from(["in", "notin"]),
        st.sets(values, min_size=1, max_size=3),
    ),
    st.builds(
        lambda key, operator, bound: selectors.Requirement(key, operator, frozenset({str(bound)})),
        keys,
        st.sampled_from(["gt", "lt"]),
        st.integers(0, 999),
    ),
)


@given(st.lists(terms, max_size=4))
def test_a_selector_survives_being_written_and_read(requirements):
    selector = selectors.Selector(tuple(requirements))
    assert parse(str(selector)) == selector


@given(st.text(max_size=30))
def test_any_text_parses_or_is_refused(text):
    for reader in (parse, parse_fields):
        with contextlib.suppress(SelectorError):
            reader(text)


@given(st.dictionaries(st.from_regex("[a-z.]{1,6}", fullmatch=True), st.text(max_size=8), max_size=3))
def test_a_field_selector_survives_being_written_and_read(fields):
    selector = selectors.FieldSelector(tuple(selectors.FieldTerm(name, value) for name, value in fields.items()))
    assert parse_fields(str(selector)) == selector
