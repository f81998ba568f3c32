"""Answers in Docker's shapes: JSON, errors, streams of JSON lines, multiplexed output."""

from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

import orjson

from podling.aio.http import HeaderList, Response
from podling.base import errors

JSON: HeaderList = [("Content-Type", "application/json")]
_STATUS: tuple[tuple[type[errors.PodlingError], int], ...] = (
    (errors.InvalidInput, 400),
    (errors.Unauthorized, 401),
    (errors.Forbidden, 403),
    (errors.NotFound, 404),
    (errors.AlreadyExists, 409),
    (errors.Conflict, 409),
    (errors.NotModified, 304),
    (errors.Unsupported, 501),
    (errors.Unavailable, 503),
    (errors.TimedOut, 504),
)
_STREAM_NUMBER = {"stdin": 0, "stdout": 1, "stderr": 2}


def json(value: Any, status: int = 200, headers: HeaderList | None = None) -> Response:
    return Response(status, orjson.dumps(value) + b"\n", [*JSON, *(headers or [])])


def empty(status: int = 204) -> Response:
    return Response(status)


def error(problem: errors.PodlingError) -> Response:
    """The error object `{"message": ...}` with the status of its kind."""
    status = next((code for kind, code in _STATUS if isinstance(problem, kind)), 500)
    return empty(304) if status == 304 else json({"message": problem.message}, status)


def json_lines(values: AsyncIterable[Any]) -> Response:
    """A stream of JSON objects, one a line, each sent as it comes."""
    return Response(200, _lines(values), JSON)


async def _lines(values: AsyncIterable[Any]) -> AsyncIterator[bytes]:
    async for value in values:
        yield orjson.dumps(value) + b"\r\n"


def frame(stream: str, data: bytes) -> bytes:
    """One frame of the multiplexed stream: the stream's number, three zeros, the length in 4 bytes, the data.

    Source: Docker Engine API, "Attach to a container", stream format.
    """
    return bytes((_STREAM_NUMBER[stream], 0, 0, 0)) + len(data).to_bytes(4, "big") + data
