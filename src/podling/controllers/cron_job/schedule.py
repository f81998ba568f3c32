"""The times that a cron schedule names, as the parser that upstream uses reads it.

Source: github.com/robfig/cron v3 "CRON Expression Format". The clock's hours that daylight saving skips run nothing.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Protocol
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

_NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_HIGHEST = (59, 23, 31, 12, 6)
_LOWEST = (0, 0, 1, 1, 0)
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"([0-9.]+)(ns|us|µs|ms|s|m|h)")
_ZONE = re.compile(r"(?:CRON_)?TZ=(\S+) +")


class Schedule(Protocol):
    """Instants in seconds since the epoch. None: there is none."""

    def after(self, instant: float) -> float | None:
        """The first time after `instant`."""

    def latest(self, since: float, now: float) -> float | None:
        """The last time after `since` and not after `now`."""


def schedule(text: str, zone: str | None) -> Schedule:
    """Raises ValueError where the schedule can't be read, LookupError for an unknown zone."""
    if match := _ZONE.match(text):
        zone, text = match[1], text[match.end() :]
    if text.startswith("@every "):
        return Every(max(1.0, float(int(_seconds(text.removeprefix("@every "))))))
    return Cron(_expression(_NAMED.get(text, text)), ZoneInfo(zone) if zone else UTC)


def _seconds(duration: str) -> float:
    return sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(duration))


@dataclass(frozen=True, slots=True)
class Every:
    """Each so many seconds, from whatever time is asked for."""

    seconds: float

    def after(self, instant: float) -> float | None:
        return float(int(instant)) + self.seconds

    def latest(self, since: float, now: float) -> float | None:
        times = int((now - int(since)) // self.seconds)
        return int(since) + times * self.seconds if times > 0 else None


@dataclass(frozen=True, slots=True)
class Cron:
    """`expression` has six fields, the first is of seconds."""

    expression: str
    zone: tzinfo

    def after(self, instant: float) -> float | None:
        return self._step(instant, reverse=False)

    def latest(self, since: float, now: float) -> float | None:
        found = self._step(int(now) + 1, reverse=True)
        return found if found is not None and found > since else None

    def _step(self, instant: float, *, reverse: bool) -> float | None:
        start = datetime.fromtimestamp(int(instant), self.zone)
        try:
            return next(CronSim(self.expression, start, reverse=reverse)).timestamp()
        except StopIteration:
            return None
        except CronSimError as error:
            if "Bad day-of-month" in str(error):  # a day that no month has
                return None
            raise ValueError(str(error)) from None


def _expression(text: str) -> str:
    fields = text.split()
    if len(fields) != len(_HIGHEST):
        raise ValueError(f"expected exactly {len(_HIGHEST)} fields, found {len(fields)}: [{' '.join(fields)}]")
    return " ".join(["0", *(_field(one, low, high) for one, low, high in zip(fields, _LOWEST, _HIGHEST, strict=True))])


def _field(text: str, low: int, high: int) -> str:
    return ",".join(_range(one, low, high) for one in text.split(",") if one)


def _range(text: str, low: int, high: int) -> str:
    """`?` is `*`; `5/15` goes on to the end; a star with steps is a range, for days are then not any day."""
    body, slash, step = text.replace("?", "*").partition("/")
    if not slash or step == "1":
        return body
    if body == "*":
        return f"{low}-{high}/{step}"
    return f"{body}/{step}" if "-" in body else f"{body}-{high}/{step}"
