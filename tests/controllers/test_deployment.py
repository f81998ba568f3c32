"""A Deployment's steps, as tables: old and new sizes in, sizes out."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from podling.api.objects import Object
from podling.controllers.deployment import revisions, rollout, scaling
from podling.controllers.deployment.facts import DESIRED, MAXIMUM, Facts


def deployment(replicas: int, surge: Any = "25%", unavailable: Any = "25%", **spec: Any) -> Object:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "ns", "uid": "d"},
        "spec": {
            "replicas": replicas,
            "strategy": strategy,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"image": "web:2"}]}},
            **spec,
        },
    }


def rs(name: str, replicas: int, available: int | None = None, scaled_for: tuple[int, int] | None = None) -> Object:
    annotations = {DESIRED: str(scaled_for[0]), MAXIMUM: str(scaled_for[1])} if scaled_for else {}
    metadata = {"name": name, "uid": name, "creationTimestamp": f"2026-01-01T00:00:{len(name):02}Z", "annotations": annotations}
    status = {"replicas": replicas, "availableReplicas": replicas if available is None else available}
    return {"metadata": metadata, "spec": {"replicas": replicas, "template": {}}, "status": status}


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "new", "old", "expected"),
    [
        # up as far as the surge allows
        (10, "25%", "25%", rs("new", 0), [rs("o", 10)], {"new": 3}),
        (10, 0, 1, rs("new", 0), [rs("o", 10)], {"o": 9}),
        # down with what may be missing
        (10, "25%", "25%", rs("new", 3, 0), [rs("o", 10)], {"o": 8}),
        (10, "25%", "25%", rs("new", 3, 3), [rs("o", 10)], {"o": 5}),
        # an old one whose pods are told to go and still count keeps nothing up
        (10, "25%", "25%", rs("new", 5, 3), [rs("o", 8, 10)], {"o": 5}),
        # unavailable old ones first, wherever they are
        (10, 0, 2, rs("new", 0), [rs("o", 5, 5), rs("oo", 5, 3)], {"oo": 3}),
        # a new one that never gets ready holds the old ones up
        (4, 1, 0, rs("new", 1, 0), [rs("o", 4)], {}),
        # both zero would never move: one may be missing
        (3, 0, 0, rs("new", 0), [rs("o", 3)], {"o": 2}),
        # done
        (3, 1, 1, rs("new", 3), [rs("o", 0)], {}),
        # scaled down meanwhile
        (2, 1, 1, rs("new", 3), [], {"new": 2}),
    ],
)
def test_rolling(replicas: int, surge: Any, unavailable: Any, new: Object, old: list[Object], expected: rollout.Sizes) -> None:
    assert rollout.rolling(Facts(deployment(replicas, surge, unavailable), new, old)) == expected


counts = some.integers(min_value=0, max_value=12)


@given(replicas=some.integers(1, 12), surge=counts, unavailable=counts, start=counts, data=some.data())
def test_a_rollout_keeps_its_bounds_and_ends(replicas: int, surge: int, unavailable: int, start: int, data: Any) -> None:
    new, old = rs("new", 0), rs("o", replicas)
    for _ in range(200):
        facts = Facts(deployment(replicas, surge, unavailable), new, [old])
        sizes = rollout.rolling(facts)
        for one in (new, old):
            size = sizes.get(one["metadata"]["uid"], one["spec"]["replicas"])
            one["spec"]["replicas"] = size
            ready = min(size, one["status"]["availableReplicas"])
            one["status"]["availableReplicas"] = ready + data.draw(some.integers(0, size - ready))
        assert new["spec"]["replicas"] + old["spec"]["replicas"] <= facts.ceiling
        if not sizes:
            for one in (new, old):
                one["status"]["availableReplicas"] = one["spec"]["replicas"]
        if new["spec"]["replicas"] == replicas and old["spec"]["replicas"] == 0:
            return
    raise AssertionError("the rollout doesn't end")


@given(replicas=some.integers(1, 20), surge=counts, unavailable=counts, new=counts, old=counts, data=some.data())
def test_never_fewer_available_than_promised(replicas: int, surge: int, unavailable: int, new: int, old: int, data: Any) -> None:
    sets = [rs(name, size, data.draw(some.integers(0, size))) for name, size in (("new", new), ("o", old))]
    facts = Facts(deployment(replicas, surge, unavailable), sets[0], [sets[1]])
    sizes = rollout.shrunk(facts)
    kept = sum(min(sizes.get(one["metadata"]["uid"], 99), one["status"]["availableReplicas"]) for one in sets)
    before = sum(one["status"]["availableReplicas"] for one in sets)
    assert kept >= min(before, replicas - facts.max_unavailable)


@pytest.mark.parametrize(
    ("replicas", "sets", "expected"),
    [
        # one active: it takes it all
        (5, [rs("a", 3, scaled_for=(3, 4))], {"a": 5}),
        (0, [rs("a", 3, scaled_for=(3, 4))], {"a": 0}),
        # in the middle of a rollout: in proportion (documentation's example: 10 -> 15 with surge 3)
        (15, [rs("a", 8, scaled_for=(10, 13)), rs("new", 5, 0, scaled_for=(10, 13))], {"a": 11, "new": 7}),
        (5, [rs("a", 8, scaled_for=(10, 13)), rs("new", 5, 0, scaled_for=(10, 13))], {"a": 5, "new": 3}),
    ],
)
def test_scaling(replicas: int, sets: list[Object], expected: rollout.Sizes) -> None:
    new = next((one for one in sets if one["metadata"]["name"] == "new"), None)
    facts = Facts(deployment(replicas, surge=3, unavailable=2), new, [one for one in sets if one is not new])
    assert scaling.is_asked(facts)
    assert scaling.scale(facts) == expected


def test_the_hash_tells_templates_apart_and_itself_is_no_difference() -> None:
    template = deployment(1)["spec"]["template"]
    digest = revisions.template_hash(template, 0)
    labelled = {**template, "metadata": {"labels": {"app": "web", revisions.HASH: digest}, "creationTimestamp": None}}
    assert revisions.template_hash(labelled, 0) == digest
    assert revisions.template_hash(template, 1) != digest
    assert revisions.template_hash({**template, "spec": {"containers": []}}, 0) != digest


def test_a_new_set_carries_hash_revision_and_what_the_deployment_says() -> None:
    wanted = deployment(4, surge=1)
    wanted["metadata"]["annotations"] = {"team": "a", "kubectl.kubernetes.io/last-applied-configuration": "{}"}
    made = revisions.new_set(Facts(wanted, None, []), 2)
    digest = made["metadata"]["labels"][revisions.HASH]
    assert made["metadata"]["name"] == f"web-{digest}"
    assert made["spec"]["selector"]["matchLabels"] == {"app": "web", revisions.HASH: digest}
    assert made["metadata"]["annotations"] == {"team": "a", revisions.REVISION: "1", DESIRED: "4", MAXIMUM: "5"}


@pytest.mark.parametrize(("limit", "gone"), [(0, ["o1", "oo2"]), (1, ["o1"]), (5, [])])
def test_history_keeps_the_newest_idle_ones(limit: int, gone: list[str]) -> None:
    old = [rs("oo2", 0), rs("o1", 0)]
    for number, one in ((2, old[0]), (1, old[1])):
        one["metadata"]["annotations"][revisions.REVISION] = str(number)
    facts = Facts(deployment(1, revisionHistoryLimit=limit), rs("new", 1), old)
    assert [one["metadata"]["name"] for one in revisions.beyond_history(facts)] == gone
