"""CREATE and UPDATE: from an object that a client sent to one that is stored.

The order of a create: identity, the kind's preparation and defaults, mutating admission, validation, validating admission,
addresses, store. An update compares what it was decided on, and is decided again when somebody was faster.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from podling.aio.http import Response
from podling.api.core import pod, resize
from podling.api.field import FieldError, at
from podling.api.kind import Kind
from podling.api.metadata import validate_update
from podling.api.objects import name_of, namespace_of, thaw
from podling.api.status import ApiError, already_exists, bad_request, conflict, invalid, not_found
from podling.api.timestamps import rfc3339
from podling.apiserver import admission_order, tracking
from podling.apiserver.admission import CREATE, UPDATE, Review
from podling.apiserver.body import read_object
from podling.apiserver.cache import Item
from podling.apiserver.call import Backend, Call
from podling.apiserver.encoding import encode, stamp
from podling.apiserver.finalize import is_finished
from podling.apiserver.identity import Attributes, require
from podling.apiserver.storage import Stale
from podling.apiserver.tracking import Track
from podling.base.ids import suffix, uid
from podling.store.base import KeyExists

Object = dict[str, Any]
Edit = Callable[[Object], Object]
"""The current object (its own copy) -> the object that the client wishes; may raise ApiError."""

NAME_ATTEMPTS = 8
SWAP_ATTEMPTS = 20
GENERATED_PREFIX = 58  # of 63 characters


async def create(call: Call) -> Response:
    kind = call.kind
    obj = await read_object(call, kind.api_version, kind.kind)
    place(obj, kind, call.namespace)
    item = await create_in(call, obj, tracking.of_create(call))
    return call.answer_item(item, 201)


async def create_in(call: Call, obj: Object, track: Track) -> Item:
    """Create `obj` as the call asks for it, whatever its verb."""
    attributes = call.attributes if call.attributes.verb == "create" else replace(call.attributes, verb="create")
    return await create_object(
        call.backend, attributes, call.kind, obj, dry_run=call.dry_run, warnings=call.warnings, notes=call.notes, track=track
    )


def place(obj: Object, kind: Kind, namespace: str) -> None:
    """Put `obj` into the namespace of the request. Raises 400 where it names another."""
    metadata = obj["metadata"]
    given = metadata.get("namespace")
    if not kind.namespaced:
        if given:
            raise bad_request("namespace is not allowed on this type") if namespace else _namespace_mismatch("")
        metadata.pop("namespace", None)
        return
    if given and given != namespace:
        raise _namespace_mismatch(namespace)
    metadata["namespace"] = namespace


def _namespace_mismatch(namespace: str) -> ApiError:
    return bad_request("the namespace of the provided object does not match the namespace sent on the request")


async def create_object(
    backend: Backend,
    attributes: Attributes,
    kind: Kind,
    obj: Object,
    *,
    dry_run: bool = False,
    warnings: list[str] | None = None,
    notes: dict[str, str] | None = None,
    track: Track = tracking.unchanged,
) -> Item:
    """Create `obj`, whose namespace is set. Raises what a client would get."""
    prefix = obj["metadata"].get("generateName") if not name_of(obj) else ""
    if obj["metadata"].get("resourceVersion"):
        raise ApiError(500, "", "resourceVersion should not be set on objects to be created")
    told, noted = warnings if warnings is not None else [], notes if notes is not None else {}
    for attempt in range(NAME_ATTEMPTS if prefix else 1):
        if prefix:
            obj["metadata"]["name"] = prefix[:GENERATED_PREFIX] + suffix()
        try:
            return await _create_named(Review(backend, attributes, kind, CREATE, obj, None, dry_run, told, noted), track)
        except KeyExists:
            if attempt + 1 == NAME_ATTEMPTS:
                break
    raise _exists(backend, kind, obj)


def _exists(backend: Backend, kind: Kind, obj: Object) -> ApiError:
    error = already_exists(kind.plural, name_of(obj), kind.group)
    found = backend.storage.get(kind, namespace_of(obj), name_of(obj))
    if found is not None and found.object["metadata"].get("deletionTimestamp"):
        error.message = f"object is being deleted: {error.message}"
    return error


async def _create_named(review: Review, track: Track) -> Item:
    backend, kind, obj = review.backend, review.kind, review.obj
    assert obj is not None
    _identify(obj, backend)
    given = obj["metadata"].pop("managedFields", None)
    kind.default(obj)
    track(obj, None, given)
    await admission_order.mutate(review)
    kind.prepare_create(obj)
    if errors := kind.errors(obj):
        raise invalid(kind.kind, name_of(obj), errors, kind.group)
    review.warnings += kind.warn(obj, None)
    await admission_order.validate(review)
    stored = kind.to_stored(obj)
    with _Reserved(review):
        if review.dry_run:
            return _unwritten(backend, kind, stored)
        return await backend.storage.create(kind, stored)


def _identify(obj: Object, backend: Backend) -> None:
    metadata = obj["metadata"]
    metadata["uid"] = uid()
    metadata["creationTimestamp"] = rfc3339(backend.clock.now())


def _unwritten(backend: Backend, kind: Kind, stored: Object) -> Item:
    """What a dry run answers; refused as the real one would be."""
    if backend.storage.get(kind, namespace_of(stored), name_of(stored)) is not None:
        raise KeyExists(name_of(stored), 0)
    return Item(name_of(stored), encode(stored), 0)


class _Reserved:
    """What is the write's until it is over: the addresses of a Service, and what admission has put aside."""

    __slots__ = ("_ends",)

    def __init__(self, review: Review) -> None:
        self._ends = review.finish
        if review.kind.storage == ("", "services"):
            assert review.obj is not None
            try:
                self._ends = [review.backend.addresses.allocate(review.obj, review.old).release, *self._ends]
            except BaseException:
                self.__exit__()
                raise

    def __enter__(self) -> None:
        """It is reserved already."""

    def __exit__(self, *_: object) -> None:
        for end in self._ends:
            end()


