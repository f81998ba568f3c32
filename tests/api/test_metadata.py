import pytest

from podling.api.core.configmap import CONFIG_MAP
from podling.api.core.node import NODE
from podling.testing.samples import changed, refusals, stored


def config(**meta):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "default", **meta}}


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"name": ""}, "metadata.name: Required value: name or generateName is required"),
        ({"name": "A"}, 'metadata.name: Invalid value: "A": a lowercase RFC 1123 subdomain must consist'),
        ({"namespace": ""}, "metadata.namespace: Required value"),
        ({"labels": {"a": "-"}}, 'metadata.labels: Invalid value: "-": a valid label must be an empty string or consist'),
        ({"labels": {"-": "a"}}, 'metadata.labels: Invalid value: "-": name part must consist'),
        ({"annotations": {"a": "x" * 262144}}, "metadata.annotations: Too long: may not be more than 262144 bytes"),
        ({"annotations": {"a b": ""}}, 'metadata.annotations: Invalid value: "a b": name part must consist'),
        ({"finalizers": ["mine"]}, 'metadata.finalizers[0]: Invalid value: "mine": name is neither a standard finalizer name'),
        (
            {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p"}]},
            'metadata.ownerReferences.uid: Invalid value: "": must not be empty',
        ),
    ],
)
def test_bad_metadata_is_refused_in_upstreams_words(meta, message):
    found = refusals(CONFIG_MAP, config(**meta))
    assert [text for text in found if text.startswith(message)], found


def test_one_owner_controls_at_most():
    owners = [{"apiVersion": "v1", "kind": "Pod", "name": name, "uid": name, "controller": True} for name in "ab"]
    (found,) = refusals(CONFIG_MAP, config(ownerReferences=owners))
    assert found.endswith('Only one reference can have Controller set to true. Found "true" in references for Pod/a and Pod/b')


def test_what_has_no_namespace_may_not_name_one():
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "namespace": "default"}}
    assert refusals(NODE, node) == ["metadata.namespace: Forbidden: not allowed on this type"]


def test_identity_stays():
    old = stored(CONFIG_MAP, config())
    for member, value in (("name", "b"), ("namespace", "other"), ("uid", "u-2")):
        _, wrong = changed(CONFIG_MAP, old, lambda obj, key=member, to=value: obj["metadata"].update({key: to}))
        assert wrong == [f'metadata.{member}: Invalid value: "{value}": field is immutable']
    new, wrong = changed(CONFIG_MAP, old, lambda obj: obj["metadata"].pop("uid"))
    assert (new["metadata"]["uid"], wrong) == ("u-1", [])


def test_an_update_names_the_revision_it_saw():
    old = stored(CONFIG_MAP, config())
    _, wrong = changed(CONFIG_MAP, old, lambda obj: obj["metadata"].pop("resourceVersion"))
    assert wrong == ['metadata.resourceVersion: Invalid value: "": must be specified for an update']


def test_what_is_going_gets_no_new_finalizers():
    old = stored(CONFIG_MAP, config(finalizers=["a/b"]))
    old["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert changed(CONFIG_MAP, old, lambda obj: obj["metadata"].update(finalizers=[]))[1] == []
    _, wrong = changed(CONFIG_MAP, old, lambda obj: obj["metadata"].update(finalizers=["a/b", "c/d"]))
    assert wrong == [
        "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, "
        'found new finalizers []string{"c/d"}'
    ]
