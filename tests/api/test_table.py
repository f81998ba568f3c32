from podling.api.core.pod import POD
from podling.api.kind import Kind
from podling.api.table import table
from podling.testing.samples import pod


def test_rows_carry_what_was_asked_for():
    one = table(POD, [pod()], 0.0)
    assert (one["kind"], one["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert one["rows"][0]["object"] == {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"name": "web", "namespace": "default"},
    }
    assert table(POD, [pod()], 0.0, include="Object")["rows"][0]["object"] == pod()
    assert "object" not in table(POD, [pod()], 0.0, include="None")["rows"][0]


def test_columns_are_described_once():
    columns = table(POD, [], 0.0)["columnDefinitions"]
    assert [(column["name"], column["priority"]) for column in columns] == [
        ("Name", 0),
        ("Ready", 0),
        ("Status", 0),
        ("Restarts", 0),
        ("Age", 0),
        ("IP", 1),
        ("Node", 1),
        ("Nominated Node", 1),
        ("Readiness Gates", 1),
    ]
    assert columns[0]["format"] == "name"
    assert table(POD, [], 0.0, headers=False)["columnDefinitions"] == []


def test_a_kind_without_columns_shows_name_and_birth():
    plain = Kind(api_version="x/v1", kind="Plain", plural="plains")
    obj = {"metadata": {"name": "a", "creationTimestamp": "2026-01-01T00:00:00Z"}}
    shown = table(plain, [obj], 0.0, metadata={"resourceVersion": "9"})
    assert shown["rows"][0]["cells"] == ["a", "2026-01-01T00:00:00Z"]
    assert shown["metadata"] == {"resourceVersion": "9"}
