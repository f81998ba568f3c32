"""Resource quotas: what a namespace has used, never more than it may.

Usage is charged to the quota's status before the object is written, one namespace at a time, with all that wait charged in one
write. What was deleted or ended is given back by counting anew. A write in flight is counted until it is over, so that counting
anew never lets too much in. Source: Kubernetes documentation "Resource Quotas".
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from podling.aio.clock import Clock
from podling.api import quota
from podling.api.core import demand
from podling.api.core.demand import Amounts
from podling.api.core.resourcequota import RESOURCE_QUOTA
from podling.api.objects import get, uid_of
from podling.api.quota import PODS, Resource
from podling.apiserver.cache import Change, Item
from podling.apiserver.storage import Stale, Storage
from podling.base import quantity

Object = dict[str, Any]

QUOTAS: Resource = ("", "resourcequotas")
GATHER = 0.05  # seconds in which several deletions become one count
SLICE = 200  # objects that are counted before others get their turn
_ENDED = (b'"phase":"Succeeded"', b'"phase":"Failed"')


class Exceeded(Exception):
    """The message says which quota, and by how much."""


@dataclass(eq=False, slots=True)
class Charge:
    """What one write takes: `obj` over `old`. `taken` is by quota, `verdict` the refusal's words, "" for none."""

    resource: Resource
    key: str
    obj: Object
    old: Object | None
    dry_run: bool
    taken: dict[str, Amounts] = field(default_factory=dict)
    verdict: str | None = None

    def amounts(self, of: Object) -> Amounts:
        """What is taken of a quota, and was not before."""
        taken = quota.counted(self.resource, self.obj, of)
        if self.old is not None:
            before = quota.counted(self.resource, self.old, of)
            taken = {name: amount - before.get(name, quantity.ZERO) for name, amount in taken.items()}
        return {name: amount for name, amount in taken.items() if amount.nanos > 0}


