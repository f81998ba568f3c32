"""Forgets history that nobody may ask for any more."""

import logging

from podling.aio.clock import Clock
from podling.base.errors import PodlingError
from podling.store.base import Store

log = logging.getLogger(__name__)

WINDOW_SECONDS = 5 * 60.0


async def compact_regularly(store: Store, clock: Clock) -> None:
    """Forever: keep between one and two windows of history."""
    before = store.revision
    while True:
        await clock.sleep(WINDOW_SECONDS)
        try:
            await store.compact(before)
        except PodlingError as error:
            log.warning("compaction put off: %s", error)
        before = store.revision
