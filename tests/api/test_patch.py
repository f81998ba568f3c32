import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.api.objects import thaw
from podling.api.patch import PatchError, json_patch, merge, merge_diff, strategic
from podling.api.status import ApiError

OBJ = {"metadata": {"name": "a", "labels": {"x": "1"}}, "list": [1, 2]}


def test_a_json_patch_changes_a_copy():
    before = thaw(OBJ)
    operations = [
        {"op": "test", "path": "/metadata/name", "value": "a"},
        {"op": "add", "path": "/metadata/labels/y~1z", "value": "2"},
        {"op": "add", "path": "/list/-", "value": 3},
        {"op": "remove", "path": "/metadata/labels/x"},
    ]
    assert json_patch(OBJ, operations) == {"metadata": {"name": "a", "labels": {"y/z": "2"}}, "list": [1, 2, 3]}
    assert before == OBJ


@pytest.mark.parametrize(
    "operations",
    [
        [{"op": "test", "path": "/metadata/name", "value": "b"}],
        [{"op": "remove", "path": "/missing"}],
        [{"op": "replace", "path": "/missing/deep", "value": 1}],
        [{"op": "add", "path": "/list/9", "value": 1}],
        [{"op": "add", "path": "/list/x", "value": 1}],
        [{"op": "replace", "path": "", "value": 3}],
        [{"op": "add", "path": "/metadata/name/x", "value": 1}],
    ],
)
def test_a_json_patch_that_does_not_fit_is_refused(operations):
    with pytest.raises(PatchError):
        json_patch(OBJ, operations)


@pytest.mark.parametrize(
    "operations", [{}, "x", None, [1], [{"op": "jump", "path": "/a"}], [{"path": "/a"}], [{"op": "add", "value": 1}]]
)
def test_what_is_no_json_patch_is_a_bad_request(operations):
    with pytest.raises((ApiError, PatchError)) as caught:
        json_patch(OBJ, operations)
    assert getattr(caught.value, "code", 400) == 400


def test_a_json_patch_has_a_limit():
    with pytest.raises(ApiError, match="The allowed maximum operations in a JSON patch is 10000, got 10001"):
        json_patch({}, [{"op": "add", "path": "/a", "value": 1}] * 10001)


def test_a_patch_that_fails_names_the_place():
    with pytest.raises(PatchError, match="testing value /metadata/name failed: test failed"):
        json_patch(OBJ, [{"op": "test", "path": "/metadata/name", "value": "b"}])
    with pytest.raises(PatchError, match="remove operation does not apply at /missing: "):
        json_patch(OBJ, [{"op": "remove", "path": "/missing"}])


# RFC 7396, appendix A
@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patches_are_those_of_the_rfc(target, patch, result):
    assert merge(target, patch) == result


def test_a_merge_patch_is_an_object():
    with pytest.raises(ApiError):
        merge({}, [1])


def test_a_strategic_patch_needs_a_schema():
    with pytest.raises(ApiError) as caught:
        strategic({}, {}, "example.com/v1", "Widget")
    assert caught.value.code == 415


leaves = st.booleans() | st.integers(0, 3) | st.text(max_size=3)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3), max_leaves=8
)
documents = st.dictionaries(st.sampled_from("abcd"), values, max_size=4)


@given(documents, documents)
def test_the_difference_makes_the_one_into_the_other(old, new):
    patch = merge_diff(old, new)
    assert merge(old, patch) == new
    assert merge(merge(old, patch), patch) == new
    if old == new and str(old) == str(new):
        assert patch == {}
