"""A pod as the scheduler sees it: what it asks for, read once. Immutable.

Source: v1 PodSpec; Kubernetes documentation "Resource Management for Pods and Containers".
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson

from podling.api import selectors
from podling.api.objects import Object, get, key_of, labels_of, namespace_of, uid_of
from podling.api.selectors import Selector
from podling.base import quantity

# What a container that asks for nothing counts as when nodes are compared (not when it is checked whether it fits).
DEFAULT_CPU, DEFAULT_MEMORY = 100, 200 * 1024 * 1024

Port = tuple[str, str, int]  # host address ("" for all), protocol, number
Requests = dict[str, int]  # cpu in thousandths, all else in whole units
NamespacesOf = Callable[[Selector], frozenset[str]]  # the names of those whose labels a selector matches


def no_namespaces(selector: Selector) -> frozenset[str]:
    return frozenset()


@lru_cache(4096)
def amount(resource: str, text: str) -> int:
    """A quantity as an integer: thousandths of cpu, whole units (rounded up) of anything else."""
    return quantity.milli(text) if resource == "cpu" else quantity.whole(text)


def amounts(resources: Object | None) -> Requests:
    return {name: amount(name, str(text)) for name, text in (resources or {}).items()}


@dataclass(frozen=True, slots=True)
class Term:
    """A pod affinity term. `namespaces` None stands for all of them."""

    selector: Selector
    namespaces: frozenset[str] | None
    topology_key: str
    weight: int = 0
    selects_namespaces: bool = False  # `namespaces` come from a selector

    def matches(self, pod: "PodInfo") -> bool:
        return (self.namespaces is None or pod.namespace in self.namespaces) and self.selector.matches(pod.labels)


@dataclass(frozen=True, slots=True)
class Spread:
    """A topology spread constraint with its selector resolved."""

    max_skew: int
    topology_key: str
    hard: bool
    selector: Selector
    min_domains: int = 0
    honor_affinity: bool = True
    honor_taints: bool = False
    system: bool = False  # a default of the cluster: a node without the label is no worse for it


@dataclass(frozen=True, slots=True)
class PodInfo:
    pod: Object
    key: str
    uid: str
    namespace: str
    labels: dict[str, str]
    priority: int
    requests: Requests
    counted: tuple[int, int]  # cpu, memory with the defaults for those who ask for none
    ports: frozenset[Port]
    affinity: tuple[Term, ...]
    anti_affinity: tuple[Term, ...]
    preferred: tuple[Term, ...]  # of both kinds; those of anti-affinity weigh negative
    spreads: tuple[Spread, ...]
    belongs_with: Selector | None  # the pods of its Services and its owner, to be spread by default
    signature: bytes  # equal for pods that every node alone judges alike
    template: tuple[Any, ...]  # equal for pods that every node with its pods judges alike
    nominated: str  # the node that is being cleared for it

    @classmethod
    def of(cls, pod: Object, belongs_with: Selector | None = None, namespaces_of: NamespacesOf = no_namespaces) -> "PodInfo":
        """The pod; `namespaces_of` resolves the namespace selectors of its terms, as they are now."""
        spec = pod["spec"]
        namespace = namespace_of(pod)
        affinity = spec.get("affinity") or {}
        near, apart = affinity.get("podAffinity") or {}, affinity.get("podAntiAffinity") or {}
        read = _Terms(pod, namespace, namespaces_of)
        requests, ports = requests_of(spec), ports_of(spec)
        counted = counted_of(spec, requests)
        signature = signature_of(spec)
        return cls(
            pod,
            key_of(pod),
            uid_of(pod),
            namespace,
            labels_of(pod),
            spec.get("priority") or 0,
            requests,
            counted,
            ports,
            read.required(near) if near else (),
            read.required(apart) if apart else (),
            (*read.preferred(near, 1), *read.preferred(apart, -1)) if near or apart else (),
            tuple(_spread(one, pod) for one in spec.get("topologySpreadConstraints") or ()),
            belongs_with,
            signature,
            (signature, tuple(sorted(requests.items())), counted, ports),
            (pod.get("status") or {}).get("nominatedNodeName") or "",
        )

    @property
    def images(self) -> list[str]:
        spec = self.pod["spec"]
        containers = (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))
        return [container.get("image") or "" for container in containers]

    @property
    def has_affinity(self) -> bool:
        return bool(self.affinity or self.anti_affinity or self.preferred)

    @property
    def selects_namespaces(self) -> bool:
        """Whether what it asks for changes with the labels of namespaces."""
        return any(term.selects_namespaces for term in (*self.affinity, *self.anti_affinity, *self.preferred))


def requests_of(spec: Object) -> Requests:
    """What the pod takes of a node: its containers together, or the largest step of its initialisation.

    Source: Kubernetes documentation "Init Containers", resource sharing; sidecars count on from their start.
    """
    containers, whole, overhead = spec.get("containers") or [], spec.get("resources"), spec.get("overhead")
    if len(containers) == 1 and not (whole or overhead or spec.get("initContainers")):
        return amounts(_asks(containers[0]))
    total = _sum(amounts(_asks(container)) for container in containers)
    sidecars: Requests = {}
    peak: Requests = {}
    for container in spec.get("initContainers") or ():
        own = amounts(_asks(container))
        if container.get("restartPolicy") == "Always":
            sidecars = _sum((sidecars, own))
            total = _sum((total, own))
            own = sidecars
        else:
            own = _sum((sidecars, own))
        peak = _max(peak, own)
    return _sum((_max(total, peak) | amounts((whole or {}).get("requests")), amounts(overhead)))


def _asks(container: Object) -> Object | None:
    return (container.get("resources") or {}).get("requests")


def _sum(parts: Iterable[Requests]) -> Requests:
    total: Requests = {}
    for part in parts:
        for name, value in part.items():
            total[name] = total.get(name, 0) + value
    return total


def _max(one: Requests, other: Requests) -> Requests:
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in one.keys() | other.keys()}


def counted_of(spec: Object, asked: Requests) -> tuple[int, int]:
    """cpu and memory of `asked`, with the defaults for containers that ask for none."""
    silent = [_asks(container) or {} for container in spec.get("containers") or ()]
    cpu = asked.get("cpu", 0) + DEFAULT_CPU * sum("cpu" not in one for one in silent)
    memory = asked.get("memory", 0) + DEFAULT_MEMORY * sum("memory" not in one for one in silent)
    return cpu, memory


def ports_of(spec: Object) -> frozenset[Port]:
    return frozenset(
        (_any(port.get("hostIP") or ""), port.get("protocol") or "TCP", port["hostPort"])
        for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ()))
        for port in container.get("ports") or ()
        if port.get("hostPort")
    )


def _any(address: str) -> str:
    return "" if address in ("0.0.0.0", "::") else address


@dataclass(frozen=True, slots=True)
class _Terms:
    """Reads the pod affinity terms of one pod."""

    pod: Object
    namespace: str
    namespaces_of: NamespacesOf

    def required(self, affinity: Object) -> tuple[Term, ...]:
        return tuple(self._term(term) for term in affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or ())

    def preferred(self, affinity: Object, sign: int) -> list[Term]:
        wanted = affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        return [self._term(one["podAffinityTerm"], sign * one["weight"]) for one in wanted]

    def _term(self, term: Object, weight: int = 0) -> Term:
        """Without names and selector it is about the pod's own namespace; an empty selector stands for all namespaces."""
        named = frozenset(term.get("namespaces") or ())
        chooser = term.get("namespaceSelector")
        namespaces: frozenset[str] | None = named or frozenset((self.namespace,))
        if chooser is not None:
            namespaces = named | self.namespaces_of(selectors.of_object(chooser)) if chooser else None
        selector = _with_keys(selectors.of_object(term.get("labelSelector")), term, self.pod)
        return Term(selector, namespaces, term["topologyKey"], weight, bool(chooser))


