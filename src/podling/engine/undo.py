"""Giving back what a container has taken: each part is tried, whatever became of the others."""

import logging
from collections.abc import Awaitable

from podling.base.errors import PodlingError
from podling.base.ids import short
from podling.engine.record import Record

log = logging.getLogger(__name__)


async def attempt(work: Awaitable[object], record: Record) -> None:
    try:
        await work
    except (PodlingError, OSError) as error:
        log.error("container %s: cleaning up: %s", short(record.id), error)
