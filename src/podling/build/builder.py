"""The façade of builds: a context and options in, an image with its names out.

What it works with is imported by the first build: 50 ms that a daemon's start does not need.
"""

import asyncio
import shutil
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from podling.aio.clock import Clock
from podling.base import ids
from podling.build.base import Listener, Message, Options, Runner
from podling.build.tree import PREFIX, Trees
from podling.images.images import Images
from podling.images.model import Image
from podling.linux.mount import unmount_if_mounted
from podling.oci import reference

if TYPE_CHECKING:
    from podling.build.context import Context

_LAST = 256  # messages


class Builder:
    """Builds below `root`, a directory of its own, with containers by `runner`."""

    def __init__(self, images: Images, runner: Runner, root: Path, clock: Clock) -> None:
        self._images = images
        self._runner = runner
        self._root = root
        self._clock = clock

    async def start(self) -> None:
        """Take away what builds of an earlier process left behind."""
        await self._runner.sweep()
        await asyncio.to_thread(self._sweep)

    def _sweep(self) -> None:
        for mounted in self._root.glob(f"*/{PREFIX}*"):
            unmount_if_mounted(mounted)
        for info in list(self._images.snapshots.walk()):
            if info.kind != "committed" and info.name.startswith(PREFIX):
                self._images.snapshots.remove(info.name)
        shutil.rmtree(self._root, ignore_errors=True)
        self._root.mkdir(parents=True, mode=0o700)

    @asynccontextmanager
    async def context(self, source: AsyncIterable[bytes], dockerfile: str, remote: str = "") -> "AsyncIterator[Context]":
        """The context, received, or fetched from the address `remote`, for the time of a build.

        Raises InvalidInput for what can't be built, before anything is.
        """
        await asyncio.to_thread(_load)
        from podling.build import context
        from podling.build import remote as addresses

        place = self._root / ids.suffix(12)
        await asyncio.to_thread(place.mkdir, 0o700)
        try:
            if remote:
                source = await addresses.context(remote, place, dockerfile)
            yield await context.receive(source, place, dockerfile, self._images.limits)
        finally:
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, place, True))

    async def build(self, context: "Context", options: Options, tell: Listener) -> Image:
        """Build and name the image. Raises BuildFailed for a step that fails, and what the step's parts raise."""
        from podling.build.execute import Build, Means

        names = [str(reference.parse(name).tagged()) for name in options.names]
        async with self._images.holding() as owner:
            trees = Trees(self._images, context.place, owner)
            quiet = _Quiet() if options.quiet else None
            means = Means(self._images, self._runner, trees, self._clock, context, quiet or tell)
            try:
                image = await Build(context.file, options, means).run()
            except BaseException:
                for message in quiet.last if quiet else ():
                    tell(message)
                raise
            for name in names:
                await self._images.tag(image.id, name)
        self._close(image, names, options, tell)
        return image

    def _close(self, image: Image, names: list[str], options: Options, tell: Listener) -> None:
        if options.quiet:
            tell({"stream": f"{image.id}\n"})
            return
        tell({"aux": {"ID": image.id}})
        tell({"stream": f"Successfully built {ids.short(image.id)}\n"})
        for name in names:
            tell({"stream": f"Successfully tagged {reference.parse(name).familiar}\n"})


class _Quiet:
    """Listens to a quiet build: what it said last is told when it fails."""

    def __init__(self) -> None:
        self.last: deque[Message] = deque(maxlen=_LAST)

    def __call__(self, message: Message) -> None:
        self.last.append(message)

    async def drain(self) -> None:
        return


def _load() -> None:
    """Blocks, so not first in the loop's own thread."""
    import podling.build.execute  # noqa: F401
