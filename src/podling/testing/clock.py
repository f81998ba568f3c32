"""A clock that stands still until a test turns it."""

import asyncio
import heapq
from itertools import count


class ManualClock:
    """Sleepers wake in order when `advance` passes their time; between two of them the loop runs until it has settled.

    It is settled when nothing is left that can run, of work that stays within the process (no threads, no sockets); or after
    `rounds` turns, where the loop doesn't tell (uvloop) or something turns for ever.
    """

    def __init__(self, start: float = 1_700_000_000.0, rounds: int = 200) -> None:
        self._start = start
        self._elapsed = 0.0  # kept by itself: beside the epoch's seconds, small sleeps would be lost in rounding
        self._rounds = rounds
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._sequence = count()

    def now(self) -> float:
        return self._start + self._elapsed

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        wake = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + max(0.0, seconds), next(self._sequence), wake))
        await wake

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass, waking each sleeper at its own instant."""
        end = self._elapsed + seconds
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, wake = heapq.heappop(self._sleepers)
            if not wake.done():
                self._elapsed = max(self._elapsed, due)
                wake.set_result(None)
                await self.settle()
        self._elapsed = end
        await self.settle()

    async def settle(self) -> None:
        """Let everything run that can run without time passing."""
        ready = getattr(asyncio.get_running_loop(), "_ready", (None,))
        for _ in range(self._rounds):
            await asyncio.sleep(0)
            if not ready:  # whoever was ready before us has run, and has made nobody ready
                return
