"""How fast the number may change: stabilization and the policies of each direction.

Source: v2 HorizontalPodAutoscalerBehavior; "Configurable scaling behavior". What is remembered is lost with the process, as
upstream's is.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from math import ceil

from podling.api.autoscaling.metrics import default_behavior
from podling.api.objects import Object, get

DOWN_WINDOW = 300
Recorded = tuple[float, int]  # when, how many pods


@dataclass(frozen=True, slots=True)
class Memory:
    """What was recommended, and by how many pods it went up and down, each with its time; which pods it looks at; and when it
    looked last, at what it was asked for then."""

    recommended: tuple[Recorded, ...] = ()
    ups: tuple[Recorded, ...] = ()
    downs: tuple[Recorded, ...] = ()
    selector: str = ""
    looked_at: float = float("-inf")
    spec: Object = field(default_factory=dict)

    def recommending(self, replicas: int, now: float) -> "Memory":
        return replace(self, recommended=(*_since(self.recommended, now - 3600), (now, replicas)))

    def rescaled(self, change: int, now: float) -> "Memory":
        ups, downs = _since(self.ups, now - 1800), _since(self.downs, now - 1800)
        if change > 0:
            return replace(self, ups=(*ups, (now, change)), downs=downs)
        return replace(self, ups=ups, downs=(*downs, (now, -change)))


def _since(records: Iterable[Recorded], start: float) -> tuple[Recorded, ...]:
    return tuple(record for record in records if record[0] >= start)


@dataclass(frozen=True, slots=True)
class Limited:
    """The number after all limits, and the two conditions that tell: (reason, message), and whether it was cut."""

    replicas: int
    stabilized: tuple[str, str]
    cut: bool
    limit: tuple[str, str]


def rules(autoscaler: Object) -> Object:
    behavior: Object = {side: dict(one) for side, one in get(autoscaler, "spec.behavior", {}).items() if one}
    default_behavior(behavior)
    return behavior


def limit(autoscaler: Object, current: int, desired: int, memory: Memory, now: float) -> Limited:
    """`memory` holds the present recommendation already."""
    if get(autoscaler, "spec.behavior") is None:
        return _plainly(autoscaler, current, desired, memory, now)
    behavior = rules(autoscaler)
    steady, why = _stabilize(behavior, current, desired, memory, now)
    replicas, cut, reason = _bounded(autoscaler, behavior, current, steady, memory, now)
    return Limited(replicas, why, cut, reason)


def _plainly(autoscaler: Object, current: int, desired: int, memory: Memory, now: float) -> Limited:
    """Without a behavior: down by the highest that was recommended in five minutes, up to twice as many at once, or to four."""
    steady = max([desired, *(number for _, number in _since(memory.recommended, now - DOWN_WINDOW))])
    why = _STEADY if steady == desired else ("ScaleDownStabilized", _HIGHER)
    least, most = get(autoscaler, "spec.minReplicas", 1), autoscaler["spec"]["maxReplicas"]
    rate = max(2 * current, 4)
    if steady < least:
        return Limited(least, why, True, _TOO_FEW)
    if steady > min(most, rate):
        return Limited(rate, why, True, _FASTER["Up"]) if most > rate else Limited(most, why, True, _TOO_MANY)
    return Limited(steady, why, False, _WITHIN)


_STEADY = ("ReadyForNewScale", "recommended size matches current size")
_HIGHER = "recent recommendations were higher than current one, applying the highest recent recommendation"
_LOWER = "recent recommendations were lower than current one, applying the lowest recent recommendation"
_WITHIN = ("DesiredWithinRange", "the desired count is within the acceptable range")


def _stabilize(behavior: Object, current: int, desired: int, memory: Memory, now: float) -> tuple[int, tuple[str, str]]:
    """Up by the lowest and down by the highest that was recommended in the window of each direction."""
    up = behavior["scaleUp"].get("stabilizationWindowSeconds") or 0
    down = behavior["scaleDown"].get("stabilizationWindowSeconds")
    lowest = min([desired, *(number for _, number in _since(memory.recommended, now - up))])
    highest = max([desired, *(number for _, number in _since(memory.recommended, now - (DOWN_WINDOW if down is None else down)))])
    steady = min(max(current, lowest), highest)
    if steady == desired:
        return steady, _STEADY
    return steady, ("ScaleUpStabilized", _LOWER) if desired > steady else ("ScaleDownStabilized", _HIGHER)


def _bounded(
    autoscaler: Object, behavior: Object, current: int, wanted: int, memory: Memory, now: float
) -> tuple[int, bool, tuple[str, str]]:
    least, most = get(autoscaler, "spec.minReplicas", 1), autoscaler["spec"]["maxReplicas"]
    if wanted > current:
        rate = max(current, _upmost(behavior["scaleUp"], current, memory, now))
        if wanted > min(most, rate):
            return (rate, True, _FASTER["Up"]) if rate < most else (most, True, _TOO_MANY)
    elif wanted < current:
        rate = min(current, _downmost(behavior["scaleDown"], current, memory, now))
        if wanted < max(least, rate):
            return (rate, True, _FASTER["Down"]) if rate > least else (least, True, _TOO_FEW)
    if not least <= wanted <= most:
        return (least, True, _TOO_FEW) if wanted < least else (most, True, _TOO_MANY)
    return wanted, False, _WITHIN


_TOO_FEW = ("TooFewReplicas", "the desired replica count is less than the minimum replica count")
_TOO_MANY = ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
_FASTER = {
    "Up": ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate"),
    "Down": ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate"),
}


def _upmost(side: Object, current: int, memory: Memory, now: float) -> int:
    if side.get("selectPolicy") == "Disabled":
        return current
    proposals: list[int] = []
    for policy in side["policies"]:
        start = _at_start(policy, current, memory, now)
        more = policy["value"] if policy["type"] == "Pods" else start * policy["value"] / 100
        proposals.append(ceil(start + more))
    return min(proposals) if side.get("selectPolicy") == "Min" else max(proposals)


def _downmost(side: Object, current: int, memory: Memory, now: float) -> int:
    if side.get("selectPolicy") == "Disabled":
        return current
    proposals: list[int] = []
    for policy in side["policies"]:
        start = _at_start(policy, current, memory, now)
        fewer = policy["value"] if policy["type"] == "Pods" else start * policy["value"] / 100
        proposals.append(int(start - fewer))
    return max(proposals) if side.get("selectPolicy") == "Min" else min(proposals)


def _at_start(policy: Object, current: int, memory: Memory, now: float) -> int:
    """How many pods there were when the policy's period began."""
    start = now - float(policy["periodSeconds"])
    added, removed = (sum(number for _, number in _since(records, start)) for records in (memory.ups, memory.downs))
    return current - added + removed
