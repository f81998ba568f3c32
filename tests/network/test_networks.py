"""Container networks as containers and the outside see them."""

import pytest

from podling.base.errors import AlreadyExists, Conflict, Forbidden, InvalidInput, NotFound
from podling.linux import address, link, route, sysctl
from podling.linux.namespace import remove
from podling.linux.netlink import Netlink
from podling.linux.nft import Nft
from podling.network.bridge import Bridge
from podling.network.networks import Networks
from podling.network.ports import PortRequest
from podling.testing.traffic import HOST, OUTSIDE

pytestmark = pytest.mark.root


async def test_the_builtin_networks_are_there(networks):
    assert {n.name: n.driver for n in networks.all()} == {"bridge": "bridge", "host": "host", "none": "null"}
    assert networks.find("bridge").pools[0].subnet == "172.17.0.0/16"


async def test_containers_of_a_network_reach_each_other(networks, sandbox, serve, ask):
    web, db = sandbox("web"), sandbox("db")
    one = await networks.connect("bridge", web)
    two = await networks.connect("bridge", db)
    serve(db.netns, 80)
    assert (one.address, two.address) == ("172.17.0.2/16", "172.17.0.3/16")
    assert ask(web.netns, two.ip, 80) == one.ip


async def test_containers_reach_the_outside_under_the_hosts_address(networks, sandbox, outside, serve, ask):
    web = sandbox("web")
    await networks.connect("bridge", web)
    serve(outside, 80)
    serve(outside, 53, "udp")
    assert ask(web.netns, OUTSIDE, 80) == HOST
    assert ask(web.netns, OUTSIDE, 53, "udp") == HOST


async def test_networks_are_isolated_from_each_other_and_from_outside(networks, sandbox, outside, serve, ask):
    await networks.create("blue")
    web, db = sandbox("web"), sandbox("db")
    await networks.connect("bridge", web)
    there = await networks.connect("blue", db)
    serve(db.netns, 80)
    assert ask(web.netns, there.ip, 80, timeout=0.2) == "TimeoutError"
    with Netlink(outside) as far:
        route.add(far, "172.16.0.0/12", via=HOST)
    assert ask(outside, there.ip, 80, timeout=0.2) == "TimeoutError"


async def test_a_container_never_reaches_the_hosts_loopback(networks, sandbox, netns, serve, ask):
    web = sandbox("web")
    endpoint = await networks.connect("bridge", web)
    serve(netns, 80, host="127.0.0.1")
    assert ask(netns, "127.0.0.1", 80) == "127.0.0.1"
    with Netlink(web.netns) as there:
        address.delete(there, "lo", "127.0.0.1/8")
        sysctl.write("net.ipv4.conf.eth0.route_localnet", 1, web.netns)
        route.add(there, "127.0.0.1/32", via=endpoint.gateway, source=endpoint.ip)
    assert ask(web.netns, "127.0.0.1", 80, timeout=0.3) == "TimeoutError"


async def test_an_internal_network_has_no_way_out(networks, sandbox, outside, serve, ask, routes_of):
    await networks.create("inner", internal=True)
    web, db = sandbox("web"), sandbox("db")
    await networks.connect("inner", web)
    there = await networks.connect("inner", db)
    serve(db.netns, 80)
    serve(outside, 80)
    assert ask(web.netns, there.ip, 80) != "TimeoutError"
    assert ask(web.netns, OUTSIDE, 80) == "OSError"
    assert not any(r.destination.prefixlen == 0 for r in routes_of(web.netns))


async def test_without_icc_containers_dont_meet_but_get_out(networks, sandbox, outside, serve, ask):
    await networks.create("apart", options={"com.docker.network.bridge.enable_icc": "false"})
    web, db = sandbox("web"), sandbox("db")
    await networks.connect("apart", web)
    there = await networks.connect("apart", db)
    serve(db.netns, 80)
    serve(outside, 80)
    assert ask(web.netns, there.ip, 80, timeout=0.2) in ("TimeoutError", "OSError")
    assert ask(web.netns, OUTSIDE, 80) == HOST


