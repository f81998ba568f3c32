"""Every kind that the schemas have is served, as the published models of the API list it."""

import ast
from functools import cache
from importlib.resources import files

import pytest

from podling.api.kind import Kind
from podling.api.registry import BUILTIN, KINDS, Registry
from podling.api.schema import schemas

KEPT = [kind for kind in KINDS if not kind.create_only]
# Types of the schemas that are no resources of their own: bodies of subresources, parts of the protocol.
BODIES = {
    ("v1", "APIGroup"),
    ("v1", "APIResourceList"),
    ("v1", "APIVersions"),
    ("v1", "Status"),
    ("authentication.k8s.io/v1", "TokenRequest"),
    ("autoscaling/v1", "Scale"),
    ("policy/v1", "Eviction"),
}
NOT_SERVED = {
    "componentstatuses": {"watch"},  # its OpenAPI has the verb, its discovery document has not
    "csinodes": {"status"},  # of a later version
}
STREAMS = {"attach", "exec", "portforward", "proxy"}
VERBS = {"post": "create", "put": "update"}
named = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.api_version} {kind.kind}")
kept = pytest.mark.parametrize("kind", KEPT, ids=lambda kind: f"{kind.api_version} {kind.kind}")


@cache
def published(group: str) -> dict[tuple[str, str], ast.ClassDef]:
    """The classes of a group in the published models by kind and subresource. They are read, not imported."""
    short = group.removesuffix(".k8s.io") or "core"
    names = {short, short.replace(".", "_"), short.removesuffix(".authorization")}
    found = {}
    for path in sorted((files("lightkube") / "resources").iterdir(), key=lambda path: path.name, reverse=True):
        if path.name.rpartition("_")[0] in names:
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.ClassDef):
                    info = facts(node)
                    found[info.get("kind", node.name), info.get("action", "")] = node
    return found


def facts(node: ast.ClassDef) -> dict:
    (info,) = [stmt.value for stmt in node.body if isinstance(stmt, ast.Assign) and stmt.targets[0].id == "_api_info"]
    plain = {word.arg: word.value for word in info.keywords}
    result = {name: ast.literal_eval(plain[name]) for name in ("plural", "verbs", "action") if name in plain}
    owner = plain.get("parent") or plain["resource"]
    return {**result, "kind": ast.literal_eval(owner.args[2])}


def verbs_of(info: dict) -> set[str]:
    return {VERBS.get(verb, verb) for verb in info["verbs"] if not verb.startswith("global_")}


def test_nothing_that_the_schemas_have_is_missing():
    known = set(schemas().kinds())
    lists = {(version, kind) for version, kind in known if kind.endswith("List") and (version, kind[: -len("List")]) in known}
    assert known - lists - BODIES == {(kind.api_version, kind.kind) for kind in KINDS}


@kept
def test_plurals_scope_and_verbs_are_as_published(kind):
    node = published(kind.group)[kind.kind, ""]
    info = facts(node)
    assert (kind.plural, kind.namespaced) == (info["plural"], node.bases[0].attr.startswith("Namespaced"))
    assert set(kind.verbs) == verbs_of(info) - NOT_SERVED.get(kind.plural, set())


@kept
def test_subresources_are_as_published(kind):
    listed = {
        action: verbs_of(facts(node)) for (name, action), node in published(kind.group).items() if name == kind.kind and action
    }
    served = {sub.name: set(sub.verbs) for sub in kind.subresources}
    assert served.keys() - STREAMS == listed.keys() - STREAMS - NOT_SERVED.get(kind.plural, set())
    for name in served.keys() & listed.keys() - STREAMS:
        assert served[name] == listed[name]


@named
def test_every_kind_has_a_schema(kind):
    assert schemas().of_kind(kind.api_version, kind.kind) is not None


def test_versions_of_a_kind_are_stored_as_one():
    for kind in KEPT:
        others = [other for other in KEPT if (other.group, other.plural) == (kind.group, kind.plural)]
        assert {other.storage for other in others} == {kind.storage}
        assert sum(other.stored_as is None for other in others) <= 1


def test_kinds_are_found_by_both_names():
    pods = BUILTIN.resource("", "v1", "pods")
    assert pods is BUILTIN.kind("v1", "Pod")
    assert BUILTIN.resource("apps", "v1", "pods") is None
    rbac = ["clusterrolebindings", "clusterroles", "rolebindings", "roles"]
    assert [kind.plural for kind in BUILTIN.of_group("rbac.authorization.k8s.io", "v1")] == rbac
    assert next(iter(BUILTIN.group_versions())) == ""


def test_the_stable_version_of_a_group_comes_first():
    for versions in BUILTIN.group_versions().values():
        assert versions == sorted(versions, key=lambda version: ("beta" in version, [-ord(char) for char in version]))


def test_kinds_come_and_go():
    registry = Registry(())
    widget = Kind(api_version="example.com/v1", kind="Widget", plural="widgets")
    registry.add(widget)
    assert registry.kind("example.com/v1", "Widget") is widget
    registry.remove(widget)
    assert list(registry) == []
