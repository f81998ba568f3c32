"""The arguments of the plugins of the tree: their fields, and what upstream refuses of them.

Source: kubescheduler.config.k8s.io/v1, the types named ...Args; k8s.io/kubernetes pkg/scheduler/apis/config/validation.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from podling.api import names
from podling.api.core.placement import validate_node_selector
from podling.api.field import Cursor, FieldError
from podling.scheduler.plugins.allocation import LEAST, MOST, RATIO

Validator = Callable[[Cursor], Iterator[FieldError]]
LABEL_NAME = names.qualified


def validate_default_preemption(args: Cursor) -> Iterator[FieldError]:
    percentage, absolute = args / "minCandidateNodesPercentage", args / "minCandidateNodesAbsolute"
    percent, number = args.get("minCandidateNodesPercentage", 10), args.get("minCandidateNodesAbsolute", 100)
    if not 0 <= percent <= 100:
        yield percentage.invalid("not in valid range [0, 100]")
    if number < 0:
        yield absolute.invalid("not in valid range [0, inf)")
    if percent == 0 and number == 0:
        yield percentage.invalid("cannot be zero at the same time as minCandidateNodesAbsolute")
        yield absolute.invalid("cannot be zero at the same time as minCandidateNodesPercentage")


def validate_inter_pod_affinity(args: Cursor) -> Iterator[FieldError]:
    if not 0 <= args.get("hardPodAffinityWeight", 1) <= 100:
        yield (args / "hardPodAffinityWeight").invalid("not in valid range [0, 100]")


def validate_node_affinity(args: Cursor) -> Iterator[FieldError]:
    added = args / "addedAffinity"
    required = added / "requiredDuringSchedulingIgnoredDuringExecution"
    if required.value is not None:
        yield from validate_node_selector(required)
    for one in added / "preferredDuringSchedulingIgnoredDuringExecution":
        if not 1 <= one.get("weight", 0) <= 100:
            yield (one / "weight").invalid("must be in the range 1-100", one.get("weight", 0))


def validate_balanced_allocation(args: Cursor) -> Iterator[FieldError]:
    seen: set[str] = set()
    for one in args / "resources":
        name = one.get("name", "")
        if name in seen:
            yield (one / "name").duplicate()
        seen.add(name)
        if one.get("weight", 1) != 1:
            yield (one / "weight").invalid("must be 1")


def validate_resources_fit(args: Cursor) -> Iterator[FieldError]:
    for one in args / "ignoredResources":
        yield from _label_name(one)
    for one in args / "ignoredResourceGroups":
        if "/" in one.value:
            yield one.invalid("resource group name can't contain '/'")
        yield from _label_name(one)
    strategy = args / "scoringStrategy"
    if strategy.value is None:
        return
    kind = strategy.get("type", LEAST)
    if kind not in (LEAST, MOST, RATIO):
        yield (strategy / "type").unsupported(sorted((LEAST, MOST, RATIO)))
    for one in strategy / "resources":
        if not 0 < one.get("weight", 1) <= 100:
            yield (one / "weight").invalid(f"resource weight of {one.get('name')} not in valid range (0, 100]")
    ratio = strategy / "requestedToCapacityRatio"
    if kind != RATIO and ratio.value is not None:
        yield ratio.forbidden("must be nil when type is not RequestedToCapacityRatio")
    elif kind == RATIO and ratio.value is None:
        yield ratio.required("must be specified when type is RequestedToCapacityRatio")
    elif kind == RATIO:
        yield from _shape(ratio / "shape")


def _shape(shape: Cursor) -> Iterator[FieldError]:
    points = list(shape)
    if not points:
        yield shape.required("at least one point must be specified")
        return
    for before, point in pairwise(points):
        if before.get("utilization", 0) >= point.get("utilization", 0):
            yield (point / "utilization").invalid("values must be sorted in increasing order")
            break
    for point in points:
        for name, most in (("utilization", 100), ("score", 10)):
            if not 0 <= point.get(name, 0) <= most:
                yield (point / name).invalid(f"not in valid range [0, {most}]")


def _label_name(name: Cursor) -> Iterator[FieldError]:
    for complaint in LABEL_NAME(name.value):
        yield name.invalid(complaint)


def validate_topology_spread(args: Cursor) -> Iterator[FieldError]:
    kind, constraints = args / "defaultingType", args / "defaultConstraints"
    chosen = args.get("defaultingType", "System")
    if chosen not in ("System", "List"):
        yield kind.unsupported(("System", "List"))
    elif chosen == "System" and constraints:
        yield kind.invalid("when .defaultConstraints are not empty", "System")
    seen: set[tuple[str, str]] = set()
    for one in constraints:
        if one.get("maxSkew", 0) <= 0:
            yield (one / "maxSkew").invalid("not in valid range (0, inf)", one.get("maxSkew", 0))
        key, when = one / "topologyKey", one / "whenUnsatisfiable"
        if not key:
            yield key.required("can not be empty")
        else:
            yield from _label_name(key)
        if not when:
            yield when.required("can not be empty")
        elif when.value not in ("DoNotSchedule", "ScheduleAnyway"):
            yield when.unsupported(("DoNotSchedule", "ScheduleAnyway"))
        if one.get("labelSelector") is not None:
            yield (one / "labelSelector").forbidden("constraint must not define a selector, as they deduced for each pod")
        pair = (key.value, when.value)
        if pair in seen:
            yield one.duplicate(f"{{{key.value}, {when.value}}}")
        seen.add(pair)


def validate_volume_binding(args: Cursor) -> Iterator[FieldError]:
    if args.get("bindTimeoutSeconds", 600) < 0:
        yield (args / "bindTimeoutSeconds").invalid("invalid BindTimeoutSeconds, should not be a negative value")
    if args.get("shape") is not None:
        words = "unexpected field `shape`, remove it or turn on the feature gate StorageCapacityScoring"
        yield (args / "shape").invalid(words)


def _anything(args: Cursor) -> Iterator[FieldError]:
    yield from ()


# Fields with the type of their values: a type, [one] for a list of it, a mapping for an object.
Shape = Mapping[str, Any]
_RESOURCES: list[Shape] = [{"name": str, "weight": int}]
FIELDS: Mapping[str, Shape] = {
    "DefaultPreemption": {"minCandidateNodesPercentage": int, "minCandidateNodesAbsolute": int},
    "InterPodAffinity": {"hardPodAffinityWeight": int, "ignorePreferredTermsOfExistingPods": bool},
    "NodeAffinity": {"addedAffinity": dict},
    "NodeResourcesBalancedAllocation": {"resources": _RESOURCES},
    "NodeResourcesFit": {
        "ignoredResources": [str],
        "ignoredResourceGroups": [str],
        "scoringStrategy": {
            "type": str,
            "resources": _RESOURCES,
            "requestedToCapacityRatio": {"shape": [{"utilization": int, "score": int}]},
        },
    },
    "PodTopologySpread": {"defaultConstraints": [dict], "defaultingType": str},
    "VolumeBinding": {"bindTimeoutSeconds": int, "shape": list},
}
VALIDATORS: Mapping[str, Validator] = {
    "DefaultPreemption": validate_default_preemption,
    "InterPodAffinity": validate_inter_pod_affinity,
    "NodeAffinity": validate_node_affinity,
    "NodeResourcesBalancedAllocation": validate_balanced_allocation,
    "NodeResourcesFit": validate_resources_fit,
    "PodTopologySpread": validate_topology_spread,
    "VolumeBinding": validate_volume_binding,
}
