"""Custom resources at run time: definitions become kinds of the registry the moment they are stored, and cease to be.

What a definition makes is decided in api/custom; this follows the definitions, writes their status, and empties those that go.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from podling.api.apiextensions.customresourcedefinition import CLEANUP, CUSTOM_RESOURCE_DEFINITION
from podling.api.custom.conditions import accepts, is_established, status_of
from podling.api.custom.kinds import served_kinds, stored_kind
from podling.api.kind import Kind
from podling.api.objects import is_deleting, name_of, put, with_condition
from podling.api.timestamps import rfc3339
from podling.apiserver.cache import Change, Item, ResourceCache
from podling.apiserver.call import Backend
from podling.apiserver.finalize import DeleteOptions, is_finished, mark_deleted
from podling.apiserver.storage import Stale

log = logging.getLogger(__name__)

Object = dict[str, Any]
RESOURCE = CUSTOM_RESOURCE_DEFINITION.storage

_TERMINATING = {
    "type": "Terminating",
    "status": "True",
    "reason": "InstanceDeletionInProgress",
    "message": "CustomResource deletion is in progress",
}


@dataclass(slots=True)
class _Known:
    """One definition: what others must know of its names, the state that its kinds were made of, and the kinds."""

    names: Object
    state: tuple[Any, ...]
    kinds: list[Kind]


class Definitions:
    """All definitions of a server. `ended` is told of resources that are no longer served, or not as they were."""

    def __init__(self, backend: Backend, ended: Callable[[Collection[tuple[str, str]]], None]) -> None:
        self._backend = backend
        self._ended = ended
        self._known: dict[str, _Known] = {}
        self._due: dict[str, None] = {}
        self._wake = asyncio.Event()
        self._emptying: set[str] = set()

    def follow(self) -> None:
        """Serve what is defined, from now on at once."""
        cache = self._backend.storage.of(RESOURCE)
        for item in cache.items():
            self._see(item.key, item)
        cache.listen(lambda change: self._see(change.key, change.item))

    def _see(self, name: str, item: Item | None) -> None:
        try:
            if item is None:
                self._withdraw(name)
            else:
                self._serve(item.object)
        except Exception as error:  # one that can't be served must not stop the others
            log.error("custom resource definition %s: %s", name, error, exc_info=error)
        if item is not None:
            self._ask(name)

    def _ask(self, name: str) -> None:
        self._due[name] = None
        self._wake.set()

    # serving

    def _serve(self, definition: Object) -> None:
        name = name_of(definition)
        accepted, complaints = accepts(definition, self._others(name))
        state = (definition["metadata"].get("generation"), accepted, is_deleting(definition), not complaints)
        known = self._known.get(name)
        if known is not None and known.state == state:
            return
        named = put(definition, "status.acceptedNames", accepted)
        kinds = served_kinds(named) if not complaints or is_established(definition) else []
        self._replace_kinds(known.kinds if known is not None else [], kinds)
        group = definition["spec"]["group"]
        names = {"metadata": {"name": name}, "spec": {"group": group}, "status": {"acceptedNames": accepted}}
        self._known[name] = _Known(names, state, kinds)
        if known is not None and known.state[0] != state[0] and not is_deleting(definition):  # streams show what was before
            self._ended({kind.storage for kind in known.kinds})
        if known is not None and known.names != names:
            self._ask_others(name)

    def _replace_kinds(self, old: list[Kind], new: list[Kind]) -> None:
        for kind in old:
            self._backend.registry.remove(kind)
        for kind in new:
            self._backend.registry.add(kind)

    def _others(self, name: str) -> list[Object]:
        return [known.names for other, known in self._known.items() if other != name]

    def _withdraw(self, name: str) -> None:
        known = self._known.pop(name, None)
        if known is None:
            return
        self._replace_kinds(known.kinds, [])
        self._ended({kind.storage for kind in known.kinds})
        self._ask_others(name)

    def _ask_others(self, name: str) -> None:
        """Names that became free may be what another definition waits for."""
        for other in self._known:
            if other != name:
                self._ask(other)

    # status and end

    async def run(self) -> None:
        """Forever: bring the status of those that changed up to date, and empty those that go."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            due, self._due = self._due, {}
            for name in due:
                try:
                    await self._settle(name)
                except Stale:
                    self._ask(name)
                except Exception as error:
                    log.error("custom resource definition %s: %s", name, error, exc_info=error)

    async def _settle(self, name: str) -> None:
        seen = self._backend.storage.of(RESOURCE).get(name)
        if seen is None:
            return
        definition = seen.object
        if is_deleting(definition):
            if CLEANUP in (definition["metadata"].get("finalizers") or ()):
                await self._empty(seen, definition)
            return
        self._serve(definition)  # names may have become free
        now = rfc3339(self._backend.clock.now())
        status = status_of(definition, self._others(name), now)
        await self._backend.storage.replace(CUSTOM_RESOURCE_DEFINITION, seen, {**definition, "status": status})

    async def _empty(self, seen: Item, definition: Object) -> None:
        """Delete all objects of the definition; once there are none, let it go."""
        storage, spec = self._backend.storage, definition["spec"]
        cache = storage.of((spec["group"], spec["names"]["plural"]))
        kind = stored_kind(definition)
        await asyncio.gather(*(self._delete(kind, item) for item in cache.items()))
        if len(cache):
            await self._tell_terminating(seen, definition)
            self._await_end(seen.key, cache)
            return
        metadata = {**definition["metadata"]}
        metadata["finalizers"] = [each for each in metadata["finalizers"] if each != CLEANUP]
        left = {**definition, "metadata": metadata}
        if is_finished(left):
            await storage.remove(CUSTOM_RESOURCE_DEFINITION, seen)
        else:
            await storage.replace(CUSTOM_RESOURCE_DEFINITION, seen, left)

    def _await_end(self, name: str, cache: ResourceCache) -> None:
        """Ask about the definition again when its last object has gone."""
        if name in self._emptying:
            return

        def heard(_: Change) -> None:
            if not len(cache):
                cache.unlisten(heard)
                self._emptying.discard(name)
                self._ask(name)

        self._emptying.add(name)
        cache.listen(heard)

    async def _delete(self, kind: Kind, item: Item) -> None:
        obj = item.object
        if is_deleting(obj):
            return
        marked = mark_deleted(kind, obj, DeleteOptions(), self._backend.clock.now())
        if is_finished(marked):
            await self._backend.storage.remove(kind, item)
        else:
            await self._backend.storage.replace(kind, item, marked)

    async def _tell_terminating(self, seen: Item, definition: Object) -> None:
        status = definition.get("status") or {}
        conditions = with_condition(status.get("conditions"), _TERMINATING, rfc3339(self._backend.clock.now()))
        wanted = {**definition, "status": {**status, "conditions": conditions}}
        await self._backend.storage.replace(CUSTOM_RESOURCE_DEFINITION, seen, wanted)
