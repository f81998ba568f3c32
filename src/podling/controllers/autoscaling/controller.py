"""Give a workload as many pods as its metrics ask for, within bounds, and not too fast."""

from dataclasses import dataclass, field

from podling.api import selectors
from podling.api.autoscaling.metrics import SOURCES
from podling.api.objects import Object, get, group_of, name_of, namespace_of, with_condition
from podling.api.timestamps import rfc3339
from podling.base import quantity
from podling.client.resource import AUTOSCALERS, DEPLOYMENTS, PODS, REPLICA_SETS, REPLICATION_CONTROLLERS, STATEFUL_SETS, Resource
from podling.controllers.autoscaling.behavior import Memory, limit, rules
from podling.controllers.autoscaling.replicas import NoMetrics, Proposal, Target, Tolerance, propose
from podling.controllers.controller import Controller, Watch
from podling.controllers.plan import Event, Patch, Plan
from podling.controllers.view import View

PERIOD = 15.0  # seconds between two looks
FRESH = 5.0  # seconds that metrics serve for
METRICS = Resource("metrics.k8s.io", "v1beta1", "pods", kind="PodMetrics")
SCALABLE = {(one.group, one.kind): one for one in (DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS, REPLICATION_CONTROLLERS)}


def reconcile(autoscaler: Object, view: View, now: float) -> Plan:
    fetched = view.fetched.get((METRICS, namespace_of(autoscaler)))
    if fetched is None or fetched.at + FRESH < now:
        return Plan(fetch=((METRICS, namespace_of(autoscaler)),))
    memory = view.memory.get((AUTOSCALERS, f"{namespace_of(autoscaler)}/{name_of(autoscaler)}")) or Memory()
    plan = Look(autoscaler, view, now, memory, usage={name_of(one): one for one in fetched.items}, error=fetched.error).plan()
    return Plan(plan.actions, plan.status, PERIOD, memory=plan.memory)