def _with_keys(selector: Selector, holder: Object, pod: Object) -> Selector:
    """matchLabelKeys (and mismatchLabelKeys) add the pod's own values."""
    labels = labels_of(pod)
    same = [(key, "in") for key in holder.get("matchLabelKeys") or ()]
    other = [(key, "notin") for key in holder.get("mismatchLabelKeys") or ()]
    extra = [selectors.Requirement(key, op, frozenset((labels[key],))) for key, op in (*same, *other) if key in labels]
    return Selector((*selector.requirements, *extra), selector.nothing)


def _spread(one: Object, pod: Object) -> Spread:
    return Spread(
        one["maxSkew"],
        one["topologyKey"],
        one["whenUnsatisfiable"] == "DoNotSchedule",
        _with_keys(selectors.of_object(one.get("labelSelector")), one, pod),
        one.get("minDomains") or 0,
        one.get("nodeAffinityPolicy", "Honor") == "Honor",
        one.get("nodeTaintsPolicy", "Ignore") == "Honor",
    )


def signature_of(spec: Object) -> bytes:
    """All that the static plugins look at."""
    parts: list[Any] = [
        spec.get("nodeName"),
        spec.get("nodeSelector"),
        get(spec, "affinity.nodeAffinity"),
        spec.get("tolerations"),
    ]
    return orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)
