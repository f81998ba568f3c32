"""What server and agent have in common as processes: a pid file, a log, the event loop, an orderly end on SIGTERM."""

import asyncio
import gc
import logging
import signal
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import uvloop

from podling.app import doctor, logs
from podling.app.config import Config
from podling.app.failure import explain
from podling.app.processes import Notifier, PidFile
from podling.base.errors import PodlingError

log = logging.getLogger("podling")

Serve = Callable[[Config, Callable[[str], None]], AbstractAsyncContextManager[None]]
"""Enters when all is up, leaves when all is down; tells its steps."""


def run(name: str, config: Config, serve: Serve) -> None:
    """Serve until SIGTERM or SIGINT.

    A start that fails tells why, in one line, in the log and to who started us, and exits with 1.
    """
    logs.configure(name, config.log_level, config.log_format)
    notifier = Notifier()
    try:
        if name == "agent":
            doctor.require()
        pid_file = PidFile(config.pid_file(name))
        pid_file.take()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_until_signal(lambda stop: _serve(config, serve, stop, notifier)))
    except Exception as error:
        text = explain(error, notifier.doing or "start", config)
        log.critical("%s", text, exc_info=None if isinstance(error, PodlingError | OSError | sqlite3.Error) else error)
        notifier.failed(text)
        sys.exit(1)


async def _until_signal(work: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await work(stop)


async def _serve(config: Config, serve: Serve, stop: asyncio.Event, notifier: Notifier) -> None:
    async with serve(config, notifier.step):
        _quiet_garbage_collection()
        notifier.ready()
        await stop.wait()
        log.info("stopping")


def _quiet_garbage_collection() -> None:
    """What the start made stays for good; what comes later is mostly freed by counting. Full collections become rare."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
