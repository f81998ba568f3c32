"""What holds for every kind: a small good object of it is taken, kept, shown and changed."""

import pytest

from podling.api.decode import decode
from podling.api.objects import thaw
from podling.api.schema import schemas
from podling.api.table import table
from podling.testing.kinds import KEPT, sample
from podling.testing.samples import changed, created, stored

NOW = 1_767_225_600.0 + 30

every_kind = pytest.mark.parametrize("kind", KEPT, ids=lambda kind: f"{kind.api_version} {kind.kind}")


def made(kind):
    obj = sample(kind)
    obj["metadata"]["uid"] = "u-1"
    return obj


@every_kind
def test_a_good_object_is_taken(kind):
    assert [error.message for error in kind.errors(created(kind, made(kind)))] == []


@every_kind
def test_defaults_are_filled_in_once(kind):
    once = stored(kind, made(kind))
    twice = thaw(once)
    kind.default(twice)
    assert twice == once


@every_kind
def test_defaults_are_fields_of_the_schema(kind):
    obj = stored(kind, made(kind))
    decoded = decode(obj, schemas().of_kind(kind.api_version, kind.kind))
    assert decoded.unknown == []


@every_kind
def test_what_is_stored_comes_back(kind):
    obj = stored(kind, made(kind))
    assert kind.from_stored(thaw(kind.to_stored(thaw(obj)))) == obj


@every_kind
def test_an_update_that_changes_nothing_is_good(kind):
    old = stored(kind, made(kind))
    new, wrong = changed(kind, old, lambda obj: obj["metadata"].update(labels={"a": "b"}))
    assert wrong == []
    assert new["metadata"].get("generation") == old["metadata"].get("generation")


@every_kind
def test_a_good_status_is_taken(kind):
    old = stored(kind, made(kind))
    new = thaw(old)
    kind.prepare_status(new, old)
    assert list(kind.status_errors(new, old)) == []


@every_kind
def test_it_has_a_row(kind):
    obj = stored(kind, made(kind))
    shown = table(kind, [obj], NOW)
    (row,) = shown["rows"]
    assert len(row["cells"]) == len(shown["columnDefinitions"])
    assert obj["metadata"]["name"] in row["cells"]
