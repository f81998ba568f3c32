"""The metrics API: rates out of what agents tell, asked only when somebody asks."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from podling.api import durations
from podling.api.metrics import usage as kinds
from podling.api.registry import KINDS, Registry
from podling.apiserver.metrics_api import MetricsApi
from podling.apiserver.server import ApiServer
from podling.apiserver.usage import Counter, Scrape, Usage, base, parse, used
from podling.base.errors import Unavailable
from podling.store.memory import MemoryStore
from podling.testing.apiserver import Admin, AllowAll, Api
from podling.testing.clock import ManualClock

Object = dict[str, Any]
TEXT = """\
# HELP container_cpu_usage_seconds_total Cumulative cpu time consumed by the container in core-seconds
# TYPE container_cpu_usage_seconds_total counter
container_cpu_usage_seconds_total{{container="app",namespace="default",pod="web"}} {cpu} {at}
container_cpu_usage_seconds_total{{container="lone",namespace="default",pod="half"}} 1 {at}
container_memory_working_set_bytes{{container="app",namespace="default",pod="web"}} 1.048576e+06 {at}
container_start_time_seconds{{container="app",namespace="default",pod="web"}} 1.6999e+09
node_cpu_usage_seconds_total {node} {at}
node_memory_working_set_bytes 2048 {at}
pod_cpu_usage_seconds_total{{namespace="default",pod="web"}} 9 {at}
"""
WEB = ("default", "web", "app")


def test_what_an_agent_tells() -> None:
    found = parse(TEXT.format(cpu=12.5, node=100, at=1_700_000_000_250))
    assert found.node == Counter(1_700_000_000.25, 100.0, 2048)
    assert found.containers == {WEB: Counter(1_700_000_000.25, 12.5, 1 << 20, 1.6999e9)}


def scrape(at: float, *, started: float = 0.0, **cpu: float) -> Scrape:
    """Pods are called by the first letters of names, `a_x`: container x of pod a."""
    containers = {("ns", *name.split("_")): Counter(at, seconds, 5, started) for name, seconds in cpu.items()}
    return Scrape(Counter(at, at, 7), containers)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (scrape(100, a_x=10), scrape(110, a_x=15), {"a": {"x": Usage(110, 10, 500_000_000, 5)}}),
        (scrape(100, a_x=10), scrape(110, a_x=15, a_y=1), {}),  # of y it isn't known since when
        (scrape(100), scrape(120, started=105, a_x=3), {"a": {"x": Usage(120, 15, 200_000_000, 5)}}),
        (scrape(100), scrape(120, started=115, a_x=3), {}),  # too young
        (scrape(100, a_x=50), scrape(120, started=105, a_x=3), {"a": {"x": Usage(120, 15, 200_000_000, 5)}}),  # begun anew
        (scrape(100, a_x=50), scrape(120, started=50, a_x=3), {}),  # a counter that went back
        (scrape(100, a_x=10), scrape(110), {}),
    ],
)
def test_rates_of_two_readings(before: Scrape, now: Scrape, expected: Object) -> None:
    found = used(before, now, 15)
    assert found.pods == {("ns", pod): usages for pod, usages in expected.items()}
    assert found.node is not None
    assert (found.node.cpu, found.node.window) == (1_000_000_000, now.at - before.at)


def test_from_which_reading_a_rate_is_counted() -> None:
    old, good, late = scrape(10), scrape(85), scrape(98)
    assert base([old, good, late], scrape(100), 7.5) is good
    assert base([old, late], scrape(100), 7.5) is old
    assert base([late], scrape(100), 7.5) is None
    assert base([old], scrape(200), 7.5) is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(15, "15s"), (15.0625, "15.062s"), (0.25, "0.25s"), (61.5, "1m1.5s"), (3600, "1h0m0s"), (0, "0s")]
)
def test_durations(seconds: float, text: str) -> None:
    assert durations.text(seconds) == text
    assert durations.parse(text) == pytest.approx(seconds, abs=0.001)


def test_durations_of_others() -> None:
    assert durations.parse("1m30.5s") == 90.5
    assert durations.parse("150ms") == 0.15
    for bad in ("", "5", "5 s", "s"):
        with pytest.raises(ValueError, match="not a duration"):
            durations.parse(bad)


class Agent:
    """Tells a CPU that works half the time and a node that works one and a half; counts who asks."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.asked = 0
        self.away = False

    async def scrape(self, node: Object) -> str:
        self.asked += 1
        if self.away:
            raise Unavailable("no route")
        passed = self._clock.monotonic()
        return TEXT.format(cpu=passed / 2, node=passed * 1.5, at=round(self._clock.now() * 1000))


