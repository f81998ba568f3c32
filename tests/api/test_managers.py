"""Who manages what: tables for each rule, and the laws of apply."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.api.fieldset import difference, intersection, paths
from podling.api.managers import (
    APPLY,
    UPDATE,
    Conflicts,
    Entries,
    Intent,
    Manager,
    Structure,
    after_create,
    after_update,
    apply,
    name_of_agent,
    read,
    write,
)
from podling.api.managers import (
    given as given_entries,
)
from podling.api.schema import ANY, Shape, schemas
from podling.api.typed import NotMergeable, Typed

Object = dict[str, Any]
DEPLOYMENT = Structure(Typed(schemas()), Shape("type", type_name="io.k8s.api.apps.v1.Deployment"))
POD = Structure(Typed(schemas()), Shape("type", type_name="io.k8s.api.core.v1.Pod"))
ANYTHING = Structure(Typed(schemas()), ANY)


def deployment(**spec: Any) -> Object:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


def pod(*containers: Object, **metadata: Any) -> Object:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", **metadata}, "spec": {"containers": list(containers)}}


def applier(name: str) -> Manager:
    return Manager(name, APPLY, "v1")


def applied(
    live: Object,
    entries: Entries,
    config: Object,
    name: str = "a",
    structure: Structure = POD,
    force: bool = False,
    time: str = "t",
) -> tuple[Object, Entries]:
    return apply(live, entries, Intent(config, applier(name), time, force), structure)


def owned(entries: Entries, name: str) -> Any:
    return next((entry.fields for entry in entries if entry.manager.name == name), None)


def test_a_creator_manages_all_but_what_identifies_the_object() -> None:
    made = pod({"name": "main", "image": "x", "ports": [{"containerPort": 80}]}, labels={"app": "web"}, uid="u", generation=1)
    (entry,) = after_create(made, POD, Manager("kubectl", UPDATE, "v1"), "t")
    port = {".": {}, "f:containerPort": {}}
    ports = {".": {}, 'k:{"containerPort":80,"protocol":"TCP"}': port}
    container = {".": {}, "f:name": {}, "f:image": {}, "f:ports": ports}
    assert entry.fields == {
        "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
        "f:spec": {"f:containers": {".": {}, 'k:{"name":"main"}': container}},
    }


def test_an_update_takes_what_it_changes_and_nobody_has_what_is_gone() -> None:
    old = pod({"name": "main", "image": "x"}, labels={"a": "1", "b": "2"})
    entries = after_create(old, POD, Manager("first"), "1")
    new = pod({"name": "main", "image": "y"}, labels={"a": "1"})
    entries = after_update(old, new, entries, POD, Manager("second"), "2")
    assert owned(entries, "second") == {"f:spec": {"f:containers": {'k:{"name":"main"}': {"f:image": {}}}}}
    assert owned(entries, "first") == {
        "f:metadata": {"f:labels": {".": {}, "f:a": {}}},
        "f:spec": {"f:containers": {".": {}, 'k:{"name":"main"}': {".": {}, "f:name": {}}}},
    }
    assert after_update(new, new, entries, POD, Manager("third"), "3") is entries
    assert after_update(old, new, [], POD, Manager("third"), "3") == []


def test_an_atomic_list_is_one_field() -> None:
    old, new = pod({"name": "main", "args": ["a", "b"]}), pod({"name": "main", "args": ["a"]})
    entries = after_update(old, new, after_create(old, POD, Manager("x"), "1"), POD, Manager("m"), "t")
    assert owned(entries, "m") == {"f:spec": {"f:containers": {'k:{"name":"main"}': {"f:args": {}}}}}


def test_the_oldest_updaters_become_one() -> None:
    obj: Object = {"metadata": {}, "data": {"n": "0"}}
    entries = after_create(obj, ANYTHING, Manager("m0", UPDATE, "v1"), "00")
    for number in range(1, 14):
        new = {"metadata": {}, "data": {**obj["data"], f"k{number}": "x"}}
        entries = after_update(obj, new, entries, ANYTHING, Manager(f"m{number}", UPDATE, "v1"), f"{number:02}")
        obj = new
    assert [entry.manager.name for entry in read(write(entries))] == ["ancient-changes", *(f"m{n}" for n in range(5, 14))]
    assert set(owned(entries, "ancient-changes")["f:data"]) == {".", "f:n", "f:k1", "f:k2", "f:k3", "f:k4"}


def test_an_intent_meets_what_is_there() -> None:
    live = pod({"name": "main", "image": "x"}, {"name": "side", "image": "s"}, finalizers=["a/b"])
    entries = after_create(live, POD, Manager("creator"), "1")
    wish = pod({"name": "new", "image": "n"}, {"name": "main", "env": [{"name": "A", "value": "1"}]}, finalizers=["c/d"])
    new, entries = applied(live, entries, wish)
    assert [found["name"] for found in new["spec"]["containers"]] == ["new", "main", "side"]
    assert new["spec"]["containers"][1] == {"name": "main", "image": "x", "env": [{"name": "A", "value": "1"}]}
    assert new["metadata"]["finalizers"] == ["a/b", "c/d"]
    assert sorted(".".join(path) for path in paths(owned(entries, "a"))) == [
        'f:metadata.f:finalizers.v:"c/d"',
        'f:spec.f:containers.k:{"name":"main"}',
        'f:spec.f:containers.k:{"name":"main"}.f:env.k:{"name":"A"}',
        'f:spec.f:containers.k:{"name":"main"}.f:env.k:{"name":"A"}.f:name',
        'f:spec.f:containers.k:{"name":"main"}.f:env.k:{"name":"A"}.f:value',
        'f:spec.f:containers.k:{"name":"main"}.f:name',
        'f:spec.f:containers.k:{"name":"new"}',
        'f:spec.f:containers.k:{"name":"new"}.f:image',
        'f:spec.f:containers.k:{"name":"new"}.f:name',
    ]


def test_what_an_applier_no_longer_wishes_goes_unless_others_have_it() -> None:
    live, entries = applied({}, [], pod({"name": "main", "image": "x"}, {"name": "side"}, labels={"a": "1", "b": "2"}))
    live, entries = applied(live, entries, pod(labels={"b": "2"}), "other")
    live, entries = applied(live, entries, pod({"name": "main", "image": "x"}))
    assert live["metadata"]["labels"] == {"b": "2"}
    assert [found["name"] for found in live["spec"]["containers"]] == ["main"]
    live, entries = applied(live, entries, {"metadata": {"name": "p"}}, "other")
    assert "labels" not in live["metadata"]
    assert owned(entries, "other") is None


def test_a_structure_goes_with_the_defaults_in_it() -> None:
    wish = deployment(strategy={"rollingUpdate": {"maxSurge": 1}}, replicas=1)
    live, entries = applied({}, [], wish, structure=DEPLOYMENT)
    live["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] = "25%"  # a default
    live, _ = applied(live, entries, deployment(replicas=1), structure=DEPLOYMENT)
    assert live["spec"] == {"replicas": 1}


def test_a_conflict_names_managers_and_fields() -> None:
    live = deployment(replicas=1, paused=True)
    entries = after_create(live, DEPLOYMENT, Manager("kubectl-client-side-apply", UPDATE, "apps/v1"), "2026-01-01T00:00:00Z")
    live, entries = applied(live, entries, deployment(paused=True), "x", DEPLOYMENT)
    with pytest.raises(Conflicts) as caught:
        applied(live, entries, deployment(replicas=2, paused=True), structure=DEPLOYMENT)
    error = caught.value.error()
    who = 'conflict with "kubectl-client-side-apply" using apps/v1 at 2026-01-01T00:00:00Z'
    assert (error.code, error.reason, error.message) == (409, "Conflict", f"Apply failed with 1 conflict: {who}: .spec.replicas")
    assert error.details == {"causes": [{"reason": "FieldManagerConflict", "message": who, "field": ".spec.replicas"}]}
    new, entries = applied(live, entries, deployment(replicas=2, paused=True), structure=DEPLOYMENT, force=True)
    assert new["spec"]["replicas"] == 2
    assert owned(entries, "kubectl-client-side-apply") == {"f:spec": {"f:paused": {}}}
    with pytest.raises(Conflicts) as caught:
        applied(new, entries, deployment(replicas=3, paused=False), "b", DEPLOYMENT)
    assert caught.value.error().message.startswith("Apply failed with ")
    assert 'conflicts with "a":\n- .spec.paused\n- .spec.replicas' in caught.value.error().message


def test_the_same_value_is_no_conflict() -> None:
    live, entries = applied({}, [], deployment(replicas=1), structure=DEPLOYMENT)
    new, entries = applied(live, entries, deployment(replicas=1), "b", DEPLOYMENT)
    assert new == live
    assert owned(entries, "a") == owned(entries, "b")


def test_who_applies_the_same_again_changes_nothing() -> None:
    live, entries = applied({}, [], deployment(replicas=1), structure=DEPLOYMENT, time="1")
    again = applied(live, entries, deployment(replicas=1), structure=DEPLOYMENT, time="2")
    assert again == (live, entries)


def test_what_nobody_tracked_was_somebodys() -> None:
    with pytest.raises(Conflicts, match="before-first-apply"):
        applied(deployment(replicas=1), [], deployment(replicas=2), structure=DEPLOYMENT)


def test_kubectl_takes_over_what_it_applied_from_the_client() -> None:
    annotation = '{"metadata":{"name":"web"},"spec":{"replicas":1}}'
    live = deployment(replicas=1)
    live["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": annotation}
    entries = after_create(live, DEPLOYMENT, Manager("kubectl-client-side-apply", UPDATE, "apps/v1"), "1")
    new, _ = applied(live, entries, deployment(replicas=2), "kubectl", DEPLOYMENT)
    assert new["spec"] == {"replicas": 2}
    changed = {**live, "spec": {"replicas": 9}}
    for name in ("kubectl", "other"):
        with pytest.raises(Conflicts):
            applied(changed if name == "kubectl" else live, entries, deployment(replicas=2), name, DEPLOYMENT)


@pytest.mark.parametrize(
    ("containers", "message"),
    [
        ([{"image": "x"}], '.spec.containers: element 0: associative list with keys has an element that omits key field "name"'),
        ([{"name": "x"}, {"name": "x"}], '.spec.containers: duplicate entries for key [name="x"]'),
    ],
)
def test_an_intent_that_cannot_be_merged(containers: list[Object], message: str) -> None:
    for live in ({}, pod({"name": "y"})):
        with pytest.raises(NotMergeable) as caught:
            applied(live, [], pod(*containers), force=True)
        assert str(caught.value).startswith(message)


def test_entries_that_a_client_sends() -> None:
    live = read([{"manager": "m", "operation": "Update", "fieldsV1": {"f:a": {}}}])
    sent = [{"manager": "n", "operation": "Apply", "fieldsV1": {"f:b": {}}}]
    assert given_entries(None, live) is live
    assert given_entries([], live) is live
    assert given_entries([{"operation": "Steal"}], live) is live
    assert given_entries([{"operation": "Apply", "fieldsV1": {"b": {}}}], live) is live
    assert given_entries([{}], live) == []
    assert owned(given_entries(sent, live), "n") == {"f:b": {}}


def test_a_user_agent_names_a_manager() -> None:
    assert name_of_agent("kubectl/v1.36.0 (linux/amd64)") == "kubectl"
    assert len(name_of_agent("x" * 500)) == 128


# laws

NAMES = st.sampled_from(["a", "b", "c"])
VALUES = st.sampled_from(["1", "2"])
CONTAINER = st.fixed_dictionaries(
    {"name": NAMES},
    optional={
        "image": VALUES,
        "args": st.lists(VALUES, max_size=2),
        "env": st.lists(st.fixed_dictionaries({"name": NAMES, "value": VALUES}), max_size=2, unique_by=lambda one: one["name"]),
    },
)
WISHES = st.builds(
    lambda containers, labels, finalizers: pod(*containers, labels=labels, finalizers=finalizers),
    st.lists(CONTAINER, max_size=3, unique_by=lambda one: one["name"]),
    st.dictionaries(NAMES, VALUES, max_size=2),
    st.lists(NAMES, max_size=2, unique=True),
)


def shown(value: Any) -> Any:
    """A value without what is empty, lists by their keys: how two outcomes are compared."""
    if isinstance(value, dict):
        return {name: found for name, item in value.items() if (found := shown(item)) not in ({}, [])}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return {item["name"]: shown(item) for item in value}
    return sorted(value) if isinstance(value, list) else value


@given(WISHES, WISHES)
def test_the_last_wish_of_one_applier_counts(first: Object, second: Object) -> None:
    live, entries = applied({}, [], first)
    both, owners = applied(live, entries, second, time="2")
    alone, alone_owners = applied({}, [], second)
    assert shown(both) == shown(alone)
    assert [entry.fields for entry in owners] == [entry.fields for entry in alone_owners]
    assert applied(both, owners, second, time="3") == (both, owners)


@given(WISHES, WISHES)
def test_what_is_wished_is_met_and_owned(one: Object, other: Object) -> None:
    live, entries = applied({}, [], one, "one")
    new, entries = applied(live, entries, other, "other", force=True)
    merged = POD.typed.merge(new, other, POD.shape)
    assert shown(merged) == shown(new)
    mine = owned(entries, "other") or {}
    assert mine == (owned(applied({}, [], other, "other")[1], "other") or {})
    changed = POD.typed.compare(live, new, POD.shape).changed
    assert not intersection(owned(entries, "one") or {}, changed)  # what another changed is no longer mine


@given(WISHES, WISHES)
def test_a_difference_tells_all(old: Object, new: Object) -> None:
    found, back = POD.typed.compare(old, new, POD.shape), POD.typed.compare(new, old, POD.shape)
    assert not intersection(found.removed, POD.typed.fields(new, POD.shape))
    assert not difference(found.removed, back.changed)
    if not found.changed and not found.removed:
        assert shown(old) == shown(new)
