"""Sets of fields: laws, and how they are shown."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.api.fieldset import FieldSet, describe, difference, intersection, is_valid, paths, union

ELEMENTS = st.sampled_from(["f:a", "f:b", 'k:{"name":"x"}', 'v:"y"'])
PATHS = st.sets(st.lists(ELEMENTS, min_size=1, max_size=3).map(tuple), max_size=8)


def set_of(members: set[tuple[str, ...]]) -> FieldSet:
    result: FieldSet = {}
    for path in members:
        one: FieldSet = {}
        for element in reversed(path):
            one = {element: one}
        result = union(result, one)
    return result


@given(PATHS, PATHS)
def test_a_trie_is_a_set_of_paths(one: set[tuple[str, ...]], other: set[tuple[str, ...]]) -> None:
    left, right = set_of(one), set_of(other)
    assert set(paths(left)) == one
    assert set(paths(union(left, right))) == one | other
    assert set(paths(difference(left, right))) == one - other
    assert set(paths(intersection(left, right))) == one & other
    assert bool(difference(left, right)) is bool(one - other)
    assert bool(intersection(left, right)) is bool(one & other)
    assert left == set_of(one)  # sets are never changed
    assert is_valid(left)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("f:spec", "f:replicas"), ".spec.replicas"),
        (("f:containers", 'k:{"name":"web"}', "f:image"), '.containers[name="web"].image'),
        (("f:ports", 'k:{"containerPort":80,"protocol":"TCP"}'), '.ports[containerPort=80,protocol="TCP"]'),
        (("f:finalizers", 'v:"x/y"'), '.finalizers[="x/y"]'),
        (("f:list", "i:3"), ".list[3]"),
    ],
)
def test_paths_are_shown_as_upstream_shows_them(path: tuple[str, ...], text: str) -> None:
    assert describe(path) == text


@pytest.mark.parametrize("fields", [[], {"spec": {}}, {"f:a": 1}, {"k:x": {}}, {"k:[]": {}}, {".": {"f:a": {}}}, {"v:{}": {}}])
def test_what_is_no_set(fields: Any) -> None:
    assert not is_valid(fields)
