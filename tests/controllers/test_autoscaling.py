"""What a HorizontalPodAutoscaler decides; and a load that comes and goes in simulated time."""

from typing import Any

import orjson
import pytest

from podling.aio.http import Request, Response
from podling.api.objects import Object, condition, name_of
from podling.api.timestamps import rfc3339
from podling.client.resource import AUTOSCALERS, DEFINITIONS, DEPLOYMENTS, EVENTS, PODS, STATEFUL_SETS, Resource
from podling.controllers.autoscaling.behavior import Memory, limit
from podling.controllers.autoscaling.replicas import (
    NoMetrics,
    Proposal,
    Target,
    Tolerance,
    propose,
    propose_by_share,
    propose_by_value,
    request_of,
    values_of,
)
from podling.testing.simulation import Handle, Simulation, deployment

NOW = 1_700_000_000.0


def pod(
    name: str, phase: str = "Running", *, ready: bool = True, age: float = 1000.0, request: str = "100m", **meta: Any
) -> Object:
    state = {"type": "Ready", "status": str(ready), "lastTransitionTime": rfc3339(NOW - age)}
    return {
        "metadata": {"name": name, **meta},
        "spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": request} if request else {}}}]},
        "status": {"phase": phase, "startTime": rfc3339(NOW - age), "conditions": [state]},
    }


def used(amounts: list[str | None]) -> list[Object]:
    return [
        {
            "metadata": {"name": f"p{number}", "namespace": "default"},
            "timestamp": rfc3339(NOW - 5),
            "window": "15s",
            "containers": [{"name": "main", "usage": {"cpu": amount}}],
        }
        for number, amount in enumerate(amounts)
        if amount is not None
    ]


def proposed(target: Target, pods: list[Object], amounts: list[str | None], tolerance: Tolerance | None = None) -> Proposal:
    return propose(target, pods, values_of(target, used(amounts)), len(pods), tolerance or Tolerance(), NOW)


HALF = Target("cpu", utilization=50)


@pytest.mark.parametrize(
    ("amounts", "others", "expected"),
    [
        (["50m", "50m"], {}, 2),
        (["100m", "100m"], {}, 4),
        (["54m", "54m"], {}, 2),  # within the tolerance
        (["56m", "56m"], {}, 3),
        (["10m", "10m"], {}, 1),
        (["100m", "100m", "100m"], {2: {"ready": False, "age": 60}}, 4),  # starting: as idle on the way up
        (["10m", "10m", "100m"], {2: {"ready": False, "age": 60}}, 1),
        (["100m", "100m", None], {}, 4),  # unknown: as idle on the way up
        (["10m", "10m", None], {}, 3),  # and as full on the way down
        (["100m", "100m", None], {2: {"phase": "Pending"}}, 4),
        (["100m", "100m", "100m"], {2: {"phase": "Failed"}}, 4),
        (["100m", "100m", "100m"], {2: {"deletionTimestamp": "x"}}, 4),
    ],
)
def test_the_number_by_utilization(amounts: list[str | None], others: dict[int, Object], expected: int) -> None:
    pods = [pod(f"p{number}", **others.get(number, {})) for number in range(len(amounts))]
    assert proposed(HALF, pods, amounts).replicas == expected


def test_the_number_by_an_average_and_by_one_container() -> None:
    pods = [pod("p0", request=""), pod("p1", request="")]
    found = proposed(Target("cpu", average=20), pods, ["40m", "40m"])
    assert (found.replicas, found.average, found.utilization) == (4, 40, None)
    with pytest.raises(NoMetrics, match="missing request for cpu in container main of Pod p0"):
        proposed(HALF, pods, ["40m", "40m"])
    with pytest.raises(NoMetrics, match="container other not present in metrics for pod default/p0"):
        proposed(Target("cpu", "other", average=20), pods, ["40m", "40m"])
    with pytest.raises(NoMetrics, match="no pods returned by selector while calculating replica count"):
        proposed(HALF, [], ["40m"])
    with pytest.raises(NoMetrics, match=r"did not receive metrics for targeted pods \(pods might be unready\)"):
        proposed(Target("cpu", average=20), [pod("p0", "Pending")], ["40m"])


