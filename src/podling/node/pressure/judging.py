"""Which thresholds are met, what conditions follow, and for which resource something has to be done. Pure.

Source: Kubernetes, "Node-pressure Eviction".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from podling.base import quantity
from podling.node.pressure.thresholds import Threshold

_ORDER = ("memory", "pids", "ephemeral-storage", "inodes")


@dataclass(frozen=True, slots=True)
class Amount:
    """How much of something is left, and how much there is: bytes, inodes or processes."""

    available: int
    capacity: int


@dataclass(frozen=True, slots=True)
class Known:
    """What has to be remembered between two looks: since when each threshold is met, and when each condition last held."""

    met: Mapping[Threshold, float] = field(default_factory=dict)
    held: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`conditions` of the node that hold; `due`: the threshold for which something has to be done now."""

    conditions: tuple[str, ...] = ()
    due: Threshold | None = None


def judge(
    amounts: Mapping[str, Amount],
    thresholds: Sequence[Threshold],
    known: Known,
    now: float,
    lasts: float,
    reclaim: Mapping[str, str] | None = None,
) -> tuple[Verdict, Known]:
    """`amounts` by signal; a condition lasts at least `lasts` seconds after it held; `now` in seconds that only grow.

    What was met stays met until `reclaim` (by signal) more is available than the threshold asks for.
    """
    met = {
        threshold: known.met.get(threshold, now)
        for threshold in thresholds
        if (amount := amounts.get(threshold.signal)) is not None
        and amount.available
        < threshold.limit(amount.capacity) + (_more(threshold, amount, reclaim) if threshold in known.met else 0)
    }
    held = {kind: at for kind, at in known.held.items() if now - at < lasts} | {threshold.condition: now for threshold in met}
    due = [threshold for threshold, since in met.items() if now - since >= threshold.grace]
    due.sort(key=lambda threshold: (_ORDER.index(threshold.resource), not threshold.hard))
    return Verdict(tuple(sorted(held)), due[0] if due else None), Known(met, held)


def _more(threshold: Threshold, amount: Amount, reclaim: Mapping[str, str] | None) -> int:
    text = str((reclaim or {}).get(threshold.signal, "0"))
    return int(amount.capacity * float(text[:-1]) / 100) if text.endswith("%") else quantity.whole(text)
