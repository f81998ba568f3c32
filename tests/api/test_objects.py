from hypothesis import given
from hypothesis import strategies as st

from podling.api import objects
from podling.testing.samples import pod

POD = pod()


def test_a_path_may_end_anywhere():
    assert objects.get(POD, "metadata.name") == "web"
    assert objects.get(POD, "metadata.labels.app", "none") == "none"
    assert objects.get(POD, "metadata.name.deeper", "none") == "none"
    assert objects.get({"a": None}, "a", 1) == 1


def test_put_copies_the_spine_and_shares_the_rest():
    new = objects.put(POD, "status.phase", "Running")
    assert new["status"]["phase"] == "Running"
    assert "status" not in POD
    assert new["spec"] is POD["spec"]


def test_drop_copies_only_when_it_must():
    assert objects.drop(POD, "metadata.labels") is POD
    assert "namespace" not in objects.drop(POD, "metadata.namespace")["metadata"]
    assert POD["metadata"]["namespace"] == "default"


def test_one_owner_controls():
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "web", "uid": "u"}}
    reference = objects.owner_reference(owner)
    owned = objects.put(POD, "metadata.ownerReferences", [{"kind": "X", "uid": "v"}, reference])
    assert objects.controller_of(owned) == reference
    assert objects.is_controlled_by(owned, owner)
    assert not objects.is_controlled_by(POD, owner)


def test_a_condition_keeps_its_time_while_its_status_stays():
    first = objects.with_condition(None, {"type": "Ready", "status": "False"}, "t1")
    same = objects.with_condition(first, {"type": "Ready", "status": "False", "reason": "r"}, "t2")
    assert same == [{"type": "Ready", "status": "False", "reason": "r", "lastTransitionTime": "t1"}]
    turned = objects.with_condition([{"type": "Other", "status": "True"}, *same], {"type": "Ready", "status": "True"}, "t3")
    assert turned[1]["lastTransitionTime"] == "t3"
    assert objects.without_condition(turned, "Ready") == [{"type": "Other", "status": "True"}]
    assert objects.has_condition({"status": {"conditions": turned}}, "Ready")


def test_names_and_keys():
    assert objects.key_of(POD) == "default/web"
    assert objects.key_of({"metadata": {"name": "n1"}}) == "n1"
    assert (objects.group_of("apps/v1"), objects.version_of("apps/v1"), objects.group_of("v1")) == ("apps", "v1", "")


values = st.recursive(st.none() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=2), inner))


@given(values)
def test_a_thawed_copy_is_equal(value):
    assert objects.thaw(value) == value
