"""A podling that somebody looks at: what runs, until it ends or is ended."""

import asyncio
import os
import signal
from collections.abc import Callable

from podling.aio.tasks import Tasks
from podling.app import nodes, processes
from podling.app.config import Config
from podling.app.status import Line, follow
from podling.base.errors import Failed
from podling.linux.process import wait_pidfd


def watch(config: Config, show: Callable[[list[Line]], None]) -> None:
    """Show what runs, anew with each change, until Ctrl-C or SIGTERM, or until a process ends by itself. Containers go on."""
    for number in (signal.SIGTERM, signal.SIGINT):  # also where a shell had them ignored for a background job
        signal.signal(number, signal.default_int_handler)
    try:
        asyncio.run(_watch(config, show))
    except KeyboardInterrupt:
        pass
    finally:
        for pid_file in reversed(nodes.pid_files(config).values()):
            processes.stop(pid_file, grace=10.0)


async def _watch(config: Config, show: Callable[[list[Line]], None]) -> None:
    pids = {name: processes.PidFile(pid_file).holder() for name, pid_file in nodes.pid_files(config).items()}
    async with Tasks("up") as tasks:
        tasks.start(follow(config, show), "status")
        ends = {tasks.start(wait_pidfd(os.pidfd_open(pid)), name): name for name, pid in pids.items() if pid is not None}
        ended, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    name = ends[ended.pop()]
    log = nodes.log_files(config)[name]
    raise Failed(f"the {name} has ended: {processes.last_line(log)}\nThe log is {log}")
