"""Background tasks with an owner: every task is started by a group, and every group awaits what it started."""

import asyncio
import logging
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

log = logging.getLogger(__name__)
T = TypeVar("T")


class Tasks:
    """The background tasks of one component.

    Unlike `asyncio.TaskGroup` the failure of one task does not cancel its siblings: it is logged with its name. Leaving the
    context cancels what still runs and waits for it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._running: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Run `work` in the background. A caller that awaits the task gets its result or its error."""
        task = asyncio.get_running_loop().create_task(work, name=f"{self._name}: {name}")
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s failed: %s", task.get_name(), error, exc_info=error)

    def __len__(self) -> int:
        return len(self._running)

    async def cancel(self) -> None:
        """Cancel what runs and wait until it has ended. Safe to call twice, and from one of the tasks."""
        tasks = [task for task in self._running if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.cancel()
