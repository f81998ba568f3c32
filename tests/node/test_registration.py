"""The node's status, and its Lease over an API server."""

from pathlib import Path

import pytest

from podling.client.client import Client
from podling.client.resource import LEASES, NODES
from podling.node.place import NodeConfig
from podling.node.registration import Machine, Registration, node_status, read_machine
from podling.node.runtime import HeldImage
from podling.testing.apiserver import in_process

MACHINE = Machine("amd64", "6.1.0", "Debian", "m", "b", 100 << 30, "podling://1", "v1.36.0", {"2Mi": 4 << 20})
CONFIG = NodeConfig("n1", Path("/"), Path("/run"), "10.244.0.1", cpus=4, memory=8 << 30, labels={"zone": "a"})


class Images:
    name, version = "podling", "1"

    async def images(self) -> list[HeldImage]:
        return []


def test_the_largest_images_are_told() -> None:
    images = [HeldImage(f"sha256:{n}", (f"i:{n}",), n) for n in range(60)] + [HeldImage("sha256:x", (), 10**9)]
    told = node_status(CONFIG, MACHINE, images, [], 0.0)["images"]
    assert (len(told), told[0]) == (50, {"names": ["i:59"], "sizeBytes": 59})


def test_a_condition_keeps_its_time_while_it_holds() -> None:
    first = node_status(CONFIG, MACHINE, [], [], 100.0)["conditions"]
    later = node_status(CONFIG, MACHINE, [], first, 200.0)["conditions"]
    assert {c["lastTransitionTime"] for c in later} == {"1970-01-01T00:01:40Z"}
    assert {c["lastHeartbeatTime"] for c in later} == {"1970-01-01T00:03:20Z"}
    ending = node_status(CONFIG, MACHINE, [], later, 300.0, ready=False)["conditions"]
    assert [(c["type"], c["lastTransitionTime"]) for c in ending if c["reason"] == "KubeletNotReady"] == [
        ("Ready", "1970-01-01T00:05:00Z")
    ]


def test_capacity() -> None:
    status = node_status(CONFIG, MACHINE, [], [], 0.0)
    assert status["capacity"]["memory"] == f"{8 << 20}Ki"
    assert status["allocatable"]["cpu"] == "4"
    assert status["capacity"]["hugepages-2Mi"] == "4Mi"


def test_what_the_node_is_short_of() -> None:
    wants = {c["type"]: c for c in node_status(CONFIG, MACHINE, [], [], 0.0, pressures=("DiskPressure",))["conditions"]}
    assert (wants["DiskPressure"]["status"], wants["DiskPressure"]["reason"]) == ("True", "KubeletHasDiskPressure")
    assert (wants["PIDPressure"]["status"], wants["Ready"]["status"]) == ("False", "True")


def test_this_machine() -> None:
    machine = read_machine(Path("/"), "podling://1", "v1.36.0")
    assert machine.kernel
    assert machine.disk > 0


@pytest.mark.parametrize("known", [False, True])
async def test_a_node_registers_and_lives(known: bool) -> None:
    async with in_process() as api:
        client = Client(api.transport)
        if known:
            node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "labels": {"mine": "1"}}}
            await client.create(NODES, {**node, "spec": {"podCIDR": "10.9.0.0/24"}})
        registration = Registration(CONFIG, client, api.clock, Images())  # type: ignore[arg-type]
        node = await registration.register()
        assert node["spec"]["podCIDR"] == ("10.9.0.0/24" if known else "10.244.0.0/24")
        assert node["metadata"]["labels"]["zone"] == "a"
        assert ("mine" in node["metadata"]["labels"]) is known
        await registration.report()
        ready = [c for c in (await client.get(NODES, "n1"))["status"]["conditions"] if c["type"] == "Ready"]
        assert [(c["status"], c["reason"]) for c in ready] == [("True", "KubeletReady")]
        await registration.renew()
        first = (await client.get(LEASES, "n1", "kube-node-lease"))["spec"]["renewTime"]
        await api.clock.advance(10)
        await registration.renew()
        lease = await client.get(LEASES, "n1", "kube-node-lease")
        assert lease["spec"]["renewTime"] > first
        assert lease["metadata"]["ownerReferences"][0]["name"] == "n1"
