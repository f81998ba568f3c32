"""How many pods a metric asks for. Pure arithmetic over pods and what is measured of them, in milli units.

Source: "Horizontal Pod Autoscaling", algorithm details; pkg/controller/podautoscaler/replica_calculator.go.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

from podling.api import durations
from podling.api.objects import Object, condition, get, is_deleting, name_of, namespace_of
from podling.api.timestamps import parse
from podling.base import quantity
from podling.controllers import pods as pod_facts

CPU_INITIALIZATION = 300.0  # seconds after its start in which a pod's CPU may not count
INITIAL_READINESS = 30.0  # seconds after its start in which a pod that isn't ready has never been


class NoMetrics(Exception):
    """The metric can't be computed, and why."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far from 1 the ratio may be without a change, below and above."""

    down: float = 0.1
    up: float = 0.1

    def covers(self, ratio: float) -> bool:
        return 1.0 - self.down <= ratio <= 1.0 + self.up


@dataclass(frozen=True, slots=True)
class Target:
    """One of `utilization` (percent of the request) and `average` (milli units a pod) is what is aimed at.

    `resource` is empty for a metric that is none.
    """

    resource: str = ""
    container: str = ""
    utilization: int | None = None
    average: int | None = None


@dataclass(frozen=True, slots=True)
class Value:
    """What was measured of a pod, over `window` seconds until `at`."""

    milli: int
    at: float
    window: float = 0.0


@dataclass(frozen=True, slots=True)
class Proposal:
    """A number of pods, and what was measured: the average of a pod in milli units, and the percentage of its request."""

    replicas: int
    average: int
    utilization: int | None = None


@dataclass(slots=True)
class _Groups:
    ready: int = 0
    unready: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    ignored: set[str] = field(default_factory=set)


def values_of(target: Target, metrics: Iterable[Object]) -> dict[str, Value]:
    """What pods use, by name, from their PodMetrics. A pod of which it isn't known is left out. Raises NoMetrics."""
    found: dict[str, Value] = {}
    for one in metrics:
        containers = [each for each in one.get("containers") or () if target.container in ("", each["name"])]
        if target.container and not containers:
            where = f"{namespace_of(one)}/{name_of(one)}"
            raise NoMetrics(f"container {target.container} not present in metrics for pod {where}")
        amounts = [get(each, "usage", {}).get(target.resource) for each in containers]
        if amounts and None not in amounts:
            milli = sum(quantity.parse(amount).milli for amount in amounts)
            found[name_of(one)] = Value(milli, parse(one["timestamp"]), durations.parse(one.get("window") or "0s"))
    return found


def propose(
    target: Target, pods: Sequence[Object], values: Mapping[str, Value], current: int, tolerance: Tolerance, now: float
) -> Proposal:
    """`values` by the pod's name. Raises NoMetrics."""
    if not pods:
        raise NoMetrics("no pods returned by selector while calculating replica count")
    groups = _sort(target.resource, pods, values, now)
    measure = _Measure(target, {name_of(pod): request_of(pod, target) for pod in pods} if target.utilization is not None else {})
    left_out = groups.unready | groups.ignored
    counted = {name: values[name].milli for pod in pods if (name := name_of(pod)) in values and name not in left_out}
    if not counted:
        raise NoMetrics("did not receive metrics for targeted pods (pods might be unready)")
    average = sum(counted.values()) // len(counted)
    return Proposal(_number(measure, groups, counted, current, tolerance), average, measure.utilization(counted))


def _sort(resource: str, pods: Iterable[Object], values: Mapping[str, Value], now: float) -> _Groups:
    groups = _Groups()
    for pod in pods:
        name = name_of(pod)
        if is_deleting(pod) or pod_facts.phase(pod) == "Failed":
            groups.ignored.add(name)
        elif pod_facts.phase(pod) == "Pending":
            groups.unready.add(name)
        elif name not in values:
            groups.missing.add(name)
        elif resource == "cpu" and _starts(pod, values[name], now):
            groups.unready.add(name)
        else:
            groups.ready += 1
    return groups


def _starts(pod: Object, value: Value, now: float) -> bool:
    """Whether what it uses is still that of its start."""
    ready, started = condition(pod, "Ready"), get(pod, "status.startTime")
    if ready is None or started is None:
        return True
    since = parse(ready.get("lastTransitionTime") or started)
    if parse(started) + CPU_INITIALIZATION > now:
        return ready["status"] == "False" or value.at < since + value.window
    return ready["status"] == "False" and parse(started) + INITIAL_READINESS > since


