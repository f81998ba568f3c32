"""The watch cache against a plain history: what it shows of the past is what was."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.api.core.pod import POD
from podling.apiserver.cache import Item, ResourceCache, TooOld
from podling.apiserver.encoding import encode, stamp

KEYS = [f"{namespace}/{name}" for namespace in ("a", "a-b", "b") for name in ("x", "y", "z")]


def value(key: str, number: int) -> bytes:
    return orjson.dumps({"kind": "K", "apiVersion": "v1", "metadata": {"name": key}, "number": number})


@given(
    writes=st.lists(st.tuples(st.sampled_from(KEYS), st.booleans()), max_size=25),
    back=st.integers(0, 25),
    prefix=st.sampled_from(["", "a/", "a-b/", "b/x"]),
    start=st.sampled_from(["", *KEYS]),
)
def test_the_past_is_what_it_was(writes: list[tuple[str, bool]], back: int, prefix: str, start: str) -> None:
    cache = ResourceCache(0)
    states: list[dict[str, int]] = [{}]
    for number, (key, delete) in enumerate(writes, 1):
        state = dict(states[-1])
        if delete and key not in state:
            delete = False
        if delete:
            del state[key]
        else:
            state[key] = number
        cache.apply(key, None if delete else value(key, number), number)
        states.append(state)
    revision = max(len(writes) - back, 0)
    shown = [(item.key, item.revision) for item in cache.range(prefix, start, revision)]
    assert shown == [(key, at) for key, at in sorted(states[revision].items()) if key.startswith(prefix) and key > start]
    assert [change.revision for change in cache.since(revision)] == list(range(revision + 1, len(writes) + 1))


def test_the_ring_is_bounded_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("podling.apiserver.cache.RING_BYTES", 500)
    cache = ResourceCache(0)
    for number in range(1, 51):
        cache.apply("a/x", value("a/x", number), number)
    with pytest.raises(TooOld) as refused:
        cache.since(10)
    assert 40 < refused.value.oldest < 50
    assert [change.revision for change in cache.since(refused.value.oldest)] == list(range(refused.value.oldest + 1, 51))


METADATA = (
    {"name": "web"},
    {
        "name": "web",
        "annotations": {"spec": '},"spec":{"metadata":{', "ü": '\\"\u2028\n'},
        "managedFields": [{"fieldsV1": {"f:a": {}}}],
    },
    {"name": "web", "labels": {"metadata": "{}"}, "generation": 2**53, "ownerReferences": [{"metadata": {}}]},
)


@pytest.mark.parametrize("metadata", METADATA)
def test_metadata_and_cells_are_read_from_what_is_stored(metadata: dict[str, object]) -> None:
    for first in ("metadata", "cells"):
        data = stamp(encode({"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": {"containers": [{}]}}), 7)
        item = Item("a/web", data, 7)
        if first == "cells":
            assert item.cells(POD) is item.cells(POD)
        assert orjson.loads(item.metadata) == {"resourceVersion": "7", **metadata}
