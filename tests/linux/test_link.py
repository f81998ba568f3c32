"""Interfaces, in network namespaces of the test."""

import errno

import pytest

from podling.linux import link
from podling.linux.netlink import Netlink

pytestmark = pytest.mark.root


def test_a_veth_pair_is_whole_after_one_message(net, make_netns):
    inside = make_netns("inside")
    link.add_bridge(net, "br0", mac="02:42:00:00:00:01", mtu=1400)
    master = link.index(net, "br0")
    link.add_veth(
        net,
        link.End("veth1", mtu=1400, master=master),
        link.End("eth0", mac="02:42:ac:11:00:02", mtu=1400, namespace=inside),
    )
    host = link.find(net, "veth1")
    assert (host.kind, host.master, host.up, host.mtu) == ("veth", master, True, 1400)
    with Netlink(inside) as there:
        peer = link.find(there, "eth0")
    assert (peer.mac, peer.mtu, peer.up) == ("02:42:ac:11:00:02", 1400, False)


def test_deleting_an_end_deletes_the_peer_and_twice_is_no_error(net):
    link.add_veth(net, link.End("one"), link.End("two"))
    assert link.delete(net, "one")
    assert not link.delete(net, "one")
    assert link.find(net, "two") is None


def test_a_taken_name_is_named(net):
    link.add_bridge(net, "same")
    with pytest.raises(OSError, match="same") as caught:
        link.add_bridge(net, "same")
    assert caught.value.errno == errno.EEXIST


def test_changing(net):
    link.add_bridge(net, "br0")
    link.add_veth(net, link.End("d0"), link.End("d0-peer"))
    link.change(net, "d0", mtu=1300, mac="02:00:00:00:00:05", master="br0", alias="for web")
    found = link.find(net, "d0")
    assert (found.mtu, found.mac, found.master, found.alias) == (1300, "02:00:00:00:00:05", link.index(net, "br0"), "for web")
    link.change(net, "d0", master="", up=False)
    found = link.find(net, "d0")
    assert (found.master, found.up) == (0, False)


def test_renaming_and_moving(net, make_netns):
    inside = make_netns("inside")
    link.add_veth(net, link.End("d0"), link.End("d0-peer"))
    link.change(net, "d0", up=False)
    link.rename(net, "d0", "d1")
    link.move(net, "d1", inside, "eth7")
    assert {found.name for found in link.listed(net)} == {"lo", "d0-peer"}
    with Netlink(inside) as there:
        assert link.find(there, "eth7").kind == "veth"


def test_hairpin_on_a_port(net):
    link.add_bridge(net, "br0")
    link.add_veth(net, link.End("one", master=link.index(net, "br0")), link.End("two"))
    link.set_hairpin(net, "one", True)
    with pytest.raises(OSError):
        link.set_hairpin(net, "two", True)


def test_vxlan_and_macvlan(net):
    link.add_veth(net, link.End("d0"), link.End("d0-peer"))
    link.add_vxlan(net, "vx0", 7, local="10.0.0.1", port=8472, mtu=1450)
    link.add_macvlan(net, "mv0", "d0", mode="bridge")
    assert link.find(net, "vx0").kind == "vxlan"
    assert link.find(net, "mv0").parent == link.index(net, "d0")


def test_a_missing_interface(net):
    assert link.find(net, "none") is None
    with pytest.raises(OSError, match="none"):
        link.change(net, "none", up=True)


def test_a_wrong_mac_is_refused():
    with pytest.raises(ValueError, match="02:42"):
        link.mac_bytes("02:42")
