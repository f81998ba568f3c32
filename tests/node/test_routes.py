"""Routes to the pods of other nodes: who the peers are, and packets over both ways between two real namespaces."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from podling.aio.clock import SystemClock
from podling.aio.tasks import Tasks
from podling.base.errors import Unsupported
from podling.client.client import Client
from podling.client.informer import Informers
from podling.client.resource import NODES as NODES_API
from podling.linux import address, link, namespace, route, sysctl
from podling.linux.netlink import Netlink
from podling.node.place import NodeConfig
from podling.node.routes.peers import Peer, peers_of
from podling.node.routes.routes import Routes
from podling.node.routes.ways import Direct, Vxlan
from podling.testing.simulation import Simulation

CLUSTER = "10.244.0.0/16"


def node(name: str, pods: str = "", *addresses: str) -> dict:
    held = [{"type": "Hostname", "address": name}, *({"type": "InternalIP", "address": each} for each in addresses)]
    return {"metadata": {"name": name}, "spec": {"podCIDR": pods} if pods else {}, "status": {"addresses": held}}


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([], set()),
        ([node("own", "10.244.0.0/24", "192.0.2.1")], set()),
        ([node("b", "10.244.1.0/24", "192.0.2.2")], {Peer("192.0.2.2", "10.244.1.0/24")}),
        ([node("without-range", "", "192.0.2.2"), node("without-address", "10.244.1.0/24")], set()),
        ([node("b", "10.244.1.0/24", "fd00::2", "192.0.2.2")], {Peer("192.0.2.2", "10.244.1.0/24")}),
        ([node("b", "fd00:1::/64", "192.0.2.2")], set()),
        ([{"metadata": {"name": "new"}}], set()),
    ],
)
def test_peers_are_other_nodes_with_an_address_and_a_range(nodes, expected):
    assert peers_of(nodes, "own") == expected


def test_what_a_peer_has_follows_from_its_range():
    peer = Peer("192.0.2.2", "10.244.7.0/24")
    assert (peer.gateway, peer.mac) == ("10.244.7.1", "02:50:0a:f4:07:00")


NODES = (Peer("192.0.2.2", "10.244.1.0/24"), Peer("198.51.100.2", "10.244.2.0/24"))
"""Two nodes; a router is between their segments."""


@pytest.fixture
def apart(make_netns: Callable[[str], Path]) -> list[Path]:
    """The namespaces of the two nodes, joined by a router that knows nothing of pods."""
    router, found = make_netns("router"), []
    sysctl.write("net.ipv4.ip_forward", 1, router)
    with Netlink(router) as middle:
        for number, peer in enumerate(NODES):
            own = make_netns(f"node-{number}")
            hop = peer.address[:-1] + "1"
            link.add_veth(middle, link.End(f"n{number}"), link.End("eth0", namespace=own))
            address.add(middle, f"n{number}", f"{hop}/24")
            with Netlink(own) as net:
                address.add(net, "eth0", f"{peer.address}/24")
                link.change(net, "eth0", up=True)
                address.add(net, "lo", f"{peer.gateway}/32")  # as the pods' gateway device has it
                route.add(net, "default", via=hop)
            found.append(own)
    return found


def heard(to: Path, port: int, send: Callable[[], None]) -> tuple[bytes, str]:
    """What arrives at UDP `port` in `to`, and whence, when `send` has sent."""
    with namespace.run_in(to, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as receiver:
        receiver.bind(("", port))
        receiver.settimeout(30)
        send()
        data, (source, _) = receiver.recvfrom(2000)
        return data, source


def say(at: Path, to: str, port: int) -> None:
    with namespace.run_in(at, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sender:
        sender.sendto(b"hello", (to, port))


@pytest.mark.root
def test_vxlan_carries_pods_packets_across_segments(apart):
    ways = [Vxlan("vx", CLUSTER, own) for own in NODES]
    for way, place, other in zip(ways, apart, reversed(NODES), strict=True):
        with Netlink(place) as net:
            for _ in range(2):  # again changes nothing
                way.prepare(net)
                way.add(net, other)
    for here, there in ((0, 1), (1, 0)):
        gateway = NODES[there].gateway
        data, source = heard(apart[there], 4000, lambda here=here, gateway=gateway: say(apart[here], gateway, 4000))
        assert (data, source) == (b"hello", NODES[here].gateway)
    with Netlink(apart[0]) as net:
        for _ in range(2):
            ways[0].remove(net, NODES[1])
            ways[0].close(net)
        assert link.find(net, "vx") is None
        assert not [each for each in route.listed(net) if str(each.destination) == NODES[1].pods]


@pytest.mark.root
def test_a_direct_route_needs_one_segment_and_says_so(apart):
    with Netlink(apart[0]) as net, pytest.raises(Unsupported) as error:
        Direct(NODES[0].gateway).add(net, NODES[1])
    assert "198.51.100.2 is not on a segment with this node" in error.value.message
    assert "set node_routes to vxlan" in error.value.message


def laid(place: Path) -> dict[str, str]:
    """Range -> next hop."""
    with Netlink(place) as net:
        return {str(each.destination): str(each.via) for each in route.listed(net) if each.via is not None}


@pytest.mark.root
async def test_routes_follow_the_nodes_of_the_cluster(netns, tmp_path):
    with Netlink(netns) as net:
        link.add_bridge(net, "eth0")
        address.add(net, "eth0", "192.0.2.1/24")
        address.add(net, "lo", "10.244.0.1/32")
        route.add(net, "10.244.9.0/24", via="192.0.2.9")  # of a node that went while no agent ran
        route.add(net, "203.0.113.0/24", via="192.0.2.9")  # somebody else's
    config = NodeConfig("own", tmp_path, tmp_path, "192.0.2.1", pod_cidr="", cluster_cidr=CLUSTER)
    async with Simulation(nodes=0) as cluster, Informers(cluster.client, SystemClock(), lambda: 0.0) as informers:
        routes = Routes(config, informers.of(NODES_API), SystemClock(), netns)
        await informers.start()
        async with Tasks("test") as tasks:
            placed = tasks.start(routes.placed(), "placed")
            own = await cluster.client.create(NODES_API, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "own"}})
            given = {"podCIDR": "10.244.0.0/24", "podCIDRs": ["10.244.0.0/24"]}
            await cluster.client.patch(NODES_API, "own", {"spec": given})
            tasks.start(routes.run(await placed), "routes")
            assert own["spec"].get("podCIDR") is None
            for name, pods, at in (("b", "10.244.1.0/24", "192.0.2.2"), ("far", "10.244.2.0/24", "198.51.100.2")):
                await joined(cluster.client, name, pods, at)
            await until(lambda: laid(netns) == {"203.0.113.0/24": "192.0.2.9", "10.244.1.0/24": "192.0.2.2"})
            await cluster.client.delete(NODES_API, "b")
            await cluster.client.delete(NODES_API, "far")
            await until(lambda: laid(netns) == {"203.0.113.0/24": "192.0.2.9"})


async def joined(client: Client, name: str, pods: str, at: str) -> None:
    made = node(name, pods, at)
    await client.create(NODES_API, {"apiVersion": "v1", "kind": "Node", **made})
    await client.patch(NODES_API, name, {"status": made["status"]}, subresource="status")


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not check():  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(0.05)
