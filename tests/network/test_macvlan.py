"""Containers on the network of an interface of the host."""

import pytest

from podling.base.errors import Forbidden, InvalidInput
from podling.linux import link
from podling.linux.netlink import Netlink
from podling.network.networks import Networks
from podling.network.ports import PortRequest
from podling.testing.traffic import HOST, OUTSIDE

pytestmark = pytest.mark.root
POOL = {"subnet": "198.51.100.0/24", "gateway": OUTSIDE, "range": "198.51.100.128/25"}


@pytest.fixture
async def lan(networks, outside):
    return await networks.create("lan", driver="macvlan", pools=[POOL], options={"parent": "uplink"})


async def test_a_container_is_a_neighbour_of_the_outside(networks, lan, sandbox, outside, serve, ask):
    web = sandbox("web")
    endpoint = await networks.connect("lan", web)
    serve(web.netns, 80)
    serve(outside, 80)
    assert endpoint.address == "198.51.100.128/24"
    assert ask(outside, endpoint.ip, 80) == OUTSIDE
    assert ask(web.netns, OUTSIDE, 80) == endpoint.ip
    with Netlink(web.netns) as there:
        assert link.find(there, "eth0").mac == endpoint.mac


async def test_containers_meet_by_name_and_not_the_host(networks, lan, sandbox, netns, serve, ask):
    web, db = sandbox("web"), sandbox("db")
    await networks.connect("lan", web)
    there = await networks.connect("lan", db, aliases=["store"])
    serve(db.netns, 80)
    assert ask(web.netns, there.ip, 80) == "198.51.100.128"
    assert networks.has_resolver(web.id)
    assert ask(netns, there.ip, 80, timeout=0.2) in ("OSError", "TimeoutError")


async def test_ports_are_not_published(networks, lan, sandbox, outside, serve, ask):
    web = sandbox("web")
    await networks.connect("lan", web)
    serve(web.netns, 80)
    assert networks.publish(web.id, [PortRequest(80, first=8080)]) == []
    assert ask(outside, HOST, 8080) == "ConnectionRefusedError"


async def test_it_goes_on_after_a_restart_and_comes_off_cleanly(
    networks, lan, sandbox, netns, net, outside, tmp_path, serve, ask
):
    web, gone = sandbox("web"), sandbox("gone")
    endpoint = await networks.connect("lan", web)
    await networks.connect("lan", gone)
    serve(web.netns, 80)
    await networks.close()
    again = Networks(tmp_path / "state", "7e57", netns=netns, upstream=[])
    await again.start({web.id})
    assert [e.name for e in again.endpoints(lan.id)] == ["web"]
    assert ask(outside, endpoint.ip, 80) == OUTSIDE
    await again.disconnect("lan", web.id)
    with Netlink(web.netns) as there:
        assert link.find(there, "eth0") is None
    await again.remove("lan")
    assert link.find(net, "uplink") is not None
    await again.close()


async def test_what_cannot_be(networks, lan):
    with pytest.raises(Forbidden, match="network lan is already using parent interface uplink"):
        await networks.create("second", driver="macvlan", options={"parent": "uplink"})
    with pytest.raises(InvalidInput, match="parent interface eth9 was not found on the host"):
        await networks.create("third", driver="macvlan", options={"parent": "eth9"})
    with pytest.raises(InvalidInput, match="unknown macvlan mode 'odd'"):
        await networks.create("fourth", driver="macvlan", options={"macvlan_mode": "odd"})
    assert [network.name for network in networks.all() if network.driver == "macvlan"] == ["lan"]


@pytest.mark.parametrize("options", [{}, {"parent": "uplink"}])
async def test_an_internal_one_is_on_top_of_nothing(networks, sandbox, net, outside, serve, ask, options):
    try:
        link.add_dummy(net, "probe")
    except OSError as error:
        pytest.skip(f"this kernel has no dummy interfaces: {error}")
    made = await networks.create("inner", driver="macvlan", internal=True, options=options, pools=[{"subnet": "10.66.0.0/24"}])
    web, db = sandbox("web"), sandbox("db")
    await networks.connect("inner", web)
    there = await networks.connect("inner", db)
    serve(db.netns, 80)
    assert ask(web.netns, there.ip, 80) == "10.66.0.2"
    assert ask(web.netns, OUTSIDE, 80) == "OSError"
    for box in (web, db):
        await networks.disconnect("inner", box.id)
    before = {found.name for found in link.listed(net)}
    await networks.remove(made.id)
    assert len(before) - len(link.listed(net)) == 1
