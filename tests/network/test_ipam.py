"""Address allocation."""

from ipaddress import ip_address, ip_interface, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podling.base.errors import Conflict, InvalidInput, Unavailable
from podling.network import ipam
from podling.network.base import Names, Pool


def test_default_subnets_come_in_dockers_order():
    taken = []
    for _ in range(17):
        taken.append(ipam.choose_subnet(taken))
    assert [str(subnet) for subnet in taken[:2] + taken[14:]] == [
        "172.17.0.0/16",
        "172.18.0.0/16",
        "172.31.0.0/16",
        "192.168.0.0/20",
        "192.168.16.0/20",
    ]


def test_a_default_route_takes_no_subnet_but_a_smaller_one_does():
    assert str(ipam.choose_subnet([ip_network("0.0.0.0/0"), ip_network("172.17.200.0/24")])) == "172.18.0.0/16"


def test_when_all_are_taken_that_is_told():
    with pytest.raises(Unavailable, match="all predefined address pools have been fully subnetted"):
        ipam.choose_subnet([ip_network("128.0.0.0/1")])


def test_an_ipv6_subnet_is_local_and_follows_from_its_seed():
    one = ipam.choose_subnet6("blue", [])
    assert one == ipam.choose_subnet6("blue", [])
    assert one.prefixlen == 64
    assert one.subnet_of(ip_network("fd00::/8"))
    assert ipam.choose_subnet6("blue", [one]) != one


def test_addresses_come_in_turn_and_rest_before_they_come_again():
    pool = Pool("10.0.0.0/29", "10.0.0.1")
    first = ipam.allocate(pool, [])
    assert first == "10.0.0.2/29"
    assert ipam.allocate(pool, [], last="10.0.0.2") == "10.0.0.3/29"
    assert ipam.allocate(pool, ["10.0.0.2"], last="10.0.0.6") == "10.0.0.3/29"


@given(st.integers(22, 31), st.sets(st.integers(0, 1023)), st.integers(0, 1023))
def test_an_allocated_address_is_free_and_usable(length, numbers, last):
    subnet = ip_network(f"10.0.0.0/{length}")
    taken = {str(subnet[n]) for n in numbers if n < subnet.num_addresses}
    pool = ipam.pool_of(str(subnet))
    usable = {str(host) for host in subnet.hosts()} - taken - {pool.gateway}
    after = str(subnet[last]) if last < subnet.num_addresses else ""
    if usable:
        assert str(ip_interface(ipam.allocate(pool, taken, after)).ip) in usable
    else:
        with pytest.raises(Unavailable, match="no available IPv4 addresses"):
            ipam.allocate(pool, taken, after)


def test_a_range_bounds_what_is_chosen_not_what_is_asked_for():
    pool = ipam.pool_of("10.0.0.0/24", "10.0.0.1", "10.0.0.64/30", {"printer": "10.0.0.65"})
    assert [ipam.allocate(pool, []), ipam.allocate(pool, ["10.0.0.64"])] == ["10.0.0.64/24", "10.0.0.66/24"]
    assert ipam.reserve(pool, "10.0.0.9", []) == "10.0.0.9/24"


@pytest.mark.parametrize("wanted", ["10.0.1.1", "10.0.0.0", "10.0.0.255", "fd00::1", "web"])
def test_an_address_that_does_not_fit(wanted):
    with pytest.raises(InvalidInput):
        ipam.reserve(Pool("10.0.0.0/24", "10.0.0.1"), wanted, [])


def test_a_taken_address_and_the_gateway():
    pool = Pool("10.0.0.0/24", "10.0.0.1")
    for wanted in ("10.0.0.1", "10.0.0.7"):
        with pytest.raises(Conflict, match="Address already in use"):
            ipam.reserve(pool, wanted, ["10.0.0.7"])


@pytest.mark.parametrize(
    "arguments",
    [
        ("10.0.0.0",),
        ("10.0.0.0/33",),
        ("x/8",),
        ("10.0.0.0/32",),
        ("10.0.0.0/24", "10.1.0.1"),
        ("10.0.0.0/24", "", "10.1.0.0/24"),
    ],
)
def test_a_bad_pool(arguments):
    with pytest.raises(InvalidInput):
        ipam.pool_of(*arguments)


def test_overlapping_pools():
    with pytest.raises(Conflict, match="Pool overlaps with other one on this address space"):
        ipam.pool_of("10.0.0.0/16", taken=[ip_network("10.0.4.0/24")])


def test_a_pool_takes_a_host_address_for_its_subnet():
    assert ipam.pool_of("10.0.0.5/24").subnet == "10.0.0.0/24"
    assert ipam.pool_of("fd00::/64").gateway == "fd00::1"


def test_a_mac_address_follows_from_the_address():
    assert ipam.mac_of("172.17.0.2/16") == "02:42:ac:11:00:02"
    assert ip_address("172.17.0.2")


def test_names_of_instances_never_meet():
    one, two = Names("abcd"), Names("")
    assert (one.table, two.table) == ("podling-abcd", "podling")
    assert len(one.bridge("f" * 64)) == len(one.device("f" * 64)) == 15
    assert one.is_ours(one.bridge("12345678"))
    assert not two.is_ours(one.bridge("12345678"))
    assert two.is_ours(two.device("12345678"))
    assert not one.is_ours(two.device("12345678"))
    with pytest.raises(ValueError, match="hexadecimal"):
        Names("web")