async def test_ipv6_beside_ipv4(networks, sandbox, serve, ask):
    await networks.create("six", ipv6=True, pools=[{"subnet": "10.44.0.0/24"}])
    web, db = sandbox("web"), sandbox("db")
    here = await networks.connect("six", web)
    there = await networks.connect("six", db, address6="")
    serve(db.netns, 80, host="::")
    assert here.ip6.startswith("fd")
    assert ask(web.netns, there.ip6, 80) == here.ip6


async def test_given_addresses_are_taken_as_they_are(networks, sandbox):
    await networks.create("n", pools=[{"subnet": "10.9.0.0/24", "gateway": "10.9.0.254", "range": "10.9.0.128/25"}])
    got = await networks.connect("n", sandbox("a"), address="10.9.0.7", mac="02:00:00:00:00:07", interface="net0")
    assert (got.address, got.mac, got.gateway, got.interface) == ("10.9.0.7/24", "02:00:00:00:00:07", "10.9.0.254", "net0")
    with pytest.raises(Conflict, match=r"Address already in use: 10\.9\.0\.7"):
        await networks.connect("n", sandbox("b"), address="10.9.0.7")
    with pytest.raises(InvalidInput, match=r"no configured subnet contains IP address 10\.8\.0\.1"):
        await networks.connect("n", sandbox("c"), address="10.8.0.1")
    assert (await networks.connect("n", sandbox("d"))).address == "10.9.0.128/24"


async def test_a_failed_connection_leaves_nothing(networks, sandbox, netns):
    gone = sandbox("gone")
    remove(gone.netns)
    with Netlink(netns) as net:
        before = {found.name for found in link.listed(net)}
    with pytest.raises(FileNotFoundError):
        await networks.connect("bridge", gone)
    with Netlink(netns) as net:
        assert {found.name for found in link.listed(net)} == before
    assert networks.endpoints_of(gone.id) == []


async def test_a_failed_connection_frees_its_address_even_where_the_undo_fails(networks, sandbox, netns, monkeypatch):
    web = sandbox("web")
    await networks.create("inner", pools=[{"subnet": "10.66.0.0/29"}])

    async def refuse(*_):
        raise OSError("first")

    async def refuse_too(*_):
        raise OSError("second")

    for _ in range(6):
        with monkeypatch.context() as patched, pytest.raises(OSError, match="first"):
            patched.setattr(Bridge, "attach", refuse)
            patched.setattr(Bridge, "detach", refuse_too)
            await networks.connect("inner", web)
    assert networks.endpoints(networks.find("inner").id) == []
    assert (await networks.connect("inner", web)).address.startswith("10.66.0.")


async def test_the_default_route_moves_on(networks, sandbox, outside, serve, ask):
    await networks.create("blue")
    web = sandbox("web")
    await networks.connect("bridge", web)
    second = await networks.connect("blue", web)
    assert (second.interface, second.default_route) == ("eth1", False)
    await networks.disconnect("bridge", web.id)
    await networks.disconnect("bridge", web.id)
    serve(outside, 80)
    assert ask(web.netns, OUTSIDE, 80) == HOST
    assert [e.default_route for e in networks.endpoints_of(web.id)] == [True]


async def test_what_cannot_be(networks, sandbox):
    await networks.create("blue")
    web = sandbox("web")
    await networks.connect("blue", web)
    with pytest.raises(AlreadyExists, match="network with name blue already exists"):
        await networks.create("blue")
    with pytest.raises(Forbidden, match="already exists in network blue"):
        await networks.connect("blue", web)
    with pytest.raises(Forbidden, match=r"network blue has active endpoints \(name:\"web\""):
        await networks.remove("blue")
    with pytest.raises(Forbidden, match="bridge is a pre-defined network and cannot be removed"):
        await networks.remove("bridge")
    with pytest.raises(NotFound, match="network none-such not found"):
        networks.find("none-such")
    with pytest.raises(NotFound, match='plugin "weave" not found'):
        await networks.create("n", driver="weave")
    with pytest.raises(InvalidInput, match="invalid network name"):
        await networks.create("../x")
    with pytest.raises(Conflict, match="Pool overlaps"):
        await networks.create("n", pools=[{"subnet": "172.17.4.0/24"}])
    with pytest.raises(InvalidInput, match="invalid bridge name"):
        await networks.create("n", options={"com.docker.network.bridge.name": "x" * 16})
    with pytest.raises(InvalidInput, match="invalid MTU"):
        await networks.create("n", options={"com.docker.network.driver.mtu": "big"})


