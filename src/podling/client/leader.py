"""Leader election: of several processes with the same Lease only the holder acts.

The holder renews; others take the lease over when they have seen no renewal for its duration by their own clock, so clocks
need not agree. A holder that can't renew in time stops acting before another can start.
Source: coordination.k8s.io/v1 Lease; the times are those of upstream's components.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from podling.aio.clock import Clock
from podling.aio.tasks import Tasks
from podling.api import timestamps
from podling.api.objects import Object
from podling.client.client import Client
from podling.client.errors import FAILURES, NotFound
from podling.client.resource import LEASES

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds: how long a lease holds unrenewed, how long the holder tries to renew, and how often all try."""

    lease: float = 15.0
    renew: float = 10.0
    retry: float = 2.0


class LeaderElector:
    """Runs `work` while this `identity` holds the lease `namespace/name`."""

    def __init__(
        self,
        client: Client,
        clock: Clock,
        name: str,
        identity: str,
        *,
        namespace: str = "kube-system",
        timing: Timing | None = None,
    ) -> None:
        self._client = client
        self._clock = clock
        self._name = name
        self._namespace = namespace
        self._identity = identity
        self._timing = timing or Timing()
        self._seen: tuple[str, float] = ("", 0.0)  # the last version of the lease, and when we first saw it
        self.leading = asyncio.Event()

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Wait for the lease, do `work`, stop it when the lease is lost, and wait again. Cancel to release and end."""
        while True:
            await self._acquire()
            await self._lead(work)

    async def _acquire(self) -> None:
        while not await self._try():
            await self._clock.sleep(self._timing.retry)

    async def _lead(self, work: Callable[[], Awaitable[None]]) -> None:
        log.info("%s leads %s", self._identity, self._name)
        self.leading.set()
        try:
            async with Tasks(self._name) as tasks:
                working = tasks.start(_await(work), "work")
                renewing = tasks.start(self._renew(), "renew")
                await asyncio.wait([working, renewing], return_when=asyncio.FIRST_COMPLETED)
            if working.done() and not working.cancelled():
                working.result()
        finally:
            self.leading.clear()
            await self._release()

    async def _renew(self) -> None:
        """Return when the lease is lost."""
        deadline = self._clock.monotonic() + self._timing.renew
        while self._clock.monotonic() < deadline:
            await self._clock.sleep(self._timing.retry)
            if await self._try(within=deadline - self._clock.monotonic()):
                deadline = self._clock.monotonic() + self._timing.renew
        log.warning("%s lost %s", self._identity, self._name)

    async def _try(self, within: float = 5.0) -> bool:
        """Take or renew the lease; whether we hold it now."""
        try:
            async with asyncio.timeout(max(0.1, within)):
                return await self._take()
        except FAILURES as error:
            log.debug("lease %s: %s", self._name, error)
            return False

    async def _take(self) -> bool:
        try:
            lease = await self._client.get(LEASES, self._name, self._namespace)
        except NotFound:
            await self._client.create(LEASES, self._lease({}), self._namespace)
            return True
        spec = lease.get("spec") or {}
        if spec.get("holderIdentity") not in ("", None, self._identity) and not self._expired(lease):
            return False
        await self._client.update(LEASES, {**lease, "spec": self._lease(spec)["spec"]})
        return True

    def _expired(self, lease: Object) -> bool:
        version = lease["metadata"]["resourceVersion"]
        if version != self._seen[0]:
            self._seen = (version, self._clock.monotonic())
        duration = lease["spec"].get("leaseDurationSeconds") or self._timing.lease
        return self._clock.monotonic() >= self._seen[1] + float(duration)

    def _lease(self, old: Object) -> Object:
        now = timestamps.micro(self._clock.now())
        ours = old.get("holderIdentity") == self._identity
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(self._timing.lease),
            "acquireTime": old.get("acquireTime", now) if ours else now,
            "renewTime": now,
            "leaseTransitions": (old.get("leaseTransitions") or 0) + (0 if ours or not old else 1),
        }
        metadata = {"name": self._name, "namespace": self._namespace}
        return {"apiVersion": LEASES.api_version, "kind": "Lease", "metadata": metadata, "spec": spec}

    async def _release(self) -> None:
        """Let the next one in at once; where that fails the lease runs out by itself."""
        try:
            async with asyncio.timeout(1.0):
                lease = await self._client.get(LEASES, self._name, self._namespace)
                if lease["spec"].get("holderIdentity") == self._identity:
                    spec = {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
                    await self._client.update(LEASES, {**lease, "spec": spec})
        except FAILURES as error:
            log.debug("releasing lease %s: %s", self._name, error)


async def _await(work: Callable[[], Awaitable[None]]) -> None:
    await work()
