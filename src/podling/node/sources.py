"""The ConfigMaps and Secrets that this node's pods refer to: each watched by name, for as long as a pod holds it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from podling.aio.clock import Clock
from podling.aio.tasks import Tasks
from podling.api.objects import Object
from podling.client.client import Client
from podling.client.informer import Informer, Scope
from podling.client.resource import CONFIG_MAPS, SECRETS, Resource
from podling.node.environment import Lookup

RESOURCES = {"ConfigMap": CONFIG_MAPS, "Secret": SECRETS}
_PATIENCE = 10.0  # seconds that a container's start waits for the first answer of the API server

Reference = tuple[str, str, str]  # kind, namespace, name


@dataclass(slots=True)
class _Watched:
    informer: Informer
    task: "asyncio.Task[None]"
    holders: set[str] = field(default_factory=set)


class Sources:
    """Holds what pods refer to. `changed(uid)` is called when an object that this pod holds has changed."""

    def __init__(self, client: Client, clock: Clock, jitter: Callable[[], float], changed: Callable[[str], None]) -> None:
        self._client = client
        self._clock = clock
        self._jitter = jitter
        self._changed = changed
        self._tasks = Tasks("configuration of pods")
        self._watched: dict[Reference, _Watched] = {}

    async def hold(self, uid: str, references: set[Reference]) -> None:
        """Hold exactly these for the pod, and wait until each is known. Raises TimeoutError."""
        for reference in references:
            self._watch(reference).holders.add(uid)
        self._drop(uid, references)
        async with asyncio.timeout(_PATIENCE):
            for reference in references:
                await self._watched[reference].informer.synced.wait()

    def release(self, uid: str) -> None:
        self._drop(uid, set())

    def lookup(self, namespace: str) -> Lookup:
        """How to find what is held, by kind and name."""

        def find(kind: str, name: str) -> Object | None:
            watched = self._watched.get((kind, namespace, name))
            return watched.informer.cache.get(f"{namespace}/{name}") if watched else None

        return find

    async def close(self) -> None:
        await self._tasks.cancel()

    def _watch(self, reference: Reference) -> _Watched:
        if reference not in self._watched:
            kind, namespace, name = reference
            resource: Resource = RESOURCES[kind]
            scope = Scope(namespace, fields=f"metadata.name={name}")
            informer = Informer(self._client, resource, self._clock, self._jitter, scope)
            informer.add_handler(lambda old, new: self._tell(reference))
            task = self._tasks.start(informer.run(), f"{kind} {namespace}/{name}")
            self._watched[reference] = _Watched(informer, task)
        return self._watched[reference]

    def _tell(self, reference: Reference) -> None:
        for uid in list(self._watched[reference].holders) if reference in self._watched else ():
            self._changed(uid)

    def _drop(self, uid: str, keep: set[Reference]) -> None:
        for reference in [r for r, w in self._watched.items() if uid in w.holders and r not in keep]:
            watched = self._watched[reference]
            watched.holders.discard(uid)
            if not watched.holders:
                watched.task.cancel()
                del self._watched[reference]
