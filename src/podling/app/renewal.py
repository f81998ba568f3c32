"""Certificates are renewed when two thirds of their life are over, without a restart.

The server, which has the authority, writes all of them; whoever uses one reads it again.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from podling.aio.clock import Clock
from podling.apiserver.pki import renews_at
from podling.app import certificates, contexts
from podling.app.config import Config

log = logging.getLogger(__name__)

LONGEST = 3600.0
"""Seconds until the next look: a machine that slept, or whose clock was set, has another time than was reckoned with."""
GRACE = 60.0
"""Seconds that the server has before its agent looks for a new certificate."""


async def renew_regularly(config: Config, clock: Clock, renewed: Callable[[], None]) -> None:
    """Write new certificates in time, until cancelled; `renewed` is called after each renewal."""
    while True:
        due = await asyncio.to_thread(_next, config)
        if due <= clock.now():
            await asyncio.to_thread(_renew, config, clock.now())
            renewed()
            log.info("certificates are renewed")
        else:
            await clock.sleep(min(due - clock.now(), LONGEST))


def _next(config: Config) -> float:
    return min(renews_at(path.read_bytes()) for path in certificates.leaves(config))


def _renew(config: Config, now: float) -> None:
    certificates.prepare(config, now)
    contexts.refresh_kubeconfig(config)


async def follow(clock: Clock, certificate: Path, changed: Callable[[], None]) -> None:
    """Call `changed` when the certificate at this path has become another one, until cancelled."""
    held = await asyncio.to_thread(certificate.read_bytes)
    while True:
        await clock.sleep(min(max(renews_at(held) - clock.now(), 0.0) + GRACE, LONGEST))
        fresh = await asyncio.to_thread(certificate.read_bytes)
        if fresh != held:
            held = fresh
            changed()
