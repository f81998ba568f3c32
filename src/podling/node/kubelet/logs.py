"""Container logs as `kubectl logs` asks for them. Source: core/v1 PodLogOptions."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

from podling.aio.http import Query
from podling.api.timestamps import parse
from podling.base.errors import InvalidInput
from podling.engine.types import LogRecord
from podling.node.runtime import PodRuntime

_TRUE = ("1", "t", "T", "true", "TRUE", "True")


@dataclass(frozen=True, slots=True)
class LogOptions:
    """`since` in unix seconds (0: all), `tail` and `limit` None: all. `stream` "" for both."""

    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    since: float = 0.0
    tail: int | None = None
    limit: int | None = None
    stream: str = ""


def parse_options(query: Query, now: float) -> LogOptions:
    """Raises InvalidInput naming the bad parameter."""
    if query.get("sinceSeconds") and query.get("sinceTime"):
        raise InvalidInput("at most one of sinceTime or sinceSeconds may be specified")
    seconds = _number(query, "sinceSeconds", least=1)
    since = now - seconds if seconds is not None else _instant(query)
    stream = query.get("stream")
    return LogOptions(
        follow=query.get("follow") in _TRUE,
        previous=query.get("previous") in _TRUE,
        timestamps=query.get("timestamps") in _TRUE,
        since=since,
        tail=_number(query, "tailLines", least=0),
        limit=_number(query, "limitBytes", least=1),
        stream=stream.lower() if stream in ("Stdout", "Stderr") else "",
    )


def _number(query: Query, name: str, least: int) -> int | None:
    text = query.get(name)
    if not text:
        return None
    if not text.isdecimal() or int(text) < least:
        raise InvalidInput(f"{name}: Invalid value: {text!r}: must be greater than or equal to {least}")
    return int(text)


def _instant(query: Query) -> float:
    text = query.get("sinceTime")
    try:
        return parse(text) if text else 0.0
    except ValueError:
        raise InvalidInput(f"sinceTime: Invalid value: {text!r}: not an RFC 3339 time") from None


def rfc3339_nano(nanoseconds: int) -> str:
    """Unix nanoseconds as a log line carries them, `2006-01-02T15:04:05.000000000Z`."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


async def stream_logs(runtime: PodRuntime, id: str, options: LogOptions) -> AsyncIterator[bytes]:
    """The log as bytes, at most `limit` of them."""
    left = options.limit
    begins_line = True
    async for record in runtime.logs(id, follow=options.follow, since=options.since, tail=options.tail):
        if options.stream and record.stream != options.stream:
            continue
        data = _stamped(record) if options.timestamps and begins_line else record.data
        begins_line = not record.partial
        if left is not None:
            data = data[:left]
            left -= len(data)
        yield data
        if left == 0:
            return


def _stamped(record: LogRecord) -> bytes:
    return f"{rfc3339_nano(record.time)} ".encode() + record.data
