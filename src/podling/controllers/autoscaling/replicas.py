"""How many pods a resource metric asks for. Pure arithmetic over pods and what they use.

Source: "Horizontal Pod Autoscaling", algorithm details; pkg/controller/podautoscaler/replica_calculator.go.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil

from podling.api.objects import Object, condition, get, is_deleting, name_of
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
    """One of `utilization` (percent of the request) and `average` (milli units a pod) is what is aimed at."""

    resource: str
    container: str = ""
    utilization: int | None = None
    average: int | None = None


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


def propose(
    target: Target, pods: list[Object], usage: Mapping[str, Object], current: int, tolerance: Tolerance, now: float
) -> Proposal:
    """`usage` has the PodMetrics by the pod's name. Raises NoMetrics."""
    used = {name: amount for name, one in usage.items() if (amount := _used(target, one)) is not None}
    if not any(name_of(pod) in used for pod in pods):
        raise NoMetrics(f"no metrics returned from resource metrics API for {target.resource}")
    groups = _sort(target.resource, pods, usage, used, now)
    counted = {name_of(pod): used[name_of(pod)] for pod in pods if name_of(pod) in used}
    for name in groups.unready | groups.ignored:
        counted.pop(name, None)
    if not counted:
        raise NoMetrics("did not receive metrics for targeted pods (pods might be unready)")
    measure = _Measure(target, {name_of(pod): pod for pod in pods})
    average = sum(counted.values()) // len(counted)
    return Proposal(_number(measure, groups, counted, current, tolerance), average, measure.utilization(counted))


def _used(target: Target, metrics: Object) -> int | None:
    """What the pod, or its one container, uses in milli units; None where nothing is known."""
    chosen = [one for one in metrics.get("containers") or () if target.container in ("", one["name"])]
    amounts = [get(one, f"usage.{target.resource}") for one in chosen]
    if not amounts or any(amount is None for amount in amounts):
        return None
    return sum(quantity.parse(amount).milli for amount in amounts)


def _sort(resource: str, pods: list[Object], usage: Mapping[str, Object], used: Mapping[str, int], now: float) -> _Groups:
    groups = _Groups()
    for pod in pods:
        name = name_of(pod)
        if is_deleting(pod) or pod_facts.phase(pod) == "Failed":
            groups.ignored.add(name)
        elif pod_facts.phase(pod) == "Pending":
            groups.unready.add(name)
        elif name not in used:
            groups.missing.add(name)
        elif resource == "cpu" and _starts(pod, usage[name], now):
            groups.unready.add(name)
        else:
            groups.ready += 1
    return groups


def _starts(pod: Object, metrics: Object, now: float) -> bool:
    """Whether what it uses is still that of its start."""
    ready, started = condition(pod, "Ready"), get(pod, "status.startTime")
    if ready is None or started is None:
        return True
    since = parse(ready.get("lastTransitionTime") or started)
    if parse(started) + CPU_INITIALIZATION > now:
        window = float(str(metrics.get("window") or "0s").rstrip("s") or 0)
        return ready["status"] == "False" or parse(metrics["timestamp"]) < since + window
    return ready["status"] == "False" and parse(started) + INITIAL_READINESS > since


@dataclass(frozen=True, slots=True)
class _Measure:
    """What amounts mean against the target."""

    target: Target
    pods: Mapping[str, Object]

    def request(self, name: str) -> int:
        """Of the pod in milli units. Raises NoMetrics where a container has none."""
        pod, total = self.pods[name], 0
        for container in pod["spec"]["containers"]:
            if self.target.container in ("", container["name"]):
                amount = get(container, "resources.requests", {}).get(self.target.resource)
                if amount is None:
                    raise NoMetrics(f"missing request for {self.target.resource} in container {container['name']} of Pod {name}")
                total += quantity.parse(amount).milli
        return total

    def utilization(self, amounts: Mapping[str, int]) -> int | None:
        if self.target.utilization is None:
            return None
        asked = sum(self.request(name) for name in amounts)
        if not asked:
            raise NoMetrics("no metrics returned matched known pods")
        return sum(amounts.values()) * 100 // asked

    def ratio(self, amounts: Mapping[str, int]) -> float:
        """Used over wanted: above 1 more pods are needed."""
        if (percent := self.utilization(amounts)) is not None:
            return percent / float(self.target.utilization or 1)
        return sum(amounts.values()) / len(amounts) / float(self.target.average or 1)

    def full(self, name: str) -> int:
        """What a pod of which nothing is known uses at most, for a careful way down."""
        if self.target.utilization is None:
            return self.target.average or 0
        return self.request(name) * max(100, self.target.utilization) // 100


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
