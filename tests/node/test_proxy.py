"""Services as elements of nftables maps, and the kernel that follows them."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from node.feed import Feed
from podling.aio.clock import SystemClock
from podling.aio.tasks import Tasks
from podling.linux import namespace, route, sysctl
from podling.linux.conntrack import Flow, Flows
from podling.linux.netlink import Netlink
from podling.linux.nft import Nft
from podling.linux.nftset import Verdict, mark, pack
from podling.node.network import PodNetwork
from podling.node.place import NodeConfig
from podling.node.proxy import table
from podling.node.proxy.flows import left_behind
from podling.node.proxy.proxy import Proxy
from podling.node.proxy.rules import chains_of, changes, elements_of, host_port_elements, targets_of
from podling.node.runtime import SandboxSpec


def service(**spec: Any) -> dict[str, Any]:
    spec.setdefault("clusterIP", "10.96.0.20")
    spec.setdefault("ports", [{"port": 80, "targetPort": 8080}])
    return {"metadata": {"name": "web", "namespace": "default"}, "spec": spec}


def slice_of(*addresses: str, node: str = "n1", port: int = 8080, **conditions: bool) -> dict[str, Any]:
    endpoints = [{"addresses": [a], "nodeName": node, "conditions": conditions or {"ready": True}} for a in addresses]
    metadata = {"name": "web-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}}
    return {"metadata": metadata, "addressType": "IPv4", "endpoints": endpoints, "ports": [{"port": port}]}


VIP = pack(IPv4Address("10.96.0.20"), "tcp", 80)


def endpoint(number: int) -> tuple[str, bytes]:
    return (table.ENDPOINTS, pack(IPv4Address("10.96.0.20"), "tcp", 80, mark(number)))


def test_a_cluster_ip_goes_to_its_endpoints() -> None:
    elements = elements_of(service(), [slice_of("10.244.0.3", "10.244.0.2")], "n1")
    assert elements[table.SERVICES, VIP] == Verdict("goto", "address-outside-random-2")
    assert elements[endpoint(0)] == pack(IPv4Address("10.244.0.2"), 8080)
    assert elements[endpoint(1)] == pack(IPv4Address("10.244.0.3"), 8080)
    assert chains_of(elements) == {"address-outside-random-2"}


def test_no_endpoints_refuse() -> None:
    assert elements_of(service(), [], "n1") == {(table.NO_ENDPOINTS, VIP): None}
    assert elements_of(service(), [slice_of("10.244.0.2", ready=False)], "n1") == {(table.NO_ENDPOINTS, VIP): None}


@pytest.mark.parametrize(
    "spec", [{"clusterIP": "None"}, {"clusterIP": ""}, {"type": "ExternalName", "clusterIP": None}, {"clusterIP": "10.96.0.10"}]
)
def test_services_without_a_virtual_ip_have_no_rules(spec: dict[str, Any]) -> None:
    assert elements_of(service(**spec), [slice_of("10.244.0.2")], "n1", reserved="10.96.0.10") == {}


def test_a_deleted_service_has_no_rules() -> None:
    assert elements_of(None, [slice_of("10.244.0.2")], "n1") == {}


def _verdicts(elements: Any) -> dict[str, str]:
    return {name: value.chain for (name, _), value in elements.items() if isinstance(value, Verdict)}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"sessionAffinity": "ClientIP"}, {table.SERVICES: "address-outside-client10800-2"}),
        (
            {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}}},
            {table.SERVICES: "address-outside-client60-2"},
        ),
        ({"internalTrafficPolicy": "Local"}, {table.SERVICES: "address-outside-random-1"}),
    ],
)
def test_policies_of_the_virtual_ip(spec: dict[str, Any], expected: dict[str, str]) -> None:
    slices = [slice_of("10.244.0.2"), slice_of("10.244.1.2", node="n2")]
    assert _verdicts(elements_of(service(**spec), slices, "n1")) == expected


def test_an_endpoint_that_clients_stay_with_has_an_identity() -> None:
    spec = {"sessionAffinity": "ClientIP", "ports": [{"port": 80, "nodePort": 30080}]}
    elements = elements_of(service(**spec), [slice_of("10.244.0.2", "10.244.0.3")], "n1")
    way, own = pack(IPv4Address("10.96.0.20"), "tcp", 80, mark(1)), mark(int(IPv4Address("10.244.0.3")))
    assert elements[table.IDENTITIES, way] == own
    assert elements[table.NODE_IDENTITIES, pack("tcp", 30080, mark(1))] == own
    assert elements[table.ENDPOINTS, pack(IPv4Address("10.96.0.20"), "tcp", 80, own)] == pack(IPv4Address("10.244.0.3"), 8080)
    names = chains_of(elements)
    assert names == {"address-outside-client10800-2", "port-always-client10800-2"}
    assert (table.counts_in(names), table.timeouts_in(names)) == ({2}, {10800})


DNS = [{"port": 53, "protocol": "UDP", "nodePort": 30053}]


def named(*addresses: str) -> Any:
    """The elements of a UDP service."""
    made = slice_of(*addresses) | {"ports": [{"port": 8080, "protocol": "UDP"}]}
    return elements_of(service(ports=DNS), [made] if addresses else [], "n1")


def flow(address: str, port: int, answerer: str, answering: int = 8080) -> Flow:
    return Flow(IPv4Address(address).packed, port, IPv4Address(answerer).packed, answering)


@pytest.mark.parametrize(
    ("old", "new", "one", "expected"),
    [
        (("10.244.0.2", "10.244.0.3"), ("10.244.0.3",), flow("10.96.0.20", 53, "10.244.0.2"), True),
        (("10.244.0.2", "10.244.0.3"), ("10.244.0.3",), flow("10.96.0.20", 53, "10.244.0.3"), False),
        (("10.244.0.2", "10.244.0.3"), ("10.244.0.3",), flow("192.0.2.1", 30053, "10.244.0.2"), True),
        (("10.244.0.2",), (), flow("10.96.0.20", 53, "10.244.0.2"), True),
        (("10.244.0.2",), (), flow("10.96.0.21", 53, "10.244.0.2"), False),
        ((), ("10.244.0.2",), flow("192.0.2.1", 30053, "192.0.2.1", 30053), True),  # it went past the service
        ((), ("10.244.0.2",), flow("192.0.2.1", 30054, "192.0.2.1", 30054), False),
    ],
)
def test_the_flows_that_a_change_leaves_behind(old: Any, new: Any, one: Flow, expected: bool) -> None:
    assert left_behind(named(*old), named(*new)).covers(one) is expected


def test_only_udp_leaves_flows_behind() -> None:
    assert not left_behind(elements_of(service(), [slice_of("10.244.0.2")], "n1"), {})
    assert not left_behind(named("10.244.0.2"), named("10.244.0.2"))


def test_node_ports_and_external_addresses() -> None:
    spec = {"ports": [{"port": 80, "nodePort": 30080}], "externalIPs": ["192.0.2.1"]}
    slices = [slice_of("10.244.0.2"), slice_of("10.244.1.2", node="n2")]
    elements = elements_of(service(**spec), slices, "n1")
    assert elements[table.NODE_PORTS, pack("tcp", 30080)] == Verdict("goto", "port-always-random-2")
    assert elements[table.SERVICES, pack(IPv4Address("192.0.2.1"), "tcp", 80)] == Verdict("goto", "address-always-random-2")
    local = elements_of(service(**spec, externalTrafficPolicy="Local"), slices, "n1")
    assert local[table.NODE_PORTS, pack("tcp", 30080)] == Verdict("goto", "port-never-random-1")


def test_load_balancer_addresses() -> None:
    balanced = service() | {
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}, {"ip": "192.0.2.8", "ipMode": "Proxy"}]}}
    }
    elements = elements_of(balanced, [slice_of("10.244.0.2")], "n1")
    assert (table.SERVICES, pack(IPv4Address("192.0.2.7"), "tcp", 80)) in elements
    assert (table.SERVICES, pack(IPv4Address("192.0.2.8"), "tcp", 80)) not in elements


def hosted(**port: Any) -> dict[str, Any]:
    ports = [{"containerPort": 8080, "hostPort": 9000, **port}]
    return {"spec": {"containers": [{"name": "app", "ports": ports}]}, "status": {"phase": "Running", "podIP": "10.244.0.2"}}


def test_host_ports() -> None:
    elements = host_port_elements(hosted())
    assert elements[table.NODE_PORTS, pack("tcp", 9000)] == Verdict("goto", "port-never-random-1")
    assert elements[table.NODE_ENDPOINTS, pack("tcp", 9000, mark(0))] == pack(IPv4Address("10.244.0.2"), 8080)
    bound = host_port_elements(hosted(hostIP="127.0.0.1", protocol="UDP"))
    assert bound[table.SERVICES, pack(IPv4Address("127.0.0.1"), "udp", 9000)] == Verdict("goto", "address-never-random-1")
    for gone in (None, hosted() | {"status": {}}, hosted() | {"status": {"phase": "Failed", "podIP": "10.244.0.2"}}):
        assert host_port_elements(gone) == {}


def test_ending_endpoints_serve_only_where_none_is_ready() -> None:
    port = {"port": 80}
    ending = slice_of("10.244.0.9", ready=False, serving=True, terminating=True)
    assert [t.address for t in targets_of(port, [ending], "n1")] == ["10.244.0.9"]
    assert [t.address for t in targets_of(port, [ending, slice_of("10.244.0.2")], "n1")] == ["10.244.0.2"]


def test_ports_are_matched_by_name_and_protocol() -> None:
    named = slice_of("10.244.0.2") | {"ports": [{"name": "http", "port": 8080}, {"name": "dns", "port": 53, "protocol": "UDP"}]}
    assert [t.port for t in targets_of({"port": 80, "name": "http"}, [named], "n1")] == [8080]
    assert [t.port for t in targets_of({"port": 53, "name": "dns", "protocol": "UDP"}, [named], "n1")] == [53]
    assert targets_of({"port": 53, "name": "dns"}, [named], "n1") == []


def test_one_more_endpoint_changes_only_what_it_must() -> None:
    two = elements_of(service(), [slice_of("10.244.0.2", "10.244.0.3")], "n1")
    three = elements_of(service(), [slice_of("10.244.0.2", "10.244.0.3", "10.244.0.4")], "n1")
    todo = changes(two, three)
    assert [(c.add, c.set) for c in todo] == [
        (False, table.SERVICES),
        (True, table.SERVICES),
        (True, table.ENDPOINTS),
        (True, table.HAIRPIN),
    ]
    assert changes(three, three) == []


# The kernel. A namespace stands for the node, with two pods behind it that answer on port 8080.

PODS = ("10.244.0.2", "10.244.0.3")
RANGES = table.Ranges("10.244.0.0/16", "10.96.0.0/16", "10.96.0.10", "kpp")


@dataclass
class Net:
    host: Path
    pods: dict[str, Path]
    nft: Nft
    tasks: Tasks
    held: Any = field(default_factory=dict)

    def serve(self, elements: Any) -> None:
        """Have the kernel hold exactly these elements."""
        self.nft.change(table.FAMILY, "svc", changes(self.held, elements))
        self.held = elements

    async def ask(self, where: Path, address: str, port: int, patience: float = 5) -> tuple[str, str]:
        """Connect from `where`; the pod that answers, and the client's address as that pod sees it."""
        client = namespace.run_in(where, lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        with client:
            async with asyncio.timeout(patience):
                await loop.sock_connect(client, (address, port))
                pod, source = (await loop.sock_recv(client, 100)).decode().split()
        return pod, source


async def answer(listener: socket.socket, name: str) -> None:
    loop = asyncio.get_running_loop()
    while True:
        connection, client = await loop.sock_accept(listener)
        with connection:
            await loop.sock_sendall(connection, f"{name} {client[0]}".encode())


@pytest.fixture
async def node(make_netns: Any, tmp_path: Path) -> AsyncIterator[Net]:
    host = make_netns("host")
    config = NodeConfig("n1", tmp_path / "root", tmp_path / "run", "10.244.0.1")
    network = PodNetwork(config, host)
    nft = Nft(host)
    async with Tasks("pods") as tasks:
        try:
            await network.start()
            pods = {}
            for number, expected in enumerate(PODS):
                assert await network.add(SandboxSpec(f"u{number}", f"p{number}", "default", f"p{number}")) == (expected,)
                pods[expected] = network.path(f"u{number}", "net")
                listener = namespace.run_in(pods[expected], lambda: socket.create_server(("0.0.0.0", 8080)))
                listener.setblocking(False)
                tasks.start(answer(listener, expected), expected).add_done_callback(lambda _, each=listener: each.close())
            await nft.apply(table.base("svc", RANGES) + table.chains("svc", range(1, 4)))
            yield Net(host, pods, nft, tasks)
        finally:
            await tasks.cancel()
            nft.close()
            await network.close()


@pytest.mark.root
async def test_pods_reach_each_other_and_the_node(node: Net) -> None:
    assert await node.ask(node.pods[PODS[0]], PODS[1], 8080) == (PODS[1], PODS[0])
    assert await node.ask(node.host, PODS[1], 8080) == (PODS[1], "10.244.0.1")


@pytest.mark.root
async def test_the_virtual_ip_answers_from_node_and_pods_and_spreads(node: Net) -> None:
    node.serve(elements_of(service(), [slice_of(*PODS)], "n1"))
    answers = [await node.ask(node.host, "10.96.0.20", 80) for _ in range(20)]
    assert {pod for pod, _ in answers} == set(PODS)
    answers = [await node.ask(node.pods[PODS[0]], "10.96.0.20", 80) for _ in range(20)]
    # To itself the pod comes back with the node's address; the other one sees who asks.
    assert set(answers) == {(PODS[0], "10.244.0.1"), (PODS[1], PODS[0])}


@pytest.mark.root
async def test_endpoints_that_change_are_followed(node: Net) -> None:
    node.serve(elements_of(service(), [slice_of(PODS[0])], "n1"))
    assert (await node.ask(node.host, "10.96.0.20", 80))[0] == PODS[0]
    node.serve(elements_of(service(), [slice_of(PODS[1])], "n1"))
    assert (await node.ask(node.host, "10.96.0.20", 80))[0] == PODS[1]
    node.serve(elements_of(service(), [], "n1"))
    for where in (node.host, node.pods[PODS[0]]):
        with pytest.raises(ConnectionRefusedError):
            await node.ask(where, "10.96.0.20", 80)
    node.serve({})
    with pytest.raises(ConnectionRefusedError):
        await node.ask(node.host, "10.96.0.20", 80)


@pytest.mark.root
async def test_more_endpoints_than_ever_before_bring_their_chains(node: Net) -> None:
    node.serve(elements_of(service(), [slice_of(*PODS)], "n1"))
    await node.nft.apply(table.chains("svc", [4]))
    node.serve(elements_of(service(), [slice_of(*PODS, "10.244.0.98", "10.244.0.99")], "n1"))
    assert any(pod in PODS for pod in await reachable(node))


async def reachable(node: Net) -> list[str]:
    """The pods that answer at the virtual IP, of some tries."""
    found = []
    for _ in range(12):
        with contextlib.suppress(TimeoutError, OSError):
            found.append((await node.ask(node.host, "10.96.0.20", 80, patience=0.1))[0])
    return found


@pytest.mark.root
async def test_a_client_stays_with_its_endpoint_where_asked(node: Net) -> None:
    """As long as the service says, whoever else comes and goes; and with another one when its own has gone."""
    affinity = {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 77}}}
    spec = service(**affinity, ports=[{"port": 80, "nodePort": 30080}])
    await node.nft.apply(table.affinity_chains("svc", range(1, 4), [77]))
    node.serve(elements_of(spec, [slice_of(*PODS)], "n1"))
    for where in (node.host, *node.pods.values()):
        assert len({(await node.ask(where, "10.96.0.20", 80))[0] for _ in range(10)}) == 1
    first = (await node.ask(node.host, "10.96.0.20", 80))[0]
    assert len({(await node.ask(node.host, "10.244.0.1", 30080))[0] for _ in range(10)}) == 1
    node.serve(elements_of(spec, [slice_of("10.244.0.1", *PODS)], "n1"))  # every number now means another one
    assert {(await node.ask(node.host, "10.96.0.20", 80))[0] for _ in range(5)} == {first}
    (second,) = {*PODS} - {first}
    node.serve(elements_of(spec, [slice_of(second)], "n1"))
    assert {(await node.ask(node.host, "10.96.0.20", 80))[0] for _ in range(5)} == {second}
    node.serve(elements_of(spec, [slice_of(*PODS)], "n1"))
    assert {(await node.ask(node.host, "10.96.0.20", 80))[0] for _ in range(5)} == {second}
    (kept,) = await node.nft.show("map", table.FAMILY, "svc", table.AFFINITY)
    assert {entry[0]["elem"]["timeout"] for entry in kept["map"]["elem"]} == {77}


