"""A round trip with lightkube: what the client's own models make of the answers, and what it waits for."""

from collections.abc import Iterator
from contextlib import closing
from itertools import islice

import pytest
from lightkube import ApiError, Client, KubeConfig
from lightkube.generic_resource import create_namespaced_resource, load_in_cluster_generic_resources
from lightkube.models.apps_v1 import DeploymentSpec
from lightkube.models.core_v1 import Container, PodSpec, PodTemplateSpec
from lightkube.models.meta_v1 import LabelSelector, ObjectMeta
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Namespace, Pod, Service
from lightkube.types import PatchType

from podling.testing.apiserver import Served

DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: lamps.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: lamps, kind: Lamp}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec: {type: object, properties: {watts: {type: integer, default: 5}}}
          status: {type: object, x-kubernetes-preserve-unknown-fields: true}
"""


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    config = KubeConfig.from_file(served.kubeconfig)
    with Client(config=config, namespace="lightkube", field_manager="lightkube", trust_env=False) as made:
        made.apply(Namespace(metadata=ObjectMeta(name="lightkube")))
        yield made


def config_map(name: str, **data: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, labels={"for": "lightkube"}), data=data)


def test_objects_come_change_and_go(client: Client) -> None:
    made = client.create(config_map("a", one="1"))
    assert made.metadata is not None
    assert made.metadata.creationTimestamp.year > 2020
    assert client.get(ConfigMap, "a") == made
    with pytest.raises(ApiError) as refused:
        client.create(config_map("a"))
    assert (refused.value.status.code, refused.value.status.reason) == (409, "AlreadyExists")
    made.data["two"] = "2"
    replaced = client.replace(made)
    assert replaced.data == {"one": "1", "two": "2"}
    patched = client.patch(ConfigMap, "a", {"data": {"one": None}}, patch_type=PatchType.MERGE)
    assert patched.data == {"two": "2"}
    listed = list(client.list(ConfigMap, labels={"for": "lightkube"}))
    assert [each.metadata.name for each in listed] == ["a"]
    client.delete(ConfigMap, "a")
    with pytest.raises(ApiError, match='configmaps "a" not found'):
        client.get(ConfigMap, "a")
    client.deletecollection(ConfigMap)
    assert list(client.list(ConfigMap)) == []


def test_apply_scale_and_status(client: Client) -> None:
    labels = {"app": "web"}
    template = PodTemplateSpec(metadata=ObjectMeta(labels=labels), spec=PodSpec(containers=[Container(name="c", image="i")]))
    spec = DeploymentSpec(replicas=1, selector=LabelSelector(matchLabels=labels), template=template)
    wish = Deployment(metadata=ObjectMeta(name="web"), spec=spec)
    applied = client.apply(wish)
    assert [entry.manager for entry in applied.metadata.managedFields] == ["lightkube"]
    other = Deployment(metadata=ObjectMeta(name="web"), spec=DeploymentSpec(spec.selector, template, replicas=2))
    with pytest.raises(ApiError) as refused:
        client.apply(other, field_manager="other")
    assert refused.value.status.code == 409
    assert 'conflict with "lightkube"' in refused.value.status.message
    scaled = client.patch(Deployment.Scale, "web", {"spec": {"replicas": 3}}, patch_type=PatchType.MERGE)
    assert scaled.spec.replicas == 3
    status = client.patch(Deployment.Status, "web", {"status": {"replicas": 3}}, patch_type=PatchType.MERGE)
    assert (status.status.replicas, status.spec.replicas) == (3, 3)
    client.delete(Deployment, "web")


def test_watch(client: Client) -> None:
    for name in ("w1", "w2"):
        client.create(config_map(name))
    with closing(client.watch(ConfigMap)) as events:
        seen = [(event, each.metadata.name) for event, each in islice(events, 2)]
    assert seen == [("ADDED", "w1"), ("ADDED", "w2")]
    client.deletecollection(ConfigMap)


def test_pages_over_all_namespaces(client: Client) -> None:
    for number in range(7):
        client.create(config_map(f"p{number}"))
    found = client.list(ConfigMap, namespace="*", labels={"for": "lightkube"}, chunk_size=3)
    assert [each.metadata.name for each in found] == [f"p{number}" for number in range(7)]
    client.deletecollection(ConfigMap)


def test_custom_resources(client: Client, served: Served) -> None:
    served.kubectl("apply", "-f", "-", stdin=DEFINITION)
    load_in_cluster_generic_resources(client)
    lamps = create_namespaced_resource("example.com", "v1", "Lamp", "lamps")
    made = client.create(lamps(metadata=ObjectMeta(name="l"), spec={}))
    assert made.spec == {"watts": 5}
    client.patch(lamps.Status, "l", {"status": {"on": True}}, patch_type=PatchType.MERGE)
    assert client.get(lamps, "l").status == {"on": True}
    client.delete(lamps, "l")


def test_types_that_do_not_fit_are_refused(client: Client) -> None:
    with pytest.raises(ApiError) as refused:
        client.create(Service(metadata=ObjectMeta(name="S"), spec=None))
    assert refused.value.status.reason == "Invalid"
    with pytest.raises(ApiError, match='pods "none" not found'):
        client.get(Pod, "none")
