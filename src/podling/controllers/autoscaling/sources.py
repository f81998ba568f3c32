"""The five kinds of metrics: where each is asked for, what it proposes, and how the status shows it. Pure.

Source: v2 MetricSpec; "Horizontal Pod Autoscaling", API for metrics; k8s.io/metrics custom_metrics/v1beta2 and
external_metrics/v1beta1.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from podling.api import durations, selectors
from podling.api.autoscaling.metrics import SOURCES
from podling.api.objects import Object, get
from podling.api.timestamps import parse
from podling.base import quantity
from podling.controllers.asks import Answers, NoMatch, Refused, resource_of
from podling.controllers.autoscaling.replicas import (
    NoMetrics,
    Target,
    Tolerance,
    Value,
    propose,
    propose_by_share,
    propose_by_value,
    values_of,
)

RESOURCES, CUSTOM, EXTERNAL = "metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io"


class Failed(Exception):
    """A metric that gives no number. `reason` is that of the condition; `told` is what the event about the whole says."""

    def __init__(self, reason: str, message: str, told: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.told = told


@dataclass(frozen=True, slots=True)
class Subject:
    """What is scaled: `current` is the number asked for, `running` the number that its status tells; `selector` as the scale
    gives it."""

    namespace: str
    selector: str
    pods: Sequence[Object]
    current: int
    running: int
    tolerance: Tolerance
    now: float


@dataclass(frozen=True, slots=True)
class Measured:
    """`name` is how reasons call the metric; `status` is its v2 MetricStatus."""

    replicas: int
    name: str
    status: Object


Measure = Callable[[Object, Subject, Answers], Measured]


def measure(metric: Object, subject: Subject, answers: Answers) -> Measured:
    """Raises Failed, Need."""
    kind = metric["type"]
    source = metric[SOURCES[kind]]
    try:
        return _MEASURES[kind](source, subject, answers)
    except (NoMetrics, Refused, NoMatch) as error:
        inner = _WORDS[kind](source, str(error))
        raise Failed(f"FailedGet{kind}Metric", inner, f"{_OUTER[kind](source)}: {inner}") from None


# Resource, ContainerResource


def _of_resource(source: Object, subject: Subject, answers: Answers) -> Measured:
    aim = source["target"]
    target = Target(source["name"], source.get("container", ""), aim.get("averageUtilization"), _milli(aim.get("averageValue")))
    what = f"unable to get metrics for resource {target.resource}"
    try:
        listed = answers.get(f"/apis/{RESOURCES}/v1beta1/namespaces/{subject.namespace}/pods", labelSelector=subject.selector)
    except Refused as error:
        words = _unserved(error, f"pods.{RESOURCES}")
        raise NoMetrics(f"{what}: unable to fetch metrics from resource metrics API: {words}") from None
    try:
        values = values_of(target, listed.get("items") or ())
    except NoMetrics as error:
        raise NoMetrics(f"{what}: failed to get container metrics: {error}") from None
    if not values:
        raise NoMetrics(f"{what}: no metrics returned from resource metrics API")
    proposal = propose(target, subject.pods, values, subject.current, subject.tolerance, subject.now)
    kind = "ContainerResource" if target.container else "Resource"
    name = f"{target.resource} {'container ' if target.container else ''}resource"
    if target.utilization is not None:
        name += " utilization (percentage of request)"
    current: Object = {"averageValue": _shown(proposal.average)}
    if proposal.utilization is not None:
        current["averageUtilization"] = proposal.utilization
    named = {member: source[member] for member in ("name", "container") if source.get(member)}
    return Measured(proposal.replicas, name, _status(kind, {**named, "current": current}))


# Pods


def _of_pods(source: Object, subject: Subject, answers: Answers) -> Measured:
    name = source["metric"]["name"]
    try:
        listed = _custom(answers, subject.namespace, "pods/*", source["metric"], subject.selector)
    except NoMetrics as error:
        raise NoMetrics(f"unable to get metric {name}: {error}") from None
    values = {one["describedObject"]["name"]: _value(one) for one in listed}
    target = Target(average=_milli(source["target"].get("averageValue")))
    proposal = propose(target, subject.pods, values, subject.current, subject.tolerance, subject.now)
    shown = {"metric": _identity(source), "current": {"averageValue": _shown(proposal.average)}}
    return Measured(proposal.replicas, f"pods metric {name}", _status("Pods", shown))


# Object


def _of_object(source: Object, subject: Subject, answers: Answers) -> Measured:
    name, about, aim = source["metric"]["name"], source["describedObject"], source["target"]
    try:
        value = _value(_custom(answers, subject.namespace, _place(about, answers), source["metric"])[0]).milli
    except (NoMetrics, Refused, NoMatch) as error:
        where = f"{about['kind']} on {subject.namespace} {about['name']}"
        raise NoMetrics(f"unable to get metric {name}: {where}/{error}") from None
    proposal, current = _of_one(value, aim, subject)
    called = f"{about['kind']} metric {name}" if aim["type"] == "Value" else f"external metric {name}({_words(source)})"
    return Measured(
        proposal, called, _status("Object", {"describedObject": about, "metric": _identity(source), "current": current})
    )


def _place(about: Object, answers: Answers) -> str:
    """The path of the object that is described; a namespace's own metrics are beside those of what is in it."""
    if about["kind"] == "Namespace":
        return "metrics"
    resource = resource_of(answers, about.get("apiVersion") or "v1", about["kind"])
    return f"{quote(str(resource))}/{quote(about['name'])}"


