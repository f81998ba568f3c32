"""Eviction thresholds: `memory.available<100Mi`, `nodefs.available<10%`. Source: Kubernetes, "Node-pressure Eviction"."""

from collections.abc import Mapping
from dataclasses import dataclass

from podling.base import quantity
from podling.base.errors import InvalidInput

SIGNALS = {
    "memory.available": "memory",
    "nodefs.available": "ephemeral-storage",
    "nodefs.inodesFree": "inodes",
    "imagefs.available": "ephemeral-storage",
    "imagefs.inodesFree": "inodes",
    "containerfs.available": "ephemeral-storage",
    "containerfs.inodesFree": "inodes",
    "pid.available": "pids",
}
"""Signal → the resource that messages name."""

CONDITIONS = {"memory": "MemoryPressure", "ephemeral-storage": "DiskPressure", "inodes": "DiskPressure", "pids": "PIDPressure"}
"""Resource → the node condition that tells of its want."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """Met when less than `amount`, or than `share` of the capacity, is available. `grace`: seconds for which it must have been
    met before something is done; a hard one has 0. `text` is the amount as it was written."""

    signal: str
    text: str
    amount: int = 0
    share: float = 0.0
    grace: float = 0.0
    hard: bool = True

    def limit(self, capacity: int) -> int:
        return int(capacity * self.share) if self.share else self.amount

    @property
    def resource(self) -> str:
        return SIGNALS[self.signal]

    @property
    def condition(self) -> str:
        return CONDITIONS[self.resource]


def parse(given: Mapping[str, str], graces: Mapping[str, float] | None = None) -> tuple[Threshold, ...]:
    """The thresholds of `evictionHard`, or with `graces` of `evictionSoft`. 0% and 100% switch one off. Raises InvalidInput."""
    return tuple(found for signal, text in given.items() if (found := _threshold(signal, text, graces)) is not None)


def _threshold(signal: str, text: str, graces: Mapping[str, float] | None) -> Threshold | None:
    if signal not in SIGNALS:
        raise InvalidInput(f"unknown eviction signal {signal!r}: known are {', '.join(SIGNALS)}")
    if graces is not None and signal not in graces:
        raise InvalidInput(f"a grace period must be specified for the soft eviction threshold {signal}")
    grace = 0.0 if graces is None else graces[signal]
    try:
        if text.endswith("%"):
            share = float(text[:-1]) / 100
            if not 0 <= share <= 1:
                raise ValueError(f"{text} is not between 0% and 100%")
            return None if share in (0, 1) else Threshold(signal, text, share=share, grace=grace, hard=graces is None)
        return Threshold(signal, text, amount=quantity.whole(text), grace=grace, hard=graces is None)
    except ValueError as error:
        raise InvalidInput(f"eviction threshold {signal}: {error}") from None