class Quotas:
    """The quotas of all namespaces."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._locks: dict[str, asyncio.Lock] = {}
        self._waiting: dict[str, list[Charge]] = {}
        self._flying: dict[str, set[Charge]] = {}
        self._uncounted: set[str] = set()
        self._wake = asyncio.Event()
        self._followed: set[Resource] = set()

    # charging

    async def charge(self, charge: Charge) -> Callable[[], None] | None:
        """Charge a write to the quotas of its namespace; gives what is to be called when the write is over. Raises Exceeded."""
        namespace = charge.key.partition("/")[0]
        if not self._of(namespace):
            return None
        self._waiting.setdefault(namespace, []).append(charge)
        async with self._lock(namespace):
            if charge.verdict is None:
                await self._settle(namespace)
        if charge.verdict:
            raise Exceeded(charge.verdict)
        if charge.dry_run or not charge.taken:
            return None
        return lambda: self._over(namespace, charge)

    def _of(self, namespace: str) -> list[Item]:
        return list(self._storage.of(QUOTAS).items(f"{namespace}/"))

    def _lock(self, namespace: str) -> asyncio.Lock:
        return self._locks.setdefault(namespace, asyncio.Lock())

    async def _settle(self, namespace: str) -> None:
        """Decide all that wait, each on top of those before."""
        charges = self._waiting.pop(namespace, [])
        try:
            while any(charge.verdict is None for charge in charges) and not await self._try(namespace, charges):
                self._recount(namespace)  # a quota may have been charged for what is decided once more
        finally:
            if undecided := [charge for charge in charges if charge.verdict is None]:
                self._waiting.setdefault(namespace, [])[:0] = undecided

    async def _try(self, namespace: str, charges: list[Charge]) -> bool:
        """False when somebody else changed a quota meanwhile."""
        items = self._of(namespace)
        before = [item.object for item in items]
        after = [await self._with_status(namespace, each) for each in before]
        verdicts = [_decide(charge, after) for charge in charges]
        for item, old, new in zip(items, before, after, strict=True):
            if new["status"] != old.get("status"):
                try:
                    await self._storage.replace(RESOURCE_QUOTA, item, new)
                except Stale:
                    return False
        for charge, verdict in zip(charges, verdicts, strict=True):
            charge.verdict = verdict
            if not verdict and not charge.dry_run and charge.taken:
                self._flying.setdefault(namespace, set()).add(charge)
        return True

    async def _with_status(self, namespace: str, found: Object) -> Object:
        """A quota whose status says what is used of each thing that it limits."""
        hard, used = get(found, "spec.hard", {}), get(found, "status.used", {})
        if used and all(name in used for name in hard):
            return {**found, "status": {"hard": hard, "used": dict(used)}}
        return await self._counted(namespace, found)

    def _over(self, namespace: str, charge: Charge) -> None:
        """The write is over. Where it failed, what it was charged for is given back."""
        flying = self._flying.get(namespace, set())
        flying.discard(charge)
        if not flying:
            self._flying.pop(namespace, None)
        if charge.old is not None or not self._is_there(charge):
            self._recount(namespace)

    def _is_there(self, charge: Charge) -> bool:
        found = self._storage.of(charge.resource).get(charge.key)
        return found is not None and uid_of(charge.obj).encode() in found.data

    # counting

    async def run(self) -> None:
        """Follow what changes, and count anew where something was given back."""
        self._storage.of(QUOTAS).listen(self._quota_changed)
        for item in self._storage.of(QUOTAS).items():
            self._quota_changed(Change(item.key, item.revision, item, None))
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._clock.sleep(GATHER)
            for namespace in sorted(self._uncounted):
                self._uncounted.discard(namespace)
                await self._count(namespace)

    def _recount(self, namespace: str) -> None:
        self._uncounted.add(namespace)
        self._wake.set()

    def _quota_changed(self, change: Change) -> None:
        if change.item is None:
            return
        new, old = change.item.object, change.previous.object if change.previous else {}
        for resource in quota.resources_of(new) - self._followed:
            self._followed.add(resource)
            self._storage.of(resource).listen(self._listener(resource))
        hard = get(new, "spec.hard", {})
        if get(new, "status.hard", {}) != hard or get(old, "spec") != new.get("spec"):
            self._recount(change.key.partition("/")[0])

    def _listener(self, resource: Resource) -> Callable[[Change], None]:
        def changed(change: Change) -> None:
            if change.previous is None:
                return
            gone = change.item is None or (resource == PODS and _has_ended(change.item) and not _has_ended(change.previous))
            if gone and self._of(namespace := change.key.partition("/")[0]):
                self._recount(namespace)

        return changed

    async def _count(self, namespace: str) -> None:
        async with self._lock(namespace):
            for item in self._of(namespace):
                old = item.object
                new = await self._counted(namespace, old)
                if new["status"] != old.get("status"):
                    try:
                        await self._storage.replace(RESOURCE_QUOTA, item, new)
                    except Stale:
                        self._recount(namespace)

    async def _counted(self, namespace: str, found: Object) -> Object:
        """A quota with a status counted from what is there and what is being written."""
        hard = get(found, "spec.hard", {})
        taken: list[Amounts] = []
        there = [(resource, list(self._storage.of(resource).items(f"{namespace}/"))) for resource in quota.resources_of(found)]
        taken += [charge.amounts(found) for charge in self._flying.get(namespace, ()) if not self._is_there(charge)]
        for number, (resource, item) in enumerate((resource, item) for resource, items in there for item in items):
            if number % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            taken.append(quota.counted(resource, item.object, found))
        total = demand.total(taken)
        used = {name: str(total.get(name, quantity.ZERO)) for name in hard}
        return {**found, "status": {"hard": hard, "used": used}}


def _has_ended(item: Item) -> bool:
    return any(mark in item.data for mark in _ENDED)


def _decide(charge: Charge, quotas: list[Object]) -> str:
    """Why the write is refused; "" when it isn't: then what it takes is added to what the quotas have used. In place."""
    charge.taken = {found["metadata"]["name"]: amounts for found in quotas if (amounts := charge.amounts(found))}
    for words in _refusals(charge, quotas):
        return words
    if not charge.dry_run:
        for found in quotas:
            used = found["status"]["used"]
            for name, amount in charge.taken.get(found["metadata"]["name"], {}).items():
                used[name] = str(quantity.parse(used[name]) + amount)
    return ""


def _refusals(charge: Charge, quotas: list[Object]) -> Iterator[str]:
    for found in quotas:
        name = found["metadata"]["name"]
        if charge.resource == PODS and charge.old is None and (silent := quota.unsaid(charge.obj, found)):
            yield f"failed quota: {name}: must specify {silent}"
        status = found["status"]
        if over := quota.exceeded(charge.taken.get(name, {}), status["used"], status["hard"]):
            requested, used, limited = over
            yield f"exceeded quota: {name}, requested: {requested}, used: {used}, limited: {limited}"
