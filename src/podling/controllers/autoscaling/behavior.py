"""How fast the number may change: stabilization and the policies of each direction.

Source: v2 HorizontalPodAutoscalerBehavior; "Configurable scaling behavior". What is remembered is lost with the process, as
upstream's is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

from podling.api.autoscaling.metrics import default_behavior
from podling.api.objects import Object, get

DOWN_WINDOW = 300
Recorded = tuple[float, int]  # when, how many pods


@dataclass(frozen=True, slots=True)
class Memory:
    """What was recommended, and by how many pods it went up and down, each with its time."""

    recommended: tuple[Recorded, ...] = ()
    ups: tuple[Recorded, ...] = ()
    downs: tuple[Recorded, ...] = ()

    def recommending(self, replicas: int, now: float) -> "Memory":
        return Memory((*_since(self.recommended, now - 3600), (now, replicas)), self.ups, self.downs)

    def rescaled(self, change: int, now: float) -> "Memory":
        ups, downs = _since(self.ups, now - 1800), _since(self.downs, now - 1800)
        if change > 0:
            return Memory(self.recommended, (*ups, (now, change)), downs)
        return Memory(self.recommended, ups, (*downs, (now, -change)))


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
    behavior = rules(autoscaler)
    steady, why = _stabilize(behavior, current, desired, memory, now)
    replicas, cut, reason = _bounded(autoscaler, behavior, current, steady, memory, now)
    return Limited(replicas, why, cut, reason)


def _stabilize(behavior: Object, current: int, desired: int, memory: Memory, now: float) -> tuple[int, tuple[str, str]]:
    """Up by the lowest and down by the highest that was recommended in the window of each direction."""
    up = behavior["scaleUp"].get("stabilizationWindowSeconds") or 0
    down = behavior["scaleDown"].get("stabilizationWindowSeconds")
    lowest = min([desired, *(number for _, number in _since(memory.recommended, now - up))])
    highest = max([desired, *(number for _, number in _since(memory.recommended, now - (DOWN_WINDOW if down is None else down)))])
    steady = min(max(current, lowest), highest)
    if steady == desired:
        return steady, ("ReadyForNewScale", "recommended size matches current size")
    if desired > steady:
        text = "recent recommendations were lower than current one, applying the lowest recent recommendation"
        return steady, ("ScaleUpStabilized", text)
    text = "recent recommendations were higher than current one, applying the highest recent recommendation"
    return steady, ("ScaleDownStabilized", text)


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
    return wanted, False, ("DesiredWithinRange", "the desired count is within the acceptable range")


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
