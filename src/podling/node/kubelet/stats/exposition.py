"""Metrics as Prometheus reads them. Source: Prometheus text exposition format 0.0.4."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Sample:
    """`at` in unix seconds, None: when it is read; `suffix` as of a histogram's parts."""

    value: float
    labels: Mapping[str, str]
    at: float | None = None
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """All samples of one name."""

    name: str
    help: str
    type: Literal["counter", "gauge", "histogram"]
    samples: Iterable[Sample]


def text(families: Iterable[Family]) -> str:
    """Families without samples are left out."""
    return "".join(line for family in families for line in _lines(family))


def _lines(family: Family) -> Iterator[str]:
    first = True
    for sample in family.samples:
        if first:
            yield f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.type}\n"
            first = False
        shown = ",".join(f'{name}="{_escaped(value)}"' for name, value in sample.labels.items())
        labels = f"{{{shown}}}" if shown else ""
        at = "" if sample.at is None else f" {round(sample.at * 1000)}"
        yield f"{family.name}{sample.suffix}{labels} {sample.value!r}{at}\n"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
