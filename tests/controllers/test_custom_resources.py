"""Custom resources are seen by the controllers of all resources from the moment they are defined."""

from typing import Any

import pytest

from podling.client.errors import NotFound
from podling.client.resource import DEFINITIONS, NAMESPACES, Resource
from podling.testing.simulation import Simulation

Object = dict[str, Any]
WIDGETS = Resource("example.com", "v1", "widgets", kind="Widget")


def definition() -> Object:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"plural": "widgets", "kind": "Widget"}
    spec = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]}
    metadata = {"name": "widgets.example.com"}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": metadata, "spec": spec}


def widget(name: str, namespace: str, owner: Object | None = None) -> Object:
    metadata: Object = {"name": name, "namespace": namespace}
    if owner is not None:
        reference = {"apiVersion": "example.com/v1", "kind": "Widget", "name": owner["metadata"]["name"]}
        metadata["ownerReferences"] = [{**reference, "uid": owner["metadata"]["uid"]}]
    return {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": metadata}


async def test_custom_resources_go_with_their_owners_and_namespaces() -> None:
    async with Simulation(nodes=0) as cluster:
        client = cluster.client
        await client.create(DEFINITIONS, definition())
        await cluster.advance(2)
        await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "space"}})
        owner = await client.create(WIDGETS, widget("owner", "default"))
        await client.create(WIDGETS, widget("owned", "default", owner))
        await client.create(WIDGETS, widget("other", "space"))
        await client.delete(WIDGETS, "owner", "default")
        await client.delete(NAMESPACES, "space")
        await cluster.advance(30)
        assert (await client.list(WIDGETS)).items == []
        assert not await cluster.exists("space")
        await client.create(WIDGETS, widget("last", "default"))
        await client.delete(DEFINITIONS, "widgets.example.com")
        await cluster.advance(2)
        with pytest.raises(NotFound):
            await client.list(WIDGETS)
        await cluster.deploy("web")
        await cluster.advance(10)
        assert len(await cluster.pods()) == 3
