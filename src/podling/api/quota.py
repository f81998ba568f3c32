"""What objects take of a quota, and which quotas are about them. Pure.

Source: Kubernetes documentation "Resource Quotas"; pkg/quota/v1/evaluator/core.
"""

from collections.abc import Mapping
from typing import Any

from podling.api.core import demand, resources
from podling.api.core.demand import Amounts
from podling.api.core.storage import CLASS_ANNOTATION
from podling.api.objects import annotations_of, get
from podling.base import quantity
from podling.base.quantity import Quantity

Object = dict[str, Any]
Resource = tuple[str, str]
"""(group, plural)"""

ONE = quantity.of(1)
BARE = ("configmaps", "secrets", "replicationcontrollers", "resourcequotas", "services", "persistentvolumeclaims")
"""Core resources that are counted by their plain name too."""
MUST_SAY = ("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory")
"""What a container has to name where a quota is about it."""
PODS, SERVICES, CLAIMS = ("", "pods"), ("", "services"), ("", "persistentvolumeclaims")


def usage(resource: Resource, obj: Object) -> Amounts:
    """What `obj` takes, by the names that quotas use."""
    group, plural = resource
    taken = {f"count/{plural}.{group}" if group else f"count/{plural}": ONE}
    if not group and plural in BARE:
        taken[plural] = ONE
    measure = {PODS: _of_pod, SERVICES: _of_service, CLAIMS: _of_claim}.get(resource)
    return taken | (measure(obj) if measure else {})


def is_over(pod: Object) -> bool:
    """Whether a pod has given back what it took."""
    return get(pod, "status.phase") in ("Succeeded", "Failed")


def _of_pod(pod: Object) -> Amounts:
    if is_over(pod):
        return {}
    taken = {"pods": ONE}
    for name, amount in demand.of_pod(pod["spec"], "requests").items():
        if "/" not in name:
            taken[name] = amount
        taken[f"requests.{name}"] = amount
    for name, amount in demand.of_pod(pod["spec"], "limits").items():
        if "/" not in name:
            taken[f"limits.{name}"] = amount
    return taken


def _of_service(service: Object) -> Amounts:
    spec = service.get("spec") or {}
    ports = spec.get("ports") or ()
    if spec.get("type") == "NodePort":
        return {"services.nodeports": quantity.of(len(ports))}
    if spec.get("type") != "LoadBalancer":
        return {}
    if spec.get("allocateLoadBalancerNodePorts") is False:
        ports = [port for port in ports if port.get("nodePort")]
    return {"services.loadbalancers": ONE, "services.nodeports": quantity.of(len(ports))}


def _of_claim(claim: Object) -> Amounts:
    taken: Amounts = {}
    asked = get(claim, "spec.resources.requests.storage")
    storage = annotations_of(claim).get(CLASS_ANNOTATION) or get(claim, "spec.storageClassName")
    if storage:
        taken[f"{storage}.storageclass.storage.k8s.io/persistentvolumeclaims"] = ONE
    if asked is not None:
        taken["requests.storage"] = amount = quantity.parse(asked)
        if storage:
            taken[f"{storage}.storageclass.storage.k8s.io/requests.storage"] = amount
    return taken


def counted(resource: Resource, obj: Object, quota: Object) -> Amounts:
    """What `obj` takes of `quota`: nothing where it is outside of its scopes."""
    hard = get(quota, "spec.hard", {})
    if not in_scope(resource, obj, quota):
        return {}
    return {name: amount for name, amount in usage(resource, obj).items() if name in hard}


def in_scope(resource: Resource, obj: Object, quota: Object) -> bool:
    terms = [{"scopeName": scope, "operator": "Exists"} for scope in get(quota, "spec.scopes", ())]
    terms += get(quota, "spec.scopeSelector.matchExpressions", ())
    return all(_within(resource, obj, term) for term in terms)


def _within(resource: Resource, obj: Object, term: Object) -> bool:
    scope = term["scopeName"]
    if resource == CLAIMS:
        return scope == "VolumeAttributesClass" and _selects(term, get(obj, "spec.volumeAttributesClassName", ""))
    if resource != PODS:
        return False
    spec = obj["spec"]
    match scope:
        case "Terminating":
            return spec.get("activeDeadlineSeconds") is not None
        case "NotTerminating":
            return spec.get("activeDeadlineSeconds") is None
        case "BestEffort":
            return resources.qos_class(spec) == "BestEffort"
        case "NotBestEffort":
            return resources.qos_class(spec) != "BestEffort"
        case "PriorityClass":
            return _selects(term, spec.get("priorityClassName") or "")
        case "CrossNamespacePodAffinity":
            return _looks_elsewhere(spec)
    return False


def _selects(term: Object, name: str) -> bool:
    match term.get("operator"):
        case "In":
            return name in (term.get("values") or ())
        case "NotIn":
            return name not in (term.get("values") or ())
        case "DoesNotExist":
            return not name
    return bool(name)


def _looks_elsewhere(spec: Object) -> bool:
    """Whether an affinity term names namespaces."""
    for kind in ("podAffinity", "podAntiAffinity"):
        both = get(spec, f"affinity.{kind}", {})
        terms = list(both.get("requiredDuringSchedulingIgnoredDuringExecution") or ())
        terms += [each["podAffinityTerm"] for each in both.get("preferredDuringSchedulingIgnoredDuringExecution") or ()]
        if any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in terms):
            return True
    return False


def resources_of(quota: Object) -> set[Resource]:
    """What a quota counts."""
    found: set[Resource] = set()
    for name in get(quota, "spec.hard", {}):
        if name.startswith("count/"):
            plural, _, group = name.removeprefix("count/").partition(".")
            found.add((group, plural))
        elif name in BARE:
            found.add(("", name))
        elif name.startswith("services."):
            found.add(SERVICES)
        elif "storageclass.storage.k8s.io/" in name or name == "requests.storage":
            found.add(CLAIMS)
        else:
            found.add(PODS)
    return found


def unsaid(pod: Object, quota: Object) -> str:
    """What the containers leave out that the quota is about, in upstream's words; "" when nothing."""
    hard = get(quota, "spec.hard", {}) if in_scope(PODS, pod, quota) else {}
    silent: dict[str, list[str]] = {}
    spec = pod["spec"]
    whole = spec.get("resources") or {}
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        needs = container.get("resources") or {}
        for name in sorted(set(MUST_SAY) & set(hard)):
            member, _, resource = name.rpartition(".")
            member = member or "requests"
            if resource not in (needs.get(member) or {}) and resource not in (whole.get(member) or {}):
                silent.setdefault(name, []).append(container["name"])
    return "; ".join(f"{name} for: {','.join(sorted(names))}" for name, names in sorted(silent.items()))


def exceeded(taken: Amounts, used: Mapping[str, Any], hard: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """What `taken` on top of `used` is too much: as shown, requested, used and limited."""
    over = [name for name in sorted(taken) if taken[name].nanos > 0 and _beyond(taken[name], used.get(name, "0"), hard[name])]
    if not over:
        return None
    return shown(taken, over), shown(demand.parsed(used), over), shown(demand.parsed(hard), over)


def _beyond(amount: Quantity, used: Any, hard: Any) -> bool:
    return quantity.parse(hard) < quantity.parse(used) + amount


def shown(amounts: Amounts, names: list[str]) -> str:
    return ",".join(f"{name}={amounts.get(name, quantity.ZERO)}" for name in names)
