"""Plugins of one's own, queueing hints, Permit; in simulated time against the API server."""

import textwrap
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from podling.api.objects import Object, condition, get
from podling.client.resource import EVENTS, NODES, PODS
from podling.scheduler.configuration.file import read
from podling.testing.simulation import Simulation, node

QUIET = '''
"""An example of a plugin of one's own: nodes with a label `noise` above the argument `limit` are out, quiet ones are better."""

from podling.scheduler.events import Action, on
from podling.scheduler.framework import Rejection


class Quiet:
    name = "Quiet"

    def __init__(self, args, handle):
        self.limit = args.get("limit", 50)

    def events_to_register(self):
        return (on("Node", Action.ADD | Action.UPDATE_NODE_LABEL, self.quieter),)

    def quieter(self, pod, old, new):
        return self.filter(None, pod, new) is None

    def filter(self, state, pod, node):
        if int(node.labels.get("noise", "0")) <= self.limit:
            return None
        return Rejection(self.name, ("node(s) were too loud",), resolvable=False)

    def score(self, state, pod, node):
        return 100 - int(node.labels.get("noise", "0"))
'''


@pytest.fixture
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package `quiet` that is installed, with its entry point."""
    (tmp_path / "quiet.py").write_text(QUIET)
    about = tmp_path / "quiet-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: quiet\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[podling.scheduler.plugins]\nQuiet = quiet:Quiet\n")
    monkeypatch.syspath_prepend(str(tmp_path))


Running = Callable[..., AbstractAsyncContextManager[Simulation]]


def configured(profiles: str) -> Any:
    head = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}
    return read(yaml.safe_dump({**head, "profiles": yaml.safe_load(textwrap.dedent(profiles))}))


@asynccontextmanager
async def running(profiles: str, nodes: int = 2) -> AsyncIterator[Simulation]:
    async with Simulation(nodes=nodes, scheduling=configured(profiles)) as simulation:
        yield simulation


def pod(name: str, cpu: str = "100m", labels: dict[str, str] | None = None, **spec: Any) -> Object:
    container = {"name": "main", "image": "web:1", "resources": {"requests": {"cpu": cpu}}}
    metadata = {"name": name, "namespace": "default", "labels": labels or {}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container], **spec}}


async def node_of(cluster: Simulation, name: str) -> str:
    found: str = get(await cluster.client.get(PODS, name, "default"), "spec.nodeName", "")
    return found


async def messages(cluster: Simulation, name: str, reason: str = "FailedScheduling") -> list[str]:
    events = (await cluster.client.list(EVENTS, "default")).items
    return [one["message"] for one in events if one["involvedObject"]["name"] == name and one["reason"] == reason]


QUIET_PROFILE = """
    - schedulerName: default-scheduler
    - schedulerName: library
      plugins:
        multiPoint:
          enabled: [{name: Quiet, weight: 5}]
      pluginConfig:
        - name: Quiet
          args: {limit: 30}
"""


async def test_a_plugin_of_ones_own_by_entry_point(quiet: None) -> None:
    async with running(QUIET_PROFILE, nodes=0) as cluster:
        for name, noise in (("loud", "90"), ("calm", "20"), ("still", "5")):
            await cluster.client.create(NODES, node(name, noise=noise))
        await cluster.client.create(PODS, pod("reader", schedulerName="library"))
        await cluster.client.create(PODS, pod("guest", nodeSelector={"noise": "90"}))
        await cluster.advance(1)
        assert (await node_of(cluster, "reader"), await node_of(cluster, "guest")) == ("still", "loud")
        (scheduled,) = [one for one in (await cluster.client.list(EVENTS, "default")).items if "reader" in one["message"]]
        assert scheduled["source"]["component"] == "library"


async def test_a_plugins_rejection_is_in_the_event_and_its_hint_wakes_the_pod(quiet: None) -> None:
    async with running(QUIET_PROFILE, nodes=0) as cluster:
        await cluster.client.create(NODES, node("loud", noise="90"))
        await cluster.client.create(PODS, pod("reader", schedulerName="library"))
        await cluster.advance(1)
        (message,) = await messages(cluster, "reader")
        assert message.startswith("0/1 nodes are available: 1 node(s) were too loud. preemption: 0/1 nodes are available: 1 Pree")
        await cluster.client.patch(NODES, "loud", {"metadata": {"labels": {"noise": "80"}}})
        await cluster.advance(20)
        (event,) = [one for one in (await cluster.client.list(EVENTS, "default")).items if one["reason"] == "FailedScheduling"]
        assert event["count"] == 1  # 80 is too loud: the hint has kept the pod asleep
        await cluster.client.patch(NODES, "loud", {"metadata": {"labels": {"noise": "10"}}})
        await cluster.advance(2)
        assert await node_of(cluster, "reader") == "loud"


GANGS = """
    - plugins:
        multiPoint:
          enabled: [{name: Coscheduling}]
      pluginConfig:
        - name: Coscheduling
          args: {permitWaitingTimeSeconds: 10}