def test_what_a_pod_asks_for() -> None:
    one = pod("p0", request="100m")
    sidecar = {"name": "side", "restartPolicy": "Always", "resources": {"requests": {"cpu": "50m"}}}
    one["spec"]["initContainers"] = [{"name": "init"}, sidecar]
    assert request_of(one, HALF) == 150
    assert request_of(one, Target("cpu", "side", utilization=50)) == 50
    one["spec"]["resources"] = {"requests": {"cpu": "400m"}}
    assert request_of(one, HALF) == 400
    with pytest.raises(NoMetrics, match="missing pod-level request for memory in Pod p0"):
        request_of(one, Target("memory", utilization=50))
    with pytest.raises(NoMetrics, match="container other not found in Pod p0"):
        request_of(one, Target("cpu", "other", utilization=50))


@pytest.mark.parametrize(
    ("age", "ready", "readied", "expected"),
    [
        (60, True, 40, 1),  # in the first minutes it counts once a whole window lies after its readiness
        (60, True, 15, 0),
        (60, False, 40, 0),
        (1000, False, 500, 1),  # later it counts, ready or not, if it has ever been ready
        (1000, False, 980, 0),
    ],
)
def test_when_the_cpu_of_a_pod_counts(age: float, ready: bool, readied: float, expected: int) -> None:
    one = pod("p0", ready=ready, age=age)
    one["status"]["conditions"][0]["lastTransitionTime"] = rfc3339(NOW - readied)
    try:
        found = proposed(HALF, [one], ["100m"]).replicas
    except NoMetrics:
        found = 0
    assert bool(found) is bool(expected)


@pytest.mark.parametrize(
    ("value", "target", "current", "ready", "expected"),
    [
        (2000, 1000, 2, 2, 4),
        (1050, 1000, 2, 2, 2),
        (2000, 1000, 3, 2, 4),
        (500, 1000, 0, 0, 1),
        (0, 1000, 0, 0, 0),
        (400, 1000, 3, 3, 2),
    ],
)
def test_the_number_by_one_value(value: int, target: int, current: int, ready: int, expected: int) -> None:
    pods = [pod(f"p{number}", ready=number < ready) for number in range(max(current, ready))]
    assert propose_by_value(value, target, pods, current, Tolerance()) == expected


def test_the_number_by_a_share() -> None:
    assert propose_by_share(7000, 2000, 2, Tolerance()) == Proposal(4, 3500)
    assert propose_by_share(4100, 2000, 2, Tolerance()) == Proposal(2, 2050)
    assert propose_by_share(4100, 2000, 0, Tolerance()) == Proposal(3, 4100)


def autoscaler(**spec: Any) -> Object:
    metrics = [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}]
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    whole = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 20, "metrics": metrics, **spec}
    metadata = {"name": "web", "namespace": "default"}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": whole}


UP, DOWN = "scaleUp", "scaleDown"


@pytest.mark.parametrize(
    ("behavior", "current", "desired", "memory", "expected", "reason"),
    [
        ({}, 2, 3, Memory(), 3, "DesiredWithinRange"),
        ({}, 2, 19, Memory(), 6, "ScaleUpLimit"),
        ({}, 10, 19, Memory(), 19, "DesiredWithinRange"),
        ({}, 15, 40, Memory(), 20, "TooManyReplicas"),
        ({}, 6, 19, Memory(ups=((NOW - 5, 4),)), 6, "ScaleUpLimit"),
        ({}, 6, 19, Memory(ups=((NOW - 20, 4),)), 12, "ScaleUpLimit"),
        ({}, 9, 2, Memory(recommended=((NOW - 200, 8),)), 8, "DesiredWithinRange"),
        ({}, 9, 2, Memory(recommended=((NOW - 400, 8),)), 2, "DesiredWithinRange"),
        ({}, 9, 0, Memory(), 1, "TooFewReplicas"),
        ({UP: {"stabilizationWindowSeconds": 60}}, 2, 5, Memory(recommended=((NOW - 30, 3),)), 3, "DesiredWithinRange"),
        ({UP: {"selectPolicy": "Disabled"}}, 2, 5, Memory(), 2, "ScaleUpLimit"),
        ({DOWN: {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}]}}, 9, 2, Memory(), 7, "ScaleDownLimit"),
        ({DOWN: {"policies": [{"type": "Percent", "value": 50, "periodSeconds": 60}]}}, 9, 2, Memory(), 4, "ScaleDownLimit"),
        (
            {DOWN: {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}]}},
            9,
            2,
            Memory(downs=((NOW - 30, 1),)),
            8,
            "ScaleDownLimit",
        ),
    ],
)
def test_how_fast_it_may_go(behavior: Object, current: int, desired: int, memory: Memory, expected: int, reason: str) -> None:
    found = limit(autoscaler(behavior=behavior), current, desired, memory.recommending(desired, NOW), NOW)
    assert (found.replicas, found.limit[0]) == (expected, reason)


