"""Addresses, routes and neighbours, in a network namespace of the test."""

from ipaddress import ip_address, ip_interface, ip_network

import pytest

from podling.linux import address, link, route

pytestmark = pytest.mark.root


@pytest.fixture
def device(net):
    link.add_bridge(net, "d0")
    return "d0"


def test_addresses_of_both_families(net, device):
    for text in ("10.1.0.2/16", "fd00::2/64"):
        address.add(net, device, text)
        address.add(net, device, text)
    assert {ip_interface("10.1.0.2/16"), ip_interface("fd00::2/64")} <= set(address.of(net, device))
    assert address.delete(net, device, "10.1.0.2/16")
    assert not address.delete(net, device, "10.1.0.2/16")


def test_routes(net, device):
    address.add(net, device, "10.1.0.2/16")
    address.add(net, device, "fd00::2/64")
    route.add(net, "default", via="10.1.0.1")
    route.add(net, "default6", via="fd00::1")
    route.add(net, "10.9.0.0/24", device=device, source="10.1.0.2")
    index = link.index(net, device)
    found = route.listed(net)
    assert route.Route(ip_network("0.0.0.0/0"), ip_address("10.1.0.1"), index, 0) in found
    assert route.Route(ip_network("10.9.0.0/24"), None, index, 0) in found
    assert any(r.destination == ip_network("::/0") and r.via == ip_address("fd00::1") for r in found)
    assert route.delete(net, "10.9.0.0/24", device=device)
    assert not route.delete(net, "10.9.0.0/24", device=device)
    assert not route.delete(net, "10.9.0.0/24", device="gone")


def test_an_unreachable_gateway_is_named(net, device):
    with pytest.raises(OSError, match=r"route to default via 10\.200\.0\.1"):
        route.add(net, "default", via="10.200.0.1")


def test_neighbours_and_forwarding(net, device):
    route.add_neighbour(net, device, "10.1.0.9", "02:00:00:00:00:09")
    assert route.delete_neighbour(net, device, "10.1.0.9")
    assert not route.delete_neighbour(net, device, "10.1.0.9")
    link.add_vxlan(net, "vx0", 7, local="10.0.0.1")
    for remote in ("10.0.0.2", "10.0.0.3"):
        route.add_forwarding(net, "vx0", "00:00:00:00:00:00", remote)
    route.add_forwarding(net, "vx0", "02:00:00:00:00:09", "10.0.0.2")
    assert route.delete_forwarding(net, "vx0", "02:00:00:00:00:09", "10.0.0.2")
    assert not route.delete_forwarding(net, "vx0", "02:00:00:00:00:09", "10.0.0.2")
