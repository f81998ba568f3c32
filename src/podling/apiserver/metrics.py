"""/metrics: requests and how long they took, objects and streams. Source: Prometheus text exposition format 0.0.4."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import accumulate

from podling.aio.http import Response
from podling.apiserver.identity import Attributes
from podling.apiserver.storage import Storage

_LABELS = ("verb", "group", "version", "resource", "subresource", "code")
# seconds; those of upstream's apiserver_request_duration_seconds that fit in a request's time limit
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

Sample = tuple[str, dict[str, str], float]
"""suffix of the name, labels, value"""


class Durations:
    """How many took how long: the last bucket is for what took longer than all."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds

    def samples(self, labels: dict[str, str]) -> Iterator[Sample]:
        sums = list(accumulate(self.counts))
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), sums, strict=True):
            yield "_bucket", {**labels, "le": bound}, count
        yield "_sum", labels, self.total
        yield "_count", labels, sums[-1]


class Metrics:
    """Counts requests as they are answered; the rest is read when asked."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, ...]] = Counter()
        self._durations: dict[tuple[str, ...], Durations] = {}

    def answered(self, of: Attributes, code: int, seconds: float | None) -> None:
        """One request; `seconds` is None for a stream, which lasts as long as its client likes."""
        key = (of.verb, of.group, of.version, of.resource, of.subresource)
        self._requests[(*key, str(code))] += 1
        if seconds is not None:
            durations = self._durations.get(key)
            if durations is None:
                durations = self._durations[key] = Durations()
            durations.add(seconds)

    def response(self, storage: Storage, streams: int) -> Response:
        counted = (("", dict(zip(_LABELS, labels, strict=True)), count) for labels, count in self._requests.items())
        took = (
            sample
            for key, durations in self._durations.items()
            for sample in durations.samples(dict(zip(_LABELS, key, strict=False)))
        )
        stored = (("", {"group": group, "resource": plural}, size) for (group, plural), size in storage.sizes())
        lines = [
            *_metric("apiserver_request_total", "counter", "Requests by verb, resource and HTTP status.", counted),
            *_metric("apiserver_request_duration_seconds", "histogram", "How long requests took, streams left out.", took),
            *_metric("apiserver_resource_objects", "gauge", "Stored objects by resource.", stored),
            *_metric("apiserver_longrunning_requests", "gauge", "Open watches.", [("", {"verb": "WATCH"}, streams)]),
        ]
        headers = [("Content-Type", "text/plain; version=0.0.4; charset=utf-8")]
        return Response(200, "\n".join([*lines, ""]).encode(), headers)


def _metric(name: str, kind: str, help_text: str, samples: Iterable[Sample]) -> Iterator[str]:
    yield f"# HELP {name} {help_text}"
    yield f"# TYPE {name} {kind}"
    for suffix, labels, value in samples:
        shown = ",".join(f'{label}="{_escape(text)}"' for label, text in labels.items())
        yield f"{name}{suffix}{{{shown}}} {value}"


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