class Load:
    """A metrics API: the load is shared by the pods that run. None: there is no such API."""

    def __init__(self, cluster: Simulation) -> None:
        self._cluster = cluster
        self.milli: int | None = 100

    async def __call__(self, handle: Handle, request: Request) -> Response | None:
        if "/metrics.k8s.io/" not in request.path or self.milli is None:
            return await handle(request)
        running = [one for one in await self._cluster.pods() if one["status"].get("phase") == "Running"]
        now = rfc3339(self._cluster.clock.now())
        usage = {"cpu": f"{self.milli // max(1, len(running))}m"}
        items = [
            {
                "metadata": {"name": name_of(one), "namespace": "default"},
                "timestamp": now,
                "window": "15s",
                "containers": [{"name": "main", "usage": usage}],
            }
            for one in running
        ]
        return Response(200, orjson.dumps({"metadata": {}, "items": items}))


async def state(cluster: Simulation) -> Object:
    return (await cluster.client.get(AUTOSCALERS, "web", "default"))["status"]


async def test_a_load_that_comes_and_goes() -> None:
    async with Simulation(nodes=3, controlled=False) as cluster:
        load = Load(cluster)
        cluster.start_controllers(reach=load)
        await cluster.client.create(DEPLOYMENTS, deployment("web", 2, "web:1"))
        await cluster.advance(400)
        await cluster.client.create(AUTOSCALERS, autoscaler(maxReplicas=8))
        await cluster.advance(20)
        assert (await state(cluster))["currentMetrics"] == [
            {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 50, "averageValue": "50m"}}}
        ]
        load.milli = 300
        await cluster.advance(15)
        assert (await state(cluster))["desiredReplicas"] == 4  # at most twice as many, or four, at once
        await cluster.advance(15)
        assert len(await cluster.pods()) == 6
        load.milli = 100
        await cluster.advance(200)
        assert len(await cluster.pods()) == 6  # for five minutes nothing goes
        await cluster.advance(200)
        assert len(await cluster.pods()) == 2
        events = (await cluster.client.list(EVENTS, "default")).items
        told = {event["message"] for event in events if event["source"]["component"] == "horizontal-pod-autoscaler"}
        above = "cpu resource utilization (percentage of request) above target"
        assert {f"New size: 6; reason: {above}", "New size: 2; reason: All metrics below target"} <= told


