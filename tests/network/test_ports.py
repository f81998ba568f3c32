"""Published ports as clients on the host, outside, and in containers see them."""

import asyncio
import contextlib
import os
import socket

import pytest

from podling.base.errors import Conflict, InvalidInput
from podling.linux import address, sysctl
from podling.linux.namespace import run_in
from podling.linux.netlink import Netlink
from podling.network import datagrams
from podling.network.networks import Networks
from podling.network.ports import EPHEMERAL, PortRequest
from podling.testing.traffic import HOST, OUTSIDE

pytestmark = pytest.mark.root


@pytest.fixture
async def web(networks, sandbox, serve, outside):
    made = sandbox("web")
    await networks.connect("bridge", made)
    serve(made.netns, 80)
    serve(made.netns, 53, "udp")
    return made


async def test_from_outside_the_asker_is_seen_as_it_is(networks, web, outside, ask):
    networks.publish(web.id, [PortRequest(80, first=8080), PortRequest(53, "udp", first=5300)])
    assert ask(outside, HOST, 8080) == OUTSIDE
    assert ask(outside, HOST, 5300, "udp") == OUTSIDE


async def test_from_the_host_by_each_of_its_addresses(networks, web, netns, ask):
    networks.publish(web.id, [PortRequest(80, first=8080)])
    gateway = networks.endpoints_of(web.id)[0].gateway
    assert ask(netns, "127.0.0.1", 8080) == gateway
    assert ask(netns, HOST, 8080) == HOST
    assert ask(netns, gateway, 8080) == gateway


@pytest.mark.parametrize("filtered", [0, 1])
async def test_from_containers_of_the_same_network_another_one_and_itself(networks, web, sandbox, netns, ask, filtered):
    with contextlib.suppress(FileNotFoundError):  # no br_netfilter on this host
        sysctl.write("net.bridge.bridge-nf-call-iptables", filtered, netns)
    await networks.create("blue")
    near, far = sandbox("near"), sandbox("far")
    await networks.connect("bridge", near)
    other = await networks.connect("blue", far)
    networks.publish(web.id, [PortRequest(80, first=8080)])
    gateway = networks.endpoints_of(web.id)[0].gateway
    assert ask(web.netns, HOST, 8080) == gateway
    assert ask(near.netns, HOST, 8080) == gateway
    assert ask(far.netns, HOST, 8080) == other.ip


async def test_a_port_of_one_address_is_not_reached_by_another(networks, web, netns, outside, ask):
    networks.publish(web.id, [PortRequest(80, host="127.0.0.1", first=8080)])
    assert ask(netns, "127.0.0.1", 8080) != "ConnectionRefusedError"
    assert ask(netns, HOST, 8080) == "ConnectionRefusedError"
    assert ask(outside, HOST, 8080) == "ConnectionRefusedError"


async def test_unpublished_it_is_refused_and_free_again(networks, web, netns, outside, ask):
    for _ in range(2):
        networks.publish(web.id, [PortRequest(80, first=8080)])
        assert ask(outside, HOST, 8080) == OUTSIDE
        networks.unpublish(web.id)
        networks.unpublish(web.id)
        assert ask(outside, HOST, 8080) == "ConnectionRefusedError"


