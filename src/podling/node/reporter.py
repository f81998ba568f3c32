"""Writes a pod's status to the API: only when it changed, the latest one if several came while a write was under way."""

import asyncio
import logging

from podling.aio.clock import Clock
from podling.client.backoff import Backoff
from podling.client.client import Client
from podling.client.errors import FAILURES, Conflict, NotFound
from podling.client.resource import PODS
from podling.node.manifests import is_static
from podling.node.pod.spec import Object, key_of, uid_of

log = logging.getLogger(__name__)


class StatusReporter:
    """The reporter of one pod; `run` as long as the pod is here. Of a static pod it tells at its mirror, once that is there."""

    def __init__(self, client: Client, clock: Clock, pod: Object) -> None:
        self._client = client
        self._clock = clock
        self._static = is_static(pod)
        self._pod: Object | None = None if self._static else pod
        self._wanted: Object | None = None
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        self.written: Object = pod.get("status") or {}
        self.gone = False

    @property
    def latest(self) -> Object:
        """The status last asked for, which the server may not have yet. What comes next differs from this one."""
        return self._wanted or self.written

    def report(self, status: Object) -> None:
        """Have `status` written soon."""
        if status != self.latest:
            self._wanted = status
            self._settled.clear()
            self._changed.set()

    def aim(self, mirror: Object) -> None:
        """Write to this object from here on."""
        if self._pod is not None and uid_of(self._pod) == uid_of(mirror):
            return
        self._wanted = self.latest
        self._pod, self.written = mirror, mirror.get("status") or {}
        self._changed.set()

    async def settled(self) -> None:
        """Return when the latest status is written, or there is nothing to write it to."""
        await self._settled.wait()

    async def run(self) -> None:
        backoff = Backoff(first=0.2, most=10.0)
        while not self.gone:
            await self._changed.wait()
            self._changed.clear()
            status, pod = self._wanted, self._pod
            if status is None or pod is None:
                continue
            try:
                await self._write(status, pod)
            except FAILURES as error:
                if await is_gone(self._client, pod, error):
                    self._lose(pod)
                else:
                    log.warning("status of pod %s not written, again soon: %s", key_of(pod), error)
                    self._changed.set()
                    await self._clock.sleep(backoff.next())
                continue
            backoff.reset()
            self._note(status)
        self._settled.set()

    def _lose(self, pod: Object) -> None:
        if not self._static:
            self.gone = True
        elif self._pod is pod:
            self._pod = None

    def _note(self, status: Object) -> None:
        self.written = status
        if self._wanted is status:
            self._wanted = None
            self._settled.set()

    async def _write(self, status: Object, pod: Object) -> None:
        metadata = pod["metadata"]
        patch = {"metadata": {"uid": metadata["uid"]}, "status": _replacing(status, self.written)}
        await self._client.patch(PODS, metadata["name"], patch, metadata["namespace"], type="strategic", subresource="status")


async def is_gone(client: Client, pod: Object, error: Exception) -> bool:
    """Whether `error` is because the pod's object, or this incarnation of it, isn't there any more."""
    if not isinstance(error, Conflict):
        return isinstance(error, NotFound)
    try:
        found = await client.get(PODS, pod["metadata"]["name"], pod["metadata"]["namespace"])
    except FAILURES as failure:
        return isinstance(failure, NotFound)
    return bool(uid_of(found) != uid_of(pod))


def _replacing(status: Object, old: Object) -> Object:
    """The status as a strategic merge patch, which keeps what it doesn't name: podIPs would be merged with those of an earlier
    sandbox, a condition keep the reason it once had.
    """
    conditions = [{"reason": None, "message": None, **condition} for condition in status.get("conditions") or []]
    types = {condition["type"] for condition in conditions}
    gone = [{"type": each["type"], "$patch": "delete"} for each in old.get("conditions") or [] if each["type"] not in types]
    status = {**status, "conditions": conditions + gone}
    if old.get("podIPs") and old["podIPs"] != status.get("podIPs"):
        return {**status, "podIPs": [{"$patch": "replace"}, *(status.get("podIPs") or [])]}
    return status
