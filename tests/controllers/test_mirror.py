"""Endpoints written by hand, in simulated time."""

from typing import Any

from podling.api.objects import Object, labels_of, owners_of
from podling.client.resource import ENDPOINT_SLICES, ENDPOINTS, SERVICES
from podling.testing.simulation import Simulation


def service(**spec: Any) -> Object:
    whole = {"ports": [{"name": "db", "port": 5432}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "db", "namespace": "default"}, "spec": whole}


def endpoints(*ready: str, unready: tuple[str, ...] = (), **labels: str) -> Object:
    subset: Object = {"addresses": [{"ip": ip} for ip in ready], "ports": [{"name": "db", "port": 5432, "protocol": "TCP"}]}
    if unready:
        subset["notReadyAddresses"] = [{"ip": ip} for ip in unready]
    metadata = {"name": "db", "namespace": "default", "labels": labels}
    return {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": [subset]}


async def slices(cluster: Simulation) -> list[Object]:
    found = (await cluster.client.list(ENDPOINT_SLICES, "default")).items
    return [one for one in found if labels_of(one).get("kubernetes.io/service-name") == "db"]


async def test_slices_follow_the_endpoints(cluster: Simulation) -> None:
    await cluster.client.create(SERVICES, service())
    await cluster.client.create(ENDPOINTS, endpoints("192.0.2.1", "2001:db8::1", unready=("192.0.2.2",), team="a"))
    await cluster.advance(1)
    four, six = sorted(await slices(cluster), key=lambda one: one["addressType"])
    ready = {one["addresses"][0]: one["conditions"]["ready"] for one in four["endpoints"]}
    assert ready == {"192.0.2.1": True, "192.0.2.2": False}
    assert six["endpoints"][0]["addresses"] == ["2001:db8::1"]
    assert four["ports"] == [{"name": "db", "protocol": "TCP", "port": 5432}]
    assert (labels_of(four)["team"], owners_of(four)[0]["kind"]) == ("a", "Endpoints")
    assert labels_of(four)["endpointslice.kubernetes.io/managed-by"] == "endpointslicemirroring-controller.k8s.io"
    await cluster.client.patch(ENDPOINTS, "db", {"subsets": endpoints("192.0.2.9")["subsets"]}, "default")
    await cluster.advance(1)
    (one,) = await slices(cluster)
    assert [end["addresses"] for end in one["endpoints"]] == [["192.0.2.9"]]
    await cluster.client.delete(ENDPOINTS, "db", "default")
    await cluster.advance(5)
    assert await slices(cluster) == []


async def test_what_is_not_mirrored(cluster: Simulation) -> None:
    await cluster.client.create(ENDPOINTS, endpoints("192.0.2.1"))
    await cluster.advance(1)
    assert await slices(cluster) == []  # there is no Service
    await cluster.client.create(SERVICES, service())
    await cluster.advance(1)
    assert len(await slices(cluster)) == 1
    skip = {"metadata": {"labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}}}
    await cluster.client.patch(ENDPOINTS, "db", skip, "default")
    await cluster.advance(1)
    assert await slices(cluster) == []
