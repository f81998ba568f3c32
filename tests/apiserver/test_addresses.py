"""Cluster IPs and node ports: given, kept, given back, and never twice."""

import asyncio
from typing import Any

import pytest

from podling.api.status import ApiError
from podling.apiserver.addresses import ServiceAddresses
from podling.apiserver.cache import ResourceCache
from podling.apiserver.encoding import encode
from podling.testing.apiserver import Api

Object = dict[str, Any]
SERVICES = "/api/v1/namespaces/default/services"


def service(name: str = "s", port: Object | None = None, **spec: Any) -> Object:
    return {"metadata": {"name": name}, "spec": {"ports": [port or {"port": 80}], **spec}}


async def test_types(api: Api) -> None:
    plain = await api.create(SERVICES, service("plain"))
    assert plain["spec"]["clusterIP"] == plain["spec"]["clusterIPs"][0] == "10.96.0.2"
    assert (plain["spec"]["ipFamilies"], plain["spec"]["ipFamilyPolicy"]) == (["IPv4"], "SingleStack")
    headless = await api.create(SERVICES, service("headless", clusterIP="None"))
    assert headless["spec"]["clusterIPs"] == ["None"]
    outside = await api.create(SERVICES, service("outside", type="ExternalName", externalName="example.com"))
    assert "clusterIP" not in outside["spec"]
    node_port = await api.create(SERVICES, service("node", type="NodePort"))
    assert 30000 <= node_port["spec"]["ports"][0]["nodePort"] <= 32767


async def test_what_was_asked_for_and_may_not_be(api: Api) -> None:
    await api.create(SERVICES, service("first", clusterIP="10.96.0.9", type="NodePort", port={"port": 80, "nodePort": 30080}))
    taken = await api("POST", SERVICES, service("s", clusterIP="10.96.0.9"))
    assert taken.message == (
        'Service "s" is invalid: spec.clusterIPs: Invalid value: ["10.96.0.9"]: failed to allocate IP 10.96.0.9: '
        "provided IP is already allocated"
    )
    outside = await api("POST", SERVICES, service("s", clusterIP="10.1.2.3"))
    assert outside.message.endswith(
        "failed to allocate IP 10.1.2.3: the provided IP (10.1.2.3) is not in the valid range. "
        "The range of valid IPs is 10.96.0.0/16"
    )
    port = await api("POST", SERVICES, service("s", type="NodePort", port={"port": 80, "nodePort": 30080}))
    assert port.message == (
        'Service "s" is invalid: spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated'
    )
    low = await api("POST", SERVICES, service("s", type="NodePort", port={"port": 80, "nodePort": 80}))
    assert low.message.endswith("provided port is not in the valid range. The range of valid ports is 30000-32767")


async def test_a_deleted_service_gives_back(api: Api) -> None:
    for _ in range(2):
        await api.create(SERVICES, service(clusterIP="10.96.7.7", type="NodePort", port={"port": 80, "nodePort": 30080}))
        await api("DELETE", f"{SERVICES}/s")


async def test_a_failed_or_dry_create_gives_back(api: Api) -> None:
    for body in (service("kubernetes", clusterIP="10.96.7.7"), service(clusterIP="10.96.7.7")):
        await api("POST", SERVICES, body, dryRun="All")
    assert (await api("POST", SERVICES, service("kubernetes", clusterIP="10.96.7.7"))).status == 409
    await api.create(SERVICES, service(clusterIP="10.96.7.7"))


async def test_an_update_keeps_and_adds(api: Api) -> None:
    created = await api.create(SERVICES, service(type="NodePort"))
    number = created["spec"]["ports"][0]["nodePort"]
    two = service(type="NodePort")
    two["spec"]["ports"] = [{"name": "a", "port": 80}, {"name": "b", "port": 81}]
    updated = (await api("PUT", f"{SERVICES}/s", two)).body
    assert updated["spec"]["clusterIP"] == created["spec"]["clusterIP"]
    assert updated["spec"]["ports"][0]["nodePort"] == number
    assert updated["spec"]["ports"][1]["nodePort"] not in (number, None)
    back = (await api("PUT", f"{SERVICES}/s", service())).body
    assert "nodePort" not in back["spec"]["ports"][0]
    again = service("t", type="NodePort", port={"port": 80, "nodePort": number})
    assert (await api("POST", SERVICES, again)).status == 201


async def test_no_address_is_given_twice(api: Api) -> None:
    answers = await asyncio.gather(*(api("POST", SERVICES, service(f"s{number}", type="NodePort")) for number in range(50)))
    specs = [answer.body["spec"] for answer in answers]
    assert len({spec["clusterIP"] for spec in specs}) == len({spec["ports"][0]["nodePort"] for spec in specs}) == 50


def test_a_full_range() -> None:
    addresses = ServiceAddresses("10.0.0.0/29", ports=(30000, 30001))
    cache = ResourceCache(0)
    for number, ip in enumerate(("10.0.0.2", "10.0.0.3"), 1):
        spec = {"clusterIP": ip, "ports": [{"port": 80, "nodePort": 29999 + number, "protocol": "TCP"}]}
        held = encode({"kind": "Service", "apiVersion": "v1", "metadata": {"name": ip}, "spec": spec})
        cache.apply(f"default/{ip}", held, number)
    addresses.follow(cache)
    for _ in range(4):  # .4, .5, .6 are free, and a reservation that is released is free again
        addresses.allocate(service(), None).release()
    kept = [addresses.allocate(service(), None) for _ in range(3)]
    with pytest.raises(ApiError, match="range is full"):
        addresses.allocate(service(), None)
    kept[0].release()
    with pytest.raises(ApiError, match="failed to allocate a nodePort: range is full"):
        addresses.allocate(service(type="NodePort"), None)
