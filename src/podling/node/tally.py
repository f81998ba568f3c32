"""How often a probe has said what, and how long it took: counted while probes run, told by the node's /metrics/probes."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds


@dataclass(slots=True)
class Tally:
    """Of one probe of one container, over all its incarnations. The last count of `took` is for what took longer than all."""

    results: Counter[str] = field(default_factory=Counter)
    took: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    seconds: float = 0.0

    def add(self, ok: bool, seconds: float) -> None:
        self.results["successful" if ok else "failed"] += 1
        self.took[bisect_left(BUCKETS, seconds)] += 1
        self.seconds += seconds