"""


def member(name: str, group: str = "gang", of: int = 3, **more: Any) -> Object:
    labels = {"scheduling.x-k8s.io/pod-group": group, "scheduling.x-k8s.io/min-member": str(of)}
    return pod(name, labels=labels, **more)


async def test_a_group_starts_together() -> None:
    async with running(GANGS) as cluster:
        for name in ("a", "b"):
            await cluster.client.create(PODS, member(name))
        await cluster.advance(30)
        assert [await node_of(cluster, name) for name in "ab"] == ["", ""]
        (message,) = await messages(cluster, "a")
        assert "cannot find enough sibling pods, current pods number: 1, minMember of group: 3" in message
        await cluster.client.create(PODS, member("c"))
        await cluster.advance(15)
        assert all([await node_of(cluster, name) for name in "abc"])


async def test_a_group_that_has_no_room_for_all_gives_its_places_back() -> None:
    async with running(GANGS) as cluster:  # two nodes of 4 cpu
        for name in ("a", "b", "c"):
            await cluster.client.create(PODS, member(name, cpu="3"))
        await cluster.advance(5)
        assert [await node_of(cluster, name) for name in "abc"] == ["", "", ""]
        await cluster.advance(10)
        texts = [text for name in "abc" for text in await messages(cluster, name)]
        assert any("rejected due to timeout after waiting 10s at plugin Coscheduling" in text for text in texts)
        await cluster.client.create(NODES, node("large", cpu="4"))
        await cluster.advance(30)
        assert all([await node_of(cluster, name) for name in "abc"])


async def test_a_scheduler_that_nobody_configured_leaves_its_pods_alone() -> None:
    async with running("- schedulerName: mine") as cluster:
        await cluster.client.create(PODS, pod("foreign"))
        await cluster.client.create(PODS, pod("own", schedulerName="mine"))
        await cluster.advance(5)
        assert (await node_of(cluster, "foreign"), bool(await node_of(cluster, "own"))) == ("", True)


async def test_a_pod_that_leaves_wakes_only_those_it_was_in_the_way_of() -> None:
    async with running("- schedulerName: default-scheduler", nodes=1) as cluster:
        port = [{"containerPort": 80, "hostPort": 80}]
        holder, waiter = pod("holder"), pod("waiter")
        for one in (holder, waiter):
            one["spec"]["containers"][0]["ports"] = port
        await cluster.client.create(PODS, holder)
        await cluster.client.create(PODS, pod("bystander"))
        await cluster.advance(1)
        await cluster.client.create(PODS, waiter)
        await cluster.advance(1)
        await cluster.client.delete(PODS, "bystander", "default")
        await cluster.advance(20)
        (event,) = [one for one in (await cluster.client.list(EVENTS, "default")).items if one["reason"] == "FailedScheduling"]
        assert event["count"] == 1
        await cluster.client.delete(PODS, "holder", "default")
        await cluster.advance(3)
        assert await node_of(cluster, "waiter") == "node-0"
        found = condition(await cluster.client.get(PODS, "waiter", "default"), "PodScheduled")
        assert found is not None
        assert found["status"] == "True"