@pytest.fixture
async def measured() -> AsyncIterator[tuple[Api, Agent]]:
    """A node, and its pods."""
    clock = ManualClock()
    agent = Agent(clock)
    server = ApiServer(
        MemoryStore(),
        authorizer=AllowAll(),
        authenticators=(Admin(),),
        clock=clock,
        registry=Registry((*KINDS, *kinds.KINDS)),
        streams=MetricsApi(agent, clock).streams,
    )
    await server.start()
    api = Api(server, clock)
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "labels": {"zone": "a"}}}
    await api.create("/api/v1/nodes", node)
    await api.create("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
    for name, labels in (("web", {"app": "web"}), ("half", {}), ("other", {})):
        spec = {"nodeName": "n1", "containers": [{"name": "app", "image": "busybox"}]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}
        await api.create("/api/v1/namespaces/default/pods", pod)
    try:
        yield api, agent
    finally:
        await server.close()


ROOT = "/apis/metrics.k8s.io/v1beta1"


async def get(api: Api, path: str, **more: Any) -> Any:
    """The answer, while time passes: who asks first waits for a second reading."""
    asking = asyncio.ensure_future(api("GET", f"{ROOT}{path}", **more))
    await api.clock.advance(1)
    return await asking


async def test_who_asks_and_who_is_asked(measured: tuple[Api, Agent]) -> None:
    api, agent = measured
    assert agent.asked == 0
    (node,) = (await get(api, "/nodes")).body["items"]
    assert (node["usage"], node["window"], node["metadata"]["labels"]) == ({"cpu": "1500m", "memory": "2Ki"}, "1s", {"zone": "a"})
    assert agent.asked == 2
    (pod,) = (await get(api, "/namespaces/default/pods")).body["items"]
    assert pod["metadata"]["name"] == "web"  # of the others it isn't known
    assert pod["containers"] == [{"name": "app", "usage": {"cpu": "500m", "memory": "1Mi"}}]
    assert agent.asked == 2  # what is known serves for a while
    await api.clock.advance(14)
    answers = await asyncio.gather(*(get(api, "/pods") for _ in range(3)))
    assert {answer.body["items"][0]["window"] for answer in answers} == {"15s"}
    assert agent.asked == 3  # for all of them together
    await api.clock.advance(500)
    assert (await get(api, "/nodes/n1")).body["window"] == "1s"
    assert agent.asked == 5
    await api.clock.advance(20)
    agent.away = True
    assert (await get(api, "/nodes")).body["items"] == []
    assert (await get(api, "/pods")).body["items"] == []
    assert agent.asked == 6  # nor is it asked again and again while it doesn't answer


async def test_selections_errors_and_tables(measured: tuple[Api, Agent]) -> None:
    api, _ = measured
    assert len((await get(api, "/pods", labelSelector="app=web")).body["items"]) == 1
    assert (await get(api, "/pods", labelSelector="app=none")).body["items"] == []
    assert len((await get(api, "/pods", fieldSelector="metadata.name=web")).body["items"]) == 1
    assert (await get(api, "/namespaces/none/pods")).body["items"] == []
    missing = await get(api, "/namespaces/default/pods/half")
    assert (missing.status, missing.message) == (404, 'podmetrics.metrics.k8s.io "default/half" not found')
    absent = await get(api, "/namespaces/default/pods/none")
    assert (absent.status, absent.message) == (404, 'pods "default/none" not found')
    table = (await get(api, "/pods", accept="application/json;as=Table;g=meta.k8s.io;v=v1")).body
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "cpu", "memory", "Window"]
    assert table["rows"][0]["cells"][:3] == ["web", "500m", "1Mi"]
    assert (await get(api, "/pods", watch="true")).status == 405
    assert (await api("DELETE", f"{ROOT}/nodes/n1")).status == 405
    groups = (await api("GET", "/apis")).body["groups"]
    assert "metrics.k8s.io" in {group["name"] for group in groups}
