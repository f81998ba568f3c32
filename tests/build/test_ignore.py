"""What a build does not see."""

import pytest

from podling.base.errors import InvalidInput
from podling.build.ignore import Ignore


@pytest.mark.parametrize(
    ("patterns", "path", "excluded"),
    [
        ("*.md", "README.md", True),
        ("*.md", "docs/README.md", False),
        ("**/*.md", "docs/deep/README.md", True),
        ("**/*.md", "README.md", True),
        ("docs", "docs/a/b", True),
        ("/docs/", "docs/a", True),
        ("docs", "docs2", False),
        ("*\n!keep", "keep", False),
        ("*\n!keep", "keep/below", False),
        ("*\n!keep", "other", True),
        ("temp?", "temp1", True),
        ("[a-c].txt", "b.txt", True),
        ("[^a-c].txt", "b.txt", False),
        ("# a comment\n\na", "a", True),
        ("a/**", "a/b/c", True),
        ("a/**/z", "a/z", True),
    ],
)
def test_patterns(patterns, path, excluded):
    assert Ignore.parse(patterns).excludes(path) is excluded


def test_a_bad_pattern_is_refused():
    with pytest.raises(InvalidInput, match="syntax error in pattern"):
        Ignore.parse("a\n[w-A]")
    assert Ignore.parse("a[[&]b").excludes("a&b")
