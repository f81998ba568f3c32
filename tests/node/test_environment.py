"""Environment variables of containers: as tables."""

import base64
from typing import Any

import pytest

from podling.base.errors import InvalidInput
from podling.node.environment import environment, expand, references, service_variables

POD = {
    "metadata": {
        "name": "web",
        "namespace": "default",
        "uid": "u1",
        "labels": {"app": "web", "tier": "front"},
        "annotations": {"note": 'say "hi"'},
    },
    "spec": {"nodeName": "n1", "serviceAccountName": "robot"},
}
NODE = {"status.podIP": "10.244.0.5", "status.hostIP": "10.0.0.1", "cpu": "2", "memory": str(4 << 30)}
OBJECTS = {
    ("ConfigMap", "settings"): {"kind": "ConfigMap", "metadata": {"namespace": "default"}, "data": {"a": "1", "b": "two"}},
    ("Secret", "keys"): {
        "kind": "Secret",
        "metadata": {"namespace": "default"},
        "data": {"token": base64.b64encode(b"s3cret").decode()},
    },
}


def env(*, services: dict[str, str] | None = None, resources: Any = None, **container: Any) -> dict[str, str]:
    container |= {"name": "app", "resources": resources or {}}
    return environment(POD, container, lambda kind, name: OBJECTS.get((kind, name)), services or {}, NODE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$(A)-$(B)", "1-2"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$(MISSING)", "$(MISSING)"),
        ("$A ${A}", "$A ${A}"),
        ("$(A", "$(A"),
        ("100$", "100$"),
    ],
)
def test_references_to_variables(text: str, expected: str) -> None:
    assert expand(text, {"A": "1", "B": "2"}) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"value": "x"}, "x"),
        ({}, ""),
        ({"valueFrom": {"configMapKeyRef": {"name": "settings", "key": "b"}}}, "two"),
        ({"valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}}, "s3cret"),
        ({"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}, "web"),
        ({"valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}, "u1"),
        ({"valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}, "n1"),
        ({"valueFrom": {"fieldRef": {"fieldPath": "spec.serviceAccountName"}}}, "robot"),
        ({"valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}, "10.244.0.5"),
        ({"valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['tier']"}}}, "front"),
        ({"valueFrom": {"fieldRef": {"fieldPath": "metadata.labels"}}}, 'app="web"\ntier="front"'),
        ({"valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations"}}}, 'note="say \\"hi\\""'),
        ({"valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}, "1"),
        ({"valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}}, "500"),
        ({"valueFrom": {"resourceFieldRef": {"resource": "requests.cpu"}}}, "0"),
        ({"valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}}, "4096"),
    ],
)
def test_sources_of_a_value(source: dict[str, Any], expected: str) -> None:
    assert env(env=[{"name": "X", **source}], resources={"limits": {"cpu": "500m"}})["X"] == expected


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"configMapKeyRef": {"name": "gone", "key": "a"}}, 'configmap "gone" not found'),
        ({"configMapKeyRef": {"name": "settings", "key": "z"}}, "couldn't find key z in ConfigMap default/settings"),
        ({"secretKeyRef": {"name": "gone", "key": "a"}}, 'secret "gone" not found'),
        ({"fieldRef": {"fieldPath": "spec.nope"}}, "unsupported fieldPath: spec.nope"),
    ],
)
def test_what_is_missing_is_named_unless_it_is_optional(source: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message.replace("(", r"\(")):
        env(env=[{"name": "X", "valueFrom": source}])
    if "fieldRef" not in source:
        key, reference = next(iter(source.items()))
        assert "X" not in env(env=[{"name": "X", "valueFrom": {key: {**reference, "optional": True}}}])


def test_whole_objects_with_a_prefix_and_order() -> None:
    found = env(
        envFrom=[{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "keys"}, "prefix": "K_"}],
        env=[{"name": "a", "value": "mine"}, {"name": "c", "value": "$(a)/$(b)/$(K_token)/$(HOST)"}],
        services={"HOST": "10.96.0.1"},
    )
    assert found == {"HOST": "10.96.0.1", "a": "mine", "b": "two", "K_token": "s3cret", "c": "mine/two/s3cret/10.96.0.1"}
    with pytest.raises(InvalidInput, match='configmap "gone" not found'):
        env(envFrom=[{"configMapRef": {"name": "gone"}}])
    assert env(envFrom=[{"configMapRef": {"name": "gone", "optional": True}}]) == {}


def test_what_a_container_refers_to() -> None:
    container = {
        "envFrom": [{"secretRef": {"name": "keys"}}],
        "env": [{"name": "X", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "a"}}}, {"name": "Y"}],
    }
    assert references(container) == {("Secret", "keys"), ("ConfigMap", "settings")}


def test_service_variables() -> None:
    web = {"metadata": {"name": "my-web"}, "spec": {"clusterIP": "10.96.0.20", "ports": [{"name": "http", "port": 80}]}}
    headless = {"metadata": {"name": "db"}, "spec": {"clusterIP": "None", "ports": [{"port": 5432}]}}
    assert service_variables([web, headless]) == {
        "MY_WEB_SERVICE_HOST": "10.96.0.20",
        "MY_WEB_SERVICE_PORT": "80",
        "MY_WEB_SERVICE_PORT_HTTP": "80",
        "MY_WEB_PORT": "tcp://10.96.0.20:80",
        "MY_WEB_PORT_80_TCP": "tcp://10.96.0.20:80",
        "MY_WEB_PORT_80_TCP_PROTO": "tcp",
        "MY_WEB_PORT_80_TCP_PORT": "80",
        "MY_WEB_PORT_80_TCP_ADDR": "10.96.0.20",
    }
