"""Durations as metav1.Duration writes them. Source: Go's time.Duration."""

import re

_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"([0-9]*\.?[0-9]+)(h|ms|m|s|us|µs|ns)")


def text(seconds: float) -> str:
    """`1h0m3.5s`, `15s`, `0s`; in milliseconds at the finest."""
    millis = round(seconds * 1000)
    minutes, rest = divmod(millis, 60_000)
    whole = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + whole


def parse(given: str) -> float:
    """Seconds. Raises ValueError."""
    parts = _PART.findall(given)
    if given == "0":
        return 0.0
    if not parts or "".join(number + unit for number, unit in parts) != given:
        raise ValueError(f"not a duration: {given!r}")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)
