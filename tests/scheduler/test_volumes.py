"""Volumes and nodes: where a pod's claims let it go, and what is done for them before it is bound."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from podling.api.objects import Object, annotations_of, get, name_of
from podling.client.resource import CLAIMS, EVENTS, PODS
from podling.scheduler.node_info import NodeInfo
from podling.scheduler.volumes import CLASSES, SELECTED_NODE, VOLUMES, Claims, choose, classify, names_of
from podling.testing.simulation import Simulation, node


class Cache(dict[str, Object]):
    """A lister of a few objects."""

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values())


def volume(name: str, size: str = "1Gi", on: str = "", **spec: Any) -> Object:
    affinity = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "host", "operator": "In", "values": [on]}]}]}
    where = {"nodeAffinity": {"required": affinity}} if on else {}
    whole = {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "storageClassName": "local", **where, **spec}
    return {"metadata": {"name": name}, "spec": whole, "status": {"phase": "Available"}}


def claim(name: str, size: str = "1Gi", bound: str = "", **spec: Any) -> Object:
    wish = {"storageClassName": "local", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **spec}
    metadata: Object = {"name": name, "namespace": "default", "uid": name}
    if bound:
        wish["volumeName"] = bound
        metadata["annotations"] = {"pv.kubernetes.io/bind-completed": "yes"}
    return {"metadata": metadata, "spec": wish}


CONSUMER = {
    "metadata": {"name": "local"},
    "provisioner": "kubernetes.io/no-provisioner",
    "volumeBindingMode": "WaitForFirstConsumer",
}
MADE = {**CONSUMER, "metadata": {"name": "made"}, "provisioner": "example.com/disk"}
AT_X = {
    **MADE,
    "metadata": {"name": "at-x"},
    "allowedTopologies": [{"matchLabelExpressions": [{"key": "host", "values": ["x"]}]}],
}
NOW = {**MADE, "metadata": {"name": "now"}, "volumeBindingMode": "Immediate"}
KINDS = Cache({name_of(one): one for one in (CONSUMER, MADE, AT_X, NOW)})
AFFINITY = "node(s) had volume node affinity conflict"
NONE = "node(s) didn't find available persistent volumes to bind"
GONE = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"

CHOICES: list[tuple[str, list[Object], list[Object], dict[str, str], list[str], list[str], list[str]]] = [
    ("bound here", [volume("v", on="x")], [claim("c", bound="v")], {}, [], [], []),
    ("bound elsewhere", [volume("v", on="y")], [claim("c", bound="v")], {}, [], [], [AFFINITY]),
    ("bound to nothing", [], [claim("c", bound="v")], {}, [], [], [GONE]),
    (
        "the smallest that does",
        [volume("big", "9Gi"), volume("v", "2Gi"), volume("s", "1Gi")],
        [claim("c", "2Gi")],
        {},
        ["v"],
        [],
        [],
    ),
    ("none on this node", [volume("v", on="y")], [claim("c")], {}, [], [], [NONE]),
    ("meant for another", [volume("v")], [claim("c")], {"v": "default/other"}, [], [], [NONE]),
    ("meant for this one", [volume("v"), volume("w", "900Mi")], [claim("c")], {"v": "default/c"}, ["v"], [], []),
    ("two claims, two volumes", [volume("v"), volume("w")], [claim("c"), claim("d")], {}, ["v", "w"], [], []),
    ("two claims, one volume", [volume("v")], [claim("c"), claim("d")], {}, ["v"], [], [NONE]),
    ("another mode", [volume("v", accessModes=["ReadOnlyMany"])], [claim("c")], {}, [], [], [NONE]),
    ("made on demand", [], [claim("c", storageClassName="made")], {}, [], ["c"], []),
    ("made here only", [], [claim("c", storageClassName="at-x")], {}, [], ["c"], []),
]


@pytest.mark.parametrize(
    ("volumes", "claims", "assumed", "bind", "provision", "reasons"),
    [case[1:] for case in CHOICES],
    ids=[case[0] for case in CHOICES],
)
def test_what_claims_get_on_a_node(
    volumes: list[Object],
    claims: list[Object],
    assumed: dict[str, str],
    bind: list[str],
    provision: list[str],
    reasons: list[str],
) -> None:
    here = NodeInfo.of(node("x", host="x"))
    kept = Cache({name_of(one): one for one in volumes})
    found = choose(classify(claims, KINDS), here, kept, KINDS, assumed)
    assert sorted(name_of(one) for one, _ in found.bind) == bind
    assert [name_of(one) for one in found.provision] == provision
    assert list(found.reasons) == reasons


def test_a_claim_whose_node_is_chosen_goes_nowhere_else() -> None:
    chosen = claim("c", storageClassName="made")
    chosen["metadata"]["annotations"] = {SELECTED_NODE: "x"}
    delayed = classify([chosen], KINDS)
    assert choose(delayed, NodeInfo.of(node("x")), Cache(), KINDS, {}).provision == (chosen,)
    assert choose(delayed, NodeInfo.of(node("y")), Cache(), KINDS, {}).reasons == (NONE,)


def test_topologies_that_a_class_allows() -> None:
    there = NodeInfo.of(node("y", host="y"))
    assert choose(classify([claim("c", storageClassName="at-x")], KINDS), there, Cache(), KINDS, {}).reasons == (NONE,)


def test_claims_by_how_they_are_bound() -> None:
    bound, delayed, immediate = claim("b", bound="v"), claim("d"), claim("i", storageClassName="now")
    assert classify([bound, delayed, immediate], KINDS) == Claims([bound], [delayed], [immediate])


def test_the_claims_that_a_pod_names() -> None:
    volumes = [
        {"name": "a", "persistentVolumeClaim": {"claimName": "c"}},
        {"name": "b", "ephemeral": {}},
        {"name": "d", "emptyDir": {}},
    ]
    assert list(names_of({"metadata": {"name": "p"}, "spec": {"volumes": volumes}})) == [("c", False), ("p-b", True)]


# --- at work


@pytest.fixture
async def cluster() -> AsyncIterator[Simulation]:
    async with Simulation(nodes=3) as simulation:
        for one in (CONSUMER, MADE, NOW):
            whole = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", **one}
            await simulation.client.create(CLASSES, whole)
        yield simulation


def user(name: str, of: str, **spec: Any) -> Object:
    container = {"name": "main", "image": "web:1"}
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": of}}]
    metadata = {"name": name, "namespace": "default"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [container], "volumes": volumes, **spec},
    }


async def create_claim(cluster: Simulation, name: str, of: str) -> None:
    whole = claim(name, storageClassName=of)
    del whole["metadata"]["uid"]
    await cluster.client.create(CLAIMS, {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **whole})


async def bind_claim(cluster: Simulation, name: str, to: str) -> None:
    """What a volume controller does."""
    patch = {"metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}}, "spec": {"volumeName": to}}
    await cluster.client.patch(CLAIMS, name, patch, "default")


async def node_of(cluster: Simulation, name: str) -> str:
    found: str = get(await cluster.client.get(PODS, name, "default"), "spec.nodeName", "")
    return found


async def message_of(cluster: Simulation, name: str) -> str:
    (event,) = [one for one in (await cluster.client.list(EVENTS, "default")).items if one["involvedObject"]["name"] == name]
    return str(event["message"])


async def test_a_claim_that_waits_for_its_consumer_is_told_the_node(cluster: Simulation) -> None:
    await create_claim(cluster, "data", "made")
    await cluster.client.create(PODS, user("app", "data", nodeSelector={"kubernetes.io/hostname": "node-1"}))
    await cluster.advance(2)
    assert annotations_of(await cluster.client.get(CLAIMS, "data", "default"))[SELECTED_NODE] == "node-1"
    assert await node_of(cluster, "app") == ""
    await bind_claim(cluster, "data", "disk")
    await cluster.advance(1)
    assert await node_of(cluster, "app") == "node-1"


async def test_a_volume_of_one_node_takes_the_pod_there(cluster: Simulation) -> None:
    for number in (0, 2):
        terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [f"node-{number}"]}]}]
        made = volume(
            f"disk-{number}", f"{number + 1}Gi", nodeAffinity={"required": {"nodeSelectorTerms": terms}}, local={"path": "/d"}
        )
        del made["status"]
        await cluster.client.create(VOLUMES, {"apiVersion": "v1", "kind": "PersistentVolume", **made})
        phase = {"status": {"phase": "Available"}}
        await cluster.client.patch(VOLUMES, f"disk-{number}", phase, subresource="status")
    await create_claim(cluster, "data", "local")
    await cluster.client.create(PODS, user("app", "data", nodeSelector={"kubernetes.io/hostname": "node-2"}))
    await cluster.advance(2)
    found = await cluster.client.get(VOLUMES, "disk-2")
    assert (get(found, "spec.claimRef.name"), get(found, "spec.claimRef.namespace")) == ("data", "default")
    await bind_claim(cluster, "data", "disk-2")
    await cluster.advance(1)
    assert await node_of(cluster, "app") == "node-2"


async def test_pods_whose_claims_are_not_there_or_not_bound_wait_for_them(cluster: Simulation) -> None:
    await cluster.client.create(PODS, user("early", "data"))
    await cluster.advance(1)
    hopeless = "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
    assert await message_of(cluster, "early") == (f'0/3 nodes are available: persistentvolumeclaim "data" not found. {hopeless}')
    await create_claim(cluster, "other", "now")
    await cluster.client.create(PODS, user("soon", "other"))
    await cluster.advance(1)
    assert await message_of(cluster, "soon") == (
        f"0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims. {hopeless}"
    )
    made = volume("v", storageClassName="now", hostPath={"path": "/d"})
    del made["status"]
    await cluster.client.create(VOLUMES, {"apiVersion": "v1", "kind": "PersistentVolume", **made})
    await bind_claim(cluster, "other", "v")
    await cluster.advance(2)
    assert await node_of(cluster, "soon")
