"""Variables in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.base.errors import InvalidInput
from podling.build.expand import expand

VARIABLES = {"a": "one", "empty": "", "path": "/usr/lib/x.tar.gz"}


@pytest.mark.parametrize(
    ("word", "result"),
    [
        ("$a-$b", "one-"),
        ("${a}b", "oneb"),
        ("\\$a", "$a"),
        ("'$a'", "$a"),
        ('"$a b"', "one b"),
        ("${b:-two}", "two"),
        ("${empty:-two}${empty-two}", "two"),
        ("${a:+set}${b:+set}", "set"),
        ("${b:-${a}}", "one"),
        ("${path##*/}", "x.tar.gz"),
        ("${path#*/}", "usr/lib/x.tar.gz"),
        ("${path%.*}", "/usr/lib/x.tar"),
        ("${path%%.*}", "/usr/lib/x"),
        ("${path//\\//-}", "-usr-lib-x.tar.gz"),
        ("$", "$"),
        ("a$1", "a$1"),
    ],
)
def test_expansion(word, result):
    assert expand(word, VARIABLES) == result


@pytest.mark.parametrize("word", ["${a", "${}", "'x", '"x', "${b:?must be}", "${a@Q}"])
def test_what_cannot_be_expanded_is_refused(word):
    with pytest.raises(InvalidInput, match="failed to process"):
        expand(word, VARIABLES)


@given(st.text(alphabet=st.characters(exclude_characters="$'\"\\")))
def test_plain_text_stays(text):
    assert expand(text, VARIABLES) == text