@dataclass
class Look:
    """One look at a workload, in which its next status comes together. `error` is why there are no metrics."""

    autoscaler: Object
    view: View
    now: float
    memory: Memory
    usage: dict[str, Object]
    error: str = ""
    current: int = 0
    conditions: list[Object] = field(default_factory=list)
    measured: list[Object] = field(default_factory=list)

    def plan(self) -> Plan:
        self.conditions = list(get(self.autoscaler, "status.conditions", ()))
        target = get(self.autoscaler, "spec.scaleTargetRef", {})
        resource = SCALABLE.get((group_of(target.get("apiVersion", "")), target.get("kind", "")))
        found = self.view.get(resource, target["name"], namespace_of(self.autoscaler)) if resource else None
        if resource is None or found is None:
            return self._no_target(target, resource)
        self._say("AbleToScale", True, "SucceededGetScale", "the HPA controller was able to get the target's current scale")
        self.current = get(found, "spec.replicas", 1)
        desired, why = self._desired(found)
        if desired is None:
            return Plan(
                [Event(self.autoscaler, "FailedComputeMetricsReplicas", why, "Warning")],
                self._status(self.current),
                memory=self.memory,
            )
        if desired == self.current:
            return Plan([], self._status(desired), memory=self.memory)
        return self._rescale(resource, found, desired, why)

    def _say(self, kind: str, state: bool, reason: str, message: str) -> None:
        told = {"type": kind, "status": str(state), "reason": reason, "message": message}
        self.conditions = with_condition(self.conditions, told, rfc3339(self.now))

    def _no_target(self, target: Object, resource: Resource | None) -> Plan:
        what = f'{resource} "{target["name"]}" not found' if resource else f'no matches for kind "{target.get("kind")}"'
        self._say(
            "AbleToScale", False, "FailedGetScale", f"the HPA controller was unable to get the target's current scale: {what}"
        )
        event = Event(self.autoscaler, "FailedGetScale", what, "Warning")
        old = self.autoscaler.get("status") or {}
        return Plan(
            [event], {**old, "desiredReplicas": old.get("desiredReplicas", 0), "conditions": self.conditions}, memory=self.memory
        )

    # --- how many

    def _desired(self, found: Object) -> tuple[int | None, str]:
        """The number, and why it is that; None and the error."""
        least, most = get(self.autoscaler, "spec.minReplicas", 1), self.autoscaler["spec"]["maxReplicas"]
        if self.current == 0 and least != 0:
            text = "scaling is disabled since the replica count of the target is zero"
            self._say("ScalingActive", False, "ScalingDisabled", text)
            return 0, ""
        if self.current > most:
            return most, "Current number of replicas above Spec.MaxReplicas"
        if self.current < least:
            return least, "Current number of replicas below Spec.MinReplicas"
        return self._by_metrics(found)

    def _by_metrics(self, found: Object) -> tuple[int | None, str]:
        pods = self._pods(found)
        proposals: list[tuple[int, str]] = []
        errors: list[tuple[str, str]] = []
        metrics = self.autoscaler["spec"].get("metrics") or []
        for metric in metrics:
            try:
                proposal, name = self._by_metric(metric, pods)
                proposals.append((proposal.replicas, name))
            except NoMetrics as error:
                errors.append((f"FailedGet{metric['type']}Metric", str(error)))
        highest, name = max(proposals, key=lambda one: one[0], default=(0, ""))
        if errors and (not proposals or highest < self.current):  # what isn't known might have kept it up
            reason, text = errors[0]
            self._say("ScalingActive", False, reason, f"the HPA was unable to compute the replica count: {text}")
            return None, f"invalid metrics ({len(errors)} invalid out of {len(metrics)}), first error is: {text}"
        self._say(
            "ScalingActive", True, "ValidMetricFound", f"the HPA was able to successfully calculate a replica count from {name}"
        )
        return self._limited(highest), f"{name} above target" if highest > self.current else "All metrics below target"

    def _limited(self, wanted: int) -> int:
        self.memory = self.memory.recommending(wanted, self.now)
        limited = limit(self.autoscaler, self.current, wanted, self.memory, self.now)
        self._say("AbleToScale", True, *limited.stabilized)
        self._say("ScalingLimited", limited.cut, *limited.limit)
        return limited.replicas

    def _pods(self, found: Object) -> list[Object]:
        given = found["spec"].get("selector")
        plain = found["kind"] == REPLICATION_CONTROLLERS.kind
        selector = selectors.of_labels(given) if plain else selectors.of_object(given)
        return self.view.selected(PODS, namespace_of(found), selector)

    def _by_metric(self, metric: Object, pods: list[Object]) -> tuple[Proposal, str]:
        kind = metric["type"]
        source = metric[SOURCES[kind]]
        if kind not in ("Resource", "ContainerResource"):
            name = get(source, "metric.name", "")
            raise NoMetrics(f"unable to get metric {name}: no API serves {kind.lower()} metrics")
        if self.error:
            raise NoMetrics(
                f"failed to get {source['name']} utilization: unable to get metrics for resource {source['name']}: {self.error}"
            )
        target = _target(source)
        proposal = propose(target, pods, self.usage, self.current, self._tolerance(), self.now)
        self.measured.append(_measured(metric, proposal))
        what = "container resource" if target.container else "resource"
        return proposal, f"{target.resource} {what}" + (" utilization (percentage of request)" if target.utilization else "")

    def _tolerance(self) -> Tolerance:
        behavior = rules(self.autoscaler)
        given = {side: behavior[side].get("tolerance") for side in ("scaleDown", "scaleUp")}
        down, up = (0.1 if one is None else quantity.parse(one).nanos / 1e9 for one in given.values())
        return Tolerance(down, up)

    # --- what to do about it

    def _rescale(self, resource: Resource, found: Object, desired: int, why: str) -> Plan:
        text = f"New size: {desired}; reason: {why}"
        done = Event(self.autoscaler, "SuccessfulRescale", text)
        failed = Event(self.autoscaler, "FailedRescale", f"{text}; error: {{error}}", "Warning")
        patch = Patch(resource, found, {"spec": {"replicas": desired}}, subresource="scale", done=done, failed=failed)
        self._say("AbleToScale", True, "SucceededRescale", f"the HPA controller was able to update the target scale to {desired}")
        status = self._status(desired) | {"lastScaleTime": rfc3339(self.now)}
        return Plan([patch], status, memory=self.memory.rescaled(desired - self.current, self.now))

    def _status(self, desired: int) -> Object:
        old = self.autoscaler.get("status") or {}
        new: Object = {
            "currentReplicas": self.current,
            "desiredReplicas": desired,
            "currentMetrics": self.measured or None,
            "conditions": self.conditions,
        }
        return new | ({"lastScaleTime": old["lastScaleTime"]} if old.get("lastScaleTime") else {})


def _target(source: Object) -> Target:
    aim = source["target"]
    average = aim.get("averageValue")
    milli = None if average is None else quantity.parse(average).milli
    return Target(source["name"], source.get("container", ""), aim.get("averageUtilization"), milli)


def _measured(metric: Object, proposal: Proposal) -> Object:
    """As the status shows it."""
    member = SOURCES[metric["type"]]
    binary = metric[member]["name"] != "cpu"
    average = quantity.Quantity(proposal.average * 10**6, "BinarySI" if binary else "DecimalSI")
    current: Object = {"averageValue": str(average)}
    if proposal.utilization is not None:
        current["averageUtilization"] = proposal.utilization
    named = {name: metric[member][name] for name in ("name", "container") if name in metric[member]}
    return {"type": metric["type"], member: {**named, "current": current}}


def asked(old: Object | None, new: Object | None) -> bool:
    """What it measures changes all the time; what it is asked for doesn't."""
    return old is None or new is None or old["spec"] != new["spec"]


HORIZONTAL_POD_AUTOSCALER = Controller(
    "horizontal-pod-autoscaler",
    primary=(Watch(AUTOSCALERS, matters=asked),),
    reconcile=reconcile,
    watches=(Watch(PODS, indexes=("namespace", "label")), *(Watch(resource) for resource in SCALABLE.values())),
)