# updates


@dataclass(frozen=True, slots=True)
class Strategy:
    """How one endpoint of a kind takes an update: what it keeps of the old object, and which rules hold."""

    prepare: Callable[[Kind, Object, Object], None]
    errors: Callable[[Kind, Object, Object], Iterable[FieldError]]
    tracked: bool = True
    shares: bool = False  # the edit copies what it changes, so that the old object needs no copy of its own


def _prepare_spec(kind: Kind, new: Object, old: Object) -> None:
    kind.default(new)
    kind.prepare_update(new, old)


def _prepare_status(kind: Kind, new: Object, old: Object) -> None:
    kind.prepare_status(new, old)
    kind.default(new)


SPEC = Strategy(_prepare_spec, lambda kind, new, old: kind.errors(new, old))
# debugging containers join a pod; nothing else of it changes here
EPHEMERAL = Strategy(
    lambda _, new, old: new.update(pod.prepare_ephemeral(new, old)), lambda _, new, old: pod.ephemeral_errors(new, old)
)


def _prepare_resize(kind: Kind, new: Object, old: Object) -> None:
    kind.default(new)
    resize.narrow(new, old)
    kind.prepare_update(new, old)


RESIZE = Strategy(_prepare_resize, lambda _, new, old: [*validate_update(new, old), *resize.errors(new, old)])
STATUS = Strategy(_prepare_status, lambda kind, new, old: kind.status_errors(new, old))


def strategy_of(call: Call) -> Strategy:
    return {"status": STATUS, "ephemeralcontainers": EPHEMERAL, "resize": RESIZE}.get(call.attributes.subresource, SPEC)


async def update(call: Call) -> Response:
    kind = call.kind
    obj = await read_object(call, kind.api_version, kind.kind)
    name_in_path(obj, call)
    if _makes_new(call, obj):
        require(call.backend.authorizer, replace(call.attributes, verb="create"))
        return call.answer_item(await create_in(call, obj, tracking.of_create(call)), 201)
    item = await change(call, _as_sent(obj), strategy_of(call))
    return call.answer_item(item)


