"""Waits that double. Source: Kubernetes, "Container restarts"; client-go's flowcontrol.Backoff gives the rule for forgetting."""

from dataclasses import dataclass, replace

MOST = 300.0
FORGET_AFTER = 2 * MOST


@dataclass(frozen=True, slots=True)
class Backoff:
    """`delay` is the wait that the next attempt has to keep, `at` when the latest attempt was let through (unix seconds)."""

    delay: float = 0.0
    at: float = 0.0

    def attempt(self, now: float) -> "Backoff":
        """An attempt begins now: the next one waits ten seconds, or twice as long as this one did; at most five minutes."""
        if not self.delay or now - self.at > FORGET_AFTER:
            return Backoff(10.0, now)
        return Backoff(min(2 * self.delay, MOST), now)

    def forgotten(self, now: float) -> "Backoff":
        """The same, cleared if the latest attempt is long past."""
        return self if now - self.at <= FORGET_AFTER else replace(self, delay=0.0)


FRESH = Backoff()