def echo(where: Path, name: str) -> socket.socket:
    """Answers each datagram at port 8080 with the name."""
    server = namespace.run_in(where, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    server.setblocking(False)
    server.bind(("0.0.0.0", 8080))

    def reply() -> None:
        with contextlib.suppress(BlockingIOError):
            _, client = server.recvfrom(100)
            server.sendto(name.encode(), client)

    asyncio.get_running_loop().add_reader(server, reply)
    return server


@pytest.mark.root
async def test_a_udp_client_that_goes_on_is_led_to_who_is_left(node: Net) -> None:
    """From one port all the time, as a resolver: the kernel knows the flow, and would send it on to who has gone."""
    feeds = Feeds()
    proxy = feeds.proxy(node)
    await proxy.start(RANGES)
    servers = [echo(where, pod) for pod, where in node.pods.items()]
    client = namespace.run_in(node.host, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    client.setblocking(False)
    loop = asyncio.get_running_loop()

    async def ask() -> str:
        """Who answers; "" for nobody."""
        with contextlib.suppress(OSError):  # refused, or no answer in time
            await loop.sock_sendto(client, b"?", ("10.96.0.20", 53))
            async with asyncio.timeout(0.2):
                return (await loop.sock_recv(client, 100)).decode()
        return ""

    async def led_to(pod: str) -> None:
        for _ in range(200):
            if await ask() == pod:
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"it is not led to {pod}")

    try:
        feeds.services.put(service(ports=DNS))
        for pod in (*PODS, *PODS):
            feeds.slices.put(slice_of(pod) | {"ports": [{"port": 8080, "protocol": "UDP"}]})
            await led_to(pod)
    finally:
        client.close()
        for server in servers:
            loop.remove_reader(server)
            server.close()
        await proxy.close()


@pytest.mark.root
async def test_a_node_port_answers_on_every_address_of_the_node(node: Net) -> None:
    node.serve(elements_of(service(ports=[{"port": 80, "nodePort": 30080}]), [slice_of(PODS[0])], "n1"))
    for address in ("127.0.0.1", "10.244.0.1"):
        assert (await node.ask(node.host, address, 30080))[0] == PODS[0]
    assert (await node.ask(node.pods[PODS[1]], "10.244.0.1", 30080))[0] == PODS[0]
    node.serve(elements_of(service(ports=[{"port": 80, "nodePort": 30080}]), [], "n1"))
    with pytest.raises(ConnectionRefusedError):
        await node.ask(node.host, "127.0.0.1", 30080)


@pytest.mark.root
async def test_a_pod_does_not_reach_the_loopback_of_its_node(node: Net) -> None:
    listener = namespace.run_in(node.host, lambda: socket.create_server(("127.0.0.1", 9000)))
    with listener:
        with Netlink(node.pods[PODS[0]]) as net:
            route.add(net, "127.0.0.2/32", via="10.244.0.1", device="eth0")
        sysctl.write("net/ipv4/conf/eth0/route_localnet", 1, node.pods[PODS[0]])
        with pytest.raises(TimeoutError):
            await node.ask(node.pods[PODS[0]], "127.0.0.2", 9000, patience=0.5)


@pytest.mark.root
async def test_a_restarted_agent_finds_its_sandboxes(node: Net, tmp_path: Path) -> None:
    again = PodNetwork(NodeConfig("n1", tmp_path / "root", tmp_path / "run", "10.244.0.1"), node.host)
    await again.start()
    assert await again.listed() == {"u0": (PODS[0],), "u1": (PODS[1],)}
    assert await again.add(SandboxSpec("u2", "p2", "default", "p2")) == ("10.244.0.4",)
    await again.remove("u2")


@dataclass
class Feeds:
    services: Feed = field(default_factory=Feed)
    slices: Feed = field(default_factory=Feed)
    pods: Feed = field(default_factory=Feed)

    def proxy(self, node: Net) -> Proxy:
        return Proxy(node.nft, "own", self.services, self.slices, self.pods, SystemClock(), node="n1", flows=Flows(node.host))  # type: ignore[arg-type]


async def settled(node: Net, holds: Any) -> None:
    for _ in range(100):
        if holds({name: len(node.nft.elements(table.FAMILY, "own", name)) for name in table.SETS}):
            return
        await asyncio.sleep(0.02)
    raise AssertionError({name: len(node.nft.elements(table.FAMILY, "own", name)) for name in table.SETS})


def copy_of(obj: dict[str, Any], name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {**obj["metadata"], "name": name}, "spec": {**obj["spec"], **spec}}


@pytest.mark.root
async def test_the_proxy_follows_its_informers(node: Net) -> None:
    feeds = Feeds()
    proxy = feeds.proxy(node)
    await proxy.start(RANGES)
    try:
        feeds.services.put(service())
        await settled(node, lambda count: count[table.NO_ENDPOINTS] == 1)
        feeds.slices.put(slice_of(*PODS))
        await settled(node, lambda count: (count[table.NO_ENDPOINTS], count[table.SERVICES], count[table.ENDPOINTS]) == (0, 1, 2))
        assert (await node.ask(node.host, "10.96.0.20", 80))[0] in PODS
        # Another service of the same endpoints shares their hairpin elements, and leaves them when it goes.
        other = slice_of(*PODS)
        other["metadata"] = {**other["metadata"], "name": "two-1", "labels": {"kubernetes.io/service-name": "two"}}
        feeds.services.put(copy_of(service(), "two", clusterIP="10.96.0.21"))
        feeds.slices.put(other)
        await settled(node, lambda count: (count[table.SERVICES], count[table.HAIRPIN]) == (2, 2))
        feeds.services.drop("default/two")
        await settled(node, lambda count: (count[table.SERVICES], count[table.HAIRPIN]) == (1, 2))
        feeds.pods.put({"metadata": {"name": "p", "namespace": "default"}, **hosted()})
        await settled(node, lambda count: (count[table.NODE_PORTS], count[table.NODE_ENDPOINTS]) == (1, 1))
        feeds.pods.drop("default/p")
        feeds.services.drop("default/web")
        await settled(node, lambda count: not any(count.values()))
        feeds.slices.put(slice_of(*(f"10.244.1.{n}" for n in range(1, 41))))
        feeds.services.put(service())
        await settled(node, lambda count: count[table.ENDPOINTS] == 40)
    finally:
        await proxy.close()


@pytest.mark.root
async def test_a_restarted_proxy_takes_over_without_a_gap(node: Net) -> None:
    feeds = Feeds()
    proxy = feeds.proxy(node)
    await proxy.start(RANGES)
    feeds.services.put(service())
    feeds.services.put(copy_of(service(), "gone", clusterIP="10.96.0.21"))
    feeds.slices.put(slice_of(*PODS))
    await settled(node, lambda count: (count[table.SERVICES], count[table.NO_ENDPOINTS]) == (1, 1))
    await proxy.close()
    feeds.services.handlers.clear()
    feeds.slices.handlers.clear()
    feeds.services.drop("default/gone")
    again = feeds.proxy(node)
    await again.start(RANGES)
    try:
        assert (await node.ask(node.host, "10.96.0.20", 80))[0] in PODS
        await settled(node, lambda count: (count[table.SERVICES], count[table.NO_ENDPOINTS]) == (1, 0))
        feeds.services.drop("default/web")
        await settled(node, lambda count: not any(count.values()))
    finally:
        await again.close()
