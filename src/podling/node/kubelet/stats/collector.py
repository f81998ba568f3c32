"""Answers who asks what the node uses: reads when asked, once for those who ask together, and never otherwise."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from podling.aio.clock import Clock
from podling.node.kubelet.stats.reader import Images, Reader, is_here
from podling.node.kubelet.stats.values import Reading, nano_cores
from podling.node.pod.state import State
from podling.node.runtime import PodRuntime

FRESH_SECONDS = 0.5  # in which a reading serves for another question
BASE_SECONDS = 60.0  # how old a reading may be from which a rate is counted
PAUSE_SECONDS = 0.25  # between two readings for a rate, where there was none


class Collector:
    """`states` are the pods of this node."""

    def __init__(
        self, reader: Reader, runtime: PodRuntime, root: Path, clock: Clock, states: Callable[[], Iterable[State]]
    ) -> None:
        self._reader = reader
        self._runtime = runtime
        self._root = root
        self._clock = clock
        self._states = states
        self._reading_brief = asyncio.Lock()  # of their own: the disks may take their time
        self._reading_whole = asyncio.Lock()
        self._brief: Reading | None = None
        self._whole: Reading | None = None
        self._rates: Mapping[str, int] = {}

    async def brief(self) -> Reading:
        """CPU and memory."""
        async with self._reading_brief:
            if self._brief is None or self._age(self._brief) > FRESH_SECONDS:
                self._brief = await asyncio.to_thread(self._reader.brief, self._here())
            return self._brief

    async def whole(self) -> tuple[Reading, Mapping[str, int]]:
        """All, and the rates of CPU (billionths) since the reading before."""
        async with self._reading_whole:
            if self._whole is None or self._age(self._whole) > FRESH_SECONDS:
                before = await self._base()
                self._whole = await asyncio.to_thread(self._reader.whole, self._here(), await self._images())
                self._rates = nano_cores(before.cpu(), self._whole.cpu())
            return self._whole, self._rates

    async def _base(self) -> Reading:
        """The latest reading that a rate may be counted from; a new one where it is too old."""
        for known in (self._whole, self._brief):
            if known is not None and PAUSE_SECONDS <= self._age(known) <= BASE_SECONDS:
                return known
        first = await asyncio.to_thread(self._reader.brief, self._here())
        await self._clock.sleep(PAUSE_SECONDS)
        return first

    def _age(self, reading: Reading) -> float:
        return abs(self._clock.now() - reading.node.use.at)

    def _here(self) -> list[State]:
        return [state for state in self._states() if is_here(state)]

    async def _images(self) -> Images:
        return Images(self._root, sum(image.size for image in await self._runtime.images()))
