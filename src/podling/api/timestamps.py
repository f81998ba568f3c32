"""Instants and durations as the API writes them. Instants are seconds since the Unix epoch.

Source: RFC 3339; k8s.io/apimachinery metav1.Time, metav1.MicroTime, util/duration.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rfc3339(instant: float) -> str:
    """`2024-02-29T12:00:00Z`: metav1.Time, whole seconds."""
    return _second(int(instant // 1))


@lru_cache(maxsize=256)
def _second(second: int) -> str:
    return (_EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro(instant: float) -> str:
    """`2024-02-29T12:00:00.000000Z`: metav1.MicroTime."""
    return (_EPOCH + timedelta(microseconds=round(instant * 1e6))).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse(text: str) -> float:
    """The instant that an RFC 3339 time names. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or "T" not in text.upper():
        raise ValueError(f"not an RFC 3339 time: {text}")
    return (moment - _EPOCH).total_seconds()


def human(seconds: float) -> str:
    """An age with two units at most, as kubectl shows it: `5s`, `3m20s`, `4h`, `2d3h`, `40d`, `3y20d`."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    if whole < 0:
        return "0s"
    if whole < 120:
        return f"{whole}s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if minutes < 10:
        return _pair(minutes, "m", whole % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _pair(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return _pair(days, "d", hours % 24, "h")
    if days < 365 * 2:
        return f"{days}d"
    if days < 365 * 8:
        return _pair(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _pair(major: int, unit: str, minor: int, sub_unit: str) -> str:
    return f"{major}{unit}{minor}{sub_unit}" if minor else f"{major}{unit}"


@dataclass(frozen=True, slots=True)
class Ago:
    """A text that grows old: how long ago the instant `since` was, between two texts that stay."""

    since: float
    before: str = ""
    after: str = ""

    def at(self, now: float) -> str:
        return f"{self.before}{human(now - self.since)}{self.after}"


def ago(timestamp: str | None) -> Ago | str:
    """How long ago `timestamp` was: `<unknown>` when there is none. Raises ValueError."""
    return Ago(parse(timestamp)) if timestamp else "<unknown>"
