"""Give a workload as many pods as its metrics ask for, within bounds, and not too fast."""

from dataclasses import dataclass, field, replace

from podling.api import selectors
from podling.api.objects import Object, get, labels_of, name_of, namespace_of, with_condition
from podling.api.timestamps import rfc3339
from podling.base import quantity
from podling.client.resource import AUTOSCALERS, PODS, Resource
from podling.controllers.asks import Answers, Need, NoMatch, Refused, resource_of, scale_of
from podling.controllers.autoscaling.behavior import Memory, limit, rules
from podling.controllers.autoscaling.replicas import Tolerance
from podling.controllers.autoscaling.sources import Failed, Subject, measure
from podling.controllers.controller import Controller, Watch
from podling.controllers.plan import Action, Event, Patch, Plan
from podling.controllers.view import Key, View

PERIOD = 15.0  # seconds between two looks


class Disputed(Exception):
    """Whose pods these are isn't clear. `reason` is that of the condition and the event."""

    def __init__(self, reason: str, message: str, told: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.told = told or message


@dataclass
class Look:
    """One look at a workload, in which its next status comes together."""

    autoscaler: Object
    view: View
    now: float
    memory: Memory = field(default_factory=Memory)
    current: int = 0
    conditions: list[Object] = field(default_factory=list)
    measured: list[Object] | None = None
    events: list[Action] = field(default_factory=list)

    def plan(self) -> Plan:
        """What to do, or what to fetch first."""
        self.memory = replace(memory_of(self.autoscaler, self.view), looked_at=self.now, spec=self.autoscaler["spec"])
        self.conditions = list(get(self.autoscaler, "status.conditions", ()))
        answers = Answers(self.view.fetched)
        try:
            resource, scale = self._target(answers)
            self._say("AbleToScale", True, "SucceededGetScale", "the HPA controller was able to get the target's current scale")
            self.current = get(scale, "spec.replicas", 0)
            if not self.memory.recommended:
                self.memory = self.memory.recommending(self.current, self.now)
            return self._decide(resource, scale, answers)
        except Need as need:
            return Plan(fetch=need.paths)
        except (NoMatch, Refused) as error:
            return self._no_target(str(error))

    def _target(self, answers: Answers) -> tuple[Resource, Object]:
        """The resource of what is scaled, and its scale. Raises Need, NoMatch, Refused."""
        target = get(self.autoscaler, "spec.scaleTargetRef", {})
        resource = resource_of(answers, target.get("apiVersion", ""), target["kind"])
        return resource, scale_of(answers, resource, namespace_of(self.autoscaler), target["name"])

    def _decide(self, resource: Resource, scale: Object, answers: Answers) -> Plan:
        """Raises Need."""
        try:
            desired, why = self._desired(scale, answers)
        except Disputed as error:
            self._tell("FailedComputeMetricsReplicas", error.told)
            return self._done(get(self.autoscaler, "status.desiredReplicas", 0))
        return self._done(desired) if desired == self.current else self._rescale(resource, scale, desired, why)

    def _say(self, kind: str, state: bool, reason: str, message: str) -> None:
        told = {"type": kind, "status": str(state), "reason": reason, "message": message}
        self.conditions = with_condition(self.conditions, told, rfc3339(self.now))

    def _tell(self, reason: str, message: str) -> None:
        self.events.append(Event(self.autoscaler, reason, message, "Warning"))

    def _no_target(self, error: str) -> Plan:
        words = f"the HPA controller was unable to get the target's current scale: {error}"
        self._say("AbleToScale", False, "FailedGetScale", words)
        self._tell("FailedGetScale", error)
        old = self.autoscaler.get("status") or {}
        status = {**old, "desiredReplicas": old.get("desiredReplicas", 0), "conditions": self.conditions}
        return Plan(self.events, status, memory=self.memory)

    # --- how many

    def _desired(self, scale: Object, answers: Answers) -> tuple[int, str]:
        """The number, and why it is that. Raises Disputed, Need."""
        least, most = get(self.autoscaler, "spec.minReplicas", 1), self.autoscaler["spec"]["maxReplicas"]
        if self.current == 0 and least != 0:
            text = "scaling is disabled since the replica count of the target is zero"
            self._say("ScalingActive", False, "ScalingDisabled", text)
            return 0, ""
        if self.current > most:
            return most, "Current number of replicas above Spec.MaxReplicas"
        if self.current < least:
            return least, "Current number of replicas below Spec.MinReplicas"
        try:
            subject = self._subject(scale)
        except Disputed as error:
            self._say("ScalingActive", False, error.reason, str(error))
            raise
        return self._by_metrics(subject, answers)

    def _subject(self, scale: Object) -> Subject:
        """Raises Disputed."""
        text = get(scale, "status.selector", "")
        if not text:
            self._tell("SelectorRequired", "selector is required")
            raise Disputed("InvalidSelector", "the HPA target's scale is missing a selector", "selector is required")
        try:
            selector = selectors.parse(text)
        except selectors.SelectorError as error:
            words = f"couldn't convert selector into a corresponding internal selector object: {error}"
            self._tell("InvalidSelector", words)
            raise Disputed("InvalidSelector", words) from None
        self.memory = replace(self.memory, selector=text)
        namespace = namespace_of(self.autoscaler)
        pods = self.view.selected(PODS, namespace, selector)
        if len(rivals := self._rivals(pods)) > 1:
            words = f"pods by selector {text} are controlled by multiple HPAs: [{' '.join(rivals)}]"
            self._tell("AmbiguousSelector", words)
            raise Disputed("AmbiguousSelector", words)
        running = get(scale, "status.replicas", 0)
        return Subject(namespace, text, pods, self.current, running, self._tolerance(), self.now)

    def _rivals(self, pods: list[Object]) -> list[str]:
        """The autoscalers that look at some of these pods, this one among them."""
        own = key_of(self.autoscaler)[1]
        found = {own}
        for other in self.view.within(AUTOSCALERS, namespace_of(self.autoscaler)):
            key = key_of(other)
            memory = memory_of(other, self.view)
            if key[1] != own and memory.selector:
                selector = selectors.parse(memory.selector)
                found |= {key[1]} if any(selector.matches(labels_of(pod)) for pod in pods) else set()
        return sorted(found)

    def _by_metrics(self, subject: Subject, answers: Answers) -> tuple[int, str]:
        """Raises Disputed, Need of all that isn't there yet."""
        metrics = self.autoscaler["spec"].get("metrics") or []
        highest, name = 0, ""
        failures: list[Failed] = []
        needed: list[str] = []
        self.measured = []
        for metric in metrics:
            try:
                found = measure(metric, subject, answers)
            except Need as need:
                needed += need.paths
            except Failed as error:
                failures.append(error)
                self.measured.append({"type": ""})
            else:
                self.measured.append(found.status)
                if highest == 0 or found.replicas > highest:
                    highest, name = found.replicas, found.name
        if needed:
            raise Need(*dict.fromkeys(needed))
        for failure in failures:
            self._tell(failure.reason, str(failure))
        if failures and (len(failures) == len(metrics) or highest < self.current):  # what isn't known might have kept it up
            self._fail(failures, len(metrics))
        self._say(
            "ScalingActive", True, "ValidMetricFound", f"the HPA was able to successfully calculate a replica count from {name}"
        )
        return self._limited(highest), f"{name} above target" if highest > self.current else "All metrics below target"

    def _fail(self, failures: list[Failed], of: int) -> None:
        first = failures[0]
        self._say("ScalingActive", False, first.reason, f"the HPA was unable to compute the replica count: {first}")
        raise Disputed(first.reason, f"invalid metrics ({len(failures)} invalid out of {of}), first error is: {first.told}")

    def _limited(self, wanted: int) -> int:
        self.memory = self.memory.recommending(wanted, self.now)
        limited = limit(self.autoscaler, self.current, wanted, self.memory, self.now)
        self._say("AbleToScale", True, *limited.stabilized)
        self._say("ScalingLimited", limited.cut, *limited.limit)
        return limited.replicas

    def _tolerance(self) -> Tolerance:
        behavior = rules(self.autoscaler)
        given = {side: behavior[side].get("tolerance") for side in ("scaleDown", "scaleUp")}
        down, up = (0.1 if one is None else quantity.parse(one).nanos / 1e9 for one in given.values())
        return Tolerance(down, up)

    # --- what to do about it

    def _rescale(self, resource: Resource, scale: Object, desired: int, why: str) -> Plan:
        text = f"New size: {desired}; reason: {why}"
        done = Event(self.autoscaler, "SuccessfulRescale", text)
        failed = Event(self.autoscaler, "FailedRescale", f"{text}; error: {{error}}", "Warning")
        patch = Patch(resource, scale, {"spec": {"replicas": desired}}, subresource="scale", done=done, failed=failed)
        if (last := self.view.failures.get(key_of(self.autoscaler))) is not None:
            words = f"the HPA controller was unable to update the target scale: {last.message}"
            self._say("AbleToScale", False, "FailedUpdateScale", words)
        else:
            words = f"the HPA controller was able to update the target scale to {desired}"
            self._say("AbleToScale", True, "SucceededRescale", words)
        status = self._status(desired) | {"lastScaleTime": rfc3339(self.now)}
        return Plan([*self.events, patch], status, memory=self.memory.rescaled(desired - self.current, self.now))

    def _done(self, desired: int) -> Plan:
        return Plan(self.events, self._status(desired), memory=self.memory)

    def _status(self, desired: int) -> Object:
        old = self.autoscaler.get("status") or {}
        new: Object = {
            "currentReplicas": self.current,
            "desiredReplicas": desired,
            "currentMetrics": self.measured,
            "conditions": self.conditions,
        }
        return new | ({"lastScaleTime": old["lastScaleTime"]} if old.get("lastScaleTime") else {})


def key_of(autoscaler: Object) -> Key:
    return AUTOSCALERS, f"{namespace_of(autoscaler)}/{name_of(autoscaler)}"


def memory_of(autoscaler: Object, view: View) -> Memory:
    return view.memory.get(key_of(autoscaler)) or Memory()


def early(autoscaler: Object, view: View, now: float, period: float) -> float:
    """For how many seconds it has been looked at enough: what it was asked for is the same, and nothing failed."""
    memory = memory_of(autoscaler, view)
    if memory.spec != autoscaler["spec"] or key_of(autoscaler) in view.failures:
        return 0.0
    return max(0.0, memory.looked_at + period - now)


def asked(old: Object | None, new: Object | None) -> bool:
    """What it measures changes all the time; what it is asked for doesn't."""
    return old is None or new is None or old["spec"] != new["spec"]


def horizontal_pod_autoscaler(period: float = PERIOD) -> Controller:
    """`period` is the time in seconds between two looks at a workload."""

    def reconcile(autoscaler: Object, view: View, now: float) -> Plan:
        if (left := early(autoscaler, view, now, period)) > 0:
            return Plan(requeue_after=left)
        plan = Look(autoscaler, view, now).plan()
        return plan if plan.fetch else replace(plan, requeue_after=period)

    return Controller(
        "horizontal-pod-autoscaler",
        primary=(Watch(AUTOSCALERS, indexes=("namespace",), matters=asked),),
        reconcile=reconcile,
        watches=(Watch(PODS, indexes=("namespace", "label")),),
        source="horizontal-pod-autoscaler",
    )