def _as_sent(obj: Object) -> Edit:
    """What a client sent, anew for each attempt. Managed fields are large, and not edited in place."""
    managed = obj["metadata"].pop("managedFields", None)

    def edit(_: Object) -> Object:
        new: Object = thaw(obj)
        if managed is not None:
            new["metadata"]["managedFields"] = managed
        return new

    return edit


def _makes_new(call: Call, obj: Object) -> bool:
    """Some kinds are created by an update too. One that names a version or uid means an object that was there."""
    kind, metadata = call.kind, obj["metadata"]
    if not kind.create_on_update or call.attributes.subresource or metadata.get("resourceVersion") or metadata.get("uid"):
        return False
    return call.storage.get(kind, call.namespace, call.attributes.name) is None


def name_in_path(obj: Object, call: Call) -> None:
    """The object that is put is the one that the path names. Raises 400."""
    name, given = call.attributes.name, name_of(obj)
    if not given:
        raise bad_request("name must be provided")  # upstream: resourceName may not be empty
    if given != name:
        raise bad_request(f"the name of the object ({given}) does not match the name on the URL ({name})")
    place(obj, call.kind, call.namespace)


async def change(call: Call, edit: Edit, strategy: Strategy, track: Track | None = None) -> Item:
    """Edit the object that the path names. Raises 404, 409, 422 and what admission says."""
    kind, attributes = call.kind, call.attributes
    track = track or (tracking.of_update(call) if strategy.tracked else tracking.unchanged)
    for _ in range(SWAP_ATTEMPTS):
        seen = call.storage.get(kind, call.namespace, attributes.name)
        if seen is None:
            raise not_found(kind.plural, attributes.name, kind.group)
        old = kind.from_stored(seen.object)
        wish = edit(old if strategy.shares else kind.from_stored(seen.object))
        _check_seen(kind, wish, old)
        review = Review(call.backend, attributes, kind, UPDATE, wish, old, call.dry_run, call.warnings, call.notes)
        try:
            return await _update_seen(review, seen, strategy, track)
        except Stale:
            continue  # where the client named a revision, the next round refuses it
    raise conflict(kind.plural, attributes.name, kind.group)


def _check_seen(kind: Kind, wish: Object, old: Object) -> None:
    """Compare the uid and revision that the client names, if it does, with those that are. Raises 409."""
    metadata, known = wish["metadata"], old["metadata"]
    given = metadata.get("resourceVersion")
    if metadata.get("uid") and metadata["uid"] != known["uid"]:
        cause = f"Precondition failed: UID in precondition: {metadata['uid']}, UID in object meta: {known['uid']}"
        raise conflict(kind.plural, name_of(old), kind.group, cause)
    if not given and not kind.unconditional:
        error = at(wish, "metadata", "resourceVersion").invalid("must be specified for an update", 0)
        raise invalid(kind.kind, name_of(old), [error], kind.group)
    if given and given not in ("0", known["resourceVersion"]):
        raise conflict(kind.plural, name_of(old), kind.group)
    metadata["resourceVersion"] = known["resourceVersion"]


async def _update_seen(review: Review, seen: Item, strategy: Strategy, track: Track) -> Item:
    backend, kind, new, old = review.backend, review.kind, review.obj, review.old
    assert new is not None
    assert old is not None
    given = new["metadata"].pop("managedFields", None)
    strategy.prepare(kind, new, old)
    track(new, old, given)
    await admission_order.mutate(review)
    if errors := list(strategy.errors(kind, new, old)):
        raise invalid(kind.kind, name_of(old), errors, kind.group)
    review.warnings += kind.warn(new, old)
    await admission_order.validate(review)
    with _Reserved(review):
        stored = kind.to_stored(new)
        if review.dry_run:
            return Item(seen.key, stamp(encode(stored), seen.revision), seen.revision)
        if is_finished(stored):
            await backend.storage.remove(kind, seen)
            return Item(seen.key, stamp(encode(stored), seen.revision), seen.revision)
        return await backend.storage.replace(kind, seen, stored)
