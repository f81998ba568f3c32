"""Long work told as it goes: a stream of JSON messages, the last of which may be an error.

Source: Docker's jsonmessage: status, id, progressDetail, error and errorDetail, aux.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from podling.aio.http import Response
from podling.aio.tasks import Tasks
from podling.base.errors import PodlingError
from podling.build.base import BuildFailed
from podling.docker.answers import json_lines
from podling.images.model import Progress, Report

Message = dict[str, Any]
Tell = Callable[[Message], None]
Work = Callable[["Teller"], Awaitable[object]]
_WAITING = 64  # messages


async def narrated(work: Work, *, patience: int = 1) -> Response:
    """Run `work(tell)` and stream what it tells.

    An error before `patience` messages is raised, so that it decides the answer's status; a later one is the last message.
    """
    messages = _messages(work)
    early: list[Message] = []
    while len(early) < patience:
        try:
            early.append(await anext(messages))
        except StopAsyncIteration:
            break
    return json_lines(_told(early, messages))


async def _told(early: list[Message], rest: AsyncIterator[Message]) -> AsyncIterator[Message]:
    for message in early:
        yield message
    try:
        async for message in rest:
            yield message
    except BuildFailed as error:
        yield failure(error.message, error.code)
    except PodlingError as error:
        yield failure(error.message)


async def _messages(work: Work) -> AsyncIterator[Message]:
    """What `work` tells; raises what it raises, at the end. Leaving early cancels it."""
    teller = Teller()
    async with Tasks("progress") as tasks:
        running = tasks.start(_run(work, teller), "work")
        while (message := await teller.next()) is not None:
            yield message
        if (error := await running) is not None:
            raise error


async def _run(work: Work, teller: "Teller") -> PodlingError | None:
    try:
        await work(teller)
    except PodlingError as error:
        return error
    finally:
        teller.end()
    return None


class Teller:
    """What is told and not yet sent. Implements `podling.build.base.Listener`."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Message | None] = asyncio.Queue()
        self._room = asyncio.Event()

    def __call__(self, message: Message) -> None:
        self._queue.put_nowait(message)

    def end(self) -> None:
        self._queue.put_nowait(None)

    async def next(self) -> Message | None:
        """The next message; None at the end."""
        message = await self._queue.get()
        self._room.set()
        return message

    async def drain(self) -> None:
        """Return when few messages wait for the client."""
        while self._queue.qsize() > _WAITING:
            self._room.clear()
            await self._room.wait()


def failure(message: str, code: int = 0) -> Message:
    """The error message that ends a stream."""
    detail: Message = {"message": message}
    if code:
        detail["code"] = code
    return {"errorDetail": detail, "error": message}


def reporter(tell: Tell) -> Report:
    """The Report of an image transfer, told as messages."""

    def report(progress: Progress) -> None:
        message: Message = {"status": progress.status}
        if progress.id:
            message["id"] = progress.id
        if progress.total or progress.current:
            message["progressDetail"] = {"current": progress.current, "total": progress.total}
        elif progress.id:
            message["progressDetail"] = {}
        tell(message)

    return report
