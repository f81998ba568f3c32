"""Go's durations, `1m30s` or `500ms`. Source: time.ParseDuration."""

import re

from podling.base.errors import InvalidInput

_UNITS = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")


def nanoseconds(text: str, about: str) -> int:
    """Raises InvalidInput, naming what it is `about`, for no duration and for one below a millisecond, except 0."""
    if text == "0":
        return 0
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise InvalidInput(f'{about}: time: invalid duration "{text}"')
    total = round(sum(float(number) * _UNITS[unit] for number, unit in parts))
    if 0 < total < _UNITS["ms"]:
        raise InvalidInput(f'Interval "{about}" cannot be less than 1ms')
    return total
