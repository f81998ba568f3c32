"""Cron schedules: whether a text is one, in the words of the parser that upstream uses. Source: crontab(5);
github.com/robfig/cron v3 "CRON Expression Format".
"""

import re
from collections.abc import Iterator

DESCRIPTORS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# lowest, highest, names
_FIELDS: tuple[tuple[int, int, dict[str, int]], ...] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    (0, 6, {name: number for number, name in enumerate(_DAYS)}),
)
_DURATION = re.compile(r"([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)")
_ZONE = re.compile(r"(CRON_)?TZ=\S+ +")


def complaints(text: str) -> Iterator[str]:
    """What is wrong with a schedule; one sentence at most."""
    spec = _ZONE.sub("", text, count=1) if text.startswith(("TZ=", "CRON_TZ=")) else text
    try:
        _check(spec)
    except ValueError as error:
        yield str(error)


def _check(spec: str) -> None:
    if spec.startswith("@"):
        _descriptor(spec)
        return
    parts = spec.split()
    if len(parts) != len(_FIELDS):
        raise ValueError(f"expected exactly {len(_FIELDS)} fields, found {len(parts)}: [{' '.join(parts)}]")
    for part, (low, high, names) in zip(parts, _FIELDS, strict=True):
        for item in filter(None, part.split(",")):
            _range(item, low, high, names)


def _descriptor(spec: str) -> None:
    if spec in DESCRIPTORS:
        return
    every = spec.removeprefix("@every ")
    if every == spec:
        raise ValueError(f"unrecognized descriptor: {spec}")
    if not every or _DURATION.sub("", every):
        raise ValueError(f'failed to parse duration {spec}: time: invalid duration "{every}"')


def _range(item: str, low: int, high: int, names: dict[str, int]) -> None:
    """`*`, `?`, `N`, `N-M`, each with `/STEP`."""
    body, *steps = item.split("/")
    if len(steps) > 1:
        raise ValueError(f"too many slashes: {item}")
    start, *rest = body.split("-")
    if body in ("*", "?"):
        first, last = low, high
    elif len(rest) > 1:
        raise ValueError(f"too many hyphens: {item}")
    else:
        first = _number(start, names)
        last = _number(rest[0], names) if rest else high if steps else first
    _bounds(item, first, last, low, high)
    if steps and _number(steps[0], {}) == 0:
        raise ValueError(f"step of range should be a positive number: {item}")


def _bounds(item: str, first: int, last: int, low: int, high: int) -> None:
    if first < low:
        raise ValueError(f"beginning of range ({first}) below minimum ({low}): {item}")
    if last > high:
        raise ValueError(f"end of range ({last}) above maximum ({high}): {item}")
    if first > last:
        raise ValueError(f"beginning of range ({first}) beyond end of range ({last}): {item}")


def _number(text: str, names: dict[str, int]) -> int:
    if (known := names.get(text.lower())) is not None:
        return known
    if not re.fullmatch("[+-]?[0-9]+", text):
        raise ValueError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    if (number := int(text)) < 0:
        raise ValueError(f"negative number ({number}) not allowed: {text}")
    return number