async def test_one_container_of_the_pods() -> None:
    async with Simulation(nodes=3, controlled=False) as cluster:
        load = Load(cluster)
        cluster.start_controllers(reach=load)
        await cluster.client.create(DEPLOYMENTS, deployment("web", 2, "web:1"))
        await cluster.advance(400)
        aim = {"type": "AverageValue", "averageValue": "30m"}
        metrics = [{"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "main", "target": aim}}]
        await cluster.client.create(AUTOSCALERS, autoscaler(metrics=metrics))
        await cluster.advance(16)
        found = await state(cluster)
        assert found["desiredReplicas"] == 4
        assert found["currentMetrics"] == [
            {
                "type": "ContainerResource",
                "containerResource": {"name": "cpu", "container": "main", "current": {"averageValue": "25m"}},
            }
        ]
        metrics[0]["containerResource"]["container"] = "other"
        await cluster.client.patch(AUTOSCALERS, "web", {"spec": {"metrics": metrics}}, "default")
        await cluster.advance(2)
        active = condition({"status": await state(cluster)}, "ScalingActive")
        assert active is not None
        assert active["reason"] == "FailedGetContainerResourceMetric"
        assert "container other not present in metrics for pod default/" in active["message"]


async def test_without_metrics_it_says_so_and_holds_the_bounds(cluster: Simulation) -> None:
    await cluster.client.create(DEPLOYMENTS, deployment("web", 1, "web:1"))
    await cluster.client.create(AUTOSCALERS, autoscaler(minReplicas=2))
    await cluster.advance(40)
    assert len((await cluster.client.list(PODS, "default")).items) == 2
    active = condition({"status": await state(cluster)}, "ScalingActive")
    assert active is not None
    assert (active["status"], active["reason"]) == ("False", "FailedGetResourceMetric")
    await cluster.client.delete(DEPLOYMENTS, "web", "default")
    await cluster.advance(40)
    able = condition({"status": await state(cluster)}, "AbleToScale")
    assert able is not None
    assert (able["status"], able["reason"]) == ("False", "FailedGetScale")


# custom, object and external metrics; custom targets

TYPES = ("Pods", "Object", "External")
ABOUT = {"apiVersion": "v1", "kind": "Service", "name": "front"}
SOURCES = {
    "Pods": {"metric": {"name": "hits"}, "target": {"type": "AverageValue", "averageValue": "10"}},
    "Object": {"metric": {"name": "hits"}, "describedObject": ABOUT, "target": {"type": "Value", "value": "10"}},
    "External": {
        "metric": {"name": "queue", "selector": {"matchLabels": {"name": "jobs"}}},
        "target": {"type": "AverageValue", "averageValue": "10"},
    },
}
WORDS = {
    "Pods": "unable to get metric hits: unable to fetch metrics from custom metrics API: "
    "no custom metrics API (custom.metrics.k8s.io) registered",
    "Object": "unable to get metric hits: Service on default front/unable to fetch metrics from custom metrics API: "
    "no custom metrics API (custom.metrics.k8s.io) registered",
    "External": "failed to get queue external metric: unable to get external metric default/queue/&LabelSelector{MatchLabels:"
    "map[string]string{name: jobs,},MatchExpressions:[]LabelSelectorRequirement{},}: unable to fetch metrics from external "
    "metrics API: the server could not find the requested resource (get queue.external.metrics.k8s.io)",
}


def by(*kinds: str, **spec: Any) -> Object:
    return autoscaler(metrics=[{"type": kind, kind[0].lower() + kind[1:]: SOURCES[kind]} for kind in kinds], **spec)


@pytest.mark.parametrize("kind", TYPES)
async def test_a_metric_that_nobody_serves(cluster: Simulation, kind: str) -> None:
    await cluster.client.create(DEPLOYMENTS, deployment("web", 2, "web:1"))
    await cluster.advance(1)
    await cluster.client.create(AUTOSCALERS, by(kind))
    await cluster.advance(5)
    found = await state(cluster)
    active = condition({"status": found}, "ScalingActive")
    assert active is not None
    assert (active["status"], active["reason"]) == ("False", f"FailedGet{kind}Metric")
    assert active["message"] == f"the HPA was unable to compute the replica count: {WORDS[kind]}"
    assert (found["currentReplicas"], found["desiredReplicas"], found["currentMetrics"]) == (2, 0, [{"type": ""}])
    told = {event["reason"]: event["message"] for event in (await cluster.client.list(EVENTS, "default")).items}
    assert told[f"FailedGet{kind}Metric"] == WORDS[kind]
    assert told["FailedComputeMetricsReplicas"].startswith("invalid metrics (1 invalid out of 1), first error is: failed to get ")


class Adapter:
    """APIs of custom and external metrics; `values` are those of each pod, of the service, and of the queue."""

    def __init__(self) -> None:
        self.values = {"Pods": "10", "Object": "10", "External": "20"}
        self.asked: set[str] = set()

    async def __call__(self, handle: Handle, request: Request) -> Response | None:
        if request.path == "/apis/custom.metrics.k8s.io":
            return Response(200, orjson.dumps({"preferredVersion": {"version": "v1beta2"}}))
        if "metrics.k8s.io/" not in request.path:
            return await handle(request)
        self.asked.add(f"{request.path}?{request.raw_query}")
        kind = "External" if "/external" in request.path else "Pods" if "/pods/" in request.path else "Object"
        names = ["web-0", "web-1"] if kind == "Pods" else ["front"]
        items = [
            {"describedObject": {"name": name}, "timestamp": "2026-01-01T00:00:00Z", "value": self.values[kind]} for name in names
        ]
        return Response(200, orjson.dumps({"metadata": {}, "items": items}))


async def test_the_number_by_metrics_of_others() -> None:
    async with Simulation(nodes=3, controlled=False) as cluster:
        adapter = Adapter()
        cluster.start_controllers(reach=adapter)
        stateful = {**deployment("web", 2, "web:1"), "kind": "StatefulSet"}
        stateful["spec"] |= {"serviceName": "web", "podManagementPolicy": "Parallel"}
        await cluster.client.create(STATEFUL_SETS, stateful)
        target = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web"}
        await cluster.client.create(AUTOSCALERS, by(*TYPES, scaleTargetRef=target))
        await cluster.advance(16)
        found = await state(cluster)
        assert found["desiredReplicas"] == 2
        assert [one["type"] for one in found["currentMetrics"]] == list(TYPES)
        assert found["currentMetrics"][2]["external"] == {
            "metric": SOURCES["External"]["metric"],
            "current": {"averageValue": "10"},
        }
        assert adapter.asked == {
            "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/pods/*/hits?labelSelector=app%3Dweb",
            "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/services/front/hits?",
            "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/queue?labelSelector=name%3Djobs",
        }
        adapter.values |= {"Pods": "15", "External": "40"}  # three pods, and four: the most counts
        await cluster.advance(15)
        assert (await state(cluster))["desiredReplicas"] == 4
        told = {event["message"] for event in (await cluster.client.list(EVENTS, "default")).items}
        assert any(message.startswith("New size: 4; reason: external metric queue(&LabelSelector{") for message in told)


async def test_a_custom_resource_is_scaled(cluster: Simulation) -> None:
    """Whatever has a scale; bounds hold without metrics."""
    await cluster.client.create(DEFINITIONS, GADGETS)
    await cluster.advance(5)
    gadget = {"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": "web"}, "spec": {"size": 1}}
    await cluster.client.create(GADGET, gadget, "default")
    target = {"apiVersion": "example.com/v1", "kind": "Gadget", "name": "web"}
    await cluster.client.create(AUTOSCALERS, autoscaler(minReplicas=3, scaleTargetRef=target))
    await cluster.advance(5)
    assert (await cluster.client.get(GADGET, "web", "default"))["spec"]["size"] == 3
    await cluster.advance(30)  # now its metrics would count, but its status names no pods
    active = condition({"status": await state(cluster)}, "ScalingActive")
    assert active is not None
    assert (active["reason"], active["message"]) == ("InvalidSelector", "the HPA target's scale is missing a selector")


GADGET = Resource("example.com", "v1", "gadgets", kind="Gadget")
GADGETS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "gadgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "gadgets", "kind": "Gadget", "singular": "gadget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
                "subresources": {
                    "status": {},
                    "scale": {
                        "specReplicasPath": ".spec.size",
                        "statusReplicasPath": ".status.size",
                        "labelSelectorPath": ".status.selector",
                    },
                },
            }
        ],
    },
}


async def test_targets_that_are_not_there_and_pods_of_two(cluster: Simulation) -> None:
    none = {"apiVersion": "example.com/v1", "kind": "Nothing", "name": "web"}
    await cluster.client.create(AUTOSCALERS, autoscaler(scaleTargetRef=none))
    await cluster.advance(2)
    able = condition({"status": await state(cluster)}, "AbleToScale")
    assert able is not None
    words = (
        'the HPA controller was unable to get the target\'s current scale: no matches for kind "Nothing" in group "example.com"'
    )
    assert (able["reason"], able["message"]) == ("FailedGetScale", words)
    await cluster.client.delete(AUTOSCALERS, "web", "default")
    await cluster.client.create(DEPLOYMENTS, deployment("web", 2, "web:1"))
    for name in ("web", "again"):
        await cluster.client.create(AUTOSCALERS, autoscaler() | {"metadata": {"name": name, "namespace": "default"}})
    await cluster.advance(40)
    active = condition({"status": await state(cluster)}, "ScalingActive")
    assert active is not None
    words = "pods by selector app=web are controlled by multiple HPAs: [default/again default/web]"
    assert (active["reason"], active["message"]) == ("AmbiguousSelector", words)