async def test_a_subnet_of_the_hosts_routes_is_not_chosen(networks, outside, net):
    address.add(net, "uplink", "172.18.3.1/24")
    assert (await networks.create("blue")).pools[0].subnet == "172.19.0.0/16"


async def test_everything_goes_on_after_a_restart(networks, sandbox, netns, outside, tmp_path, serve, ask):
    await networks.create("blue")
    web, db = sandbox("web"), sandbox("db")
    await networks.connect("blue", web, aliases=["www"])
    await networks.connect("blue", db)
    networks.publish(web.id, [PortRequest(80, first=8080)])
    networks.publish(db.id, [PortRequest(80, first=8081)])
    serve(web.netns, 80)
    await networks.close()
    assert ask(outside, HOST, 8080) == OUTSIDE

    again = Networks(tmp_path / "state", "7e57", netns=netns, upstream=[])
    await again.start(live={web.id})
    assert ask(outside, HOST, 8080) == OUTSIDE
    assert ask(outside, HOST, 8081) == "ConnectionRefusedError"
    assert [e.name for e in again.endpoints(again.find("blue").id)] == ["web"]
    assert [(p.host, p.host_port) for p in again.published(web.id)] == [("0.0.0.0", 8080)]
    assert again.published(db.id) == []
    assert (await again.connect("blue", sandbox("third"))).address != again.endpoints_of(web.id)[0].address
    await again.close()


async def test_a_bridge_that_was_lost_is_made_again(networks, netns, tmp_path, net):
    network = await networks.create("blue")
    bridge = networks.bridge_of("blue")
    link.delete(net, bridge)
    await networks.close()
    again = Networks(tmp_path / "state", "7e57", netns=netns, upstream=[])
    await again.start()
    assert link.find(net, bridge).up
    assert again.find(network.id[:12]).name == "blue"
    await again.close()


async def test_two_instances_dont_meet_and_purging_leaves_nothing(networks, netns, net, tmp_path, sandbox):
    nft = Nft(netns)
    other = Networks(tmp_path / "other", "0001", netns=netns, upstream=[])
    await other.start()
    await networks.create("blue", options={"com.docker.network.bridge.name": "odd"})
    assert networks.find("bridge").pools != other.find("bridge").pools
    await networks.connect("blue", sandbox("web"))
    await networks.purge()
    assert {found.name for found in link.listed(net)} == {"lo", other.bridge_of("bridge")}
    assert [item["table"]["name"] for item in await nft.show("tables")] == ["podling-0001"]
    await other.purge()
    await other.close()
    assert await nft.show("tables") == []
    nft.close()


async def test_the_administrators_chain_is_never_touched(networks, netns, outside, sandbox, serve, ask, tmp_path):
    nft = Nft(netns)
    web = sandbox("web")
    await networks.connect("bridge", web)
    networks.publish(web.id, [PortRequest(80, first=8080)])
    serve(web.netns, 80)
    await nft.apply(f"add rule inet podling-7e57 podling-user ip saddr {OUTSIDE} drop")
    assert ask(outside, HOST, 8080, timeout=0.2) == "TimeoutError"
    await networks.close()
    again = Networks(tmp_path / "state", "7e57", netns=netns, upstream=[])
    await again.start({web.id})
    assert ask(outside, HOST, 8080, timeout=0.2) == "TimeoutError"
    await again.close()
    nft.close()


async def test_a_host_and_an_unconnected_sandbox_need_nothing(networks, sandbox):
    web = sandbox("web")
    endpoint = await networks.connect("host", web)
    assert (endpoint.address, endpoint.interface) == ("", "")
    await networks.release(web.id)
    await networks.release(web.id)
    assert networks.endpoints_of(web.id) == []
