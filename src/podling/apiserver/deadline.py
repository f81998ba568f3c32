"""How long a request may take. Source: Kubernetes API concepts; the parameter `timeout` of k8s.io/apiserver."""

import asyncio
import re
from collections.abc import Awaitable
from typing import TypeVar

from podling.api.status import bad_request
from podling.apiserver.call import Call

MOST = 60.0
"""Seconds; streams have none."""
STREAMS = frozenset({"exec", "attach", "portforward", "log", "proxy"})
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")


T = TypeVar("T")


async def within(seconds: float, work: Awaitable[T]) -> T:
    """What `work` gives. Raises TimeoutError; does what asyncio.timeout does, in a third of its time."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    expired = False

    def expire() -> None:
        nonlocal expired
        expired = True
        task.cancel()

    cancelled_before = task.cancelling()
    timer = loop.call_later(seconds, expire)
    try:
        return await work
    except asyncio.CancelledError:
        if expired and task.uncancel() <= cancelled_before:
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()


def of(call: Call) -> float | None:
    """Seconds that the request has, the client's wish included; None for a stream and for what never waits. Raises 400."""
    attributes = call.attributes
    if attributes.verb == "watch" or attributes.subresource in STREAMS:
        return None
    if not call.request.raw_query:
        return None if attributes.verb in ("get", "list") else MOST  # the latest is in memory: it waits for nothing
    wish = call.request.query.get("timeout")
    if not wish:
        return MOST
    seconds = _parsed(wish)
    return min(seconds, MOST) if seconds else MOST


def _parsed(text: str) -> float:
    """A duration as Go writes it, such as `1m30s`."""
    parts = _PART.findall(text)
    if text == "0":
        return 0.0
    if "".join(number + unit for number, unit in parts) != text:
        raise bad_request(f'invalid timeout specified in the request URL - time: invalid duration "{text}"')
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