def _of_one(value: int, aim: Object, subject: Subject) -> tuple[int, Object]:
    """A number of pods and the status of what was measured, for a metric of one thing."""
    if aim.get("type") == "Value" or aim.get("averageValue") is None:
        target = _milli(aim.get("value")) or 1
        number = propose_by_value(value, target, subject.pods, subject.current, subject.tolerance)
        return number, {"value": _shown(value)}
    share = propose_by_share(value, _milli(aim["averageValue"]) or 1, subject.running, subject.tolerance)
    return share.replicas, {"averageValue": _shown(share.average)}


# External


def _of_external(source: Object, subject: Subject, answers: Answers) -> Measured:
    name = source["metric"]["name"]
    what = f"unable to get external metric {subject.namespace}/{name}/{_words(source)}"
    path = f"/apis/{EXTERNAL}/v1beta1/namespaces/{subject.namespace}/{quote(name)}"
    try:
        listed = answers.get(path, labelSelector=_selector(source["metric"])).get("items") or []
    except Refused as error:
        words = _unserved(error, f"{name}.{EXTERNAL}")
        raise NoMetrics(f"{what}: unable to fetch metrics from external metrics API: {words}") from None
    if not listed:
        raise NoMetrics(f"{what}: no metrics returned from external metrics API")
    number, current = _of_one(sum(_value(one).milli for one in listed), source["target"], subject)
    shown = {"metric": _identity(source), "current": current}
    return Measured(number, f"external metric {name}({_words(source)})", _status("External", shown))


# What they share


def _custom(answers: Answers, namespace: str, place: str, metric: Object, pods: str = "") -> list[Object]:
    """Values of a custom metric. Raises NoMetrics, Need."""
    try:
        version = _custom_version(answers)
        path = f"/apis/{CUSTOM}/{version}/namespaces/{namespace}/{place}/{quote(metric['name'])}"
        listed = answers.get(path, labelSelector=pods, metricLabelSelector=_selector(metric)).get("items") or []
    except Refused as error:
        words = _unserved(error, f"{place.partition('/')[0]}.{CUSTOM}")
        raise NoMetrics(f"unable to fetch metrics from custom metrics API: {words}") from None
    if not listed:
        raise NoMetrics("no metrics returned from custom metrics API")
    return listed


def _custom_version(answers: Answers) -> str:
    try:
        found = answers.get(f"/apis/{CUSTOM}")
    except Refused as error:
        if error.code == 404:
            raise NoMetrics(
                f"unable to fetch metrics from custom metrics API: no custom metrics API ({CUSTOM}) registered"
            ) from None
        raise
    return str(get(found, "preferredVersion.version", "v1beta2"))


_GENERIC = "the server could not find the requested resource"


def _unserved(error: Refused, resource: str) -> str:
    return f"{error} (get {resource})" if str(error) == _GENERIC else str(error)


def _selector(metric: Object) -> str:
    given = metric.get("selector")
    return "" if given is None else str(selectors.of_object(given))


def _value(one: Object) -> Value:
    """Of a MetricValue or an ExternalMetricValue."""
    seconds = one.get("windowSeconds", one.get("window"))
    window = durations.parse(seconds) if isinstance(seconds, str) else float(seconds or 60)
    return Value(quantity.parse(one["value"]).milli, parse(one["timestamp"]), window)


def _milli(amount: str | int | None) -> int | None:
    return None if amount is None else quantity.parse(amount).milli


def _shown(milli: int) -> str:
    return str(quantity.Quantity(milli * 10**6))


def _status(kind: str, status: Object) -> Object:
    return {"type": kind, SOURCES[kind]: status}


def _identity(source: Object) -> Object:
    return {name: source["metric"][name] for name in ("name", "selector") if name in source["metric"]}


def _words(source: Object) -> str:
    """The metric's selector, as Go prints it."""
    given = source["metric"].get("selector")
    if given is None:
        return "nil"
    labels = "".join(f"{key}: {value}," for key, value in sorted((given.get("matchLabels") or {}).items()))
    terms = "".join(
        f"LabelSelectorRequirement{{Key:{one['key']},Operator:{one['operator']},Values:[{' '.join(one.get('values') or ())}],}},"
        for one in given.get("matchExpressions") or ()
    )
    return f"&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:[]LabelSelectorRequirement{{{terms}}},}}"


def _of_use(source: Object, error: str) -> str:
    word = "usage" if source["target"].get("averageValue") is not None else "utilization"
    return f"failed to get {source['name']} {word}: {error}"


def _of_outside(source: Object, error: str) -> str:
    name = source["metric"]["name"]
    shared = source["target"].get("averageValue") is not None
    return f"failed to get {name} external metric: {error}" if shared else f"failed to get external metric {name}: {error}"


def _plain(source: Object, error: str) -> str:
    return error


_MEASURES: Mapping[str, Measure] = {
    "Resource": _of_resource,
    "ContainerResource": _of_resource,
    "Pods": _of_pods,
    "Object": _of_object,
    "External": _of_external,
}
# what went wrong, for the condition and the event about the metric
_WORDS: Mapping[str, Callable[[Object, str], str]] = {
    "Resource": _of_use,
    "ContainerResource": _of_use,
    "Pods": _plain,
    "Object": _plain,
    "External": _of_outside,
}
# what the event about the whole puts before it
_OUTER: Mapping[str, Callable[[Object], str]] = {
    "Resource": lambda source: f"failed to get {source['name']} resource metric value",
    "ContainerResource": lambda source: f"failed to get {source['name']} container metric value",
    "Pods": lambda source: "failed to get pods metric value",
    "Object": lambda source: "failed to get object metric value",
    "External": lambda source: f"failed to get {source['metric']['name']} external metric value",
}
