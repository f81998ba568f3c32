"""Growing waits between attempts."""

from collections.abc import Callable
from dataclasses import dataclass

Jitter = Callable[[], float]  # uniform in [0, 1)


@dataclass(slots=True)
class Backoff:
    """Doubles from `first` up to `most` seconds; each wait is stretched by up to `spread` of itself."""

    first: float = 0.1
    most: float = 30.0
    spread: float = 0.5
    jitter: Jitter = lambda: 0.0
    failures: int = 0

    def next(self) -> float:
        """Seconds to wait after one more failure."""
        wait = min(self.most, self.first * 2.0 ** min(self.failures, 62))
        self.failures += 1
        return wait * (1 + self.spread * self.jitter())

    def reset(self) -> None:
        self.failures = 0
