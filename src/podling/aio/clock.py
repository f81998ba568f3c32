"""Time as a dependency: deciders get instants, doers get a Clock, tests and simulations turn it by hand."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """All times in seconds; `now` counts from the Unix epoch, `monotonic` from an arbitrary start."""

    def now(self) -> float: ...

    def monotonic(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()  # noqa: TID251 - the one place

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
