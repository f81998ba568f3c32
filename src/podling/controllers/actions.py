"""Does what plans say, through the client, side by side; tells what was written, so that the runner can wait to see it."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl

from podling.api.objects import Object, key_of, name_of, namespace_of, uid_of
from podling.api.status import ApiError
from podling.client.client import Client
from podling.client.errors import FAILURES, AlreadyExists, Conflict, NotFound
from podling.client.events import EventRecorder
from podling.client.resource import Resource
from podling.controllers.plan import Action, Carries, Check, Create, Delete, DeleteAll, Empty, Event, Guarded, Patch, Update
from podling.controllers.view import Fetched

IN_FLIGHT = 64  # requests at once: `slots` are shared by all controllers


@dataclass(frozen=True, slots=True)
class Written:
    """A write that a cache will show: the object at `revision` or later, or gone (`deleted`)."""

    resource: Resource
    key: str
    uid: str
    revision: int
    deleted: bool = False


class NotYet(Exception):
    """A guard doesn't hold: decide again later."""


class Doer:
    """The one door through which controllers act."""

    def __init__(self, client: Client, recorder: EventRecorder, slots: asyncio.Semaphore) -> None:
        self._client = client
        self._recorder = recorder
        self._slots = slots

    async def do(self, actions: Iterable[Action]) -> tuple[list[Written], list[Exception]]:
        """Do all, whatever fails of them."""
        results = await asyncio.gather(*(self._attempt(action) for action in actions), return_exceptions=True)
        written: list[Written] = []
        errors: list[Exception] = []
        for result in results:
            if isinstance(result, Written):
                written.append(result)
            elif isinstance(result, (*FAILURES, NotYet)):
                errors.append(result)
            elif isinstance(result, BaseException):
                raise result
        return written, errors

    async def fetch(self, path: str) -> Fetched:
        """What the server answers to a GET; not within the slots, for it may be that others are asked first."""
        bare, _, query = path.partition("?")
        try:
            return Fetched(await self._client.call("GET", bare, dict(parse_qsl(query))))
        except ApiError as error:
            return Fetched({}, error.message, error.code)
        except FAILURES as error:
            return Fetched({}, str(error), 0)

    async def _attempt(self, action: Action) -> Written | None:
        match action:
            case Event():
                self._tell(action, name_of(action.about), "")
                return None
            case Guarded():
                await self._check(action.checks)
                return await self._attempt(action.action)
            case DeleteAll():
                async with self._slots:
                    await self._delete_all(action)
                return None
        return await self._write(action)

    async def _write(self, action: Create | Delete | Patch | Update) -> Written | None:
        try:
            async with self._slots:
                written = await self._request(action)
        except FAILURES as error:
            if is_terminating(error):
                return None  # the namespace goes, and what we wanted with it
            if not isinstance(error, Conflict):
                self._tell(action.failed, name_of(action.object), str(error))
            raise
        if written is not None:
            self._tell(action.done, name_of_key(written.key), "")
        return written

    async def _request(self, action: Create | Delete | Patch | Update) -> Written | None:
        try:
            match action:
                case Create():
                    return written(action.resource, await self._client.create(action.resource, action.object))
                case Update():
                    new = await self._client.update(action.resource, action.object, subresource=action.subresource)
                    return written(action.resource, new)
                case Patch():
                    return written(action.resource, await self._patch(action))
                case Delete():
                    await self._delete(action)
                    return Written(action.resource, key_of(action.object), uid_of(action.object), 0, deleted=True)
        except AlreadyExists:
            return None
        except NotFound:
            if isinstance(action, Create):
                raise
            return None

    async def _patch(self, action: Patch) -> Object:
        metadata = dict(action.patch.get("metadata") or {})
        metadata["uid"] = uid_of(action.object)
        if action.unchanged:
            metadata["resourceVersion"] = action.object["metadata"]["resourceVersion"]
        return await self._client.patch(
            action.resource,
            name_of(action.object),
            {**action.patch, "metadata": metadata},
            namespace_of(action.object),
            type=action.type,
            subresource=action.subresource,
        )

    async def _delete(self, action: Delete) -> None:
        await self._client.delete(
            action.resource,
            name_of(action.object),
            namespace_of(action.object),
            grace=action.grace,
            propagation=action.propagation,
            uid=uid_of(action.object),
            resource_version=action.object["metadata"]["resourceVersion"] if action.unchanged else "",
        )

    async def _delete_all(self, action: DeleteAll) -> None:
        """By one request where the server can, else one by one."""
        try:
            await self._client.delete_collection(action.resource, action.namespace)
        except NotFound:
            return
        except ApiError as error:
            if error.code != 405:
                raise
            for item in (await self._client.list(action.resource, action.namespace)).items:
                await self._client.delete(action.resource, name_of(item), action.namespace, uid=uid_of(item))

    async def _check(self, checks: Iterable[Check]) -> None:
        async with self._slots:
            held = await asyncio.gather(*(self._holds(check) for check in checks))
        if not all(held):
            raise NotYet("the cache was behind")

    async def _holds(self, check: Check) -> bool:
        try:
            if isinstance(check, Empty):
                listing = await self._client.list(check.resource, check.namespace, page=500, metadata_only=True)
                return not listing.items
            found = await self._client.get(check.resource, check.name, check.namespace)
        except NotFound:
            return not isinstance(check, Carries)
        except ApiError as error:
            if error.code == 405:
                return True  # nothing can be there that can't be listed
            raise
        if isinstance(check, Carries):
            return uid_of(found) == check.uid and check.finalizer in (found["metadata"].get("finalizers") or ())
        return bool(check.uid) and uid_of(found) != check.uid

    def _tell(self, event: Event | None, name: str, error: str) -> None:
        if event is not None:
            message = event.message.replace("{name}", name).replace("{error}", error)
            self._recorder.event(event.about, event.type, event.reason, message)


def written(resource: Resource, obj: Object) -> Written:
    revision = obj["metadata"].get("resourceVersion", "")
    return Written(resource, key_of(obj), uid_of(obj), int(revision) if revision.isdecimal() else 0)


def name_of_key(key: str) -> str:
    return key.rpartition("/")[2]


def is_terminating(error: BaseException) -> bool:
    """Whether the namespace takes nothing new because it is being deleted."""
    causes = error.details.get("causes") or () if isinstance(error, ApiError) else ()
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)
