"""Times as Docker writes and reads them: RFC 3339 with nanoseconds, unix seconds with a fraction, spans in words."""

from datetime import UTC, datetime
from functools import lru_cache

from podling.base.errors import InvalidInput
from podling.build import duration

ZERO = "0001-01-01T00:00:00Z"
_NANOSECONDS = 1_000_000_000
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def from_nanoseconds(time: int, *, padded: bool = False) -> str:
    """Unix nanoseconds as RFC 3339; trailing zeros stay only if `padded`, as in logs."""
    seconds, fraction = divmod(time, _NANOSECONDS)
    text = _second(seconds)
    digits = f"{fraction:09d}" if padded else f"{fraction:09d}".rstrip("0")
    return f"{text}.{digits}Z" if digits else f"{text}Z"


@lru_cache(maxsize=64)  # many lines of a log are of the same second
def _second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def from_seconds(time: float) -> str:
    """Unix seconds as RFC 3339; 0 is Go's zero time."""
    return from_nanoseconds(round(time * 1_000_000) * 1000) if time else ZERO


def parse(text: str) -> float | None:
    """Unix seconds from `seconds[.fraction]` or RFC 3339; None for an empty text and for 0. Raises InvalidInput."""
    if text in ("", "0"):
        return None
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    except ValueError:
        raise InvalidInput(f'invalid timestamp: parsing "{text}": neither unix seconds nor RFC 3339') from None


def parse_ago(text: str, now: float) -> float:
    """As `parse`, and also Go's durations (`10m`, `1h30m`): that long before `now`. Raises InvalidInput."""
    if text[-1:] in "smh" and text[:1] in "0123456789.":
        return now - duration.nanoseconds(text, "until") / _NANOSECONDS
    return parse(text) or 0.0


def span(seconds: float) -> str:
    """A span as `docker ps` has it: "5 seconds", "About an hour", "3 weeks"."""
    whole = int(seconds)
    minutes, hours = whole // _MINUTE, int(seconds / _HOUR + 0.5)
    if whole < 1:
        return "Less than a second"
    if whole < _MINUTE:
        return "1 second" if whole == 1 else f"{whole} seconds"
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    days = hours // 24
    for limit, length, unit in ((14, 1, "days"), (60, 7, "weeks"), (730, 30, "months")):
        if days < limit:
            return f"{days // length} {unit}"
    return f"{days // 365} years"