async def test_a_udp_flow_follows_its_port_to_another_container(networks, web, sandbox, outside, serve):
    other = sandbox("other")
    await networks.connect("bridge", other)
    serve(other.netns, 53, "udp")
    with run_in(outside, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as asker:
        asker.settimeout(1)
        asker.connect((HOST, 5300))
        networks.publish(web.id, [PortRequest(54, "udp", first=5300)])
        asker.send(b"?")
        with pytest.raises(ConnectionRefusedError):
            asker.recv(100)
        networks.unpublish(web.id)
        networks.publish(other.id, [PortRequest(53, "udp", first=5300)])
        asker.send(b"?")
        assert asker.recv(100) == OUTSIDE.encode()


async def test_ipv6(networks, sandbox, net, netns, outside, serve, ask):
    sysctl.write("net.ipv6.conf.uplink.accept_dad", 0, netns)
    address.add(net, "uplink", "fd00:9::1/64")
    with Netlink(outside) as far:
        address.add(far, "eth0", "fd00:9::2/64")
    await networks.create("six", ipv6=True)
    web = sandbox("web")
    await networks.connect("six", web)
    serve(web.netns, 80, host="::")
    published = networks.publish(web.id, [PortRequest(80, first=8080)])
    assert [(p.host, p.host_port) for p in published] == [("0.0.0.0", 8080), ("::", 8080)]
    assert ask(outside, "fd00:9::1", 8080) == "fd00:9::2"


async def test_ipv6_by_each_address_of_the_host_loopback_included(networks, sandbox, net, netns, outside, serve, ask):
    sysctl.write("net.ipv6.conf.uplink.accept_dad", 0, netns)
    address.add(net, "uplink", "fd00:9::1/64")
    with Netlink(outside) as far:
        address.add(far, "eth0", "fd00:9::2/64")
    six = await networks.create("six", ipv6=True)
    gateway = six.pools[1].gateway
    web = sandbox("web")
    await networks.connect("six", web)
    serve(web.netns, 80, host="::")
    networks.publish(web.id, [PortRequest(80, first=8080), PortRequest(80, host="fd00:9::1", first=8081)])
    assert ask(netns, "fd00:9::1", 8080) == "fd00:9::1"
    assert ask(outside, "fd00:9::1", 8081) == "fd00:9::2"
    assert await asyncio.to_thread(ask, netns, "::1", 8080) == gateway
    assert await asyncio.to_thread(ask, netns, "::1", 8081) == "ConnectionRefusedError"
    assert ask(netns, "127.0.0.1", 8081) == "ConnectionRefusedError"


@pytest.mark.parametrize("host", ["::1", "fd00:9::1"])
async def test_an_ipv6_address_leads_to_a_container_without_ipv6(networks, web, net, netns, ask, tmp_path, host):
    sysctl.write("net.ipv6.conf.uplink.accept_dad", 0, netns)
    address.add(net, "uplink", "fd00:9::1/64")
    gateway = networks.endpoints_of(web.id)[0].gateway
    published = networks.publish(web.id, [PortRequest(80, host=host, first=8080)])
    assert [(p.host, p.host_port) for p in published] == [(host, 8080)]
    assert await asyncio.to_thread(ask, netns, host, 8080) == gateway
    assert ask(netns, "127.0.0.1", 8080) == "ConnectionRefusedError"
    await networks.close()
    assert ask(netns, host, 8080) == "ConnectionRefusedError"
    again = Networks(tmp_path / "state", "7e57", netns=netns, upstream=[])
    await again.start({web.id})
    assert await asyncio.to_thread(ask, netns, host, 8080) == gateway
    again.unpublish(web.id)
    await asyncio.sleep(0.05)
    assert ask(netns, host, 8080) == "ConnectionRefusedError"
    again.publish(web.id, [PortRequest(80, host=host, first=8080)])
    assert await asyncio.to_thread(ask, netns, host, 8080) == gateway
    await again.close()


async def test_a_relay_to_a_port_that_nobody_serves_ends_at_once(networks, web, netns, ask):
    networks.publish(web.id, [PortRequest(81, host="::1", first=8080)])
    assert await asyncio.to_thread(ask, netns, "::1", 8080) in ("ConnectionResetError", "")


@pytest.mark.parametrize("host", ["::1", "fd00:9::1"])
async def test_datagrams_to_an_ipv6_address_and_the_answers_find_their_way(networks, web, net, netns, ask, tmp_path, host):
    sysctl.write("net.ipv6.conf.uplink.accept_dad", 0, netns)
    address.add(net, "uplink", "fd00:9::1/64")
    gateway = networks.endpoints_of(web.id)[0].gateway
    networks.publish(web.id, [PortRequest(53, "udp", host, 5353)])
    seen = await asyncio.gather(*(asyncio.to_thread(ask, netns, host, 5353, "udp") for _ in range(5)))
    assert seen == [gateway] * 5
    await networks.close()
    again = Networks(tmp_path / "state", "7e57", netns=netns, upstream=[])
    await again.start({web.id})
    assert await asyncio.to_thread(ask, netns, host, 5353, "udp") == gateway
    again.unpublish(web.id)
    await again.close()
    assert ask(netns, host, 5353, "udp") == "ConnectionRefusedError"


async def test_askers_that_are_silent_are_forgotten(networks, web, netns, ask, monkeypatch):
    monkeypatch.setattr(datagrams, "IDLE_SECONDS", 0.5)
    networks.publish(web.id, [PortRequest(53, "udp", "::1", 5353)])
    await asyncio.sleep(0)  # the relay begins
    before = len(os.listdir("/proc/self/fd"))
    await asyncio.gather(*(asyncio.to_thread(ask, netns, "::1", 5353, "udp", 1) for _ in range(20)))
    for _ in range(600):
        if len(os.listdir("/proc/self/fd")) <= before:
            return
        await asyncio.sleep(0.05)
    pytest.fail("sockets of askers stay open")


async def test_a_port_is_chosen_and_never_twice(networks, web):
    published = networks.publish(web.id, [PortRequest(80), PortRequest(81), PortRequest(53, "udp")])
    ports = [p.host_port for p in published]
    assert all(EPHEMERAL[0] <= port <= EPHEMERAL[1] for port in ports)
    assert len(set(ports)) == 3


async def test_the_first_free_port_of_a_range(networks, web, netns):
    taken = run_in(netns, lambda: socket.create_server(("0.0.0.0", 9000)))
    published = networks.publish(web.id, [PortRequest(80, first=9000, last=9002), PortRequest(81, first=9000, last=9002)])
    assert [p.host_port for p in published] == [9001, 9002]
    taken.close()


async def test_a_port_of_another_container_is_told_in_dockers_words(networks, web, sandbox):
    other = sandbox("other")
    endpoint = await networks.connect("bridge", other)
    networks.publish(web.id, [PortRequest(80, first=8080)])
    words = (
        f"driver failed programming external connectivity on endpoint other ({endpoint.id}): "
        "Bind for 0.0.0.0:8080 failed: port is already allocated"
    )
    with pytest.raises(Conflict) as caught:
        networks.publish(other.id, [PortRequest(81, first=8081), PortRequest(80, first=8080)])
    assert caught.value.message == words
    assert networks.published(other.id) == []
    networks.publish(web.id, [PortRequest(81, first=8081)])


@pytest.mark.parametrize("host", ["", "127.0.0.1"])
async def test_a_port_of_another_program_is_told(networks, web, netns, host):
    taken = run_in(netns, lambda: socket.create_server(("0.0.0.0", 8080)))
    with pytest.raises(Conflict, match=r"failed to bind host port for .*:8080:172.17.0.2:80/tcp: address already in use"):
        networks.publish(web.id, [PortRequest(80, host=host, first=8080)])
    taken.close()
    networks.publish(web.id, [PortRequest(80, host=host, first=8080)])


async def test_no_other_program_gets_a_published_port(networks, web, netns):
    networks.publish(web.id, [PortRequest(80, first=8080)])
    with pytest.raises(OSError, match="in use"):
        run_in(netns, lambda: socket.create_server(("0.0.0.0", 8080)))


async def test_an_address_that_the_host_does_not_have(networks, web):
    with pytest.raises(Conflict, match=r"192\.0\.2\.9:8080:.*cannot assign requested address"):
        networks.publish(web.id, [PortRequest(80, host="192.0.2.9", first=8080)])


@pytest.mark.parametrize(
    "request_",
    [
        PortRequest(0),
        PortRequest(80, first=70000),
        PortRequest(80, "icmp"),
        PortRequest(80, host="x"),
        PortRequest(80, first=9, last=8),
    ],
)
async def test_what_is_no_port(networks, web, request_):
    with pytest.raises(InvalidInput, match="invalid"):
        networks.publish(web.id, [request_])