def request_of(pod: Object, target: Target) -> int:
    """What the pod, or its one container, asks for in milli units. Raises NoMetrics where it isn't said."""
    whole = get(pod, "spec.resources.requests")
    if whole and not target.container:
        if target.resource not in whole:
            raise NoMetrics(f"missing pod-level request for {target.resource} in Pod {name_of(pod)}")
        return quantity.parse(whole[target.resource]).milli
    containers = [each for each in _lasting(pod) if target.container in ("", each["name"])]
    if not containers:
        raise NoMetrics(f"container {target.container} not found in Pod {name_of(pod)}")
    return sum(_request(each, target.resource, name_of(pod)) for each in containers)


def _request(container: Object, resource: str, pod: str) -> int:
    amount = get(container, "resources.requests", {}).get(resource)
    if amount is None:
        raise NoMetrics(f"missing request for {resource} in container {container['name']} of Pod {pod}")
    return quantity.parse(amount).milli


def _lasting(pod: Object) -> Iterator[Object]:
    """The containers that run as long as the pod does."""
    yield from pod["spec"]["containers"]
    yield from (each for each in pod["spec"].get("initContainers") or () if each.get("restartPolicy") == "Always")


@dataclass(frozen=True, slots=True)
class _Measure:
    """What amounts mean against the target. `requests` are those of all pods, by name, where they matter."""

    target: Target
    requests: Mapping[str, int]

    def utilization(self, amounts: Mapping[str, int]) -> int | None:
        if self.target.utilization is None:
            return None
        asked = sum(self.requests[name] for name in amounts)
        if not asked:
            raise NoMetrics("no metrics returned matched known pods")
        return sum(amounts.values()) * 100 // asked

    def ratio(self, amounts: Mapping[str, int]) -> float:
        """Used over wanted: above 1 more pods are needed."""
        if (percent := self.utilization(amounts)) is not None:
            return percent / float(self.target.utilization or 1)
        return sum(amounts.values()) // len(amounts) / float(self.target.average or 1)

    def full(self, name: str) -> int:
        """What a pod of which nothing is known uses at most, for a careful way down."""
        if self.target.utilization is None:
            return self.target.average or 0
        return self.requests[name] * max(100, self.target.utilization) // 100


def _number(measure: _Measure, groups: _Groups, counted: dict[str, int], current: int, tolerance: Tolerance) -> int:
    """Pods that nothing is known of count against the change: as full on the way down, as idle on the way up."""
    ratio = measure.ratio(counted)
    up_with_unready = bool(groups.unready) and ratio > 1.0
    if not up_with_unready and not groups.missing:
        return current if tolerance.covers(ratio) else ceil(ratio * groups.ready)
    assumed = dict(counted)
    for name in groups.missing:
        assumed[name] = measure.full(name) if ratio < 1.0 else 0
    if up_with_unready:
        assumed |= dict.fromkeys(groups.unready, 0)
    careful = measure.ratio(assumed)
    if tolerance.covers(careful) or (ratio < 1.0) != (careful < 1.0):
        return current
    number = ceil(careful * len(assumed))
    return max(number, current) if careful > 1.0 else min(number, current)


def propose_by_value(value: int, target: int, pods: Sequence[Object], current: int, tolerance: Tolerance) -> int:
    """For a metric of one thing that all pods together are to bring to its target. Raises NoMetrics."""
    ratio = value / target
    if current == 0:
        return ceil(ratio)
    if tolerance.covers(ratio):
        return current
    if not pods:
        raise NoMetrics("unable to calculate ready pods: no pods returned by selector while calculating replica count")
    return ceil(ratio * sum(pod_facts.phase(pod) == "Running" and pod_facts.is_ready(pod) for pod in pods))


def propose_by_share(value: int, target: int, running: int, tolerance: Tolerance) -> Proposal:
    """For a metric of one thing of which each pod is to have no more than its share; `running` is how many there are."""
    ratio = value / (target * running) if running else float("inf")
    number = running if tolerance.covers(ratio) else ceil(value / target)
    return Proposal(number, ceil(value / running) if running else value)
